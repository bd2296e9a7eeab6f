"""What the counters must say, computed from the rows of the demo's request log by its own reader.

A refresh reads every minute that rows may still come for, whole. So what is counted is a matter of two times: the
minute up to which the logs have been read, and the moment at which they were. Scrapes show the first. The second lies
in the minute after the logs have settled, and rows come every ten seconds.
"""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from clients.conformance import contract

# Values by series, without its endpoint: its name, and the value of its further label or "".
# Of a native bucket the label is its number; sums are whole, in the last decimal that is counted.
Figures = Counter[tuple[str, str]]

SETTLE_SECONDS = 90
REFRESH_SECONDS = 60
# A refresh may have begun this much later, where the machine is busy.
LATE_SECONDS = 120
# Before a first scrape: no row comes later than this.
LATEST_ROW_SECONDS = 20 * 60

TTFT, DURATION = "wafer_time_to_first_token_seconds", "wafer_e2e_request_latency_seconds"
SPEED = "wafer_output_speed_tokens_per_second"
# The last decimal of each sum.
DECIMALS = {TTFT: 6, DURATION: 6, SPEED: 3}
NATIVE_SCHEMA = 4

Column = Any


@dataclass(frozen=True)
class State:
    """What has been counted: requests that ended before one time, and whose rows lay there at another."""

    ended_before: float
    delivered_by: float


class RequestLog:
    """The rows of an endpoint that ended from some time on."""

    def __init__(self, folder: Path, endpoint: str, since: float) -> None:
        self.columns, self.deliveries = read(folder, endpoint, since - LATEST_ROW_SECONDS)

    def states(self, window_end: float) -> Iterator[State]:
        """Those in which a scrape may be whose window ends there.

        What a refresh has counted is there a moment before the window's end moves: by one minute, or by two where a
        refresh was late.
        """
        for ended_before in (window_end, window_end + REFRESH_SECONDS, window_end + 2 * REFRESH_SECONDS):
            earliest = ended_before + SETTLE_SECONDS
            latest = earliest + REFRESH_SECONDS + LATE_SECONDS
            before = [time for time in self.deliveries if time < earliest]
            within = [time for time in self.deliveries if earliest <= time <= latest]
            yield from (State(ended_before, time) for time in [*before[-1:], *within])

    def counted(self, state: State) -> Column:
        return (self.columns["ended_at"] < state.ended_before) & (self.columns["delivered_at"] <= state.delivered_by)

    @cache  # noqa: B019 - as long as the tests
    def figures(self, state: State) -> Figures:
        rows = {name: column[self.counted(state)] for name, column in self.columns.items()}
        figures: Figures = Counter()
        status = rows["status_code"]
        for code, count in zip(*np.unique(status, return_counts=True), strict=True):
            figures["wafer_requests_by_status_code_total", str(code)] = int(count)
            if code // 100 in (2, 4, 5):
                figures["wafer_requests_total", f"{code // 100}xx"] += int(count)
        for name in ("input_tokens", "output_tokens", "cache_read_tokens"):
            figures[f"wafer_{name}_total", ""] = int(rows[name].sum())
        for name in DECIMALS:
            figures.update(histogram(name, rows[name][~np.isnan(rows[name])]))
        return figures

    def observations(self, name: str, first: State, last: State) -> Column:
        """What was observed from one state to another, in order."""
        values = self.columns[name][self.counted(last) & ~self.counted(first)]
        return np.sort(values[~np.isnan(values)])


def histogram(name: str, values: Column) -> Figures:
    figures: Figures = Counter()
    for bound, le in zip([*contract.bounds_of(name), math.inf], contract.le_values(name), strict=True):
        figures[f"{name}_bucket", le] = int((values <= bound).sum())
    figures[f"{name}_count", ""] = len(values)
    figures[f"{name}_sum", ""] = int(np.floor(values * 10 ** DECIMALS[name] + 0.5).sum())
    numbers = np.ceil(np.log2(values) * 2**NATIVE_SCHEMA).astype(int)
    for number, count in zip(*np.unique(numbers, return_counts=True), strict=True):
        figures[name, str(number)] = int(count)
    return figures


def read(folder: Path, endpoint: str, since: float) -> tuple[dict[str, Column], list[float]]:
    """The columns of every row once, and the times at which files were delivered.

    A row that comes twice, also in one file, counts from the first file that has it.
    """
    first_folder = datetime.fromtimestamp(since, UTC).strftime("hour=%Y-%m-%d-%H")
    paths = [path for path in folder.glob("*/hour=*/*.parquet") if path.parent.name >= first_folder]
    files = sorted((path.stat().st_mtime, path) for path in paths if not path.name.startswith("."))
    rows_of_ours = (pc.field("endpoint") == endpoint) & (
        pc.field("ended_at") >= datetime.fromtimestamp(since, UTC).replace(tzinfo=None)
    )
    seen: set[tuple[str, float]] = set()
    parts: list[dict[str, Column]] = []
    for delivered_at, path in files:
        table = pq.read_table(path, partitioning=None, filters=rows_of_ours)
        rows = columns_of(table)
        keys = list(zip(table["request_id"].to_pylist(), rows["ended_at"].tolist(), strict=True))
        fresh = np.zeros(len(keys), dtype=bool)
        for number, key in enumerate(keys):
            fresh[number] = key not in seen
            seen.add(key)
        rows["delivered_at"] = np.full(len(keys), delivered_at)
        parts.append({name: column[fresh] for name, column in rows.items()})
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return columns, [delivered_at for delivered_at, _ in files]


def columns_of(table: pa.Table) -> dict[str, Column]:
    """What each row counts for, by the contract's table of what is valid. NaN and 0 count for nothing."""
    status, streams = number(table, "status_code"), number(table, "is_streaming")
    success = (status >= 200) & (status < 300)
    given = {name: number(table, f"{name}_tokens") for name in ("input", "output", "cache_read")}
    valid = {name: (tokens >= 0) & (tokens <= 1e12) for name, tokens in given.items()}
    valid["cache_read"] &= valid["input"] & (given["cache_read"] <= given["input"])
    tokens = {f"{name}_tokens": np.where(valid[name], given[name], 0) for name in given}
    ttft, latency = number(table, "ttft_ms"), number(table, "total_latency_ms")
    has_ttft = success & (streams == 1) & (ttft >= 0) & (ttft <= 1e9)
    has_duration = success & (latency >= 0) & (latency <= 1e9)
    has_speed = has_duration & (latency >= 1e-3) & valid["output"] & (given["output"] > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        speed = given["output"] / (latency / 1e3)
    return {
        "ended_at": number(table, "ended_at") / 1000,
        "status_code": status.astype(int),
        **tokens,
        TTFT: np.where(has_ttft, ttft / 1e3, np.nan),
        DURATION: np.where(has_duration, latency / 1e3, np.nan),
        SPEED: np.where(has_speed, speed, np.nan),
    }


def number(table: pa.Table, name: str) -> Column:
    """NaN for null."""
    column = table[name]
    if pa.types.is_timestamp(column.type) or pa.types.is_boolean(column.type):
        column = column.cast(pa.int64())
    return column.to_numpy().astype(float)
