"""A DynamoDB between a local stack and that of another, whose calls can be made to fail or to hang."""

import contextlib
import http.client
import json
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from clients.conformance.stack import Stack
from loopback.local_stack import START_SECONDS, started
from loopback.processes import free_address, wait_for

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
    class Proxy(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            operation = self.headers["X-Amz-Target"].rpartition(".")[2]
            call = " ".join([operation, *filter(None, [json.loads(body).get("TableName")])])
            fault = FAILS if call in WRITES else faults.by_call.get(call)
            if fault == HANGS:
                faults.over.wait(HANG_SECONDS)
            if fault:
                self.answer(500, "application/x-amz-json-1.0", b'{"__type":"InternalServerError"}')
                return
            connection = http.client.HTTPConnection(dynamodb, timeout=HANG_SECONDS)
            connection.request("POST", "/", body, dict(self.headers))
            answer = connection.getresponse()
            self.answer(answer.status, answer.headers["Content-Type"], answer.read())
            connection.close()

        def answer(self, status: int, content_type: str, body: bytes) -> None:
            # Whoever was left hanging may have gone.
            with contextlib.suppress(ConnectionError):
                self.send_response(status)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield "{}:{}".format(*server.server_address[:2])
        finally:
            faults.over.set()
            server.shutdown()
