"""The local stack on free ports, and the keys that the test's clients use."""

import hashlib
import json
import os
import secrets
import urllib.request
from contextlib import contextmanager

import contract
import kit
from processes import free_port, running, wait_for

CHAT, CODE, IDLE = "chat.demo.example", "code.demo.example", "idle.demo.example"
START_SECONDS = 180
PROGRAM = kit.ROOT / "target" / "debug" / "local-stack"
ENVIRONMENT = "Environment: LOCAL_STACK, the program to start instead of target/debug/local-stack."


class Stack:
    def __init__(self, address, dynamodb):
        self.address = address
        self.dynamodb = dynamodb

    def url(self, *endpoints):
        query = "&".join(f"endpoint={endpoint}" for endpoint in endpoints)
        return f"http://{self.address}{contract.PATH}?{query}"

    def new_key(self):
        """A key of its own for a client, so that clients do not share a rate limit."""
        key = f"conformance-{secrets.token_hex(12)}"
        item = {
            "key_hash": {"S": hashlib.sha256(key.encode()).hexdigest()},
            "kind": {"S": "metrics"},
            "endpoints": {"SS": [CHAT, CODE, IDLE]},
        }
        headers = {
            "Content-Type": "application/x-amz-json-1.0",
            "X-Amz-Target": "DynamoDB_20120810.PutItem",
            "X-Amz-Date": "20260101T000000Z",
            # DynamoDB wants a signature; the local one does not verify it.
            "Authorization": "AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0",
        }
        body = json.dumps({"TableName": "api_keys", "Item": item}).encode()
        urllib.request.urlopen(urllib.request.Request(self.dynamodb, body, headers), timeout=10).close()
        return key

    def scrape(self, key, *endpoints, accept=None):
        """The body and its content type."""
        headers = {"Authorization": f"Bearer {key}"}
        if accept:
            headers["Accept"] = accept
        with urllib.request.urlopen(urllib.request.Request(self.url(*endpoints), headers=headers), timeout=10) as answer:
            return answer.read().decode(), answer.headers["Content-Type"]


@contextmanager
def local_stack(folder):
    """The stack, and a function that waits until it answers."""
    program = os.environ.get("LOCAL_STACK", PROGRAM)
    front, dynamodb, athena = (f"127.0.0.1:{free_port()}" for _ in range(3))
    log = folder / "local-stack.log"
    with running([program, "--listen", front, "--dynamodb", dynamodb, "--athena", athena], log) as process:

        def wait_until_ready():
            wait_for("local-stack", lambda: "ready" in log.read_text(), process, log, START_SECONDS)

        yield Stack(front, f"http://{dynamodb}/"), wait_until_ready
