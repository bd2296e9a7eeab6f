"""A real OpenTelemetry Collector with our configuration. What it exports goes to this test, by OTLP."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from clients.conformance import configurations, contract
from clients.conformance.otlp import Received, receiver
from clients.conformance.programs import otel_collector
from clients.conformance.scrapes import INTERVAL
from clients.conformance.stack import CHAT, CODE, Stack
from clients.conformance.witness import witness
from loopback.processes import Command, Program, running, wait_for

# Beside our file: how the exporter writes to this test, and no metrics of the Collector's own, whose port may be taken.
TO_THE_TEST = """
exporters: {otlphttp: {encoding: json, compression: none}}
service: {telemetry: {metrics: {level: none}}}
"""
SECONDS = 90


@contextlib.contextmanager
def collector(address: str, folder: Path, key_file: Path, native: bool = False) -> Iterator[tuple[Program, Received]]:
    text = configurations.filled_in("otel/collector.yaml", address, (CHAT, CODE), key_file, INTERVAL)
    ours, to_the_test = folder / "collector.yaml", folder / "to-the-test.yaml"
    ours.write_text(configurations.with_native_histograms(text) if native else text)
    to_the_test.write_text(TO_THE_TEST)
    command: Command = [otel_collector(), f"--config={ours}", f"--config={to_the_test}"]
    with (
        receiver() as (url, received),
        running(command, folder / "collector.log", {**os.environ, "OTLP_ENDPOINT": url}) as program,
    ):
        yield program, received


@pytest.mark.parametrize("native", [False, True], ids=["classic", "native"])
def test_the_collector_exports_every_series_with_its_value_and_type(stack: Stack, tmp_path: Path, native: bool) -> None:
    key_file = stack.new_key_file(f"collector-{native}")
    with witness(stack) as seen, collector(seen.address, tmp_path, key_file, native) as (_, received):

        def has_a_moment() -> bool:
            return any(seen.saw(scrape.of_wafer()) for scrape in received.scrapes.values())

        try:
            wait_for("a scrape with the right values", has_a_moment, SECONDS)
        except TimeoutError as problem:
            assert received.scrapes, "it exported nothing"
            problem.add_note(seen.differences(received.last().of_wafer()))
            raise
        last = received.last()
    contract.assert_same_series(last.of_wafer(), contract.series([CHAT, CODE]))
    types = {name: kind for name, kind in last.types.items() if name.startswith("wafer_")}
    assert types == contract.TYPES
    assert last.kinds["wafer_time_to_first_token_seconds"] == ("exponentialHistogram" if native else "histogram")
    assert last.values["up", frozenset()] == 1
