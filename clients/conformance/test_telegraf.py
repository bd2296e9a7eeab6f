"""A real Telegraf with our configuration."""

from pathlib import Path

from clients.conformance import contract
from clients.conformance.stack import CHAT, CODE, Stack
from clients.conformance.telegraf import telegraf, written
from clients.conformance.witness import ODD_INTERVAL, Values, witness
from loopback.processes import wait_for

Written = tuple[Values, dict[str, str]]

SECONDS = 120


def test_telegraf_reads_every_series_with_its_value_and_type(stack: Stack, tmp_path: Path) -> None:
    with witness(stack) as seen, telegraf(seen.address, tmp_path, stack.new_key(), ODD_INTERVAL) as program:

        def last() -> Written:
            return written(program.log.read_text())

        def last_where_seen() -> Written | None:
            found = last()
            return found if seen.saw(found[0]) else None

        try:
            values, types = wait_for("a scrape with the right values", last_where_seen, SECONDS)
        except TimeoutError as problem:
            problem.add_note(seen.differences(last()[0]) + program.last_lines())
            raise
    contract.assert_same_series(values, contract.series([CHAT, CODE]))
    assert types == contract.TYPES
