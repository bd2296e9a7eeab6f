"""Deploys the template into MiniStack, an AWS emulator, with the documented commands, and scrapes what came of it."""

import gzip
import hashlib
import http.client
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import botocore.session

import request_logs
from processes import end_processes_of, free_port, running, waited_for

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "target" / "rehearsal"
STACK = "wafer-metrics"
BUCKET = "rehearsal-logs"
ENDPOINTS = ["chat.example.com", "code.example.com"]
# What the documented lines are given as examples.
EXAMPLES = {"endpoint": ENDPOINTS[0], "from": "2026-11-24T10:00:00Z", "to": "2026-11-24T11:00:00Z"}
PATH = "/v1/endpoints/metrics/prometheus"


def say(text):
    print(f"{time.monotonic() - STARTED:5.0f} s  {text}", flush=True)


def check(what, got, wanted):
    if got != wanted:
        sys.exit(f"{what}: got {got!r}, wanted {wanted!r}")


class Rehearsal:
    def __init__(self, port, scratch):
        self.port = port
        self.scratch = scratch
        self.url = f"http://127.0.0.1:{port}"
        # MiniStack takes these for its root user's; the functions get credentials of their roles.
        self.environment = os.environ | {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_PAGER": "",
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }
        self.session = botocore.session.get_session()
        self.session.set_credentials("test", "test")
        self.rows = []

    def client(self, service):
        return self.session.create_client(service, region_name="us-east-1", endpoint_url=self.url)

    def ministack(self):
        """IAM policies are enforced, so that a permission that a function lacks fails it."""
        environment = self.environment | {
            "AUTH": "true",
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(self.port),
            "S3_DATA_DIR": f"{self.scratch}/s3",
            "TMPDIR": self.scratch,
        }
        return running([sys.executable, "-m", "ministack"], WORK / "ministack.log", env=environment)

    def answers(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        connection.request("GET", "/_ministack/health")
        return connection.getresponse().status == 200

    def put_logs(self, rows, name, **how):
        s3 = self.client("s3")
        for key, body in request_logs.files(rows, name, **how):
            s3.put_object(Bucket=BUCKET, Key=f"request_logs/{key}", Body=body)

    def put_day(self):
        chance = random.Random(20261124)
        rows = request_logs.day(chance, ENDPOINTS, utc_now())
        self.rows += rows
        self.put_logs(rows, "day")
        # Delivered twice, the second time an hour later; without an id they would be other rows.
        identified = [row for row in rows if row["request_id"]]
        self.put_logs(chance.sample(identified, 200), "again", arrived_after=timedelta(hours=1))
        at = utc_now() - timedelta(hours=20)
        older = [request_logs.row(chance, ENDPOINTS[0], at, cache_read_tokens=None) for _ in range(50)]
        self.rows += older
        self.put_logs(older, "older", without=["cache_read_tokens"])

    def put_rows_of(self, at, arrived_after):
        """Rows of a minute that has been read already."""
        chance = random.Random(at.minute)
        rows = [request_logs.row(chance, ENDPOINTS[0], at + timedelta(seconds=second)) for second in range(30)]
        self.rows += rows
        self.put_logs(rows, f"late-{at:%H%M}", arrived_after=arrived_after)

    def deploy(self, topic):
        command = ["make", "deploy", "ARCH=x86_64", f"STACK={STACK}", f"BUCKET={BUCKET}", f"TOPIC={topic}"]
        subprocess.run(command, cwd=ROOT, env=self.environment, check=True)

    def let_queries_be_read(self):
        """MiniStack knows no workgroup of a call that only names a query, so that the template's permission never fits there."""
        iam = self.client("iam")
        roles = iam.list_roles()["Roles"]
        [role] = [role["RoleName"] for role in roles if role["RoleName"].startswith(f"{STACK}-RefreshRole")]
        actions = ["athena:GetQueryExecution", "athena:GetQueryResults", "athena:StopQueryExecution"]
        statement = {"Effect": "Allow", "Action": actions, "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        iam.put_role_policy(RoleName=role, PolicyName="ministack", PolicyDocument=policy)

    def documented(self, heading, **instead):
        """Runs the first block of shell lines under a heading of docs/operations.md, with other values for its examples."""
        section = (ROOT / "docs/operations.md").read_text().split(f"## {heading}\n", 1)[1]
        lines = re.search(r"```sh\n(.*?)```", section, re.DOTALL).group(1)
        for name, example in EXAMPLES.items():
            lines = lines.replace(example, instead.get(name, example))
        command = ["bash", "-euo", "pipefail", "-c", lines]
        done = subprocess.run(command, cwd=self.scratch, env=self.environment, check=True, stdout=subprocess.PIPE, text=True)
        return done.stdout.strip()

    def outputs(self):
        stack = self.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"][0]
        return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}

    def read_through(self, table):
        """How far the refresh has come, in Unix seconds; 0 before its first run."""
        key = {"endpoint": {"S": "#refresh"}, "period": {"S": "watermark1"}}
        item = self.client("dynamodb").get_item(TableName=table, Key=key, ConsistentRead=True).get("Item")
        return int(item["through"]["N"]) if item else 0

    def scrape(self, api, key, query, **headers):
        """Through the API's own host name."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        headers |= {"Host": f"{api}.execute-api.localhost:{self.port}"}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        connection.request("GET", f"{PATH}?{query}", headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()

    def check_figures(self, body, endpoint):
        """Every series of an endpoint against the rows themselves."""
        got = {}
        for line in body.splitlines():
            if match := re.fullmatch(r'(\w+)\{endpoint="([^"]*)",?([^}]*)\} (\S+)', line):
                name, host, label, value = match.groups()
                if host == endpoint:
                    got[name, label] = float(value)
        window_end = int(got["wafer_metrics_window_end_timestamp_seconds", ""])
        exact, near = request_logs.expected(self.rows, endpoint, window_end)
        for series, value in exact.items():
            check(f"{endpoint} {series}", got.pop(series), value)
        for series, value in near.items():
            if abs(got[series] - value) > 0.006 * value:
                sys.exit(f"{endpoint} {series}: got {got[series]}, wanted {value} within 0.6 %")
            got.pop(series)
        return got


def utc_now():
    return datetime.now(timezone.utc).replace(tzinfo=None)


def rehearse(run):
    waited_for(run.answers, 60)
    say("MiniStack answers")
    run.client("s3").create_bucket(Bucket=BUCKET)
    topic = run.client("sns").create_topic(Name="alarms")["TopicArn"]
    run.put_day()
    say(f"{len(run.rows)} rows of request logs are in its S3")
    run.deploy(topic)
    run.let_queries_be_read()
    outputs = run.outputs()
    api, rollups = outputs["ApiId"], outputs["RollupsTable"]
    say(f"deployed: {outputs['ScrapeUrl']}")

    keys = [run.documented("Adding a key", endpoint=endpoint).splitlines()[-1] for endpoint in ENDPOINTS]
    run.documented("What workers write: heartbeats")
    serverless = "serverless-key-of-the-rehearsal"
    item = {"key_hash": {"S": hashlib.sha256(serverless.encode()).hexdigest()}, "kind": {"S": "serverless"}}
    run.client("dynamodb").put_item(TableName=outputs["ApiKeysTable"], Item=item)
    say("keys and a heartbeat are put, by the documented lines")

    chat, code = (f"endpoint={endpoint}" for endpoint in ENDPOINTS)
    status, _, body = run.scrape(api, keys[0], chat)
    if not run.read_through(rollups):
        check("before the first refresh", (status, b"summary_failed" in body), (502, True))
        say("502 before the first refresh")

    def caught_up():
        return (through := run.read_through(rollups)) > time.time() - 210 and through

    through = waited_for(caught_up, 300, 2)
    say(f"the schedule has fired, the refresh has filled 24 h, up to {time.time() - through:.0f} s ago")

    status, headers, body = run.scrape(api, keys[0], chat)
    check("scrape", (status, body[:300]) if status != 200 else 200, 200)
    check("content type", headers["Content-Type"], "text/plain; version=0.0.4; charset=utf-8")
    left = run.check_figures(body.decode(), ENDPOINTS[0])
    engine = {name: value for (name, _), value in left.items()}
    check("budget", engine.pop("wafer_scrape_budget_remaining") in (4, 5), True)
    wanted = {"running_requests": 3, "queue_depth": 1, "kv_cache_usage_ratio": 0.42, "kv_cache_hit_ratio": 0.71}
    wanted |= {"replicas_reporting": 1, "scrape_success": 1}
    check("engine", engine, {f"wafer_engine_{name}": value for name, value in wanted.items()})
    status, _, body = run.scrape(api, keys[1], code)
    check("scrape", status, 200)
    left = run.check_figures(body.decode(), ENDPOINTS[1])
    check("replicas without heartbeats", left["wafer_engine_replicas_reporting", ""], 0)
    say("200, every figure of both endpoints as worked out from the rows")

    status, headers, body = run.scrape(api, keys[0], chat, Accept="application/openmetrics-text", Accept_Encoding="gzip")
    check("gzip", (status, headers["Content-Encoding"]), (200, "gzip"))
    text = gzip.decompress(body).decode()
    check("OpenMetrics", text.endswith("# EOF\n"), True)
    run.check_figures(text, ENDPOINTS[0])
    say(f"200 in gzip, {len(text)} bytes in {len(body)}")

    for what, key, query, wanted in [
        ("no key", None, chat, (401, "invalid_api_key")),
        ("unknown key", "a-key-of-nobody", chat, (401, "invalid_api_key")),
        ("serverless key", serverless, chat, (403, "dedicated_only")),
        ("other endpoint", keys[0], "endpoint=other.example.com", (403, "endpoint_forbidden")),
        ("no endpoint", keys[0], "", (422, "invalid_endpoint")),
    ]:
        status, headers, body = run.scrape(api, key, query)
        check(what, (status, f'"{wanted[1]}"' in body.decode()), (wanted[0], True))
        if status == 401:
            check("WWW-Authenticate", headers["WWW-Authenticate"], "Bearer")
        say(f"{status} {wanted[1]}: {what}")

    answers = [run.scrape(api, keys[1], code) for _ in range(6)]
    check("six more scrapes", [status for status, _, _ in answers], [200] * 5 + [429])
    headers = answers[-1][1]
    check("Retry-After", 0 < int(headers["Retry-After"]) <= 59, True)
    say(f"429 for the seventh in a minute, Retry-After: {headers['Retry-After']}, RateLimit: {headers['RateLimit']}")

    read = datetime.fromtimestamp(through, timezone.utc).replace(tzinfo=None) - timedelta(minutes=4)
    run.put_rows_of(read, utc_now() - read)
    seen = run.read_through(rollups)

    def refreshed():
        return run.read_through(rollups) > seen

    waited_for(refreshed, 150, 2)
    status, _, body = run.scrape(api, keys[0], chat)
    check("scrape", status, 200)
    run.check_figures(body.decode(), ENDPOINTS[0])
    say("30 late rows count after the next refresh")

    corrected = utc_now().replace(minute=30) - timedelta(hours=5)
    run.put_rows_of(corrected, timedelta(0))
    hours = {"from": f"{corrected:%Y-%m-%dT%H}:00:00Z", "to": f"{corrected:%Y-%m-%dT%H}:59:00Z"}
    report = run.documented("Recomputing a range", **hours)
    check("recomputed", '"complete":true' in report.replace(" ", ""), True)
    status, _, body = run.scrape(api, keys[0], chat)
    check("scrape", status, 200)
    run.check_figures(body.decode(), ENDPOINTS[0])
    say(f"30 rows of an hour long sealed count after it was recomputed: {report.splitlines()[-1]}")


if __name__ == "__main__":
    STARTED = time.monotonic()
    # So that what was started is ended then too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    WORK.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="rehearsal-", ignore_cleanup_errors=True) as scratch:
        rehearsal = Rehearsal(free_port(), scratch)
        try:
            with rehearsal.ministack():
                rehearse(rehearsal)
        finally:
            end_processes_of(scratch)
    say("done")
