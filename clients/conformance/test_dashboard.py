"""The dashboard, against Grafana's own types and the series that there are."""

import json
import re
from pathlib import Path

import pytest

from clients.conformance.dashboard import Panel, dashboard, name, panels
from clients.conformance.documented import check_keys
from clients.conformance.typescript import compile_types, literal

RAW = "@grafana/schema/dist/esm/raw/composable"
# JSON has the values of an enum, where the types want its members.
PLAIN = """
type Plain<T> = T extends string ? `${T}` : T extends number | boolean | null | undefined ? T
  : T extends (infer E)[] ? Plain<E>[] : T extends object ? { [K in keyof T]: Plain<T[K]> } : T;
"""
# A panel's kind: the types of its options and of its field configuration.
PANELS = {"stat": ("Stat.Options", None), "timeseries": ("Timeseries.Options", "Timeseries.FieldConfig")}

# Grafana's names of the units in use.
UNITS = {"short", "percentunit", "s", "reqps"}


def test_dashboard_is_of_grafanas_types(node_modules: Path) -> None:
    board = dashboard()
    lines = [
        'import type { Dashboard } from "@grafana/schema";',
        f'import type * as Stat from "{RAW}/stat/panelcfg/x/StatPanelCfg_types.gen";',
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


def test_dashboard_has_an_id_for_each_panel_and_uses_every_variable() -> None:
    board = dashboard()
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids), "two panels have one id"
    text = json.dumps(board)
    variables = {variable["name"] for variable in board["templating"]["list"]}
    used = set(re.findall(r"\$\{?([a-z]+)", text))
    assert used == variables, f"the variables are {variables}, used are {used}"


@pytest.mark.parametrize("panel", panels(), ids=name)
def test_panel_has_unit_and_description_and_treats_gauges_as_such(panel: Panel) -> None:
    assert panel.get("description"), "it has no description"
    assert panel["fieldConfig"]["defaults"].get("unit") in UNITS, "it has no unit that Grafana knows"
    assert panel["datasource"]["uid"] == "${datasource}", "it names its own data source"
    for target in panel["targets"]:
        check_keys(
            "the query", target, {"refId", "datasource", "editorMode", "expr", "legendFormat", "instant", "range"}
        )
        expression = target["expr"]
        rate = re.search(r"\b(rate|irate|increase|histogram_quantile)\(", expression)
        assert not rate, f"it takes a rate of a gauge: {expression}"
        averaged = re.search(r"\b(avg|sum)\b.*(_seconds|_per_second)\{[^}]*\}", expression)
        assert not averaged or "window" in expression, f"it averages or adds quantiles: {expression}"
