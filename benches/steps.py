"""The steps of a scrape, in instructions and allocations, as benches/answer takes them over recorded answers."""

import tempfile
from pathlib import Path

from benches import callgrind
from benches.build import bench
from benches.callgrind import Counted
from benches.table import Table

CASES = ("idle", "demo", "busy")
MARKER = "answer5steps8measured"
# What the program calls its steps, and what they are.
STEPS = {
    "parse": "parse the event and the request",
    "bare calls": "the bare calls to DynamoDB",
    "decode and add up": "decode and add up",
    "rest": "the rest: key, limit, log",
    "write": "write the text, with its quantiles",
    "gzip": "compress it",
    "event to reply": "**event to reply**",
    "reply": "write the reply for the runtime",
    "quantiles": "of writing: 12 quantiles",
}
# The parts of an answer that are steps of their own.
PARTS = ("parse", "bare calls", "decode and add up", "write", "gzip")


def steps(program: Path, case: str) -> dict[str, Counted]:
    with tempfile.TemporaryDirectory() as folder:
        found = dict(callgrind.steps(Path(folder), [program, "steps", case, "window"], MARKER))
    whole, parts = found["event to reply"], [found[part] for part in PARTS]
    instructions = whole.instructions - sum(part.instructions for part in parts)
    found["rest"] = Counted(instructions, whole.allocations - sum(part.allocations for part in parts))
    return found


def main() -> None:
    program = bench("answer")
    by_case = {case: steps(program, case) for case in CASES}
    columns = [f"{case}, {what}" for case in CASES for what in ("instructions", "allocations")]
    table = Table(["step", *columns])
    for step, name in STEPS.items():
        cells = []
        for found in by_case.values():
            cells += [f"{found[step].instructions / 1e6:.2f} M", f"{found[step].allocations:,}"]
        table.add(name, *cells)
    print(table)


if __name__ == "__main__":
    main()
