"""MiniStack, an AWS emulator on loopback, with IAM enforced: a permission that a function lacks fails it."""

import contextlib
import http.client
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPMessage
from pathlib import Path
from typing import Any, NamedTuple

import botocore.session

from loopback import ROOT
from loopback.processes import end_processes_of, free_address, running

SCRAPE_PATH = "/v1/endpoints/metrics/prometheus"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: HTTPMessage
    body: bytes


class Credentials(NamedTuple):
    identity: str
    secret: str


# MiniStack takes these for its root user's; the functions get those of their roles.
ROOT_USER = Credentials("test", "test")


@dataclass(frozen=True)
class MiniStack:
    address: str
    # Where commands run and leave their files.
    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {
            "AWS_ENDPOINT_URL": f"http://{self.address}",
            "AWS_ACCESS_KEY_ID": ROOT_USER.identity,
            "AWS_SECRET_ACCESS_KEY": ROOT_USER.secret,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_PAGER": "",
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }

    def client(self, service: str, credentials: Credentials = ROOT_USER) -> Any:
        session = botocore.session.get_session()
        session.set_credentials(*credentials)
        return session.create_client(service, region_name="us-east-1", endpoint_url=f"http://{self.address}")

    def make_deploy(self, checkout: Path, stack: str, bucket: str, topic: str) -> None:
        """What builds and deploys is installed here once, for every checkout."""
        tools = ROOT / "target/python/deploy"
        command = ["make", "--assume-old=target/python/deploy/ready", "deploy", "ARCH=x86_64", f"DEPLOY={tools}"]
        command += [f"STACK={stack}", f"BUCKET={bucket}", f"TOPIC={topic}"]
        subprocess.run(command, cwd=checkout, env=self.environment, check=True)

    def outputs(self, stack: str) -> dict[str, str]:
        [described] = self.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
        return {output["OutputKey"]: output["OutputValue"] for output in described["Outputs"]}

    def code(self, stack: str) -> dict[str, str]:
        """The hash of the code of each function of a stack."""
        functions = self.client("lambda").list_functions()["Functions"]
        return {
            function["FunctionName"]: function["CodeSha256"]
            for function in functions
            if function["FunctionName"].startswith(f"{stack}-")
        }

    def let_queries_be_read(self, stack: str) -> None:
        """MiniStack finds no workgroup for a call that names only a query, so the template's permission never fits."""
        iam = self.client("iam")
        roles = [role["RoleName"] for role in iam.list_roles()["Roles"]]
        [role] = [role for role in roles if role.startswith(f"{stack}-RefreshRole")]
        actions = ["athena:GetQueryExecution", "athena:GetQueryResults", "athena:StopQueryExecution"]
        statement = {"Effect": "Allow", "Action": actions, "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        iam.put_role_policy(RoleName=role, PolicyName="ministack", PolicyDocument=policy)

    def run_documented(self, heading: str, examples: dict[str, str]) -> str:
        """`examples` are texts of the page and what stands here in their place. Returns what the lines print."""
        lines = documented(heading)
        for example, value in examples.items():
            lines = lines.replace(example, value)
        return self.run(lines)

    def run(self, lines: str) -> str:
        """Runs lines of a shell, and returns what they print."""
        command = ["bash", "-euo", "pipefail", "-c", lines]
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, check=True, stdout=subprocess.PIPE, text=True
        )
        return done.stdout.strip()

    def scrape(self, api: str, key: str | None, query: str, headers: dict[str, str] | None = None) -> Answer:
        return self.call(api, SCRAPE_PATH, key, query, headers)

    def call(self, api: str, path: str, key: str | None, query: str, headers: dict[str, str] | None = None) -> Answer:
        """Through the API's own host name."""
        port = self.address.rpartition(":")[2]
        sent = {**(headers or {}), "Host": f"{api}.execute-api.localhost:{port}"}
        if key:
            sent["Authorization"] = f"Bearer {key}"
        connection = http.client.HTTPConnection(self.address, timeout=30)
        connection.request("GET", f"{path}?{query}", headers=sent)
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read())

    def answers(self) -> bool:
        connection = http.client.HTTPConnection(self.address, timeout=30)
        connection.request("GET", "/_ministack/health")
        return connection.getresponse().status == 200


def documented(heading: str) -> str:
    """The first block of shell lines under a heading of docs/operations.md."""
    section = (ROOT / "docs" / "operations.md").read_text().split(f"## {heading}\n", 1)[1]
    block = re.search(r"```sh\n(.*?)```", section, re.DOTALL)
    assert block, f"no shell lines under {heading}"
    return block[1]


@contextlib.contextmanager
def ministack(folder: Path, log: Path) -> Iterator[MiniStack]:
    """Yields once it answers."""
    emulator = MiniStack(free_address(), folder)
    host, _, port = emulator.address.partition(":")
    environment = emulator.environment | {
        "AUTH": "true",
        "BIND_HOST": host,
        "GATEWAY_PORT": port,
        "S3_DATA_DIR": f"{folder}/s3",
        "TMPDIR": str(folder),
    }
    try:
        with running([sys.executable, "-m", "ministack"], log, environment, grace=0) as program:
            program.wait_until("MiniStack answers", emulator.answers, 600)
            yield emulator
    finally:
        end_processes_of(folder)
