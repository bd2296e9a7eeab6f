"""Asks a real Trino and the local Athena the same, over the same files: docs/query.sql over rows that nobody should
write and over a day of demo traffic, then one kind of column or file after the other. Both must answer the same, cell
by cell, and refuse the same."""

import os
import re
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta, timezone
from itertools import zip_longest
from pathlib import Path

import hostile
import server
import table
from cases import cases
from engines import LocalAthena, Refusal, Trino
from processes import free_port, running, waited_for

QUERY = (server.ROOT / "docs" / "query.sql").read_text()
PROGRAM = os.environ.get("LOCAL_STACK", server.ROOT / "target" / "debug" / "local-stack")
# Each case has an hour of its own, from this one on: long before those of the query.
FIRST_HOUR = datetime(2026, 1, 1)
# The newest minutes of the demo still get rows.
DEMO_SETTLES = timedelta(minutes=15)
# A refresh reads an hour at once at most.
DEMO_HOURS = 4


def say(text):
    print(f"{time.monotonic() - STARTED:5.0f} s  {text}", flush=True)


def partition(hour):
    return hour.strftime("%Y-%m-%d-%H")


@contextmanager
def local_stack(work, name, *options, **environment):
    """A local stack, as its local Athena and a function that waits until it is ready."""
    front, dynamodb, athena = (f"127.0.0.1:{free_port()}" for _ in range(3))
    log = work / f"{name}.log"
    addresses = ["--listen", front, "--dynamodb", dynamodb, "--athena", athena]
    with running([PROGRAM, *addresses, *options], log, env=os.environ | environment) as process:

        def ready():
            if process.poll() is not None:
                raise SystemExit(f"the local stack ended:\n{log.read_text()}")
            return "ready" in log.read_text()

        yield LocalAthena(athena), lambda: waited_for(ready, 180, 0.2)


def difference(name, trino, local, named=()):
    """What is wrong with two answers, in a line; `None` where they are the same."""
    if isinstance(trino, Refusal) and isinstance(local, Refusal):
        unnamed = [each for each in ("HIVE_BAD_DATA", *named) if each not in local]
        return f"{name}: the local refusal does not name {unnamed}: {local}" if unnamed else None
    if isinstance(trino, Refusal) or isinstance(local, Refusal):
        return f"{name}: Trino {told(trino)}; locally {told(local)}"
    for their_row, our_row in zip_longest(trino, local, fillvalue=[]):
        for column, theirs, ours in zip_longest(trino[0], their_row, our_row):
            if theirs != ours:
                return (
                    f"{name}: {column} is {theirs} in Trino, {ours} locally, in the row of {(their_row or our_row)[:2]}"
                )
    return None


def told(answer):
    return f"refuses ({answer[:300]})" if isinstance(answer, Refusal) else f"answers {answer[1:4]}"


def hostile_rows(trino, local, logs):
    hostile.write(logs)
    theirs, ours = trino.answer(QUERY), local.answer(QUERY)
    if not isinstance(theirs, Refusal):
        requests = sum(sum(map(int, row[3].strip("[]").split(","))) for row in theirs[1:])
        say(f"docs/query.sql over hostile rows: {len(theirs) - 1} rows, {requests} requests")
    return [difference("docs/query.sql over hostile rows", theirs, ours)]


def every_case(trino, local, logs):
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


def demo_traffic(trino, local, work):
    hours = sorted((work / "demo").rglob("hour=*"))
    trino.created(table.statement("demo", hours[0].parent.relative_to(work), partition(FIRST_HOUR)))
    end = (datetime.now(timezone.utc) - DEMO_SETTLES).replace(second=0, microsecond=0)
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


def over(start, end):
    """docs/query.sql with another range."""
    folders = [partition(start - timedelta(hours=1)), partition(end + timedelta(hours=1))]
    times = iter([*folders, *(f"{time:%Y-%m-%d %H:%M:00}" for time in (start, end))])
    return re.sub(r"'\d{4}-\d\d-\d\d[- ][^']*'", lambda _: f"'{next(times)}'", QUERY)


def main():
    with tempfile.TemporaryDirectory(prefix="trino-") as folder, ExitStack() as stack:
        work = Path(folder)
        for name in ("logs", "demo"):
            (work / name).mkdir()
        local, local_ready = stack.enter_context(local_stack(work, "local", "--logs", work / "logs"))
        demo, demo_ready = stack.enter_context(local_stack(work, "demo", TMPDIR=str(work / "demo")))
        trino = Trino(stack.enter_context(server.serving(work)))
        say("Trino has started")
        trino.created(f"CREATE SCHEMA {table.SCHEMA}")
        trino.created(table.statement("request_logs", "logs", partition(FIRST_HOUR)))
        # For a moment after its start it has no node to read files with.
        waited_for(
            lambda: not isinstance(trino.answer("SELECT count(*) FROM request_logs WHERE hour = ''"), Refusal), 60, 0.5
        )
        local_ready()
        found = [*hostile_rows(trino, local, work / "logs"), *every_case(trino, local, work / "logs")]
        demo_ready()
        found += demo_traffic(trino, demo, work)
    if differences := [each for each in found if each]:
        sys.exit("\n".join([f"{len(differences)} differ:", *differences]))
    say("no difference")


STARTED = time.monotonic()
if __name__ == "__main__":
    main()
