"""A real OpenTelemetry Collector with our configuration. What it exports goes to this test, by OTLP."""

from pathlib import Path

import pytest

from clients.conformance import contract
from clients.conformance.otlp import Scrape, collector
from clients.conformance.stack import CHAT, CODE, Stack
from clients.conformance.witness import ODD_INTERVAL, witness
from loopback.processes import wait_for

SECONDS = 120


@pytest.mark.parametrize("native", [False, True], ids=["classic", "native"])
def test_the_collector_exports_every_series_with_its_value_and_type(stack: Stack, tmp_path: Path, native: bool) -> None:
    key_file = stack.new_key_file(f"collector-{native}")
    with witness(stack) as seen, collector(seen.address, tmp_path, key_file, native, ODD_INTERVAL) as (_, received):

        def seen_scrape() -> Scrape | None:
            return next((scrape for scrape in received.scrapes() if seen.saw(scrape.of_wafer())), None)

        try:
            found = wait_for("a scrape with the right values", seen_scrape, SECONDS)
        except TimeoutError as problem:
            assert received.scrapes(), "it exported nothing"
            problem.add_note(seen.differences(received.scrapes()[-1].of_wafer()))
            raise
    contract.assert_same_series(found.of_wafer(), contract.series([CHAT, CODE]))
    types = {name: kind for name, kind in found.types.items() if name.startswith("wafer_")}
    assert types == contract.TYPES
    assert found.kinds["wafer_time_to_first_token_seconds"] == ("exponentialHistogram" if native else "histogram")
    assert found.values["up", frozenset()] == 1
