"""Panels of the dashboard, drawn about as Grafana does: from the file's own queries, places, units and colours."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import matplotlib.dates
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from clients.conformance.dashboard import Panel, filled_in
from clients.conformance.prometheus import Prometheus

COLUMNS, COLUMN_INCHES, ROW_INCHES = 24, 0.68, 0.42
# What its times and its legend take of a graph's height.
LEGEND_ROWS = 2.4
# The interval of the dashboard's queries.
STEP_SECONDS = 60
COLORS = {"green": "#4f9d3f", "orange": "#e07b00", "red": "#d1293d", "blue": "#2f6fd0"}


@dataclass(frozen=True)
class Series:
    """What a query of a panel had: points of a range, or one of now."""

    name: str
    points: list[tuple[float, float]]
    field: dict[str, Any]

    @property
    def last(self) -> float:
        return self.points[-1][1]


def drawn(
    rows: Sequence[tuple[str, list[Panel]]], server: Prometheus, endpoints: str, start: float, end: float
) -> Figure:
    panels = [panel for _, row in rows for panel in row]
    places = [panel["gridPos"] for panel in panels]
    height = max(place["y"] + place["h"] for place in places)
    figure = plt.figure(figsize=(COLUMNS * COLUMN_INCHES, height * ROW_INCHES))
    for panel, place in zip(panels, places, strict=True):
        beside, below = (1.0, LEGEND_ROWS) if panel["type"] == "timeseries" else (0.4, 0.3)
        left, width = (place["x"] + beside) / COLUMNS, (place["w"] - beside - 0.25) / COLUMNS
        bottom, tall = 1 - (place["y"] + place["h"] - below) / height, (place["h"] - 0.9 - below) / height
        axes = figure.add_axes((left, bottom, width, tall))
        axes.set_title(panel["title"], loc="left", fontsize=10, fontweight="bold")
        DRAW[panel["type"]](axes, panel, [*series_of(panel, server, endpoints, start, end)])
    for title, row in rows:
        figure.text(0.2 / COLUMNS, 1 - (row[0]["gridPos"]["y"] - 0.3) / height, title, fontsize=12)
    return figure


def series_of(panel: Panel, server: Prometheus, endpoints: str, start: float, end: float) -> Sequence[Series]:
    found = []
    for target in panel["targets"]:
        query, field = filled_in(target["expr"], endpoints=endpoints), field_of(panel, target["refId"])
        if target["instant"]:
            results = [(one["metric"], [one["value"]]) for one in server.query(query)]
        else:
            results = [(one["metric"], one["values"]) for one in server.query_range(query, start, end, STEP_SECONDS)]
        for labels, values in results:
            name = re.sub(r"\{\{(\w+)\}\}", lambda match: labels.get(match[1], ""), target["legendFormat"])  # noqa: B023
            found.append(Series(name, [(float(at), float(value)) for at, value in values], field))
    return found


def field_of(panel: Panel, ref_id: str) -> dict[str, Any]:
    """How a query's figures are shown: the panel's defaults, and what is overridden of them for it."""
    properties = [
        one
        for rule in panel["fieldConfig"]["overrides"]
        if rule["matcher"] == {"id": "byFrameRefID", "options": ref_id}
        for one in rule["properties"]
    ]
    return {**panel["fieldConfig"]["defaults"], **{one["id"]: one["value"] for one in properties}}


def stat(axes: Axes, panel: Panel, series: Sequence[Series]) -> None:
    axes.axis("off")
    if not series:
        axes.text(0.5, 0.5, panel["fieldConfig"]["defaults"].get("noValue", "No data"), ha="center", va="center")
    size = min(16, 3.8 * panel["gridPos"]["w"] / max(len(series), 1) + 5)
    for index, one in enumerate(series):
        middle = (index + 0.5) / len(series)
        text = formatted(one.last, one.field)
        axes.text(middle, 0.45, text, ha="center", va="center", fontsize=size, color=color(one))
        axes.text(middle, 0.85, one.name, ha="center", va="center", fontsize=8)


def bars(axes: Axes, _: Panel, series: Sequence[Series]) -> None:
    for index, one in enumerate(series):
        axes.barh(index, max(one.last, 0), color=color(one), alpha=0.4)
        axes.text(0.02, index, one.name, va="center", fontsize=8)
        axes.text(0.98, index, formatted(one.last, one.field), ha="right", va="center", fontsize=11, color=color(one))
    axes.set_xlim(0, 1)
    axes.set_xticks([])
    axes.set_yticks([])


def graph(axes: Axes, panel: Panel, series: Sequence[Series]) -> None:
    for one in series:
        times = [datetime.fromtimestamp(at, UTC) for at, _ in one.points]
        values = [value for _, value in one.points]
        dashed = "custom.lineStyle" in one.field
        axes.plot(times, values, label=one.name, linewidth=1.2, linestyle="--" if dashed else "-", clip_on=False)
    defaults = panel["fieldConfig"]["defaults"]
    axes.margins(y=0.1)
    axes.set_ylim(bottom=defaults.get("min"), top=defaults.get("max"))
    if defaults["custom"]["thresholdsStyle"]["mode"] != "off":
        for step in defaults["thresholds"]["steps"][1:]:
            axes.axhline(step["value"], color=COLORS[step["color"]], linewidth=0.8, linestyle=":")
    axes.yaxis.set_major_formatter(lambda value, _: formatted(value, defaults))
    axes.xaxis.set_major_locator(matplotlib.dates.AutoDateLocator(minticks=2, maxticks=6))
    axes.xaxis.set_major_formatter(matplotlib.dates.DateFormatter("%H:%M"))
    axes.tick_params(labelsize=7)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=6, loc="upper left", bbox_to_anchor=(-0.02, -0.13), ncols=2, frameon=False)


DRAW = {"stat": stat, "bargauge": bars, "timeseries": graph}


def color(series: Series) -> str:
    steps = series.field["thresholds"]["steps"]
    reached = [step for step in steps if step["value"] is None or series.last >= step["value"]]
    return COLORS[reached[-1]["color"]]


def formatted(value: float, field: dict[str, Any]) -> str:
    """A figure in its unit, with the decimals that the panel asks for, or three digits."""
    unit, decimals = field["unit"], field.get("decimals")
    if unit == "percentunit":
        return f"{value * 100:.{decimals if decimals is not None else 1}f} %"
    if unit == "dtdurations":
        return f"{value / 86400:.0f} days"
    suffix = {"reqps": " req/s", "s": " s"}.get(unit, "")
    scale, letter = next((scale, letter) for scale, letter in SCALES if abs(value) >= scale or scale == 1)
    if unit == "s" and 0 < abs(value) < 1:
        return f"{value * 1000:.3g} ms"
    if unit == "s" and abs(value) >= 60:
        return f"{value / 60:.3g} min"
    number = f"{value / scale:.{decimals}f}" if decimals is not None else f"{value / scale:.3g}"
    return f"{number}{letter}{suffix}"


SCALES = ((1e9, " G"), (1e6, " M"), (1e3, " K"), (1, ""))
