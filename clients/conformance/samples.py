"""What a Prometheus stored of the counters, scrape by scrape, and what of the request log each scrape had counted; and
rates as PromQL defines them on such samples."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from clients.conformance import contract
from clients.conformance.prometheus import Outcome, Prometheus
from clients.conformance.request_log import DECIMALS, NATIVE_SCHEMA, Figures, RequestLog, State

LABELS = ("status_class", "status_code", "le")
FAMILIES = [name for name, family in contract.FAMILIES.items() if family.view == "counters" and family.type != "gauge"]
# The rate limit: so many calls in so long.
SLOTS, HELD_SECONDS = 6, 59
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


def unexplained_failures(outcomes: Sequence[Outcome]) -> list[float]:
    """The times of scrapes that failed, but for those that the rate limit may have refused.

    It lets six through in 59 s. A machine that pauses makes a call late, which then holds its slot for longer than its
    turn: at most as if it had come when it ended.
    """
    admitted: list[float] = []
    failures = []
    for outcome in outcomes:
        if outcome.is_up:
            admitted.append(outcome.at + outcome.seconds)
        elif len(admitted) < SLOTS or outcome.at - admitted[-SLOTS] >= HELD_SECONDS:
            failures.append(outcome.at)
    return failures


def states(log: RequestLog, scrapes: Sequence[Scrape], is_stored: Callable[[str], bool]) -> list[State]:
    """For each scrape what of the log had been counted: a state with which all figures that are stored agree, as
    differences to the first scrape."""

    def stored(figures: Figures) -> Figures:
        return Counter({key: value for key, value in figures.items() if is_stored(key[0])})

    first, *later = scrapes
    problems = []
    for base in log.states(first.window_end):
        counted, found = stored(log.figures(base)), [base]
        for scrape in later:
            risen = rise(first.figures, scrape.figures)
            candidates = {state: rise(counted, stored(log.figures(state))) for state in log.states(scrape.window_end)}
            agreeing = [state for state, figures in candidates.items() if figures == risen]
            if not agreeing:
                off = min((differences(risen, figures) for figures in candidates.values()), key=len)
                problems.append(f"after {scrape.at - first.at:.0f} s: {off}")
                break
            found.append(agreeing[0])
        else:
            return found
    raise AssertionError(f"the rows say otherwise, whenever they were counted: {min(problems, key=len)}")


def rise(earlier: Figures, later: Figures) -> Figures:
    """Also of what falls, which a difference of two Counters leaves out: a state with fewer rows would agree."""
    return Counter({key: later[key] - earlier[key] for key in earlier.keys() | later.keys()})


def differences(risen: Figures, wanted: Figures) -> list[str]:
    keys = sorted(risen.keys() | wanted.keys())
    return [f"{key} rose by {risen[key]}, not by {wanted[key]}" for key in keys if risen[key] != wanted[key]]
