"""The reader of the demo's request log, and what of the log it takes a scrape to have counted."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from clients.conformance import samples
from clients.conformance.request_log import DURATION, RequestLog, State
from clients.conformance.samples import Scrape

ENDED_AT = datetime(2026, 11, 24, 20, 15, tzinfo=UTC)
MINUTE_LATER = ENDED_AT + timedelta(minutes=1)
ENDPOINT = "llm.example"


def write(folder: Path, delivered_at: float, request_ids: list[str], ended_at: datetime = ENDED_AT) -> None:
    path = folder / "logs" / "hour=2026-11-24-20" / f"{delivered_at:.0f}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    count = len(request_ids)
    columns = {
        "request_id": request_ids,
        "endpoint": [ENDPOINT] * count,
        "status_code": [200] * count,
        "is_streaming": [False] * count,
        "ended_at": pa.array([ended_at.replace(tzinfo=None)] * count, pa.timestamp("ms")),
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
    first = MINUTE_LATER.timestamp() + 1
    write(tmp_path, first, ["a", "b", "a"])
    write(tmp_path, first + 10, ["b", "c", "c"])
    log = RequestLog(tmp_path, ENDPOINT, ENDED_AT.timestamp())
    counted = [log.figures(State(MINUTE_LATER.timestamp(), by)) for by in (first, first + 10)]
    assert [figures["wafer_requests_total", "2xx"] for figures in counted] == [2, 3]
    assert [figures["wafer_input_tokens_total", ""] for figures in counted] == [20, 30]
    assert log.deliveries == [first, first + 10]


def test_a_state_with_fewer_rows_than_were_counted_does_not_agree_with_a_scrape(tmp_path: Path) -> None:
    """A refresh that runs late counts the rows that came since it was due, from its first scrape on."""
    window_end = MINUTE_LATER.timestamp()
    in_time, late, next_minute = window_end + 80, window_end + 100, window_end + 140
    write(tmp_path, in_time, ["a"])
    write(tmp_path, late, ["b", "c"])
    write(tmp_path, next_minute, ["d"], ended_at=MINUTE_LATER)
    log = RequestLog(tmp_path, ENDPOINT, ENDED_AT.timestamp())
    after_late, after_all = State(window_end, late), State(window_end + 60, next_minute)
    scrapes = [
        Scrape(window_end + 110, after_late.ended_before, log.figures(after_late)),
        Scrape(window_end + 125, after_late.ended_before, log.figures(after_late)),
        Scrape(window_end + 170, after_all.ended_before, log.figures(after_all)),
    ]
    states = samples.states(log, scrapes, is_stored=lambda _name: True)
    assert states == [after_late, after_late, after_all]
    assert len(log.observations(DURATION, states[1], states[2])) == 1
