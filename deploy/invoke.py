"""Sends events to the built functions under AWS's Runtime Interface Emulator, against a local stack.

  invoke.py FOLDER EVENT        one event; the local stack of `make run` must be running
  invoke.py FOLDER --all STACK  every file of events/, against a local stack of its own, with the functions killed in between

FOLDER holds scrape/bootstrap and refresh/bootstrap, STACK is the local stack's binary.
"""

import base64
import contextlib
import gzip
import http.client
import json
import os
import signal
import sys
import tempfile
from datetime import datetime, timedelta, timezone
from pathlib import Path

from processes import free_port, running, waited_for

ROOT = Path(__file__).resolve().parent.parent
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
STATUSES = {
    "invalid-endpoint": 422,
    "missing-key": 401,
    "other-endpoint": 403,
    "scrape": 200,
    "scrape-several": 200,
    "scrape-text": 200,
    "serverless-key": 403,
    "unknown-key": 401,
    "wrong-method": 405,
    "wrong-path": 404,
}
REFRESH = ["recompute", "schedule"]


def emulator():
    """It ships with the SAM CLI, whose `sam local invoke` runs it in a container."""
    [path] = (ROOT / "target/python/tools/lib").glob("python*/site-packages/samcli/local/rapid/aws-lambda-rie-x86_64")
    path.chmod(0o755)
    return path


def post(port, body):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", "/2015-03-31/functions/function/invocations", body)
    return json.loads(connection.getresponse().read())


@contextlib.contextmanager
def function(folder, name, dynamodb, athena, log):
    """Yields what sends an event to the function. It is started with the first one, as Lambda does, and killed at the end."""
    port = free_port()
    settings = SETTINGS | {
        "AWS_LAMBDA_FUNCTION_NAME": f"wafer-metrics-{name}",
        "AWS_LAMBDA_FUNCTION_TIMEOUT": "55" if name == "refresh" else "28",
        "AWS_ENDPOINT_URL_DYNAMODB": f"http://127.0.0.1:{dynamodb}",
        "AWS_ENDPOINT_URL_ATHENA": f"http://127.0.0.1:{athena}",
    }
    command = [emulator(), "--runtime-interface-emulator-address", f"127.0.0.1:{port}"]
    command += ["--runtime-api-address", f"127.0.0.1:{free_port()}", Path(folder, name, "bootstrap").resolve()]
    with running(command, log, env=os.environ | settings):

        def listens():
            http.client.HTTPConnection("127.0.0.1", port).connect()
            return True

        waited_for(listens, 10, 0.1)
        yield lambda event: post(port, event)


def body_of(answer):
    body = answer.get("body") or ""
    if not answer.get("isBase64Encoded"):
        return body
    data = base64.b64decode(body)
    return (gzip.decompress(data) if answer["headers"].get("content-encoding") == "gzip" else data).decode()


def payload(path):
    """The event; a range to recompute is moved into the last 24 h, since nothing older can be."""
    event = json.loads(path.read_bytes())
    if "from" in event:
        start, end = (datetime.fromisoformat(event[name].replace("Z", "+00:00")) for name in ("from", "to"))
        moved = datetime.now(timezone.utc).replace(microsecond=0) - timedelta(hours=3)
        event |= {"from": (moved - (end - start)).isoformat(), "to": moved.isoformat()}
    return json.dumps(event).encode()


def of_event(path):
    return "refresh" if path.stem in REFRESH else "scrape"


def one(folder, event):
    with tempfile.NamedTemporaryFile() as log, function(folder, of_event(event), 8000, 8001, log.name) as send:
        answer = send(payload(event))
        if "statusCode" not in answer:
            print(json.dumps(answer, indent=2))
            return
        print(answer["statusCode"])
        for name, value in answer["headers"].items():
            print(f"{name}: {value}")
        print(f"\n{body_of(answer)}")


def every(folder, stack, work):
    listen, dynamodb, athena = (free_port() for _ in range(3))
    flags = {"--listen": listen, "--dynamodb": dynamodb, "--athena": athena}
    command = [Path(stack).resolve(), *(word for name, port in flags.items() for word in (name, f"127.0.0.1:{port}"))]
    failed = []
    with running(command, work / "local-stack.log"):

        def ready():
            return "ready" in (work / "local-stack.log").read_text()

        waited_for(ready, 120)
        events = sorted((ROOT / "events").glob("*.json"))
        if unknown := {event.stem for event in events} ^ {*STATUSES, *REFRESH}:
            sys.exit(f"no answer is known for: {unknown}")
        for event in events:
            name = of_event(event)
            with function(folder, name, dynamodb, athena, work / f"{name}.log") as send:
                answer = send(payload(event))
            if name == "refresh":
                good = answer.get("complete") is True
            else:
                good = answer.get("statusCode") == STATUSES[event.stem]
                good = good and (STATUSES[event.stem] != 200 or "wafer_requests_last_24h{" in body_of(answer))
            print(f"{'ok' if good else 'FAILED'}  {event.name}  {answer.get('statusCode', answer)}", flush=True)
            failed += [] if good else [event.name]
        # Three scrapes have taken slots, so three are left, whichever process asks.
        statuses = []
        for _ in range(4):
            with function(folder, "scrape", dynamodb, athena, work / "scrape.log") as send:
                statuses.append(send((ROOT / "events/scrape.json").read_bytes()).get("statusCode"))
        print(f"{'ok' if statuses == [200, 200, 200, 429] else 'FAILED'}  scrape.json in four processes  {statuses}")
        failed += [] if statuses == [200, 200, 200, 429] else ["restarts"]
    if failed:
        sys.exit(f"failed: {failed}")


if __name__ == "__main__":
    # So that what was started is ended then too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    if sys.argv[2] == "--all":
        work = ROOT / "target/invoke"
        work.mkdir(parents=True, exist_ok=True)
        every(sys.argv[1], sys.argv[3], work)
    else:
        one(sys.argv[1], Path(sys.argv[2]))
