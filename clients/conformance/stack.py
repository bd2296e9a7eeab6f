"""The local stack as the clients see it, and the keys that they use."""

import hashlib
import json
import secrets
import time
import urllib.error
import urllib.request
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clients.conformance import contract

# When keys expire: all at one time, so that they have the same figures.
IN_A_MONTH = int(time.time()) + 30 * 24 * 3600
SCRAPE_TIMEOUT = "X-Prometheus-Scrape-Timeout-Seconds"
# A busy machine may take its time.
PATIENT = {SCRAPE_TIMEOUT: "20"}
CHAT, CODE, IDLE = "chat.demo.example", "code.demo.example", "idle.demo.example"


@dataclass(frozen=True)
class Scrape:
    body: bytes
    content_type: str

    @property
    def text(self) -> str:
        return self.body.decode()


@dataclass(frozen=True)
class Stack:
    """`folder` is for files with keys; somewhere below `logs` are the request logs."""

    address: str
    dynamodb: str
    folder: Path
    logs: Path

    def new_key(self, expires: bool = True, endpoints: Collection[str] = (CHAT, CODE, IDLE)) -> str:
        """A key for one client, so that clients do not share a rate limit; it expires in a month, or never."""
        key = f"conformance-{secrets.token_hex(12)}"
        self.put_key(key, endpoints, expires)
        return key

    def put_key(self, key: str, endpoints: Collection[str], expires: bool = True, revoked: bool = False) -> None:
        """A new key, or a key that there is with other endpoints."""
        item: dict[str, dict[str, object]] = {
            "key_hash": {"S": hashlib.sha256(key.encode()).hexdigest()},
            "kind": {"S": "metrics"},
            **({"endpoints": {"SS": sorted(endpoints)}} if endpoints else {}),
            **({"expires_at": {"N": str(IN_A_MONTH)}} if expires else {}),
            **({"revoked": {"BOOL": True}} if revoked else {}),
        }
        headers = {
            "Content-Type": "application/x-amz-json-1.0",
            "X-Amz-Target": "DynamoDB_20120810.PutItem",
            "X-Amz-Date": "20260101T000000Z",
            # DynamoDB wants a signature; the local one does not verify it.
            "Authorization": "AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/dynamodb/aws4_request, "
            "SignedHeaders=host, Signature=0",
        }
        body = json.dumps({"TableName": "api_keys", "Item": item}).encode()
        request = urllib.request.Request(f"http://{self.dynamodb}/", body, headers)
        urllib.request.urlopen(request, timeout=30).close()

    def new_key_file(self, client: str) -> Path:
        """A new key in a file that ends in a newline, as an editor or `echo` leaves it."""
        path = self.folder / f"{client}.key"
        path.write_text(self.new_key() + "\n")
        return path

    def scrape(
        self, *endpoints: str, view: str | None = None, accept: str | None = None, key: str | None = None
    ) -> Scrape:
        query = "&".join([f"endpoint={endpoint}" for endpoint in endpoints] + [f"view={view}"] * bool(view))
        headers = {"Accept": accept} if accept else None
        with self.call(f"{contract.PATH}?{query}", key or self.new_key(), headers) as answer:
            return Scrape(answer.read(), answer.headers["Content-Type"])

    def call(self, path: str, key: str, headers: Mapping[str, str] | None = None) -> Any:
        """The answer to a call that is not hurried."""
        sent = {**PATIENT, "Authorization": f"Bearer {key}", **(headers or {})}
        return urllib.request.urlopen(urllib.request.Request(f"http://{self.address}{path}", headers=sent), timeout=30)

    def calls_left(self, path: str, key: str) -> int:
        """As one more call says, admitted or not."""
        try:
            with self.call(path, key) as answer:
                headers = answer.headers
        except urllib.error.HTTPError as refusal:
            headers = refusal.headers
        return int(headers["RateLimit"].partition("r=")[2].partition(";")[0])

    def status(self, path: str, key: str) -> int:
        try:
            with self.call(path, key) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as refusal:
            return refusal.code
