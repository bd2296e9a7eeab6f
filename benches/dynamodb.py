"""A stand-in for DynamoDB that answers the calls of every scrape alike, whenever it comes.

It has one endpoint, which every key may ask for, and whose minutes and hours are all of the same width.
"""

import base64
import contextlib
import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ENDPOINT = "chat.demo.example"
REQUESTS = 330
# Of each distribution, a minute's and an hour's.
MINUTE_BUCKETS, HOUR_BUCKETS = 300, 450
SLOTS = 6
PREFIX = "DynamoDB_20120810."

Item = dict[str, dict[str, Any]]


def varint(number: int) -> bytes:
    low = number & 0x7F
    return bytes([low | 0x80]) + varint(number >> 7) if number > 0x7F else bytes([low])


def summary(requests: int, buckets: int, schema: int = 6) -> str:
    """Format 2, as src/stores/rollups/format.rs has it: requests spread evenly over so many buckets."""
    numbers = [1, 200, requests, requests * 1200, requests * 210, requests * 400]
    for _ in range(3):
        numbers += [requests * 250_000, 0, buckets]
        for bucket in range(buckets):
            # The first is -buckets/2, zigzagged.
            numbers.append(1 if bucket else buckets // 2 * 2 - 1)
            numbers.append(max(1, requests * (bucket + 1) // buckets - requests * bucket // buckets))
    return base64.b64encode(bytes([2, schema]) + b"".join(map(varint, numbers))).decode()


MINUTE, HOUR = summary(REQUESTS, MINUTE_BUCKETS), summary(REQUESTS * 60, HOUR_BUCKETS)
TOTAL = summary(REQUESTS * 60, HOUR_BUCKETS // 4, schema=4)


def figures(period: str, value: str) -> Item:
    return {
        "endpoint": {"S": ENDPOINT},
        "period": {"S": period},
        "summary": {"B": value},
        "version": {"N": "1"},
        "as_of": {"N": "1795551300000"},
        "expires_at": {"N": "1796242500"},
    }


def watermark() -> Item:
    """A minute back, and sealed as far as can be."""
    through = int(time.time()) // 60 * 60 - 60
    sealed = through // 3600 * 3600
    numbers = {"through": through, "settled": through, "sealed": sealed, "stride": 60, "version": 1}
    return {name: {"N": str(number)} for name, number in numbers.items()}


def periods(first: str, last: str) -> Iterator[Item]:
    form, step, value = {
        "m2#": ("m2#%Y-%m-%dT%H:%M", timedelta(minutes=1), MINUTE),
        "h2#": ("h2#%Y-%m-%dT%H", timedelta(hours=1), HOUR),
    }[first[:3]]
    period = datetime.strptime(first, form).replace(tzinfo=UTC)
    while (key := period.strftime(form)) <= last:
        yield figures(key, value)
        period += step


def answer(operation: str, asked: dict[str, Any]) -> dict[str, Any]:
    match operation, asked["TableName"]:
        case "GetItem", "api_keys":
            key = asked["Key"]["key_hash"]
            return {"Item": {"key_hash": key, "kind": {"S": "metrics"}, "endpoints": {"SS": [ENDPOINT]}}}
        case "GetItem", "rollups":
            period = asked["Key"]["period"]["S"]
            return {"Item": figures(period, TOTAL) if period == "total2" else watermark()}
        case "UpdateItem", "rate_limits":
            values = asked["ExpressionAttributeValues"]
            slots = {f"t{slot}": {"N": "0"} for slot in range(SLOTS)} | {
                f"i{slot}": {"S": "-"} for slot in range(SLOTS)
            }
            last = SLOTS - 1
            return {"Attributes": slots | {f"t{last}": values[":now"], f"i{last}": values[":id"]}}
        case "Query", "heartbeats":
            return {"Items": [], "Count": 0, "ScannedCount": 0}
        case "Query", "rollups":
            values = asked["ExpressionAttributeValues"]
            items = list(periods(values[":first"]["S"], values[":last"]["S"]))
            return {"Items": items, "Count": len(items), "ScannedCount": len(items)}
    raise ValueError(f"{operation} of {asked['TableName']}")


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.calls = 0
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body leave together.
    wbufsize = -1
    disable_nagle_algorithm = True
    server: Server

    def do_POST(self) -> None:
        self.server.calls += 1
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        body = json.dumps(answer(self.headers["X-Amz-Target"].removeprefix(PREFIX), asked)).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/x-amz-json-1.0")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Says nothing."""


@contextlib.contextmanager
def dynamodb() -> Iterator[Server]:
    """Yields what answers, and counts its calls."""
    server = Server()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
