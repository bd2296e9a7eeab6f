"""The template's stack in an AWS emulator; the functions' code is a stand-in."""

import io
import json
import zipfile
from typing import Any

from deploy.ministack import Credentials, MiniStack
from loopback import ROOT
from loopback.processes import wait_for

STAND_IN = b"#!/bin/sh\nsleep 1\n"


def put_code(aws: MiniStack) -> str:
    """The template, with code that does nothing."""
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as code:
        code.writestr("bootstrap", STAND_IN)
    s3 = aws.client("s3")
    for bucket in ("code", "request-logs"):
        s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket="code", Key="code.zip", Body=body.getvalue())
    return (ROOT / "template.yaml").read_text().replace("CodeUri: .", "CodeUri: s3://code/code.zip")


def create(aws: MiniStack, template: str, name: str, topic: str, **parameters: str) -> str:
    """How the creation ended."""
    # Too long to be sent along.
    aws.client("s3").put_object(Bucket="code", Key=f"{name}.yaml", Body=template.encode())
    given = {"RequestLogsBucket": "request-logs", "AlarmTopicArn": topic, "RefreshSchedule": "DISABLED", **parameters}
    aws.client("cloudformation").create_stack(
        StackName=name,
        TemplateURL=f"http://{aws.address}/code/{name}.yaml",
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()],
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
    )
    return status_at_end(aws, name)


def status_at_end(aws: MiniStack, name: str) -> str:
    """Of what the stack is being made or updated to."""

    def status() -> str | None:
        [stack] = aws.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
        found = str(stack["StackStatus"])
        return None if found.endswith("IN_PROGRESS") else found

    return wait_for(f"the stack {name} has ended", status, 600, pause=0.2)


def user(aws: MiniStack, name: str, policy: dict[str, Any]) -> Credentials:
    """Credentials of a user with that policy and no other."""
    iam = aws.client("iam")
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName="only", PolicyDocument=json.dumps(policy))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return Credentials(key["AccessKeyId"], key["SecretAccessKey"])
