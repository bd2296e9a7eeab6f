"""The local stack as the tools under test and a scraper see it, and the request logs that it reads."""

import http.client
import os
import random
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3

from deploy import request_logs
from loopback import ROOT
from loopback.local_stack import Addresses

TABLES = ("--api-keys-table=api_keys", "--heartbeats-table=heartbeats", "--rollups-table=rollups")
# Requests that an old customer's endpoint had, and how long ago.
OLD_HOST, OLD_REQUESTS, OLD_HOURS = "old.example", 120, 5


def write_logs(folder: Path) -> None:
    start = datetime.now(UTC).replace(tzinfo=None, minute=10, second=0, microsecond=0) - timedelta(hours=OLD_HOURS)
    chance = random.Random(20261124)
    times = [start + timedelta(seconds=number) for number in range(OLD_REQUESTS)]
    rows = [request_logs.row(chance, OLD_HOST, time, status_code=200) for time in times]
    for key, body in request_logs.files(rows, "old", arrived_after=timedelta(0)):
        file = folder / key
        file.parent.mkdir(parents=True)
        file.write_bytes(body)


@dataclass(frozen=True)
class Stack:
    addresses: Addresses

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {
            "AWS_ENDPOINT_URL_DYNAMODB": f"http://{self.addresses.dynamodb}",
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def dynamodb(self) -> Any:
        return boto3.client(
            "dynamodb",
            endpoint_url=f"http://{self.addresses.dynamodb}",
            aws_access_key_id="local",
            aws_secret_access_key="local",
            region_name="us-east-1",
        )

    def keys(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs the tool as an operator does."""
        command = [sys.executable, "-m", "deploy.keys", *TABLES, *arguments]
        return subprocess.run(command, cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False)

    def scrape(self, key: str, host: str) -> tuple[int, str]:
        return self.ask(key, f"/prometheus?endpoint={host}&view=window,counters")

    def ask(self, key: str, route: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection(self.addresses.http, timeout=10)
        connection.request("GET", f"/v1/endpoints/metrics{route}", headers={"Authorization": f"Bearer {key}"})
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
