"""Every expression of the rules, the dashboard and the page, asked of a Prometheus that scraped the endpoint."""

import contextlib
import time
from collections.abc import Callable

import pytest

from clients.conformance import contract
from clients.conformance.conftest import Servers
from clients.conformance.dashboard import (
    ALL,
    RATE_INTERVAL,
    Panel,
    chosen,
    dashboard,
    filled_in,
    name,
    panels,
    queries,
    rows,
)
from clients.conformance.drawing import drawn
from clients.conformance.expressions import labels_in, queries_of_the_page, rules, selectors, series_in, with_bool
from clients.conformance.prometheus import DATA_SECONDS, Prometheus
from clients.conformance.scrapes import FORMATS, RENAMED, job_of
from clients.conformance.stack import CHAT, CODE
from loopback.processes import wait_for

RULES = [pytest.param(expression, id=name) for name, expression in rules()]
KNOWN_LABELS = {"endpoint", "exported_endpoint", "status_class", "status_code", "quantile", "le"}
KNOWN_LABELS |= {"job", "instance"}
# What the servers that scrape text do not have.
NATIVE = {name for name, family in contract.FAMILIES.items() if family.type == "histogram"}
# A record that is there only when it is true.
CONDITION = "wafer:scrape_budget:used_up"
# The demo's traffic rests for so long at most.
LONGEST_PAUSE_SECONDS = 220
# Two scrapes of the client that scrapes least often.
SCRAPES_SECONDS = 30
# Some queries look minutes back, and want more than one scrape there.
SCRAPES = 6
# What may be chosen on the dashboard: what stands for it in a query, and the endpoints that are then shown.
CHOICES = {
    "one endpoint": (chosen([CODE]), {CODE}),
    "two endpoints": (chosen([CHAT, CODE]), {CHAT, CODE}),
    "all endpoints": (ALL, {CHAT, CODE}),
}


@pytest.mark.parametrize("expression", RULES)
def test_rule_names_series_and_labels_that_exist(expression: str) -> None:
    check_names(expression)


@pytest.mark.parametrize("panel", panels(), ids=name)
def test_panel_names_series_and_labels_that_exist(panel: Panel) -> None:
    for query in queries(panel):
        check_names(query)


@pytest.mark.parametrize("query", queries_of_the_page())
def test_query_of_the_page_names_series_and_labels_that_exist(query: str) -> None:
    check_names(query)


def check_names(expression: str) -> None:
    recorded = {rule for rule, _ in rules() if rule.startswith("wafer:")}
    unknown = series_in(expression) - contract.names_in(contract.BOTH) - recorded - {"up"}
    assert not unknown, f"no such series: {unknown}"
    unknown = labels_in(expression) - KNOWN_LABELS
    assert not unknown, f"no such label: {unknown}"


@pytest.fixture(scope="module")
def evaluating(prometheus: Prometheus) -> Prometheus:
    """With a past, some scrapes, and every rule evaluated."""

    def evaluated() -> bool:
        groups = prometheus.get("rules")["groups"]
        return all(rule["health"] != "unknown" for group in groups for rule in group["rules"])

    prometheus.wait_for("wafer:data_age:seconds offset 1d")
    prometheus.wait_for_scrapes("wafer", SCRAPES)
    wait_for("every rule is evaluated", evaluated, DATA_SECONDS)
    wait_for_counters(prometheus, "wafer")
    return prometheus


@pytest.mark.parametrize("expression", RULES)
def test_rule_has_data(evaluating: Prometheus, expression: str) -> None:
    """A rule of which nothing is true has no result. With every comparison made to yield 0 or 1 it must have one."""
    for selector in selectors(expression):
        if selector not in NATIVE | {CONDITION}:
            check_has_data(evaluating, selector)
    # What is about missing data, or under that condition, has none where nothing is wrong.
    if not any(word in expression for word in ("absent", "unless", CONDITION)):
        check_has_data(evaluating, with_bool(expression))


@pytest.mark.parametrize("name", ["wafer:slow_first_tokens:ratio_rate5m", "wafer:ttft_p90:seconds_rate10m"])
def test_rule_has_the_same_figure_from_classic_and_native_histograms(scraping: Servers, name: str) -> None:
    jobs = {job_of(name) for name in FORMATS}
    for job in jobs:
        wait_for_counters(scraping.newest, job)

    def figures_agree() -> bool:
        result = scraping.newest.query(dict(rules())[name])
        figures = {(one["metric"]["endpoint"], one["metric"]["job"]): float(one["value"][1]) for one in result}
        by_job = [[figures[endpoint, job] for job in jobs] for endpoint in (CHAT, CODE)]
        # Within a classic bucket a quantile is a guess.
        return all(max(values) - min(values) < 0.25 for values in by_job)

    # Of two jobs one may have begun a minute's traffic earlier: that weighs less with each minute.
    wait_for("the jobs have the same figures", figures_agree, DATA_SECONDS)


def test_no_rule_fails(evaluating: Prometheus) -> None:
    for group in evaluating.get("rules")["groups"]:
        for rule in group["rules"]:
            assert rule["health"] == "ok", f"{rule['name']} is {rule['health']}: {rule.get('lastError')}"


def test_no_alert_fires_on_a_healthy_endpoint(evaluating: Prometheus) -> None:
    alerts = evaluating.get("alerts")["alerts"]
    firing = {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}
    assert not firing, f"firing: {', '.join(sorted(firing))}"


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("panel", panels(), ids=name)
def test_panel_has_data_of_each_endpoint_chosen(prometheus: Prometheus, panel: Panel, choice: str) -> None:
    wait_for_counters(prometheus, "wafer")
    endpoints, shown = CHOICES[choice]
    check_shows(prometheus, panel, queries(panel, endpoints=endpoints), "endpoint", shown)


@pytest.mark.parametrize("panel", panels(), ids=name)
def test_panel_has_data_by_the_label_exported_endpoint(second_prometheus: Prometheus, panel: Panel) -> None:
    wait_for_counters(second_prometheus, RENAMED, "exported_endpoint")
    label = "exported_endpoint"
    check_shows(second_prometheus, panel, queries(panel, label), label, {CHAT, CODE})


@pytest.mark.parametrize("panel", panels(), ids=name)
def test_panel_has_data_of_native_histograms_alone(scraping: Servers, panel: Panel) -> None:
    wait_for_counters(scraping.newest, job_of("native"))
    check_shows(scraping.newest, panel, queries(panel, job=job_of("native")), "endpoint", {CHAT, CODE})


def test_requests_that_several_clients_saw_are_shown_once(scraping: Servers) -> None:
    """The clients scrape at other times: shown is the one that has seen most."""
    jobs = [job_of(one) for one in FORMATS]
    for job in jobs:
        wait_for_counters(scraping.newest, job)
    # Before now: a scrape that is under way has the time of its start.
    now = time.time() - 20
    seen: dict[tuple[str, str], list[float]] = {}
    for one in scraping.newest.get("query", query=f"rate(wafer_requests_total[{RATE_INTERVAL}])", time=now)["result"]:
        key = (one["metric"]["endpoint"], one["metric"]["status_class"])
        seen.setdefault(key, []).append(float(one["value"][1]))
    assert all(len(rates) == len(jobs) for rates in seen.values())
    [panel] = [one for one in panels() if (one["type"], one["title"]) == ("stat", "Requests")]
    [query] = queries(panel, job=chosen(jobs))
    [shown] = scraping.newest.get("query", query=query, time=now)["result"]
    assert float(shown["value"][1]) == pytest.approx(sum(map(max, seen.values())))


def test_every_panel_can_be_drawn(scraping: Servers) -> None:
    """As `make picture` does."""
    wait_for_counters(scraping.newest, job_of("native"))
    figure = drawn(rows(), scraping.newest, chosen([CODE]), time.time() - 120, time.time())
    assert [axes.get_title("left") for axes in figure.axes] == [panel["title"] for panel in panels()]
    assert all(axes.lines or axes.texts for axes in figure.axes)
    assert not any(text.get_text() == "No data" for axes in figure.axes for text in axes.texts)


def test_choices_of_the_dashboard_have_values(prometheus: Prometheus) -> None:
    prometheus.wait_for_scrapes("wafer", 1)
    values = {}
    for variable in dashboard()["templating"]["list"]:
        if variable["type"] == "query":
            series, label = filled_in(variable["query"]["query"])[len("label_values(") : -1].rsplit(", ", 1)
            values[variable["name"]] = {one["metric"][label] for one in prometheus.query(series)}
    assert values == {"job": {"wafer"}, "endpoint": {CHAT, CODE}}


def check_shows(server: Prometheus, panel: Panel, expressions: list[str], label: str, endpoints: set[str]) -> None:
    """Each query has data; where endpoints are shown by themselves, of each of these and of no other."""
    for target, query in zip(panel["targets"], expressions, strict=True):
        check_shown(server, query, label, endpoints if f"{{{{{label}}}}}" in target["legendFormat"] else {None})


def check_shown(server: Prometheus, query: str, label: str, wanted: set[str] | set[None]) -> None:
    poll(lambda: shown(server, query, label), wanted)
    check_has_data(server, query)
    found = shown(server, query, label)
    assert found == wanted, f"it shows {found}: {query}"


def shown(server: Prometheus, query: str, label: str) -> set[str | None]:
    return {one["metric"].get(label) for one in server.query(query)}


@pytest.mark.parametrize("query", queries_of_the_page(native=False))
def test_query_of_the_page_has_data(prometheus: Prometheus, query: str) -> None:
    wait_for_counters(prometheus, "wafer")
    check_has_data(prometheus, query)


@pytest.mark.parametrize("query", queries_of_the_page(native=True))
def test_query_of_native_histograms_has_data(scraping: Servers, query: str) -> None:
    wait_for_counters(scraping.newest, job_of("native"))
    check_has_data(scraping.newest, query)


def wait_for_counters(server: Prometheus, job: str, label: str = "endpoint") -> None:
    """Until those of both endpoints have risen, which they do once a minute while there is traffic."""
    risen = f'sum by ({label}) (increase(wafer_requests_total{{job="{job}",{label}=~".+"}}[3m])) > 0'
    server.wait_for(f"count({risen}) == 2", LONGEST_PAUSE_SECONDS + DATA_SECONDS)


def poll(found: Callable[[], object], wanted: object) -> None:
    """Until it is found, or a scrape that failed would have been made good by the next two. The check that follows says
    what is wrong."""
    with contextlib.suppress(TimeoutError):
        wait_for("the next scrapes", lambda: found() == wanted, SCRAPES_SECONDS)


def check_has_data(server: Prometheus, expression: str) -> None:
    poll(lambda: bool(server.query(expression)), True)
    result = server.query(expression)
    assert result, f"no data: {expression}"
    for one in result:
        assert one["value"][1] not in ("NaN", "+Inf", "-Inf"), f"{one['value'][1]}: {expression}"
