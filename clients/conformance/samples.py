"""What a Prometheus stored of the counters, scrape by scrape; and rates as PromQL defines them on such samples."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from clients.conformance import contract
from clients.conformance.prometheus import Prometheus
from clients.conformance.request_log import DECIMALS, NATIVE_SCHEMA, Figures

LABELS = ("status_class", "status_code", "le")
FAMILIES = [name for name, family in contract.FAMILIES.items() if family.view == "counters" and family.type != "gauge"]
WINDOW_END = "wafer_metrics_window_end_timestamp_seconds"


@dataclass
class Scrape:
    """The counters of an endpoint, and where its window ends."""

    at: float
    window_end: float = 0
    figures: Figures = field(default_factory=Counter)


def scrapes(server: Prometheus, job: str, endpoint: str, minutes: int) -> list[Scrape]:
    """Those of the last minutes, in order."""
    selector = f'{{job="{job}",endpoint="{endpoint}",__name__=~"{"|".join([WINDOW_END, *names()])}"}}[{minutes}m]'
    found: dict[float, Scrape] = {}
    for series in server.query(selector):
        metric = series["metric"]
        name = metric["__name__"]
        label = next((metric[label] for label in LABELS if label in metric), "")
        for at, value in series.get("values", []):
            scrape = found.setdefault(at, Scrape(at))
            if name == WINDOW_END:
                scrape.window_end = float(value)
            else:
                scrape.figures[name, label] = whole(name, value)
        for at, histogram in series.get("histograms", []):
            found.setdefault(at, Scrape(at)).figures.update(native(name, histogram))
    return [found[at] for at in sorted(found)]


def names() -> Iterator[str]:
    """Of every series, classic and native."""
    for name in FAMILIES:
        yield name
        if name in DECIMALS:
            yield from (f"{name}_bucket", f"{name}_sum", f"{name}_count")


def whole(name: str, value: str) -> int:
    """A value as an integer; of a sum in its last decimal."""
    scaled = float(value) * unit(name)
    assert math.isclose(scaled, round(scaled), abs_tol=1e-3), f"{name} is {value}"
    return round(scaled)


def unit(name: str) -> float:
    """How many of the last decimal of a series are 1."""
    return 10.0 ** DECIMALS.get(name.removesuffix("_sum"), 0) if name.endswith("_sum") else 1.0


def native(name: str, histogram: dict[str, Any]) -> Figures:
    figures: Figures = Counter()
    figures[f"{name}_count", ""] = whole(f"{name}_count", histogram["count"])
    figures[f"{name}_sum", ""] = whole(f"{name}_sum", histogram["sum"])
    for _, _, upper, count in histogram.get("buckets", []):
        figures[name, str(round(math.log2(float(upper)) * 2**NATIVE_SCHEMA))] = int(float(count))
    return figures


def increase(samples: Sequence[tuple[float, float]], start: float, end: float) -> float:
    """PromQL's increase() over a range, of a counter that neither falls nor is near 0 there.

    What it rose by, carried on at the same pace to the ends of the range; by half an interval where an end is further
    away than the next scrape would be.
    """
    (first_at, first), *_, (last_at, last) = samples
    interval = (last_at - first_at) / (len(samples) - 1)
    ends = [first_at - start, end - last_at]
    reach = sum(gap if gap < interval * 1.1 else interval / 2 for gap in ends)
    return (last - first) * (last_at - first_at + reach) / (last_at - first_at)
