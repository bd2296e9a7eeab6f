"""Request logs made up for the rehearsal, and the figures of a scrape as worked out from the rows themselves."""

import io
import math
import random
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow
import pyarrow.parquet

Row = dict[str, Any]
# A series of one endpoint: its name, and its further label as it is written.
Series = tuple[str, str]

SCHEMA = pyarrow.schema(
    [
        ("request_id", pyarrow.string()),
        ("endpoint", pyarrow.string()),
        ("model", pyarrow.string()),
        ("status_code", pyarrow.int32()),
        ("is_streaming", pyarrow.bool_()),
        ("ended_at", pyarrow.timestamp("ms")),
        ("ttft_ms", pyarrow.float64()),
        ("total_latency_ms", pyarrow.float64()),
        ("input_tokens", pyarrow.int64()),
        ("output_tokens", pyarrow.int64()),
        ("cache_read_tokens", pyarrow.int64()),
        ("error_code", pyarrow.string()),
    ]
)


def row(chance: random.Random, endpoint: str | None, ended_at: datetime, **changes: Any) -> Row:
    """One request; `ended_at` is naive UTC."""
    ended_at = ended_at.replace(microsecond=ended_at.microsecond // 1000 * 1000)
    status = chance.choices([200, 400, 429, 503], [94, 3, 2, 1])[0]
    latency = chance.lognormvariate(8, 1)
    streaming = chance.random() < 0.8
    tokens = chance.randrange(1, 20_000)
    return {
        "request_id": f"{chance.getrandbits(64):016x}",
        "endpoint": endpoint,
        "model": "model-a",
        "status_code": status,
        "is_streaming": streaming,
        "ended_at": ended_at,
        "ttft_ms": latency * chance.uniform(0.05, 0.4) if streaming and status == 200 else None,
        "total_latency_ms": latency,
        "input_tokens": tokens,
        "output_tokens": chance.randrange(1, 2_000) if status == 200 else 0,
        "cache_read_tokens": chance.randrange(tokens + 1),
        "error_code": None if status == 200 else "error",
    } | changes


def day(chance: random.Random, endpoints: Sequence[str], now: datetime) -> list[Row]:
    """26 hours of each endpoint up to `now`, with every kind of row that the logs may hold."""
    rows = []
    for endpoint in endpoints:
        start = now - timedelta(hours=26)
        rows += [row(chance, endpoint, start + timedelta(seconds=chance.uniform(0, 26 * 3600))) for _ in range(2000)]
        # Busy in the last minutes too.
        rows += [row(chance, endpoint, now - timedelta(seconds=chance.uniform(0, 600))) for _ in range(100)]
        at = now - timedelta(hours=3)
        rows += [
            row(chance, endpoint.upper(), at),
            row(chance, endpoint, at, request_id=None),
            row(chance, endpoint, at, request_id=None),
            row(chance, endpoint, at, status_code=302),
            row(chance, endpoint, at, status_code=200, total_latency_ms=math.nan, ttft_ms=math.inf),
            row(chance, endpoint, at, status_code=200, total_latency_ms=0.0, ttft_ms=0.0),
            row(
                chance, endpoint, at, status_code=200, total_latency_ms=-1.0, input_tokens=-1, output_tokens=10**12 + 1
            ),
            row(chance, endpoint, at, input_tokens=5, cache_read_tokens=6),
            row(chance, endpoint, at, status_code=200, input_tokens=None, output_tokens=None, cache_read_tokens=None),
            row(chance, endpoint, at) | {"ended_at": None},
        ]
    at = now - timedelta(hours=3)
    return [*rows, row(chance, None, at), row(chance, "no host name", at), row(chance, "other.example.com", at)]


def files(
    rows: Sequence[Row], name: str, arrived_after: timedelta, without: Collection[str] = ()
) -> Iterator[tuple[str, bytes]]:
    """Yields the key under the logs' folder and the bytes of each Parquet file, by hour of arrival."""
    hours: dict[str, list[Row]] = {}
    for each in rows:
        arrival = (each["ended_at"] or rows[0]["ended_at"]) + arrived_after
        hours.setdefault(arrival.strftime("%Y-%m-%d-%H"), []).append(each)
    schema = pyarrow.schema([field for field in SCHEMA if field.name not in without])
    for hour, arrivals in hours.items():
        file = io.BytesIO()
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(arrivals, schema=schema), file)
        yield f"hour={hour}/{name}.parquet", file.getvalue()


def within(value: float | None, low: float, high: float) -> bool:
    return value is not None and low <= value <= high


def expected(rows: Sequence[Row], endpoint: str, window_end: int) -> tuple[dict[Series, float], dict[Series, float]]:
    """The series of the 24 h up to `window_end` (Unix seconds): those that are exact, and the quantiles."""
    end = datetime.fromtimestamp(window_end, UTC).replace(tzinfo=None)
    window = rows_of_window(rows, endpoint, end)
    input_tokens = sum(tokens(each, "input_tokens") or 0 for each in window)
    cached = sum(cache_reads(each) for each in window)
    exact: dict[Series, float] = {
        ("wafer_input_tokens_last_24h", ""): input_tokens,
        ("wafer_output_tokens_last_24h", ""): sum(tokens(each, "output_tokens") or 0 for each in window),
        ("wafer_cache_read_tokens_last_24h", ""): cached,
        ("wafer_cache_hit_ratio_last_24h", ""): cached / input_tokens,
        ("wafer_concurrent_requests", ""): sum(each["ended_at"] >= end - timedelta(minutes=2) for each in window),
        ("wafer_metrics_window_seconds", ""): 86_400,
        ("wafer_metrics_window_end_timestamp_seconds", ""): window_end,
    }
    for digit in (2, 4, 5):
        count = sum(each["status_code"] // 100 == digit for each in window)
        exact["wafer_requests_last_24h", f'status_class="{digit}xx"'] = count
    return exact, quantiles([each for each in window if 200 <= each["status_code"] < 300])


def rows_of_window(rows: Sequence[Row], endpoint: str, end: datetime) -> list[Row]:
    """Each request once, however often its row was delivered."""
    seen, window = set(), []
    for each in rows:
        ended_at, host = each["ended_at"], (each["endpoint"] or "").lower()
        if host != endpoint or ended_at is None or not end - timedelta(days=1) <= ended_at < end:
            continue
        copy = (each["request_id"], ended_at)
        if each["request_id"] is None or copy not in seen:
            window.append(each)
        seen.add(copy)
    return window


def tokens(each: Row, name: str) -> int | None:
    return each[name] if within(each[name], 0, 10**12) else None


def cache_reads(each: Row) -> int:
    read, all_input = each["cache_read_tokens"], tokens(each, "input_tokens")
    return int(read) if all_input is not None and within(read, 0, all_input) else 0


def quantiles(succeeded: Sequence[Row]) -> dict[Series, float]:
    streamed = [each for each in succeeded if each["is_streaming"]]
    producing = [each for each in succeeded if (tokens(each, "output_tokens") or 0) > 0]
    ttft = [each["ttft_ms"] / 1e3 for each in streamed if within(each["ttft_ms"], 0, 1e9)]
    durations = [each["total_latency_ms"] / 1e3 for each in succeeded if within(each["total_latency_ms"], 0, 1e9)]
    speeds = [
        each["output_tokens"] / (each["total_latency_ms"] / 1e3)
        for each in producing
        if within(each["total_latency_ms"], 1e-3, 1e9)
    ]
    found = {}
    for name, values, wanted in [
        ("wafer_ttft_seconds", ttft, ["0.5", "0.9", "0.95", "0.99"]),
        ("wafer_request_duration_seconds", durations, ["0.5", "0.9", "0.99"]),
        ("wafer_output_tokens_per_second", speeds, ["0.1", "0.5", "0.9", "0.99"]),
    ]:
        values.sort()
        for quantile in wanted:
            found[name, f'quantile="{quantile}"'] = values[math.ceil(float(quantile) * len(values)) - 1]
    return found
