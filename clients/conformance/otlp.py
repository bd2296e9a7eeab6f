"""A real OpenTelemetry Collector with our configuration, and what it exports.

It sends OTLP over HTTP, as JSON, which is read as the series of a text exposition.
"""

import contextlib
import copy
import json
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clients.conformance import configurations, contract
from clients.conformance.contract import Series
from clients.conformance.programs import otel_collector
from clients.conformance.scrapes import INTERVAL
from clients.conformance.stack import CHAT, CODE
from loopback.processes import Command, Program, running
from loopback.serving import Handler, served

CUMULATIVE = 2

# Beside our file: how the exporter writes to this test, and no metrics of the Collector's own, whose port may be taken.
TO_THE_TEST = """
exporters: {otlphttp: {encoding: json, compression: none}}
service: {telemetry: {metrics: {level: none}}}
"""


@dataclass
class Scrape:
    """The points of one time. Buckets of both kinds are counted up to the bounds of the classic ones."""

    values: dict[Series, float] = field(default_factory=dict)
    # As OTLP calls them, and as a scrape does.
    kinds: dict[str, str] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)

    def of_wafer(self) -> dict[Series, float]:
        return {one: value for one, value in self.values.items() if one[0].startswith("wafer_")}


@dataclass
class Received:
    """By the time of the points, which is that of the scrape. One that is being taken is not shown in part."""

    by_time: dict[int, Scrape] = field(default_factory=dict)
    taking: threading.Lock = field(default_factory=threading.Lock)

    def scrapes(self) -> list[Scrape]:
        """In order."""
        with self.taking:
            return [copy.deepcopy(self.by_time[at]) for at in sorted(self.by_time)]

    def take(self, request: dict[str, Any]) -> None:
        with self.taking:
            self.take_request(request)

    def take_request(self, request: dict[str, Any]) -> None:
        for resource in request["resourceMetrics"]:
            for scope in resource["scopeMetrics"]:
                for metric in scope["metrics"]:
                    self.take_metric(metric)

    def take_metric(self, metric: dict[str, Any]) -> None:
        name = metric["name"]
        [kind] = metric.keys() & {"gauge", "sum", "histogram", "exponentialHistogram"}
        data = metric[kind]
        for point in data["dataPoints"]:
            scrape = self.by_time.setdefault(int(point["timeUnixNano"]), Scrape())
            scrape.kinds[name], scrape.types[name] = kind, type_of(kind, data)
            labels = frozenset((one["key"], one["value"]["stringValue"]) for one in point.get("attributes", []))
            scrape.values.update(series(name, labels, kind, point))


def type_of(kind: str, data: dict[str, Any]) -> str:
    """What a scrape would call it."""
    if kind == "gauge":
        return kind
    assert data["aggregationTemporality"] == CUMULATIVE
    return "histogram" if kind != "sum" else "counter" if data.get("isMonotonic") else "gauge"


def series(
    name: str, labels: frozenset[tuple[str, str]], kind: str, point: dict[str, Any]
) -> Iterator[tuple[Series, float]]:
    # Flags say that there is no value any more.
    if point.get("flags"):
        return
    if kind in ("gauge", "sum"):
        yield (name, labels), float(point["asDouble"] if "asDouble" in point else point["asInt"])
        return
    yield (f"{name}_count", labels), float(point["count"])
    yield (f"{name}_sum", labels), float(point["sum"])
    counts = classic(point) if kind == "histogram" else native(name, point)
    for le, count in zip([*counts.bounds, "+Inf"], counts.up_to, strict=True):
        yield (f"{name}_bucket", labels | {("le", le)}), count


@dataclass
class Buckets:
    bounds: list[str]
    # The last one is up to infinity.
    up_to: list[float]


def classic(point: dict[str, Any]) -> Buckets:
    each = [float(count) for count in point["bucketCounts"]]
    bounds = [str(float(bound)) for bound in point["explicitBounds"]]
    return Buckets(bounds, [sum(each[: at + 1]) for at in range(len(each))])


def native(name: str, point: dict[str, Any]) -> Buckets:
    """A bound of the classic ones, 2^n, is one of the native ones too: bucket i ends at 2^((i + 1) / 2^scale)."""
    positive = point.get("positive", {})
    first, steps = positive.get("offset", 0), 2 ** point["scale"]
    counts = [float(count) for count in positive.get("bucketCounts", [])]
    zeros = float(point.get("zeroCount", 0))

    def up_to(bound: float) -> float:
        return zeros + sum(count for at, count in enumerate(counts, first + 1) if 2 ** (at / steps) <= bound)

    bounds = contract.bounds_of(name)
    return Buckets([str(bound) for bound in bounds], [*map(up_to, bounds), float(point["count"])])


@contextlib.contextmanager
def receiver() -> Iterator[tuple[str, Received]]:
    """Its URL, and what it gets."""
    received = Received()

    class Receiver(Handler):
        def do_POST(self) -> None:
            received.take(json.loads(self.body()))
            self.answer(200, {"Content-Type": "application/json"}, b"{}")

    with served(Receiver) as address:
        yield f"http://{address}", received


@contextlib.contextmanager
def collector(
    address: str, folder: Path, key_file: Path, native: bool = False, interval: str = INTERVAL
) -> Iterator[tuple[Program, Received]]:
    text = configurations.filled_in("otel/collector.yaml", address, (CHAT, CODE), key_file, interval)
    ours, to_the_test = folder / "collector.yaml", folder / "to-the-test.yaml"
    ours.write_text(configurations.with_native_histograms(text) if native else text)
    to_the_test.write_text(TO_THE_TEST)
    command: Command = [otel_collector(), f"--config={ours}", f"--config={to_the_test}"]
    with (
        receiver() as (url, received),
        running(command, folder / "collector.log", {**os.environ, "OTLP_ENDPOINT": url}) as program,
    ):
        yield program, received
