"""Measures everything that docs/numbers.md says of costs, and writes it there between two marks.

It takes under a quarter of an hour on 2 cores, once all is built. A result that is missing is a failure, and nothing is
written then.
"""

import argparse
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from benches.build import bench
from benches.instructions import compiler
from loopback import ROOT
from loopback.processes import end_on_termination

PAGE = ROOT / "docs" / "numbers.md"
BEGIN, END = "<!-- make bench writes from here -->", "<!-- to here -->"
MODULE = [sys.executable, "-m"]
EXPORTER = " ".join([*MODULE, "benches.exporter"])
# Enough minutes that usual runs read what they read in the long form.
REFRESHES_IN_SHORT = {"ENDPOINTS": "200,2000,5000", "FILL": "50", "USUAL": "2"}


@dataclass(frozen=True)
class Section:
    heading: str
    command: list[str | Path]
    # Of each table that it prints.
    rows: list[int]
    environment: dict[str, str] = field(default_factory=dict)

    def tables(self) -> str:
        started = time.monotonic()
        print(f"{self.heading}: {' '.join(map(str, self.command))}", file=sys.stderr, flush=True)
        environment = os.environ | self.environment
        done = subprocess.run(self.command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
        print(f"{self.heading}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
        tables = re.findall(r"(?:^\|.*\n?)+", done.stdout, re.MULTILINE)
        found = [table.count("\n") + (not table.endswith("\n")) - 2 for table in tables]
        assert found == self.rows, f"{self.heading}: {found} rows, not {self.rows}\n{done.stdout}"
        assert not re.search(r"\|\s*(?:NaN|inf)\b", done.stdout), done.stdout
        return "\n".join(tables)


def sections() -> list[Section]:
    answer = bench("answer")
    rows = [int(millions) for millions in os.environ.get("ROWS", "1,10").split(",")]
    # Refreshes are not measured beyond.
    refreshed = [millions for millions in rows if millions <= 10]
    return [
        Section("Starts", [*MODULE, "benches.start"], [7, 2]),
        Section("The steps of a scrape", [*MODULE, "benches.steps"], [9]),
        Section("A call of each route, and its floor", [answer], [29], {"CALLS": os.environ.get("CALLS", "100")}),
        Section("One warm instance", [answer, "throughput"], [3]),
        Section(
            "What one would run instead, and refreshes and scrapes as things grow",
            [bench("scale", "--workspace")],
            [4 * len(rows), 6 * len(refreshed), 6],
            {"EXPORTER": EXPORTER},
        ),
        Section("The refresh at scale, in short", [bench("refresh")], [6], REFRESHES_IN_SHORT),
    ]


def machine() -> str:
    processors = re.findall(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    load = Path("/proc/loadavg").read_text().split()[0]
    return f"{len(processors)} x {processors[0]}, load {load} before"


def write(text: str) -> None:
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    assert end, f"{PAGE} has no {BEGIN} with an {END} after it"
    PAGE.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}")


def main() -> None:
    argparse.ArgumentParser(prog="make bench", description=__doc__).parse_args()
    end_on_termination()
    todo = sections()
    started = time.monotonic()
    parts = [f"`make bench` on {datetime.now(UTC):%d %B %Y}: {machine()}, {compiler()}.\n"]
    parts += [f"### {section.heading}\n\n{section.tables()}" for section in todo]
    write("\n".join(parts))
    print(f"{PAGE.relative_to(ROOT)} is written, after {time.monotonic() - started:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
