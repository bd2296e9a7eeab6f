"""docs/clients.md, against the files it shows and the series it lists."""

import re

import pytest

from clients.conformance import configurations, contract, dashboard
from clients.conformance.contract import BOTH, COUNTERS, WINDOW, cells
from clients.conformance.dashboard import OBJECTIVES, RATE_INTERVAL, Panel
from clients.conformance.documented import INTERVAL, TIMEOUT
from clients.conformance.drawing import field_of
from clients.conformance.programs import PROMETHEUS
from clients.conformance.test_kubernetes import FIRST, NATIVE, NEW
from loopback import ROOT

SHOWN = re.compile(r"<!-- clients/(\S+) -->\n```\w*\n(.*?)```", re.DOTALL)
PAGE = (ROOT / "docs" / "clients.md").read_text()
CONTRACT = (ROOT / "docs" / "contract.md").read_text()
REQUIREMENTS = (ROOT / "requirements" / "conformance.txt").read_text()
CONFORMANCE = configurations.CLIENTS / "conformance"


def test_page_shows_the_files_as_they_are() -> None:
    """What is pasted from the page is what was tested."""
    for name, shown in SHOWN.findall(PAGE):
        assert shown == configurations.read(name), f"the page shows another {name}"


@pytest.mark.parametrize("name", [*configurations.NAMES, "grafana/dashboard.json", "alerts.yml"])
def test_page_names_the_file(name: str) -> None:
    assert f"clients/{name}" in PAGE


@pytest.mark.parametrize("view", [WINDOW, COUNTERS, BOTH])
def test_page_counts_the_series_of_a_view(view: str) -> None:
    classic = len(contract.series(["one"], view))
    histograms = [name for name, family in contract.families_in(view).items() if family.type == "histogram"]
    native = classic - sum(len(contract.le_values(name)) + 2 for name in histograms) + len(histograms)
    cells = ["", ""] if view == WINDOW else [", and one for each status code"] * 2
    counts = [str(classic), ""] if view == WINDOW else [str(classic - 1), str(native - 1)]
    row = " | ".join(count + rest for count, rest in zip(counts, cells, strict=True))
    assert f"| `{view}` | {row}".rstrip() in PAGE


def section(heading: str, page: str = PAGE) -> str:
    return page.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def rows(text: str) -> list[list[str]]:
    """The cells of each row of a table, less its header."""
    return [contract.cells(line) for line in text.splitlines() if line.startswith("| ")][1:]


def test_page_names_no_series_that_is_not_there() -> None:
    others = {"wafer_", "wafer_api_key", "wafer_authorization"}
    assert set(re.findall(r"\bwafer_\w*", PAGE)) - others <= contract.names_in(BOTH)


def test_page_names_no_metric_of_datadog_that_is_not_there() -> None:
    found = re.findall(r"\bwafer\.(\w+)(\.count|\.sum)?", PAGE)
    assert found
    families = {name.removeprefix("wafer_").removesuffix("_total") for name in contract.FAMILIES}
    assert {name for name, _ in found} - {"openmetrics"} <= families


def test_page_has_the_errors_of_the_contract_and_no_others() -> None:
    of_the_page = {(row[0], row[1]) for row in rows(section("Errors").partition("\n### ")[0])}
    of_the_contract = {(row[0], row[1]) for row in rows(section("Errors", CONTRACT))}
    assert len(of_the_contract) > 10
    assert of_the_page == of_the_contract


def test_page_has_the_limits_of_the_contract() -> None:
    for number in ("6 calls a minute", "59 s"):
        assert number in section("Rate limit"), number
        assert number in section("The rate limit", CONTRACT), number
    assert "up to 20 endpoints" in PAGE
    assert "up to 20 different hosts" in section("The request", CONTRACT)
    assert f"scrape once in {INTERVAL.removesuffix('s')} s" in PAGE
    assert f"give up after {TIMEOUT.removesuffix('s')} s" in " ".join(PAGE.split())


# Of each row under "What was run, and what was not": the files that it is about, and whether their client is run.
WAS_RUN = {
    "Prometheus": ({"prometheus/prometheus.yml"}, True),
    "Prometheus, the newest of the distribution": ({"prometheus/native-histograms-until-3.7.yml"}, True),
    "Prometheus 3.16.0": ({"prometheus/native-histograms.yml"}, True),
    "vmagent": ({"vmagent/vmagent.yml"}, True),
    "Datadog Agent": ({"datadog/conf.yaml"}, False),
    "Datadog's cluster check": ({"datadog/cluster-check.yaml"}, False),
    "OpenTelemetry Collector": ({"otel/collector.yaml"}, True),
    "Grafana Alloy": ({"alloy/config.alloy"}, False),
    "Grafana Cloud by Terraform": ({"grafana-cloud/metrics-endpoint.tf"}, False),
    "Grafana Agent": ({"grafana-cloud/agent.yaml"}, False),
    "Telegraf": ({"telegraf/telegraf.conf"}, True),
    "Discovery": ({"prometheus/discovery.yml"}, True),
    "KEDA": ({"keda/prometheus.yaml", "keda/metrics-api.yaml"}, False),
    "Grafana's Infinity data source": ({"grafana/infinity.yaml"}, False),
    "Kubernetes": ({"kubernetes/scrapeconfig.yaml", "kubernetes/probe.yaml"}, False),
}
# Beside the configurations.
NO_CONFIGURATION = {"prometheus/discovery-alerts.yml", "grafana/dashboard.json", "kubernetes/prometheusrule.yaml"}
# A version that the page says, and what pins it.
PINNED = [
    ("| OpenTelemetry Collector | run, 0.165 ", "collector/go.mod", "go.opentelemetry.io/collector/otelcol v0.165."),
    ("the code of 0.93 makes", "operator/go.mod", "prometheus-operator/prometheus-operator v0.93."),
    ("by the types of Datadog's Operator", "operator/go.mod", "github.com/DataDog/datadog-operator/api v"),
    ("| Telegraf | run, 1.37.2 ", "programs.py", '"v1.37.2"'),
    ("the scaler schema of KEDA 2.20", "test_keda.py", "@v2.20."),
]


def test_page_says_of_each_client_whether_it_was_run() -> None:
    found = {row[0]: row[1] for row in rows(section("What was run, and what was not"))}
    assert WAS_RUN.keys() <= found.keys()
    for client, (_, was_run) in WAS_RUN.items():
        assert found[client].startswith("run" if was_run else "not run"), client
    files = {file for files, _ in WAS_RUN.values() for file in files}
    folders = {file.split("/")[0] for file in files}
    configured = {
        str(path.relative_to(configurations.CLIENTS))
        for folder in folders
        for path in (configurations.CLIENTS / folder).glob("[!.]*")
    }
    assert set(configurations.NAMES) <= files
    assert configured - files <= NO_CONFIGURATION


def test_page_names_the_versions_that_are_run() -> None:
    for words, file, pin in PINNED:
        assert words in PAGE, words
        assert pin in (CONFORMANCE / file).read_text(), pin
    [datadog] = re.findall(r"^datadog-checks-base==(\S+)", REQUIREMENTS, re.MULTILINE)
    assert f"(datadog-checks-base {datadog})" in PAGE
    operators = {version.removeprefix("v").rpartition(".")[0] for version in (*FIRST.values(), NATIVE, NEW)}
    [said] = re.findall(r"Prometheus Operator (0\.\d+(?:, 0\.\d+)* and 0\.\d+), and", PAGE)
    assert set(re.findall(r"0\.\d+", said)) == operators


def table(title: str, first: str) -> dict[str, list[str]]:
    """The rows of a section's table, by their first cell; the table is the one whose first column has that name."""
    text = section(title).partition(f"\n| {first} |")[2].partition("\n\n")[0]
    return {row[0]: row[1:] for row in map(cells, text.splitlines()[2:])}


def test_page_says_what_each_row_of_the_dashboard_says() -> None:
    assert list(table("Dashboard", "row")) == [title for title, _ in dashboard.rows()]


def test_page_says_where_a_figure_changes_its_colour() -> None:
    wanted = {}
    for panel in dashboard.panels():
        for target in panel["targets"] if panel["type"] != "timeseries" else []:
            field = field_of(panel, target["refId"])
            steps = field["thresholds"]["steps"]
            if len(steps) > 1:
                several = len(panel["targets"]) > 1
                name = f"{panel['title']}: {target['legendFormat']}" if several else panel["title"]
                wanted[name] = colours(steps, field["unit"])
    assert table("Dashboard", "figure") == wanted


def colours(steps: list[Panel], unit: str) -> list[str]:
    """From where on, or below what, it is orange, and red."""
    (first, *_), values = steps, [step["value"] for step in steps[1:]]
    texts = [f"{value * 100:g} %" if unit == "percentunit" else f"{value:g}{' s' * (unit == 's')}" for value in values]
    if unit == "dtdurations":
        texts = [f"{value / 86400:g} days" for value in values]
    return (
        [f"from {text}" for text in texts] if first["color"] == "green" else [f"below {text}" for text in texts][::-1]
    )


def test_page_has_the_dashboards_other_numbers() -> None:
    variables = dashboard.variables()
    text = " ".join(section("Dashboard").split())
    minutes = f"{RATE_INTERVAL.removesuffix('m')} minutes"
    assert f"gone within {minutes}, " in text
    assert f"over {minutes} at least, " in text
    assert " and ".join(variables[name]["query"] for name in OBJECTIVES.values()) in text
    assert f"| First token within | {variables['bound']['current']['value']} s" in text
    assert {variable["label"] for variable in variables.values()} == {
        label for names in table("Dashboard", "variable") for label in names.split(", ")
    }
    assert "budget of 30 days" in text
    assert all("[30d]" in query for query in budget())


def budget() -> list[str]:
    [panel] = [one for one in dashboard.panels() if one["type"] == "bargauge"]
    return dashboard.queries(panel)


def test_page_names_the_prometheus_that_is_built() -> None:
    minor, patch = re.fullmatch(r"v0\.3(\d\d)\.(\d+)", PROMETHEUS).groups()  # type: ignore[union-attr]
    assert f"| Prometheus 3.{int(minor)}.{patch} | run, built" in PAGE
    assert f"in the job | yes, 3.{int(minor)}.{patch} |" in PAGE


# Numbers of the page that stand in no file, and why.
NUMBERS_OF_THE_PAGE = {
    "3.5.3": "the newest Prometheus of the distribution, on the day",
    "1.145": "the newest vmalert of the distribution, on the day",
    "2.40": "from when on Prometheus knows native histograms",
    "0.78": "from when on the Operator knows scrapeClassicHistograms",
    "10.25": "the average of 0.5 and 20, which the page argues about",
}
NUMBER = re.compile(r"(?<![\w.#/-])\d+(?:\.\d+)*(?![\w/-])")
SOURCES = ["docs/contract.md", "requirements/conformance.txt", "pyproject.toml", "local/src/options.rs"]


def test_numbers_of_the_page_stand_in_the_files() -> None:
    """Files and output that the page shows are left out: others hold those."""
    shown = re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL)
    prose = "\n".join(line for line in shown.splitlines() if not line.startswith("    "))
    kit = [path for path in (ROOT / "clients").rglob("*") if path.suffix in {".py", ".go", ".mod", ".conf", ".alloy"}]
    kit += [path for path in (ROOT / "clients").rglob("*") if path.suffix in {".yml", ".yaml", ".json", ".tf"}]
    files = [path for path in kit if path.name not in {"package-lock.json", "test_page.py"}]
    texts = [path.read_text() for path in [*files, *(ROOT / source for source in SOURCES)]]
    found = re.findall(r"\d+(?:\.\d+)*", "\n".join(texts))
    # 0.165 is said of 0.165.0.
    of_files = {*found, *(number.rpartition(".")[0] for number in found)}
    assert set(NUMBER.findall(prose)) - of_files == set(NUMBERS_OF_THE_PAGE)
