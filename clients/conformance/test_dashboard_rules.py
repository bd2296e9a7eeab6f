"""The dashboard, by the rules of Grafana's dashboard-linter.

They are written anew: the linter cannot be installed from Go's module proxy. Like the linter, they leave out what
clients/grafana/.lint excludes.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from clients.conformance import configurations, programs
from clients.conformance.dashboard import ALL, SDK, Panel, dashboard, filled_in, panels, queries, variables
from clients.conformance.prometheus import Prometheus, prometheus

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
RATES = {"rate", "irate", "increase"}
# Four minutes in milliseconds, as $__rate_interval is filled in.
RATE_INTERVAL = 4 * 60 * 1000


class Problem(NamedTuple):
    """`panel` and `target` are those of an exclusion's entry."""

    text: str
    panel: str | None = None
    target: int | None = None


class Parser:
    """The parser of a real Prometheus."""

    def __init__(self, server: Prometheus) -> None:
        self.server = server

    def selectors(self, expression: str) -> Iterator[tuple[Any, str | None]]:
        """Each selector, with the function that takes it."""
        yield from self.within(self.server.get("parse_query", query=expression), None)

    def within(self, node: Any, function: str | None) -> Iterator[tuple[Any, str | None]]:
        if isinstance(node, list):
            for one in node:
                yield from self.within(one, function)
        elif isinstance(node, dict):
            if node.get("type") in ("vectorSelector", "matrixSelector"):
                yield node, function
            for value in node.values():
                yield from self.within(value, node["func"]["name"] if node.get("type") == "call" else None)


@pytest.fixture(scope="module")
def parser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parser]:
    folder = tmp_path_factory.mktemp("parser")
    config = folder / "prometheus.yml"
    config.write_text("global: {}")
    with prometheus(programs.built_prometheus(), config, folder / "data") as server:
        yield Parser(server)


@pytest.fixture(scope="module")
def units() -> set[str]:
    """Those that Grafana's SDK has names for."""
    command = ["go", "list", "-m", "-f", "{{.Dir}}", "github.com/grafana/grafana-foundation-sdk/go"]
    programs.retried("Grafana's SDK", ["go", "mod", "download"], SDK)
    folder = programs.retried("Grafana's SDK", command, SDK).strip()
    return set(re.findall(r'= "(\S+)"', "".join(file.read_text() for file in Path(folder, "units").glob("*.go"))))


def template_datasource(_: Parser) -> Iterator[Problem]:
    found = [variable for variable in variables().values() if variable["type"] == "datasource"]
    if [(one["name"], one["label"], one["query"]) for one in found] != [("datasource", "Data source", "prometheus")]:
        yield Problem(f"the variables of data sources are {found}")


def template_job(_: Parser) -> Iterator[Problem]:
    yield from choice_of("job", "Job")


def template_instance(_: Parser) -> Iterator[Problem]:
    yield from choice_of("instance", "Instance")


def choice_of(name: str, label: str) -> Iterator[Problem]:
    variable = variables().get(name, {})
    wanted = {"type": "query", "label": label, "datasource": DATASOURCE, "multi": True, "allValue": ALL}
    for key, value in wanted.items():
        if variable.get(key) != value:
            yield Problem(f"the variable {name} has the {key} {variable.get(key)}, not {value}")


def template_label_promql(parser: Parser) -> Iterator[Problem]:
    for name, variable in variables().items():
        if variable["type"] == "query":
            match = re.fullmatch(r"label_values\((.+), ([\w$]+)\)", variable["query"]["query"])
            if not match:
                yield Problem(f"{name} asks for {variable['query']}")
            elif not list(parser.selectors(filled_in(match[1]))):
                yield Problem(f"{name} asks for no series")


def template_on_time_change_reload(_: Parser) -> Iterator[Problem]:
    for name, variable in variables().items():
        if variable["type"] == "query" and variable["refresh"] != 2:
            yield Problem(f"{name} is not read anew when the time changes")


def panel_datasource(_: Parser) -> Iterator[Problem]:
    for panel in panels():
        if any(one["datasource"] != DATASOURCE for one in [panel, *panel["targets"]]):
            yield Problem("it has a data source of its own", panel["title"])


def panel_title_description(_: Parser) -> Iterator[Problem]:
    for panel in panels():
        if not panel.get("title") or not panel.get("description"):
            yield Problem("it has no title or no description", panel.get("title"))


def panel_no_targets(_: Parser) -> Iterator[Problem]:
    for panel in panels():
        if not panel.get("targets"):
            yield Problem("it has no query", panel["title"])


def target_promql(parser: Parser) -> Iterator[Problem]:
    """One that is not PromQL fails here; that it has data, test_expressions.py finds."""
    for panel, index, selectors in of_each_target(parser):
        if not selectors and "vector" not in panel["targets"][index]["expr"]:
            yield Problem("it asks for no series", panel["title"], index)


def target_rate_interval(parser: Parser) -> Iterator[Problem]:
    for panel, index, selectors in of_each_target(parser):
        for selector, function in selectors:
            if function in RATES and selector["range"] != RATE_INTERVAL:
                yield Problem(f"{function} over {selector['range']} ms", panel["title"], index)


def target_job(parser: Parser) -> Iterator[Problem]:
    yield from matcher_of("job", parser)


def target_instance(parser: Parser) -> Iterator[Problem]:
    yield from matcher_of("instance", parser)


def matcher_of(name: str, parser: Parser) -> Iterator[Problem]:
    for panel, index, selectors in of_each_target(parser):
        for selector, _ in selectors:
            if not any((one["name"], one["type"], one["value"]) == (name, "=~", ALL) for one in selector["matchers"]):
                yield Problem(f"{selector['name']} is not of the {name} chosen", panel["title"], index)


def target_counter_agg(parser: Parser) -> Iterator[Problem]:
    for panel, index, selectors in of_each_target(parser):
        for selector, function in selectors:
            if selector["name"].endswith("_total") and function not in RATES:
                yield Problem(f"{selector['name']} without a rate", panel["title"], index)


def uneditable(_: Parser) -> Iterator[Problem]:
    if dashboard()["editable"] is not False:
        yield Problem("what is edited would be lost with the next import")


def of_each_target(parser: Parser) -> Iterator[tuple[Panel, int, list[tuple[Any, str | None]]]]:
    for panel in panels():
        for index, query in enumerate(queries(panel)):
            yield panel, index, list(parser.selectors(query))


# Without those for Loki, and with that for units below.
RULES: dict[str, Callable[[Parser], Iterator[Problem]]] = {
    "template-datasource-rule": template_datasource,
    "template-job-rule": template_job,
    "template-instance-rule": template_instance,
    "template-label-promql-rule": template_label_promql,
    "template-on-time-change-reload-rule": template_on_time_change_reload,
    "panel-datasource-rule": panel_datasource,
    "panel-title-description-rule": panel_title_description,
    "panel-no-targets-rule": panel_no_targets,
    "target-promql-rule": target_promql,
    "target-rate-interval-rule": target_rate_interval,
    "target-job-rule": target_job,
    "target-instance-rule": target_instance,
    "target-counter-agg-rule": target_counter_agg,
    "uneditable-dashboard": uneditable,
}
EXCLUSIONS: dict[str, Any] = yaml.safe_load(configurations.read("grafana/.lint"))["exclusions"]


@pytest.mark.parametrize("rule", RULES)
def test_rule_is_kept_but_where_it_is_excluded(parser: Parser, rule: str) -> None:
    entries = entries_of(rule)
    problems = [one for one in RULES[rule](parser) if not any(covers(entry, one) for entry in entries)]
    assert not problems, "\n".join(f"{one.panel or 'the dashboard'}: {one.text}" for one in problems)


@pytest.mark.parametrize("rule", EXCLUSIONS)
def test_exclusion_has_a_reason_and_is_needed(parser: Parser, rule: str) -> None:
    assert EXCLUSIONS[rule]["reason"]
    problems = list(RULES[rule](parser))
    for entry in entries_of(rule):
        assert any(covers(entry, one) for one in problems), f"it excludes what is not there: {entry}"


def entries_of(rule: str) -> list[dict[str, Any]]:
    """One that is empty excludes everything."""
    return list(EXCLUSIONS[rule].get("entries", [{}])) if rule in EXCLUSIONS else []


def covers(entry: dict[str, Any], problem: Problem) -> bool:
    return (
        entry.get("panel", problem.panel) == problem.panel and entry.get("targetIdx", problem.target) == problem.target
    )


def test_panel_has_a_unit_that_grafana_knows(units: set[str]) -> None:
    """Its panel-units-rule."""
    for panel in panels():
        overridden = [
            one["value"]
            for rule in panel["fieldConfig"]["overrides"]
            for one in rule["properties"]
            if one["id"] == "unit"
        ]
        for unit in [panel["fieldConfig"]["defaults"].get("unit"), *overridden]:
            assert unit in units, f"{panel['title']} has the unit {unit}"
