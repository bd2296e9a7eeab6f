"""Counts the instructions of a start and of a scrape, and compares them with benches/instructions.toml.

The functions are those of the rehearsal: another build counts differently, and so does another compiler.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Mapping
from pathlib import Path

from benches import callgrind
from benches.callgrind import Profiled
from benches.dynamodb import ENDPOINT, dynamodb
from benches.functions import NAMES, started
from loopback import ROOT

KEPT = ROOT / "benches" / "instructions.toml"
EVENT = ROOT / "events" / "scrape.json"
# How far a count may rise.
MARGIN = 1.10
WARM_SCRAPES = 5
# To DynamoDB, of a scrape of the window.
CALLS = 8
TRIES = 10
# After a poll a function rests; until then it may still be at work.
REST = 0.5


def compiler() -> str:
    return subprocess.run(
        ["rustc", "--version"], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
    ).stdout.strip()


def event() -> bytes:
    """A scrape of the endpoint that the stand-in for DynamoDB has."""
    return json.dumps(json.loads(EVENT.read_text()) | {"rawQueryString": f"endpoint={ENDPOINT}"}).encode()


def start(binary: Path, environment: Mapping[str, str] | None = None) -> int:
    """From its first instruction to its first poll."""
    with tempfile.TemporaryDirectory() as folder:
        profiled = Profiled(Path(folder), [binary])
        with started(profiled.command, {**callgrind.environment(), **(environment or {})}) as function:
            time.sleep(REST)
            return profiled.count(function.process).instructions


def scrapes(binary: Path) -> tuple[int, int]:
    """The first scrape of a function, and a later one: the least of several.

    Under callgrind a call to DynamoDB may take longer than a function waits, and be made twice. Such a course is taken
    again.
    """
    for _ in range(TRIES):
        with tempfile.TemporaryDirectory() as folder, dynamodb() as database:
            profiled = Profiled(Path(folder), [binary])
            environment = {**callgrind.environment(), "AWS_ENDPOINT_URL_DYNAMODB": database.url}
            with started(profiled.command, environment) as function:
                time.sleep(REST)
                profiled.count(function.process)
                counts, poll = [], function.poll
                for _ in range(1 + WARM_SCRAPES):
                    before = database.calls
                    status = json.loads(function.api.answer_to(poll, event())).get("statusCode")
                    poll = function.api.polled()
                    time.sleep(REST)
                    counts.append(profiled.count(function.process).instructions)
                    if (status, database.calls - before) != (200, CALLS):
                        break
                else:
                    return counts[0], min(counts[1:])
    sys.exit(
        f"no scrape had 200 with {CALLS} calls to DynamoDB, {TRIES} times: the machine is too busy, or scrapes changed"
    )


def measure(folder: Path) -> dict[str, int]:
    """By what is counted, in the order of the file."""
    counts = {f"start_{name}": start(folder / name / "bootstrap") for name in NAMES}
    counts["first_scrape"], counts["later_scrape"] = scrapes(folder / "scrape" / "bootstrap")
    return counts


def record(counts: dict[str, int]) -> None:
    lines = [
        "# Instructions of a start up to the first poll, of a function's first scrape, and of a later one. `make",
        "# instructions` fails where one has risen by over 10 %; `make instructions ARGS=--record` counts them anew.",
        f'compiler = "{compiler()}"',
        *(f"{name} = {number:_}" for name, number in counts.items()),
    ]
    KEPT.write_text("\n".join(lines) + "\n")


def compare(counts: dict[str, int]) -> list[str]:
    """What is wrong."""
    kept = tomllib.loads(KEPT.read_text())
    how = "run `make instructions ARGS=--record`, and commit the file with the reason"
    if kept["compiler"] != compiler():
        return [f"the counts are those of {kept['compiler']}, and this is {compiler()}: {how}"]
    if counts.keys() != kept.keys() - {"compiler"}:
        return [f"other counts are kept than are made: {how}"]
    return [
        f"{name} takes {number:_} instructions, {number / kept[name] - 1:.0%} more than the {kept[name]:_} kept in"
        f" {KEPT.relative_to(ROOT)}. Look for the cause with a profiler; where it has to be so, {how}"
        for name, number in counts.items()
        if number > kept[name] * MARGIN
    ]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benches.instructions", description=__doc__)
    parser.add_argument("folder", type=Path, help="holds scrape/bootstrap and refresh/bootstrap")
    parser.add_argument("--record", action="store_true", help="keeps what is counted")
    arguments = parser.parse_args()
    counts = measure(arguments.folder)
    for name, number in counts.items():
        print(f"{number:>12,}  {name}")
    if arguments.record:
        record(counts)
    elif wrong := compare(counts):
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()
