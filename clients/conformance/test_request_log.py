"""The reader of the demo's request log that the counters are held against."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from clients.conformance.request_log import RequestLog, State

ENDED_AT = datetime(2026, 11, 24, 20, 15, tzinfo=UTC)
ENDPOINT = "llm.example"


def write(folder: Path, delivered_at: float, request_ids: list[str]) -> None:
    path = folder / "logs" / "hour=2026-11-24-20" / f"{delivered_at:.0f}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    count = len(request_ids)
    columns = {
        "request_id": request_ids,
        "endpoint": [ENDPOINT] * count,
        "status_code": [200] * count,
        "is_streaming": [False] * count,
        "ended_at": pa.array([ENDED_AT.replace(tzinfo=None)] * count, pa.timestamp("ms")),
        "ttft_ms": pa.array([None] * count, pa.float64()),
        "total_latency_ms": [1_000.0] * count,
        "input_tokens": [10] * count,
        "output_tokens": [5] * count,
        "cache_read_tokens": [0] * count,
    }
    pq.write_table(pa.table(columns), path)
    os.utime(path, (delivered_at, delivered_at))


def test_a_row_counts_once_from_the_first_file_that_has_it(tmp_path: Path) -> None:
    """The past is written at once: a row that is delivered twice may come twice in one file."""
    minute_later = ENDED_AT + timedelta(minutes=1)
    first = minute_later.timestamp() + 1
    write(tmp_path, first, ["a", "b", "a"])
    write(tmp_path, first + 10, ["b", "c", "c"])
    log = RequestLog(tmp_path, ENDPOINT, ENDED_AT.timestamp())
    counted = [log.figures(State(minute_later.timestamp(), by)) for by in (first, first + 10)]
    assert [figures["wafer_requests_total", "2xx"] for figures in counted] == [2, 3]
    assert [figures["wafer_input_tokens_total", ""] for figures in counted] == [20, 30]
    assert log.deliveries == [first, first + 10]
