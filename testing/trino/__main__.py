"""Asks a real Trino and the local Athena the same, over the same files: docs/query.sql over rows that nobody should
write and over a day of demo traffic, then one kind of column or file after the other. Both must answer the same, cell
by cell, and refuse the same."""

import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import zip_longest
from pathlib import Path

from loopback import ROOT
from loopback.local_stack import started
from loopback.processes import end_on_termination
from testing.trino import hostile, server, table
from testing.trino.cases import cases
from testing.trino.engines import Answer, LocalAthena, Refusal, Trino

QUERY = (ROOT / "docs" / "query.sql").read_text()
# Each case has an hour of its own, from this one on: long before those of the query.
FIRST_HOUR = datetime(2026, 1, 1)
# The newest minutes of the demo still get rows.
DEMO_SETTLES = timedelta(minutes=15)
# A refresh reads an hour at once at most.
DEMO_HOURS = 4

STARTED = time.monotonic()


def say(text: str) -> None:
    print(f"{time.monotonic() - STARTED:5.0f} s  {text}", flush=True)


def partition(hour: datetime) -> str:
    return hour.strftime("%Y-%m-%d-%H")


def difference(name: str, trino: Answer, local: Answer, named: Sequence[str] = ()) -> str | None:
    """What is wrong with two answers, in a line; `None` where they are the same."""
    if isinstance(trino, Refusal) and isinstance(local, Refusal):
        unnamed = [each for each in ("HIVE_BAD_DATA", *named) if each not in local]
        return f"{name}: the local refusal does not name {unnamed}: {local}" if unnamed else None
    if isinstance(trino, Refusal) or isinstance(local, Refusal):
        return f"{name}: Trino {shown(trino)}; locally {shown(local)}"
    for their_row, our_row in zip(trino, local, strict=False):
        for column, theirs, ours in zip_longest(trino[0], their_row, our_row):
            if theirs != ours:
                return f"{name}: {column} is {theirs} in Trino, {ours} locally, in the row of {their_row[:2]}"
    if len(trino) != len(local):
        return f"{name}: {len(trino) - 1} rows in Trino, {len(local) - 1} locally"
    return None


def shown(answer: Answer) -> str:
    return f"refuses ({answer[:300]})" if isinstance(answer, Refusal) else f"answers {answer[1:4]}"


def hostile_rows(trino: Trino, local: LocalAthena, logs: Path) -> list[str | None]:
    hostile.write(logs)
    theirs, ours = trino.answer(QUERY), local.answer(QUERY)
    if not isinstance(theirs, Refusal):
        requests = sum(int(count) for row in theirs[1:] for count in (row[3] or "").strip("[]").split(","))
        say(f"docs/query.sql over hostile rows: {len(theirs) - 1} rows, {requests} requests")
    return [difference("docs/query.sql over hostile rows", theirs, ours)]


def every_case(trino: Trino, local: LocalAthena, logs: Path) -> Iterator[str | None]:
    refused = total = 0
    for number, case in enumerate(cases()):
        hour = partition(FIRST_HOUR + timedelta(hours=number))
        folder = logs / f"hour={hour}"
        folder.mkdir()
        case.write(folder)
        sql = f"SELECT {case.select} FROM request_logs WHERE hour = '{hour}'"
        theirs, ours = trino.answer(sql), local.answer(sql)
        refused += isinstance(theirs, Refusal)
        total += 1
        yield difference(case.name, theirs, ours, case.names)
    say(f"{total} kinds of columns and files, of which Trino refuses {refused}")


def demo_traffic(trino: Trino, local: LocalAthena, work: Path) -> Iterator[str | None]:
    hours = sorted((work / "demo").rglob("hour=*"))
    trino.created(table.statement("demo", str(hours[0].parent.relative_to(work)), partition(FIRST_HOUR)))
    end = (datetime.now(UTC) - DEMO_SETTLES).replace(second=0, microsecond=0)
    rows = 0
    for hours_before in range(24, 0, -DEMO_HOURS):
        start = end - timedelta(hours=hours_before)
        sql = over(start, start + timedelta(hours=DEMO_HOURS))
        theirs, ours = trino.answer(sql.replace("FROM request_logs", "FROM demo")), local.answer(sql)
        rows += 0 if isinstance(theirs, Refusal) else len(theirs) - 1
        yield difference(f"docs/query.sql over demo traffic from {start}", theirs, ours)
    say(f"docs/query.sql over a day of demo traffic: {rows} rows")
    # 1,440 minutes of two endpoints, few of which have no request.
    if rows < 2_000:
        yield f"docs/query.sql over a day of demo traffic: only {rows} rows"


def over(start: datetime, end: datetime) -> str:
    """docs/query.sql with another range."""
    folders = [partition(start - timedelta(hours=1)), partition(end + timedelta(hours=1))]
    times = iter([*folders, *(f"{time:%Y-%m-%d %H:%M:00}" for time in (start, end))])
    return re.sub(r"'\d{4}-\d\d-\d\d[- ][^']*'", lambda _: f"'{next(times)}'", QUERY)


def compare(work: Path) -> list[str]:
    """What differs, a line each."""
    for name in ("logs", "demo"):
        (work / name).mkdir()
    demo_environment = os.environ | {"TMPDIR": str(work / "demo")}
    with (
        started(work / "local.log", "--logs", work / "logs") as (local_stack, wait_for_local),
        started(work / "demo.log", environment=demo_environment) as (demo_stack, wait_for_demo),
        server.serving(work) as port,
    ):
        trino = Trino(port)
        say("Trino has started")
        trino.created(f"CREATE SCHEMA {table.SCHEMA}")
        trino.created(table.statement("request_logs", "logs", partition(FIRST_HOUR)))
        wait_for_local()
        local, demo = LocalAthena(local_stack.athena), LocalAthena(demo_stack.athena)
        found = [*hostile_rows(trino, local, work / "logs"), *every_case(trino, local, work / "logs")]
        wait_for_demo()
        found += demo_traffic(trino, demo, work)
    return [each for each in found if each]


def main() -> None:
    end_on_termination()
    with tempfile.TemporaryDirectory(prefix="trino-") as folder:
        differences = compare(Path(folder))
    if differences:
        sys.exit("\n".join([f"{len(differences)} differ:", *differences]))
    say("no difference")


if __name__ == "__main__":
    main()
