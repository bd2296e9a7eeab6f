"""Keys and host names, from the command line to what a scrape then answers."""

import hashlib
import json
import re
import subprocess
import time
from typing import Any

import pytest

from deploy.tests.stack import OLD_HOST, OLD_REQUESTS, Stack
from loopback import ROOT

HOST = "idle.demo.example"
DAY = 24 * 3600


def issued(stack: Stack, *arguments: str) -> tuple[str, str]:
    """A key, and the digits that name it."""
    done = stack.keys("issue", *arguments)
    assert done.returncode == 0, done.stderr
    key = done.stdout.strip()
    return key, hashlib.sha256(key.encode()).hexdigest()[:8]


def refused(done: subprocess.CompletedProcess[str], why: str) -> None:
    assert done.returncode != 0
    assert why in done.stderr
    assert done.stdout == ""


def test_an_issued_key_scrapes_its_host_and_no_other(stack: Stack) -> None:
    key, _ = issued(stack, HOST)
    assert stack.scrape(key, HOST)[0] == 200
    status, body = stack.scrape(key, "chat.demo.example")
    assert (status, "endpoint_forbidden" in body) == (403, True)


def test_a_key_is_found_by_secret_scanners_and_kept_nowhere(stack: Stack) -> None:
    done = stack.keys("issue", HOST)
    key = done.stdout.strip()
    assert re.fullmatch(r"wafer_[A-Za-z0-9_-]{43}", key)
    [pattern] = re.findall(r"^    (.*wafer_.*)$", (ROOT / "SECURITY.md").read_text(), re.MULTILINE)
    assert re.findall(pattern, f'token: "{key}"\n{key}0\n') == [key]
    assert key not in done.stderr
    assert key not in str(stack.items("api_keys"))
    assert stack.item(hashlib.sha256(key.encode()).hexdigest())


def test_a_key_may_only_scrape_and_ends_in_a_year_unless_told_otherwise(stack: Stack) -> None:
    _, digits = issued(stack, "Chat.Demo.Example", HOST)
    item = stack.item(digits)
    assert item["kind"] == {"S": "metrics"}
    assert sorted(item["endpoints"]["SS"]) == ["chat.demo.example", HOST]
    assert int(item["expires_at"]["N"]) == pytest.approx(time.time() + 365 * DAY, abs=60)
    _, digits = issued(stack, HOST, "--days", "30")
    assert int(stack.item(digits)["expires_at"]["N"]) == pytest.approx(time.time() + 30 * DAY, abs=60)


def test_an_inference_key_does_not_end_by_itself(stack: Stack) -> None:
    _, digits = issued(stack, HOST, "--kind", "dedicated")
    assert stack.item(digits).keys() == {"key_hash", "kind", "endpoints"}
    _, digits = issued(stack, "--kind", "serverless")
    assert stack.item(digits).keys() == {"key_hash", "kind"}


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["https://chat.example.com"], "is not a valid host name"),
        (["chat.example.com:443"], "is not a valid host name"),
        (["chat.example.com."], "is not a valid host name"),
        (["chat_1.example.com"], "is not a valid host name"),
        (["chat-.example.com"], "is not a valid host name"),
        (["chät.example.com"], "is not a valid host name"),
        (["chat.example.com\n"], "is not a valid host name"),
        (["a" * 64 + ".example.com"], "is not a valid host name"),
        ([".".join("a" * 50 for _ in range(5))], "is not a valid host name"),
        ([""], "is not a valid host name"),
        ([HOST, "*"], "is not a valid host name"),
        ([], "needs at least one host"),
        ([HOST, "--kind", "serverless"], "a serverless key has no hosts"),
        ([HOST, "--days", "0"], "is not a valid time"),
        ([HOST, "--days", "3000000"], "is not a valid time"),
    ],
)
def test_what_the_scrape_would_refuse_is_not_put(stack: Stack, arguments: list[str], why: str) -> None:
    before = stack.items("api_keys")
    refused(stack.keys("issue", *arguments), why)
    assert stack.items("api_keys") == before


def test_the_list_names_every_key_and_how_it_stands(stack: Stack) -> None:
    _, good = issued(stack, HOST, "chat.demo.example", "--days", "10")
    _, gone = issued(stack, HOST)
    assert stack.keys("revoke", gone).returncode == 0
    records: dict[str, dict[str, Any]] = {
        "a": {"kind": {"S": "metrics"}, "endpoints": {"SS": [HOST]}, "expires_at": {"N": "1700000000"}},
        "b": {"kind": {"S": "metrics"}, "endpoints": {"SS": [HOST]}, "expires_at": {"N": "1795599240000"}},
        "c": {"kind": {"S": "metrics"}, "endpoints": {"SS": ["https://chat.example.com"]}},
        "d": {"kind": {"S": "admin"}},
        "e": {"kind": {"S": "metrics"}, "endpoints": {"L": [{"S": HOST}]}},
        "f": {"kind": {"S": "metrics"}, "revoked": {"S": "yes"}},
    }
    for digit, record in records.items():
        stack.dynamodb().put_item(TableName="api_keys", Item={"key_hash": {"S": digit * 64}, **record})
    try:
        lines = {line[:8]: line for line in stack.keys("list").stdout.splitlines()}
    finally:
        for digit in records:
            stack.dynamodb().delete_item(TableName="api_keys", Key={"key_hash": {"S": digit * 64}})
    # The day may have ended since it was issued.
    days = [time.strftime("%Y-%m-%d", time.gmtime(time.time() + 10 * DAY - ago)) for ago in (0, 600)]
    *of_good, ends, hosts = lines[good].split()
    assert (of_good, hosts) == ([good, "metrics", "good"], f"chat.demo.example,{HOST}")
    assert ends in days
    assert "revoked" in lines[gone]
    assert lines["a" * 8].split()[2:4] == ["expired", "2023-11-14"]
    assert "malformed: its expires_at" in lines["b" * 8]
    assert "malformed: 'https://chat.example.com' is not a valid host name" in lines["c" * 8]
    for digit, field in {"d": "kind", "e": "endpoints", "f": "revoked"}.items():
        assert f"malformed: its {field}" in lines[digit * 8]


def test_after_a_rotation_both_keys_scrape_and_the_old_one_ends_in_a_week(stack: Stack) -> None:
    old, digits = issued(stack, HOST)
    done = stack.keys("rotate", digits)
    assert done.returncode == 0, done.stderr
    new = done.stdout.strip()
    assert new != old
    assert stack.scrape(old, HOST)[0] == stack.scrape(new, HOST)[0] == 200
    assert int(stack.item(digits)["expires_at"]["N"]) == pytest.approx(time.time() + 7 * DAY, abs=60)
    successor = stack.item(hashlib.sha256(new.encode()).hexdigest())
    assert (successor["kind"], successor["endpoints"]) == ({"S": "metrics"}, {"SS": [HOST]})
    assert int(successor["expires_at"]["N"]) == pytest.approx(time.time() + 365 * DAY, abs=60)


def test_a_rotation_prolongs_no_key(stack: Stack) -> None:
    _, digits = issued(stack, HOST, "--days", "2")
    ends = stack.item(digits)["expires_at"]
    assert stack.keys("rotate", digits).returncode == 0
    assert stack.item(digits)["expires_at"] == ends


def test_a_key_that_has_ended_is_not_rotated(stack: Stack) -> None:
    _, digits = issued(stack, HOST)
    assert stack.keys("revoke", digits).returncode == 0
    before = stack.items("api_keys")
    refused(stack.keys("rotate", digits), "is revoked: issue a new one")
    assert stack.items("api_keys") == before


def test_a_revoked_key_is_refused_at_once(stack: Stack) -> None:
    key, digits = issued(stack, HOST)
    assert stack.scrape(key, HOST)[0] == 200
    assert stack.keys("revoke", digits).returncode == 0
    status, body = stack.scrape(key, HOST)
    assert (status, "invalid_api_key" in body) == (401, True)


@pytest.mark.parametrize("command", ["rotate", "revoke"])
def test_a_key_must_be_named_beyond_doubt(stack: Stack, command: str) -> None:
    for last in "01":
        item = {"key_hash": {"S": "1234abcd" + last * 56}, "kind": {"S": "metrics"}, "endpoints": {"SS": [HOST]}}
        stack.dynamodb().put_item(TableName="api_keys", Item=item)
    refused(stack.keys(command, "1234abcd"), "2 keys begin with 1234abcd")
    refused(stack.keys(command, "00000000"), "no key's hash begins with 00000000")
    refused(stack.keys(command, "1234"), "give 8 or more hex digits")
    refused(stack.keys(command, "wafer_key"), "is not a valid name of a key")
    assert stack.keys(command, "1234abcd0").returncode == 0
    for last in "01":
        stack.dynamodb().delete_item(TableName="api_keys", Key={"key_hash": {"S": "1234abcd" + last * 56}})


def requests(body: str) -> int:
    """In the window, and as many were ever counted."""
    both = re.findall(r'wafer_requests_(?:last_24h|total)\{[^}]*status_class="2xx"\} (\d+)', body)
    assert len(both) == 2
    assert both[0] == both[1]
    return int(both[0])


def test_a_retired_host_starts_at_nothing_for_its_next_owner(stack: Stack) -> None:
    former, former_digits = issued(stack, OLD_HOST, HOST)
    worker = {"endpoint": {"S": OLD_HOST}, "worker_id": {"S": "worker-0"}, "running_requests": {"N": "3"}}
    worker["reported_at_ms"] = {"N": str(int(time.time() * 1000))}
    stack.dynamodb().put_item(TableName="heartbeats", Item=worker)
    status, body = stack.scrape(former, OLD_HOST)
    assert (status, requests(body)) == (200, OLD_REQUESTS)
    assert f'wafer_engine_running_requests{{endpoint="{OLD_HOST}"}} 3' in body

    refused(
        stack.keys("retire", OLD_HOST, "--yes", "--quiet-hours", "3"), "worker worker-0 of old.example still reports"
    )
    worker["reported_at_ms"] = {"N": str(int((time.time() - 700) * 1000))}
    stack.dynamodb().put_item(TableName="heartbeats", Item=worker)
    refused(stack.keys("retire", OLD_HOST, "--yes"), "old.example had requests at")
    refused(stack.keys("retire", OLD_HOST, "--yes", "--quiet-hours", "2"), "2 quiet hours are too few")
    looked = stack.keys("retire", OLD_HOST, "--quiet-hours", "3")
    assert "Would erase old.example" in looked.stderr
    assert "1 workers, a place in 1 keys. Nothing was changed" in looked.stderr
    assert requests(stack.scrape(former, OLD_HOST)[1]) == OLD_REQUESTS

    done = stack.keys("retire", "Old.Example", "--yes", "--quiet-hours", "3")
    assert done.returncode == 0, done.stderr
    assert [item for item in stack.items("rollups") if item["endpoint"]["S"] == OLD_HOST] == []
    assert [item for item in stack.items("heartbeats") if item["endpoint"]["S"] == OLD_HOST] == []
    # The former owner keeps its other host, and the next owner sees none of its figures.
    assert stack.item(former_digits)["endpoints"] == {"SS": [HOST]}
    assert stack.scrape(former, OLD_HOST)[0] == 403
    owner, _ = issued(stack, OLD_HOST)
    status, body = stack.scrape(owner, OLD_HOST)
    assert (status, requests(body)) == (200, 0)
    assert "wafer_engine_running_requests{" not in body
    document = json.loads(stack.ask(owner, f"?endpoint={OLD_HOST}&range_minutes=43200")[1])
    assert (document["summary"]["total_requests"], document["backends"]) == (0, [])


def test_a_host_that_is_not_known_is_retired_without_harm(stack: Stack) -> None:
    def keys() -> set[tuple[str, str]]:
        return {(item["endpoint"]["S"], item["period"]["S"]) for item in stack.items("rollups")}

    before = keys()
    done = stack.keys("retire", "nobody.example", "--yes")
    assert (done.returncode, "0 items of figures" in done.stderr) == (0, True)
    assert before <= keys()
    refused(stack.keys("retire", "#refresh", "--yes"), "is not a valid host name")
