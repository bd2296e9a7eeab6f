"""MiniStack, an AWS emulator on loopback, with the template's stack in it; the functions' code is a stand-in."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from conftest import ROOT, free_port

ROOT_CREDENTIALS = ("test", "test")


@dataclass(frozen=True)
class Emulator:
    """A running MiniStack."""

    port: int

    @property
    def environment(self) -> dict[str, str]:
        identity, secret = ROOT_CREDENTIALS
        return os.environ | {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_ACCESS_KEY_ID": identity,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def client(self, service: Any, credentials: tuple[str, str] = ROOT_CREDENTIALS) -> Any:
        return boto3.client(
            service,
            region_name="us-east-1",
            endpoint_url=f"http://127.0.0.1:{self.port}",
            aws_access_key_id=credentials[0],
            aws_secret_access_key=credentials[1],
        )

    def put_code(self) -> str:
        """The template, with code that does nothing."""
        body = io.BytesIO()
        with zipfile.ZipFile(body, "w") as code:
            code.writestr("bootstrap", "#!/bin/sh\nsleep 1\n")
        s3 = self.client("s3")
        for bucket in ("code", "request-logs"):
            s3.create_bucket(Bucket=bucket)
        s3.put_object(Bucket="code", Key="code.zip", Body=body.getvalue())
        return (ROOT / "template.yaml").read_text().replace("CodeUri: .", "CodeUri: s3://code/code.zip")

    def parameters(self, topic: str, **others: str) -> list[dict[str, str]]:
        given = {"RequestLogsBucket": "request-logs", "AlarmTopicArn": topic, "RefreshSchedule": "DISABLED", **others}
        return [{"ParameterKey": name, "ParameterValue": value} for name, value in given.items()]

    def create(self, template: str, name: str, topic: str, **others: str) -> tuple[str, dict[str, str]]:
        """How the creation ended, and the stack's outputs."""
        # Too long to be sent along.
        self.client("s3").put_object(Bucket="code", Key=f"{name}.yaml", Body=template.encode())
        self.client("cloudformation").create_stack(
            StackName=name,
            TemplateURL=f"http://127.0.0.1:{self.port}/code/{name}.yaml",
            Parameters=self.parameters(topic, **others),
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        )
        return self.ended(name)

    def ended(self, name: str) -> tuple[str, dict[str, str]]:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            [stack] = self.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
            if not stack["StackStatus"].endswith("IN_PROGRESS"):
                outputs = {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}
                return stack["StackStatus"], outputs
            time.sleep(0.2)
        raise TimeoutError(name)

    def user(self, name: str, policy: dict[str, Any]) -> tuple[str, str]:
        """Credentials of a user with that policy and no other."""
        iam = self.client("iam")
        iam.create_user(UserName=name)
        iam.put_user_policy(UserName=name, PolicyName="only", PolicyDocument=json.dumps(policy))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return key["AccessKeyId"], key["SecretAccessKey"]


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Emulator]:
    """IAM policies are enforced."""
    emulator = Emulator(free_port())
    environment = emulator.environment | {
        "AUTH": "true",
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(emulator.port),
        "S3_DATA_DIR": str(folder / "s3"),
        "TMPDIR": str(folder),
    }
    command = [sys.executable, "-m", "ministack"]
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(command, stdout=log, stderr=log, env=environment) as process,
    ):
        try:
            deadline = time.monotonic() + 60
            while not answers(emulator.port):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError((folder / "log").read_text())
                time.sleep(0.2)
            yield emulator
        finally:
            process.terminate()


def answers(port: int) -> bool:
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", "/_ministack/health")
        return connection.getresponse().status == 200
    except OSError:
        return False
