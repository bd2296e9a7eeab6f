"""The dashboard, against Grafana's own types and the contract."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from clients.conformance import configurations, contract, programs
from clients.conformance.contract import described
from clients.conformance.dashboard import (
    NAME,
    OBJECTIVES,
    QUERY_INTERVAL,
    SDK,
    Panel,
    dashboard,
    name,
    panels,
    queries,
    rows,
    variables,
)
from clients.conformance.expressions import rules, series_in
from clients.conformance.prometheus import Promtool
from clients.conformance.typescript import compile_types, literal

RAW = "@grafana/schema/dist/esm/raw/composable"
# JSON has the values of an enum, where the types want its members.
PLAIN = """
type Plain<T> = T extends string ? `${T}` : T extends number | boolean | null | undefined ? T
  : T extends (infer E)[] ? Plain<E>[] : T extends object ? { [K in keyof T]: Plain<T[K]> } : T;
"""
# A panel's kind: the types of its options and of its field configuration.
PANELS = {
    "stat": ("Stat.Options", None),
    "bargauge": ("BarGauge.Options", None),
    "timeseries": ("Timeseries.Options", "Timeseries.FieldConfig"),
}
# Of an annotation's keys, those that the Prometheus data source adds.
OF_PROMETHEUS = {"expr", "titleFormat", "textFormat", "tagKeys", "step", "useValueForTime"}

# The window's length never changes, and a rate says more than the requests of the last 2 minutes.
NOT_SHOWN = {"wafer_metrics_window_seconds", "wafer_concurrent_requests"}


def test_dashboard_is_of_the_types_of_grafanas_schema(node_modules: Path) -> None:
    board = dashboard()
    for annotation in board["annotations"]["list"]:
        for key in OF_PROMETHEUS:
            del annotation[key]
    lines = [
        'import type { Dashboard } from "@grafana/schema";',
        f'import type * as Stat from "{RAW}/stat/panelcfg/x/StatPanelCfg_types.gen";',
        f'import type * as BarGauge from "{RAW}/bargauge/panelcfg/x/BarGaugePanelCfg_types.gen";',
        f'import type * as Timeseries from "{RAW}/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen";',
        PLAIN,
        literal("dashboard", "Plain<Dashboard>", board),
    ]
    for panel in panels():
        assert panel["type"] in PANELS, f"no types are known for a panel {panel['type']}"
        options, custom = PANELS[panel["type"]]
        lines.append(literal(f"options_{panel['id']}", f"Plain<{options}>", panel["options"]))
        if custom:
            given = panel["fieldConfig"]["defaults"]["custom"]
            lines.append(literal(f"custom_{panel['id']}", f"Plain<{custom}>", given))
    compile_types("dashboard", lines, node_modules)


def test_grafanas_sdk_knows_every_key_of_the_dashboard_its_queries_and_annotations() -> None:
    programs.fetch(SDK)
    done = subprocess.run(
        ["go", "run", ".", configurations.CLIENTS / NAME],
        cwd=SDK,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_dashboard_has_an_id_for_each_panel_and_uses_every_variable() -> None:
    board = dashboard()
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids), "two panels have one id"
    used = set(re.findall(r"\$\{?([a-z]\w*)", json.dumps(board)))
    assert used == set(variables()), f"the variables are {set(variables())}, used are {used}"


def test_panels_fit_and_do_not_overlap() -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in dashboard()["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, f"{name(panel)} does not fit"
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert (x, y) not in taken, f"{name(panel)} lies over {taken[x, y]}"
                taken[x, y] = name(panel)


def test_every_family_of_the_contract_is_shown() -> None:
    shown = set().union(*(series_in(query) for panel in panels() for query in queries(panel)))
    assert contract.FAMILIES.keys() - NOT_SHOWN == contract.FAMILIES.keys() & shown


@pytest.mark.parametrize("rule", OBJECTIVES)
def test_an_objective_of_the_dashboard_is_that_of_the_rules(rule: str) -> None:
    assert dict(rules())[rule] == f"vector({variables()[OBJECTIVES[rule]]['query']})"


@pytest.mark.parametrize("panel", panels(), ids=name)
def test_panel_treats_gauges_as_such(panel: Panel) -> None:
    for query in queries(panel):
        gauges = {one for one, family in contract.FAMILIES.items() if family.type == "gauge"}
        for function, series in re.findall(r"\b(rate|irate|increase)\((\w+)", query):
            assert series not in gauges, f"it takes a {function} of a gauge: {query}"
        for function, series in re.findall(r"\b(avg|sum)\b(?: by \([^)]*\))? \((\w+)", query):
            family = contract.FAMILIES.get(series)
            quantiles = family and family.type == "gauge" and family.label and family.label.name == "quantile"
            assert not quantiles, f"it takes the {function} of quantiles: {query}"


@pytest.mark.parametrize("panel", panels(), ids=name)
def test_figures_of_now_are_asked_for_now_and_rates_over_at_least_four_minutes(panel: Panel) -> None:
    """A range query would go on showing the last figure that there was. Over less than three minutes rates jump, since
    figures advance once a minute."""
    now = panel["type"] != "timeseries"
    for target in panel["targets"]:
        assert (target["instant"], target["range"]) == (now, not now), f"{target['refId']} is of another kind"
        interval = QUERY_INTERVAL if "$__rate_interval" in target["expr"] else None
        assert target.get("interval") == interval, f"{target['refId']} has the interval {target.get('interval')}"


def test_figures_at_the_top_are_gone_four_minutes_after_the_last_scrape(promtool: Promtool, tmp_path: Path) -> None:
    """The last scrape is that of minute 20; the one that failed leaves its mark in Prometheus."""
    series = [
        {"series": described((name, labels | {("job", "wafer")})), "values": "0+1x20 stale"}
        for name, labels in contract.series(["one"])
    ]
    (_, top), *_ = rows()
    expressions = [f"count({query})" for panel in top if panel["type"] == "stat" for query in queries(panel)]
    then = [{"expr": one, "eval_time": "20m", "exp_samples": [{"labels": "{}", "value": 1}]} for one in expressions]
    later = [{"expr": one, "eval_time": "24m", "exp_samples": []} for one in expressions]
    test = {"interval": "1m", "input_series": series, "promql_expr_test": then + later}
    (tmp_path / "test.yml").write_text(yaml.safe_dump({"rule_files": [], "tests": [test]}))
    promtool.check("test", "rules", tmp_path / "test.yml")
