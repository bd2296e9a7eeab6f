"""Deploys the template into an AWS emulator, with the documented commands, and scrapes what came of it.

Where BEFORE names a tag or a commit, that is deployed first, and upgraded; at the end it is deployed again.
"""

import argparse
import contextlib
import gzip
import hashlib
import json
import random
import re
import secrets
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from deploy import SLOT_SECONDS, previous, request_logs
from deploy.ministack import Answer, MiniStack, documented, ministack
from deploy.request_logs import Row
from loopback import ROOT
from loopback.processes import end_on_termination, wait_for

WORK = ROOT / "target" / "rehearsal"
STACK = "wafer-metrics"
JSON, TARGETS = "/v1/endpoints/metrics", "/v1/endpoints/metrics/targets"
BUCKET = "rehearsal-logs"
CHAT, CODE = "chat.example.com", "code.example.com"
# The minutes of an hour in which the hour before is sealed, with room for a late refresh.
SEALING_MINUTES = range(9, 14)
# The texts of the documented commands that stand for a caller's own.
EXAMPLE_ENDPOINT, EXAMPLE_FROM, EXAMPLE_TO = CHAT, "2026-11-24T10:00:00Z", "2026-11-24T11:00:00Z"
HEARTBEATS = "What workers write: heartbeats"
SERVERLESS_KEY = "serverless-key-of-the-rehearsal"
# Scraped in turn, one each second, they stay under their limits.
WATCHING_KEYS = 12
# What the function answers where DynamoDB is too slow, or the figures too old.
SLOW = ("502 summary_failed", "503 unavailable", "504 summary_timeout")
SLOW_SECONDS = 60
TRIES = 3

STARTED = time.monotonic()


def say(text: str) -> None:
    print(f"{time.monotonic() - STARTED:5.0f} s  {text}", flush=True)


def check(what: str, got: object, wanted: object) -> None:
    assert got == wanted, f"{what}: got {got!r}, wanted {wanted!r}"


def utc_now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


@dataclass
class RequestLogs:
    """The bucket of the request logs, and every row that was put there."""

    aws: MiniStack
    rows: list[Row] = field(default_factory=list)

    def put_day(self) -> None:
        chance = random.Random(20261124)
        rows = request_logs.day(chance, [CHAT, CODE], utc_now())
        self.rows += rows
        self.put(rows, "day")
        # Delivered twice, the second time an hour later; without an id they would be other rows.
        identified = [row for row in rows if row["request_id"]]
        self.put(chance.sample(identified, 200), "again", arrived_after=timedelta(hours=1))
        at = utc_now() - timedelta(hours=20)
        older = [request_logs.row(chance, CHAT, at, cache_read_tokens=None) for _ in range(50)]
        self.rows += older
        self.put(older, "older", without=["cache_read_tokens"])

    def put_late(self, at: datetime, arrived_after: timedelta) -> None:
        """30 rows of a minute that has been read already."""
        chance = random.Random(at.minute)
        rows = [request_logs.row(chance, CHAT, at + timedelta(seconds=second)) for second in range(30)]
        self.rows += rows
        self.put(rows, f"late-{at:%H%M}", arrived_after=arrived_after)

    def put(
        self,
        rows: list[Row],
        name: str,
        arrived_after: timedelta = timedelta(seconds=5),
        without: Collection[str] = (),
    ) -> None:
        s3 = self.aws.client("s3")
        for key, body in request_logs.files(rows, name, arrived_after, without):
            s3.put_object(Bucket=BUCKET, Key=f"request_logs/{key}", Body=body)


@dataclass(frozen=True)
class Deployment:
    aws: MiniStack
    logs: RequestLogs
    topic: str
    outputs: dict[str, str]
    # By endpoint.
    keys: dict[str, str] = field(default_factory=dict)

    def scrape(self, endpoint: str, headers: dict[str, str] | None = None) -> Answer:
        return patiently(lambda: self.ask(self.keys[endpoint], f"endpoint={endpoint}", headers))

    def ask(self, key: str | None, query: str, headers: dict[str, str] | None = None) -> Answer:
        return self.aws.scrape(self.outputs["ApiId"], key, query, headers)

    def call(self, path: str, key: str, query: str) -> Answer:
        return self.aws.call(self.outputs["ApiId"], path, key, query)

    def read_through(self) -> int:
        """How far the refresh has come, in Unix seconds; 0 before its first run."""
        key = {"endpoint": {"S": "#refresh"}, "period": {"S": "watermark2"}}
        table = self.outputs["RollupsTable"]
        item = self.aws.client("dynamodb").get_item(TableName=table, Key=key, ConsistentRead=True).get("Item")
        return int(item["through"]["N"]) if item else 0

    def check_figures(self, body: bytes, endpoint: str) -> dict[str, float]:
        """Every series of the logs against the rows themselves. Returns the other series."""
        got = {}
        for line in body.decode().splitlines():
            if match := re.fullmatch(r'(\w+)\{endpoint="([^"]*)",?([^}]*)\} (\S+)', line):
                name, host, label, value = match.groups()
                if host == endpoint:
                    got[name, label] = float(value)
        window_end = int(got["wafer_metrics_window_end_timestamp_seconds", ""])
        exact, near = request_logs.expected(self.logs.rows, endpoint, window_end)
        for series, wanted in exact.items():
            check(f"{endpoint} {series}", got.pop(series), wanted)
        for series, wanted in near.items():
            found = got.pop(series)
            close = abs(found - wanted) <= 0.006 * wanted
            assert close, f"{endpoint} {series}: got {found}, wanted {wanted} within 0.6 %"
        return {name: value for (name, _), value in got.items()}


def said(answer: Answer) -> str:
    """200, or another status and its code, or what was said instead."""
    if answer.status == 200:
        return "200"
    code = re.search(rb'"code":"(\w+)"', answer.body)
    return f"{answer.status} {code[1].decode() if code else repr(answer.body[:200])}"


def patiently(ask: Callable[[], Answer]) -> Answer:
    """Asks again while the emulator, which serves everything from one process, is too slow."""
    deadline = time.monotonic() + SLOW_SECONDS
    while said(answer := ask()) in SLOW and time.monotonic() < deadline:
        # Six calls in 59 s are let through, and those that fail count too.
        time.sleep(10)
    return answer


def rehearse(aws: MiniStack) -> None:
    say("MiniStack answers")
    before = previous.checked_out(WORK)
    deployment = deploy(aws, before[1] if before else ROOT)
    put_keys(deployment)
    fails_before_the_first_refresh(deployment)
    fills_the_day(deployment)
    if before:
        replaces(deployment, "upgraded from " + before[0], ROOT)
    put_heartbeat(deployment)
    every_figure_is_of_the_rows(deployment)
    answers_in_openmetrics_and_gzip(deployment)
    answers_in_json(deployment)
    finds_the_endpoints_of_a_key(deployment)
    refuses_who_may_not(deployment)
    limits_the_rate(deployment)
    counts_late_rows(deployment)
    counts_a_recomputed_hour(deployment)
    if before:
        replaces(deployment, "gone back to " + before[0], before[1])
    say("done")


def deploy(aws: MiniStack, checkout: Path) -> Deployment:
    aws.client("s3").create_bucket(Bucket=BUCKET)
    topic = aws.client("sns").create_topic(Name="alarms")["TopicArn"]
    logs = RequestLogs(aws)
    logs.put_day()
    say(f"{len(logs.rows)} rows of request logs are in its S3")
    aws.make_deploy(checkout, STACK, BUCKET, topic)
    aws.let_queries_be_read(STACK)
    outputs = aws.outputs(STACK)
    say(f"deployed: {outputs['ScrapeUrl']}")
    return Deployment(aws, logs, topic, outputs)


def replaces(deployment: Deployment, what: str, checkout: Path) -> None:
    """While the functions are replaced scrapes go on being answered, and the tables, the API and its address stay.

    The emulator changes the stack in the process that serves everything else. So the function may find it too slow, and
    the refresh may fall behind: nothing else may be answered than 200 or that, and 200 once it is done.
    """
    code = deployment.aws.code(STACK)
    with scraped_each_second(deployment) as answers:
        deployment.aws.make_deploy(checkout, STACK, BUCKET, deployment.topic)
        done = len(answers)
        wait_for("five 200 on end", lambda: len(answers) >= done + 5 and set(answers[-5:]) == {"200"}, 300)
    counts = Counter(answers)
    check(f"scrapes meanwhile: {counts}", counts.keys() <= {"200", *SLOW}, True)
    outputs = deployment.aws.outputs(STACK)
    check("outputs", {name: outputs.get(name) for name in deployment.outputs}, deployment.outputs)
    replaced = [name for name, digest in deployment.aws.code(STACK).items() if code.get(name) != digest]
    say(f"{what}: scrapes meanwhile {dict(counts)}; other code in {replaced}")


@contextlib.contextmanager
def scraped_each_second(deployment: Deployment) -> Iterator[list[str]]:
    """Yields the answers as they come."""
    keys = [put_new_key(deployment, CHAT) for _ in range(WATCHING_KEYS)]
    answers: list[str] = []
    ended = threading.Event()

    def scrape() -> None:
        while not ended.wait(1):
            answers.append(said(deployment.ask(keys[len(answers) % len(keys)], f"endpoint={CHAT}")))

    scraper = threading.Thread(target=scrape)
    scraper.start()
    try:
        yield answers
    finally:
        ended.set()
        scraper.join()


def put_key(deployment: Deployment, key: str, record: dict[str, object]) -> None:
    item = {"key_hash": {"S": hashlib.sha256(key.encode()).hexdigest()}, **record}
    deployment.aws.client("dynamodb").put_item(TableName=deployment.outputs["ApiKeysTable"], Item=item)


def put_new_key(deployment: Deployment, endpoint: str) -> str:
    key = secrets.token_hex(16)
    put_key(deployment, key, {"kind": {"S": "metrics"}, "endpoints": {"SS": [endpoint]}})
    return key


def put_keys(deployment: Deployment) -> None:
    aws = deployment.aws
    for endpoint in (CHAT, CODE):
        printed = aws.run_documented("Adding a key", {EXAMPLE_ENDPOINT: endpoint})
        deployment.keys[endpoint] = printed.splitlines()[-1]
    put_key(deployment, SERVERLESS_KEY, {"kind": {"S": "serverless"}})
    say("keys are put, by the documented lines")


def put_heartbeat(deployment: Deployment) -> None:
    deployment.aws.run_documented(HEARTBEATS, {EXAMPLE_ENDPOINT: CHAT})
    say("a heartbeat is put, by the documented lines")


def fails_before_the_first_refresh(deployment: Deployment) -> None:
    """Unless the schedule was faster."""
    answer = deployment.ask(deployment.keys[CHAT], f"endpoint={CHAT}")
    if not deployment.read_through():
        check("before the first refresh", (answer.status, b"summary_failed" in answer.body), (502, True))
        say("502 before the first refresh")


def fills_the_day(deployment: Deployment) -> None:
    def caught_up() -> int:
        through = deployment.read_through()
        return through if through > time.time() - 210 else 0

    through = wait_for("the refresh has filled 24 h", caught_up, 300, pause=2)
    say(f"the schedule has fired, the refresh has filled 24 h, up to {time.time() - through:.0f} s ago")


def every_figure_is_of_the_rows(deployment: Deployment) -> None:
    first = put_new_key(deployment, CHAT)
    answer = patiently(lambda: deployment.ask(first, f"endpoint={CHAT}"))
    check(f"scrape: {answer.body[:300]!r}", answer.status, 200)
    check("content type", answer.headers["Content-Type"], "text/plain; version=0.0.4; charset=utf-8")
    others = deployment.check_figures(answer.body, CHAT)
    # One less for each time that the emulator was too slow.
    check("budget", others.pop("wafer_scrape_budget_remaining") in (3, 4, 5), True)
    # The gauges of the heartbeat as it stands on the page.
    heartbeat = re.findall(r'"(\w+)": \{"N": "([\d.]+)"\}', documented(HEARTBEATS))
    engine = {name: float(value) for name, value in heartbeat} | {"replicas_reporting": 1, "scrape_success": 1}
    check("engine", others, {f"wafer_engine_{name}": value for name, value in engine.items()})
    answer = deployment.scrape(CODE)
    check("scrape", answer.status, 200)
    others = deployment.check_figures(answer.body, CODE)
    check("replicas without heartbeats", others["wafer_engine_replicas_reporting"], 0)
    say("200, every figure of both endpoints as worked out from the rows")


def answers_in_openmetrics_and_gzip(deployment: Deployment) -> None:
    headers = {"Accept": "application/openmetrics-text", "Accept-Encoding": "gzip"}
    answer = deployment.scrape(CHAT, headers)
    check("gzip", (answer.status, answer.headers["Content-Encoding"]), (200, "gzip"))
    text = gzip.decompress(answer.body)
    check("OpenMetrics", text.endswith(b"# EOF\n"), True)
    deployment.check_figures(text, CHAT)
    say(f"200 in gzip, {len(text)} bytes in {len(answer.body)}")


def answers_in_json(deployment: Deployment) -> None:
    """A day of it is the scrape's."""
    query = f"endpoint={CHAT}&range_minutes=1440"
    answer = patiently(lambda: deployment.call(JSON, deployment.keys[CHAT], query))
    check(f"JSON: {answer.body[:300]!r}", answer.status, 200)
    figures = json.loads(answer.body)
    window_end = int(datetime.fromisoformat(figures["window_end"]).timestamp())
    exact, _ = request_logs.expected(deployment.logs.rows, CHAT, window_end)
    for status_class in ("2xx", "4xx", "5xx"):
        wanted = exact["wafer_requests_last_24h", f'status_class="{status_class}"']
        check(f"JSON {status_class}", figures["summary"][f"count_{status_class}"], wanted)
    wanted = exact["wafer_input_tokens_last_24h", ""]
    check("JSON tokens", figures["summary"]["total_input_tokens"], wanted)
    check("JSON bins", sum(one["input_tokens"] for one in figures["timeseries"]), wanted)
    say(f"200 as JSON, counts of {len(figures['timeseries'])} bins as worked out from the rows")


def finds_the_endpoints_of_a_key(deployment: Deployment) -> None:
    answer = patiently(lambda: deployment.call(TARGETS, deployment.keys[CHAT], "view=counters"))
    check(f"discovery: {answer.body!r}", answer.status, 200)
    [group] = json.loads(answer.body)
    labels = group["labels"]
    check("endpoints of the key", labels["__param_endpoint"], CHAT)
    query = f"endpoint={labels['__param_endpoint']}&view={labels['__param_view']}"
    found = patiently(lambda: deployment.call(labels["__metrics_path__"], deployment.keys[CHAT], query))
    check("scrape of what was found", (found.status, b"wafer_requests_total{" in found.body), (200, True))
    say(f"200 of discovery, and of what it found: {group}")


def refuses_who_may_not(deployment: Deployment) -> None:
    chat = f"endpoint={CHAT}"
    own = deployment.keys[CHAT]
    refused(deployment, "no key", None, chat, 401, "invalid_api_key")
    refused(deployment, "unknown key", "a-key-of-nobody", chat, 401, "invalid_api_key")
    refused(deployment, "serverless key", SERVERLESS_KEY, chat, 403, "dedicated_only")
    refused(deployment, "other endpoint", own, "endpoint=other.example.com", 403, "endpoint_forbidden")
    refused(deployment, "no endpoint", own, "", 422, "invalid_endpoint")


def refused(deployment: Deployment, what: str, key: str | None, query: str, status: int, code: str) -> None:
    answer = patiently(lambda: deployment.ask(key, query))
    check(what, (answer.status, f'"{code}"' in answer.body.decode()), (status, True))
    if status == 401:
        check("WWW-Authenticate", answer.headers["WWW-Authenticate"], "Bearer")
    say(f"{status} {code}: {what}")


def limits_the_rate(deployment: Deployment) -> None:
    """It is done again where the emulator took so long that the first scrape may have its slot back."""
    for _ in range(TRIES):
        key, started = put_new_key(deployment, CODE), time.monotonic()
        answers = [deployment.ask(key, f"endpoint={CODE}") for _ in range(7)]
        if time.monotonic() - started < SLOT_SECONDS and not {*map(said, answers)} & {*SLOW}:
            break
    check("seven scrapes", [said(answer) for answer in answers], ["200"] * 6 + ["429 rate_limited"])
    headers = answers[-1].headers
    check("Retry-After", 0 < int(headers["Retry-After"]) <= 59, True)
    say(f"429 for the seventh in a minute, Retry-After: {headers['Retry-After']}, RateLimit: {headers['RateLimit']}")


def counts_late_rows(deployment: Deployment) -> None:
    minute = datetime.fromtimestamp(deployment.read_through(), UTC).replace(tzinfo=None) - timedelta(minutes=4)
    deployment.logs.put_late(minute, utc_now() - minute)
    # One that had begun by then may have asked before the rows came.
    for _ in range(2):
        next_refresh(deployment)
    answer = deployment.scrape(CHAT)
    check("scrape", answer.status, 200)
    deployment.check_figures(answer.body, CHAT)
    say("30 late rows count after the next refreshes")


def next_refresh(deployment: Deployment) -> None:
    before = deployment.read_through()
    wait_for("the next refresh", lambda: deployment.read_through() > before, 150, pause=2)


def counts_a_recomputed_hour(deployment: Deployment) -> None:
    """An hour that was sealed long ago. The hour that the schedule seals from the tenth minute on would be one more."""
    while utc_now().minute in SEALING_MINUTES:
        time.sleep(1)
    minute = utc_now().replace(minute=30, second=0, microsecond=0) - timedelta(hours=5)
    deployment.logs.put_late(minute, timedelta(0))
    start = minute.replace(minute=0)
    examples = {
        EXAMPLE_FROM: f"{start:%Y-%m-%dT%H}:00:00Z",
        EXAMPLE_TO: f"{start + timedelta(hours=1):%Y-%m-%dT%H}:00:00Z",
    }
    answer = deployment.aws.run_documented("Recomputing a range", examples).splitlines()[-1]
    report = json.loads(answer)
    # The minute and its hour; the hour's other minutes stand as they were.
    found = {name: report.get(name) for name in ("complete", "items_written", "hours_sealed")}
    check(f"recomputed: {answer}", found, {"complete": True, "items_written": 2, "hours_sealed": 1})
    scraped = deployment.scrape(CHAT)
    check("scrape", scraped.status, 200)
    deployment.check_figures(scraped.body, CHAT)
    say(f"30 rows of an hour long sealed count after it was recomputed: {answer}")


def main() -> None:
    argparse.ArgumentParser(prog="make rehearse", description=__doc__).parse_args()
    end_on_termination()
    WORK.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="rehearsal-", ignore_cleanup_errors=True) as folder,
        ministack(Path(folder), WORK / "ministack.log") as aws,
    ):
        rehearse(aws)


if __name__ == "__main__":
    main()
