"""Request logs made up for the rehearsal, and what a scrape must say of them: worked out from the rows, not from rollups."""

import io
import math
import random
from datetime import datetime, timedelta, timezone

import pyarrow
import pyarrow.parquet

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


def row(chance, endpoint, ended_at, **changes):
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


def day(chance, endpoints, now):
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
            row(chance, endpoint, at, status_code=200, total_latency_ms=-1.0, input_tokens=-1, output_tokens=10**12 + 1),
            row(chance, endpoint, at, input_tokens=5, cache_read_tokens=6),
            row(chance, endpoint, at, status_code=200, input_tokens=None, output_tokens=None, cache_read_tokens=None),
            row(chance, endpoint, at) | {"ended_at": None},
        ]
    at = now - timedelta(hours=3)
    return rows + [row(chance, None, at), row(chance, "no host name", at), row(chance, "other.example.com", at)]


def files(rows, name, arrived_after=timedelta(seconds=5), without=()):
    """Yields the key under the logs' folder and the bytes of each Parquet file, by hour of arrival."""
    hours = {}
    for each in rows:
        arrival = (each["ended_at"] or rows[0]["ended_at"]) + arrived_after
        hours.setdefault(arrival.strftime("%Y-%m-%d-%H"), []).append(each)
    schema = pyarrow.schema([field for field in SCHEMA if field.name not in without])
    for hour, arrivals in hours.items():
        file = io.BytesIO()
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(arrivals, schema=schema), file)
        yield f"hour={hour}/{name}.parquet", file.getvalue()


def within(value, low, high):
    return value is not None and low <= value <= high


def expected(rows, endpoint, window_end):
    """What the series of the 24 h up to `window_end` (Unix seconds) must be: by name and labels, and whether it is exact."""
    end = datetime.fromtimestamp(window_end, timezone.utc).replace(tzinfo=None)
    seen, window = set(), []
    for each in rows:
        ended_at, host = each["ended_at"], (each["endpoint"] or "").lower()
        if host != endpoint or ended_at is None or not end - timedelta(days=1) <= ended_at < end:
            continue
        copy = (each["request_id"], ended_at)
        if each["request_id"] is None or copy not in seen:
            window.append(each)
        seen.add(copy)

    def tokens(each, name):
        return each[name] if within(each[name], 0, 10**12) else None

    succeeded = [each for each in window if 200 <= each["status_code"] < 300]
    requests = {f"{digit}xx": sum(each["status_code"] // 100 == digit for each in window) for digit in (2, 4, 5)}
    input_tokens = sum(tokens(each, "input_tokens") or 0 for each in window)
    output_tokens = sum(tokens(each, "output_tokens") or 0 for each in window)
    cached = 0
    for each in window:
        read, all_input = each["cache_read_tokens"], tokens(each, "input_tokens")
        if all_input is not None and within(read, 0, all_input):
            cached += read
    ttft = [each["ttft_ms"] / 1e3 for each in succeeded if each["is_streaming"] and within(each["ttft_ms"], 0, 1e9)]
    durations = [each["total_latency_ms"] / 1e3 for each in succeeded if within(each["total_latency_ms"], 0, 1e9)]
    speeds = [
        each["output_tokens"] / (each["total_latency_ms"] / 1e3)
        for each in succeeded
        if (tokens(each, "output_tokens") or 0) > 0 and within(each["total_latency_ms"], 1e-3, 1e9)
    ]

    exact = {
        ("wafer_input_tokens_last_24h", ""): input_tokens,
        ("wafer_output_tokens_last_24h", ""): output_tokens,
        ("wafer_cache_read_tokens_last_24h", ""): cached,
        ("wafer_cache_hit_ratio_last_24h", ""): cached / input_tokens,
        ("wafer_concurrent_requests", ""): sum(each["ended_at"] >= end - timedelta(minutes=2) for each in window),
        ("wafer_metrics_window_seconds", ""): 86_400,
        ("wafer_metrics_window_end_timestamp_seconds", ""): window_end,
    }
    for status_class, count in requests.items():
        exact["wafer_requests_last_24h", f'status_class="{status_class}"'] = count
    near = {}
    for name, values, quantiles in [
        ("wafer_ttft_seconds", ttft, ["0.5", "0.9", "0.95", "0.99"]),
        ("wafer_request_duration_seconds", durations, ["0.5", "0.9", "0.99"]),
        ("wafer_output_tokens_per_second", speeds, ["0.1", "0.5", "0.9", "0.99"]),
    ]:
        values.sort()
        for quantile in quantiles:
            near[name, f'quantile="{quantile}"'] = values[math.ceil(float(quantile) * len(values)) - 1]
    return exact, near
