"""A stand-in for the API that Lambda gives its functions: it hands out events, and takes what is answered."""

import contextlib
import selectors
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass

PATH = "/2018-06-01/runtime"
# Until a function under a profiler has polled.
PATIENCE = 120.0


@dataclass(frozen=True)
class Request:
    connection: socket.socket
    line: str
    body: bytes
    # Of its first bytes.
    at: float


class RuntimeApi:
    """Of one function, which asks for one event after the other."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._events = 0
        host, port = self._listener.getsockname()
        self.address = f"{host}:{port}"

    def polled(self) -> Request:
        """Waits until the function asks for an event."""
        request = self._request()
        assert request.line == f"GET {PATH}/invocation/next HTTP/1.1", f"{request.line}\n{request.body!r}"
        return request

    def answer_to(self, poll: Request, event: bytes, seconds: float = 28) -> bytes:
        """Hands out an event; what the function answers."""
        self._events += 1
        identity = f"00000000-0000-4000-8000-{self._events:012}"
        deadline = round((time.time() + seconds) * 1000)
        head = (
            f"HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: {identity}\r\n"
            f"Lambda-Runtime-Deadline-Ms: {deadline}\r\n"
            "Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:us-east-1:123456789012:function:f\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(event)}\r\n\r\n"
        )
        poll.connection.sendall(head.encode() + event)
        answer = self._request()
        assert answer.line == f"POST {PATH}/invocation/{identity}/response HTTP/1.1", f"{answer.line}\n{answer.body!r}"
        answer.connection.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
        return answer.body

    def close(self) -> None:
        for key in list(self._selector.get_map().values()):
            self._selector.unregister(key.fileobj)
            assert isinstance(key.fileobj, socket.socket)
            key.fileobj.close()
        self._selector.close()

    def _request(self) -> Request:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            for key, _ in self._selector.select(1):
                ready = key.fileobj
                assert isinstance(ready, socket.socket)
                if ready is self._listener:
                    connection, _ = self._listener.accept()
                    self._selector.register(connection, selectors.EVENT_READ)
                elif received := ready.recv(65536):
                    return read(ready, received, time.perf_counter())
                else:
                    self._selector.unregister(ready)
                    ready.close()
        raise TimeoutError("the function did not ask for an event")


def read(connection: socket.socket, received: bytes, at: float) -> Request:
    """The rest of a request."""
    while b"\r\n\r\n" not in received:
        received += connection.recv(65536)
    head, _, body = received.partition(b"\r\n\r\n")
    line, *fields = head.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, value in (field.split(":", 1) for field in fields)}
    if headers.get("transfer-encoding") == "chunked":
        while not body.endswith(b"0\r\n\r\n"):
            body += connection.recv(65536)
        body = b"".join(chunks(body))
    while len(body) < int(headers.get("content-length", 0)):
        body += connection.recv(65536)
    return Request(connection, line, body, at)


def chunks(body: bytes) -> Iterator[bytes]:
    while body:
        size, _, body = body.partition(b"\r\n")
        length = int(size, 16)
        yield body[:length]
        body = body[length + 2 :]


@contextlib.contextmanager
def runtime_api() -> Iterator[RuntimeApi]:
    api = RuntimeApi()
    try:
        yield api
    finally:
        api.close()
