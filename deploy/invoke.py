"""Sends events to the built functions under AWS's Runtime Interface Emulator, against the local stack.

EVENT goes to the local stack of `make run`, which must be running. --all starts a local stack, sends it every file of
events/, and kills the function after each.
"""

import argparse
import base64
import contextlib
import gzip
import http.client
import json
import os
import sysconfig
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from deploy import SLOT_SECONDS
from loopback import ROOT
from loopback.local_stack import ENVIRONMENT, Addresses, local_stack
from loopback.processes import Command, end_on_termination, free_address, running

EVENTS = ROOT / "events"
LOGS = ROOT / "target" / "invoke"
# Ships with the SAM CLI, whose `sam local invoke` runs it in a container.
EMULATOR = Path(sysconfig.get_path("purelib"), "samcli/local/rapid/aws-lambda-rie-x86_64")
SETTINGS = {
    "API_KEYS_TABLE": "api_keys",
    "RATE_LIMITS_TABLE": "rate_limits",
    "HEARTBEATS_TABLE": "heartbeats",
    "ROLLUPS_TABLE": "rollups",
    "ATHENA_DATABASE": "wafer",
    "ATHENA_WORKGROUP": "wafer-metrics",
    "REQUEST_LOGS_TABLE": "request_logs",
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
    "AWS_REGION": "us-east-1",
}
TIMEOUTS = {"scrape": 28, "refresh": 55}
MAKE_RUN = Addresses(http="127.0.0.1:9000", dynamodb="127.0.0.1:8000", athena="127.0.0.1:8001")
# Of the scrape function, by event.
STATUSES = {
    "invalid-endpoint": 422,
    "invalid-range": 422,
    "json": 200,
    "missing-key": 401,
    "other-endpoint": 403,
    "scrape": 200,
    "scrape-all": 200,
    "scrape-several": 200,
    "scrape-text": 200,
    "serverless-key": 403,
    "targets": 200,
    "unknown-key": 401,
    "wrong-method": 405,
    "wrong-path": 404,
}
TRIES = 3
# What a 200 holds, where it is not a scrape of the window.
CONTENTS = {
    "json": '"range_minutes":60,',
    "scrape-all": 'wafer_requests_total{endpoint="chat.demo.example",',
    "targets": '"__param_endpoint":"chat.demo.example,code.demo.example,idle.demo.example"',
}
REFRESH_EVENTS = {"recompute", "schedule"}

Answer = dict[str, Any]
Send = Callable[[bytes], Answer]


@contextlib.contextmanager
def running_function(folder: Path, name: str, stack: Addresses) -> Iterator[Send]:
    """Yields what sends an event. The function starts with the first one, as in Lambda, and is killed at the end."""
    EMULATOR.chmod(0o755)
    address = free_address()
    environment = os.environ | SETTINGS
    environment |= {
        "AWS_LAMBDA_FUNCTION_NAME": f"wafer-metrics-{name}",
        "AWS_LAMBDA_FUNCTION_TIMEOUT": str(TIMEOUTS[name]),
        "AWS_ENDPOINT_URL_DYNAMODB": f"http://{stack.dynamodb}",
        "AWS_ENDPOINT_URL_ATHENA": f"http://{stack.athena}",
    }
    command: Command = [
        EMULATOR,
        *("--runtime-interface-emulator-address", address),
        *("--runtime-api-address", free_address()),
        (folder / name / "bootstrap").resolve(),
    ]

    def listens() -> bool:
        http.client.HTTPConnection(address).connect()
        return True

    def send(event: bytes) -> Answer:
        connection = http.client.HTTPConnection(address, timeout=60)
        connection.request("POST", "/2015-03-31/functions/function/invocations", event)
        return dict(json.loads(connection.getresponse().read()))

    with running(command, LOGS / f"{name}.log", environment, grace=0) as program:
        program.wait_until("the emulator listens", listens, 120)
        yield send


def function_of(event: Path) -> str:
    return "refresh" if event.stem in REFRESH_EVENTS else "scrape"


def payload(path: Path) -> bytes:
    """The event; a range to recompute is moved into the last 24 h, since the local stack has no older logs."""
    event = json.loads(path.read_bytes())
    if "from" in event:
        start, end = (datetime.fromisoformat(event[name]) for name in ("from", "to"))
        moved = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=3)
        event |= {"from": (moved - (end - start)).isoformat(), "to": moved.isoformat()}
    return json.dumps(event).encode()


def body_of(answer: Answer) -> str:
    body = str(answer.get("body") or "")
    if not answer.get("isBase64Encoded"):
        return body
    data = base64.b64decode(body)
    return (gzip.decompress(data) if answer["headers"].get("content-encoding") == "gzip" else data).decode()


def invoke_one(folder: Path, event: Path) -> None:
    name = function_of(event)
    with running_function(folder, name, MAKE_RUN) as send:
        answer = send(payload(event))
    if "statusCode" not in answer:
        print(json.dumps(answer, indent=2))
        return
    print(answer["statusCode"])
    for header, value in answer["headers"].items():
        print(f"{header}: {value}")
    print(f"\n{body_of(answer)}")


def invoke_all(folder: Path) -> None:
    events = sorted(EVENTS.glob("*.json"))
    unknown = {event.stem for event in events} ^ (STATUSES.keys() | REFRESH_EVENTS)
    assert not unknown, f"no answer is known for {unknown}"
    with local_stack(LOGS / "local-stack.log") as stack:
        passed = [invoke_and_check(folder, event, stack) for event in events]
        passed.append(restart_between_calls(folder, stack))
    print(f"{passed.count(True)} passed, {passed.count(False)} failed")
    assert all(passed), "the failed are marked above"


def invoke_and_check(folder: Path, event: Path, stack: Addresses) -> bool:
    name = function_of(event)
    with running_function(folder, name, stack) as send:
        answer = send(payload(event))
    if name == "refresh":
        good = answer.get("complete") is True
    else:
        wanted = STATUSES[event.stem]
        content = CONTENTS.get(event.stem, "wafer_requests_last_24h{")
        good = answer.get("statusCode") == wanted and (wanted != 200 or content in body_of(answer))
    return report(good, f"{event.name}  {answer.get('statusCode', answer)}")


def restart_between_calls(folder: Path, stack: Addresses) -> bool:
    """Six calls of a key are let through, whichever process asks. It is done again where it took so long that the first
    may have its slot back."""
    # No other event calls this route with this key.
    event = (EVENTS / "json.json").read_bytes().replace(b"demo-dedicated-key", b"demo-metrics-key")
    for left in reversed(range(TRIES)):
        started = time.monotonic()
        statuses = []
        for _ in range(7):
            with running_function(folder, "scrape", stack) as send:
                statuses.append(send(event).get("statusCode"))
        if time.monotonic() - started < SLOT_SECONDS or not left:
            break
        time.sleep(SLOT_SECONDS)
    return report(statuses == [200] * 6 + [429], f"json.json in seven processes  {statuses}")


def report(good: bool, text: str) -> bool:
    print(f"{'ok' if good else 'FAILED'}  {text}", flush=True)
    return good


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m deploy.invoke",
        description=__doc__,
        epilog=ENVIRONMENT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, help="holds scrape/bootstrap and refresh/bootstrap")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("event", type=Path, nargs="?", help="a file of events/")
    what.add_argument("--all", action="store_true", help="every file of events/, and restarts between calls")
    arguments = parser.parse_args()
    end_on_termination()
    LOGS.mkdir(parents=True, exist_ok=True)
    if arguments.all:
        invoke_all(arguments.folder)
    else:
        invoke_one(arguments.folder, arguments.event)


if __name__ == "__main__":
    main()
