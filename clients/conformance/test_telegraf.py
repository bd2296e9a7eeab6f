"""A real Telegraf with our configuration."""

from pathlib import Path

from clients.conformance import contract
from clients.conformance.stack import CHAT, CODE, Stack
from clients.conformance.telegraf import telegraf, written
from clients.conformance.witness import Values, witness
from loopback.processes import wait_for

SECONDS = 90


def test_telegraf_reads_every_series_with_its_value_and_type(stack: Stack, tmp_path: Path) -> None:
    with witness(stack) as seen, telegraf(seen.address, tmp_path, stack.new_key()) as program:

        def last() -> tuple[Values, dict[str, str]]:
            return written(program.log.read_text())

        try:
            wait_for("a scrape with the right values", lambda: seen.saw(last()[0]), SECONDS)
        except TimeoutError as problem:
            problem.add_note(seen.differences(last()[0]) + program.last_lines())
            raise
        values, types = last()
    contract.assert_same_series(values, contract.series([CHAT, CODE]))
    assert types == contract.TYPES
