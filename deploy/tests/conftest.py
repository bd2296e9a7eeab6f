"""A local stack that reads request logs made here, and the tools under test against its DynamoDB."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import boto3
import pyarrow
import pyarrow.parquet
import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
STACK = Path(os.environ.get("LOCAL_STACK", ROOT / "target/debug/local-stack"))
TABLES = ("--api-keys-table=api_keys", "--heartbeats-table=heartbeats", "--rollups-table=rollups")
# Requests that an old customer's endpoint had, and how long ago.
OLD_HOST, OLD_REQUESTS, OLD_HOURS = "old.example", 120, 5

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


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
    return port


def write_logs(folder: Path) -> None:
    start = datetime.now(timezone.utc).replace(minute=10, second=0, microsecond=0) - timedelta(hours=OLD_HOURS)
    rows = [
        {
            "request_id": f"old-{number}",
            "endpoint": OLD_HOST,
            "status_code": 200,
            "is_streaming": True,
            "ended_at": (start + timedelta(seconds=number)).replace(tzinfo=None),
            "ttft_ms": 120.0,
            "total_latency_ms": 900.0,
            "input_tokens": 10,
            "output_tokens": 20,
            "cache_read_tokens": 5,
        }
        for number in range(OLD_REQUESTS)
    ]
    hour = folder / f"hour={start:%Y-%m-%d-%H}"
    hour.mkdir(parents=True)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows, schema=SCHEMA), hour / "part-0.parquet")


@dataclass(frozen=True)
class Stack:
    """A running local stack."""

    front: int
    dynamodb_port: int

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {
            "AWS_ENDPOINT_URL_DYNAMODB": f"http://127.0.0.1:{self.dynamodb_port}",
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def dynamodb(self) -> Any:
        return boto3.client(
            "dynamodb",
            endpoint_url=f"http://127.0.0.1:{self.dynamodb_port}",
            aws_access_key_id="local",
            aws_secret_access_key="local",
            region_name="us-east-1",
        )

    def keys(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs the tool as an operator does."""
        command = [sys.executable, str(ROOT / "deploy/keys.py"), *TABLES, *arguments]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)

    def scrape(self, key: str, host: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.front, timeout=10)
        path = f"/v1/endpoints/metrics/prometheus?endpoint={host}"
        connection.request("GET", path, headers={"Authorization": f"Bearer {key}"})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()

    def item(self, digits: str) -> dict[str, Any]:
        """The record of a key that the list names."""
        [item] = [item for item in self.items("api_keys") if item["key_hash"]["S"].startswith(digits)]
        return item

    def items(self, table: str) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = []
        for page in self.dynamodb().get_paginator("scan").paginate(TableName=table, ConsistentRead=True):
            items += page["Items"]
        return items


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("stack")
    write_logs(folder / "logs")
    running = Stack(free_port(), free_port())
    flags = {"--listen": running.front, "--dynamodb": running.dynamodb_port, "--athena": free_port()}
    command = [str(STACK), "--logs", str(folder / "logs")]
    command += [word for flag, port in flags.items() for word in (flag, f"127.0.0.1:{port}")]
    with (folder / "log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            deadline = time.monotonic() + 120
            while "ready" not in (folder / "log").read_text():
                if process.poll() is not None or time.monotonic() > deadline:
                    pytest.fail(f"the local stack did not start:\n{(folder / 'log').read_text()}")
                time.sleep(0.2)
            yield running
        finally:
            process.terminate()
