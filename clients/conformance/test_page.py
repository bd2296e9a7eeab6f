"""docs/clients.md, against the files it shows and the series it lists."""

import re

import pytest

from clients.conformance import configurations, contract, dashboard
from clients.conformance.contract import BOTH, COUNTERS, WINDOW, cells
from clients.conformance.dashboard import OBJECTIVES, RATE_INTERVAL, Panel
from clients.conformance.drawing import field_of
from clients.conformance.programs import PROMETHEUS
from loopback import ROOT

SHOWN = re.compile(r"<!-- clients/(\S+) -->\n```\w*\n(.*?)```", re.DOTALL)
PAGE = (ROOT / "docs" / "clients.md").read_text()


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


def section(title: str) -> str:
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


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
