"""A DynamoDB between a local stack and that of another, whose calls can be made to fail or to hang."""

import contextlib
import http.client
import json
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from clients.conformance.stack import Stack
from loopback.local_stack import START_SECONDS, started
from loopback.processes import free_address, wait_for
from loopback.serving import Handler, served

FAILS, HANGS = "fails", "hangs"
HANG_SECONDS = 20
# What the second stack must not do in the first one's tables.
WRITES = {"PutItem rollups", "UpdateItem rollups", "DeleteItem rollups", "TransactWriteItems"}


@dataclass
class Faults:
    """By the call, such as `GetItem api_keys`."""

    by_call: dict[str, str] = field(default_factory=dict)
    over: threading.Event = field(default_factory=threading.Event)

    @contextlib.contextmanager
    def __call__(self, call: str, fault: str) -> Iterator[None]:
        self.by_call[call] = fault
        try:
            yield
        finally:
            del self.by_call[call]


@contextlib.contextmanager
def faulty_stack(stack: Stack, folder: Path) -> Iterator[tuple[Stack, Faults]]:
    """A second stack over the tables of the first, which reads no logs, and what makes its calls fail."""
    faults = Faults()
    with proxied(stack.dynamodb, faults) as address:
        environment = {
            **os.environ,
            "AWS_ENDPOINT_URL_DYNAMODB": f"http://{address}",
            "AWS_ENDPOINT_URL_ATHENA": f"http://{free_address()}",
        }
        with started(folder / "faulty-stack.log", environment=environment) as (addresses, _):
            faulty = Stack(addresses.http, stack.dynamodb, stack.folder, stack.logs)
            # It never says that it is ready where its own refresh has something to read: it answers before that.
            wait_for("the second stack answers", lambda: faulty.status("/", "none") == 404, START_SECONDS, pause=0.2)
            yield faulty, faults


@contextlib.contextmanager
def proxied(dynamodb: str, faults: Faults) -> Iterator[str]:
    class Proxy(Handler):
        def do_POST(self) -> None:
            body = self.body()
            operation = self.headers["X-Amz-Target"].rpartition(".")[2]
            call = " ".join([operation, *filter(None, [json.loads(body).get("TableName")])])
            fault = FAILS if call in WRITES else faults.by_call.get(call)
            if fault == HANGS:
                faults.over.wait(HANG_SECONDS)
            if fault:
                content_type = {"Content-Type": "application/x-amz-json-1.0"}
                self.answer(500, content_type, b'{"__type":"InternalServerError"}')
                return
            connection = http.client.HTTPConnection(dynamodb, timeout=HANG_SECONDS)
            connection.request("POST", "/", body, dict(self.headers))
            answer = connection.getresponse()
            self.answer(answer.status, {"Content-Type": answer.headers["Content-Type"]}, answer.read())
            connection.close()

    with served(Proxy) as address:
        try:
            yield address
        finally:
            faults.over.set()
