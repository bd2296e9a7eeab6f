"""The template's stack in an AWS emulator: what a first creation leaves, whom alarms reach, what a worker may write."""

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from deploy.ministack import MiniStack, ministack
from deploy.tests import template_stack
from loopback import ROOT

OPERATIONS = (ROOT / "docs/operations.md").read_text()
# The one that is taken out is only there with a front: test_front.py.
ALARMS = sorted(set(re.findall(r"^### `([a-z-]+)`$", OPERATIONS, re.MULTILINE)) - {"guard-failures"})


@dataclass(frozen=True)
class Deployed:
    """The template's stack, its alarms' topic, and the queue that this sends to."""

    aws: MiniStack
    outputs: dict[str, str]
    queue: str
    topic: str

    def messages(self) -> list[dict[str, Any]]:
        """What the topic has sent."""
        sqs = self.aws.client("sqs")
        messages: list[dict[str, Any]] = []
        while received := sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get("Messages"):
            messages += (json.loads(json.loads(message["Body"])["Message"]) for message in received)
            for message in received:
                sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])
        return messages

    def try_alarms(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.run("deploy.try_alarms", *arguments)

    def run(self, module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """As an operator does."""
        command = [sys.executable, "-m", module, *arguments]
        return subprocess.run(command, cwd=ROOT, env=self.aws.environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    folder = tmp_path_factory.mktemp("ministack")
    with ministack(folder, folder / "log") as aws:
        template = template_stack.put_code(aws)
        topic = aws.client("sns").create_topic(Name="on-call")["TopicArn"]
        queue = aws.client("sqs").create_queue(QueueName="pager")["QueueUrl"]
        arn = aws.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
        endpoint = arn["Attributes"]["QueueArn"]
        sends = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [sends | {"Resource": endpoint}]})
        aws.client("sqs").set_queue_attributes(QueueUrl=queue, Attributes={"Policy": policy})
        aws.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=endpoint)

        # A first creation that fails when all else is there: the emulator cannot make an alarm of an expression.
        kind = "Type: AWS::CloudWatch::Alarm, DependsOn: [Dashboard, RollupsTable, ApiKeysTable]"
        metric = "{Id: one, Expression: '1'}"
        what = f"ComparisonOperator: GreaterThanThreshold, EvaluationPeriods: 1, Threshold: 0, Metrics: [{metric}]"
        unknown = f"\nResources:\n  Last: {{{kind}, Properties: {{{what}}}}}\n"
        failing = template.replace("\nResources:\n", unknown, 1)
        status = template_stack.create(aws, failing, "failing", topic, TablesProtected="no")
        assert status.startswith("ROLLBACK"), status
        assert aws.client("dynamodb").list_tables()["TableNames"] == []

        status = template_stack.create(aws, template, "wafer-metrics", topic, TablesProtected="no")
        assert status == "CREATE_COMPLETE"
        yield Deployed(aws, aws.outputs("wafer-metrics"), queue, topic)


def test_once_it_is_there_the_stack_protects_what_cannot_be_made_again(deployed: Deployed) -> None:
    cloudformation = deployed.aws.client("cloudformation")
    [stack] = cloudformation.describe_stacks(StackName="wafer-metrics")["Stacks"]
    kept = [parameter for parameter in stack["Parameters"] if parameter["ParameterKey"] != "TablesProtected"]
    cloudformation.update_stack(
        StackName="wafer-metrics",
        UsePreviousTemplate=True,
        Parameters=[*kept, {"ParameterKey": "TablesProtected", "ParameterValue": "yes"}],
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
    )
    assert template_stack.status_at_end(deployed.aws, "wafer-metrics") == "UPDATE_COMPLETE"
    dynamodb = deployed.aws.client("dynamodb")
    protected = {
        output: dynamodb.describe_table(TableName=deployed.outputs[output])["Table"]["DeletionProtectionEnabled"]
        for output in ("ApiKeysTable", "RollupsTable", "HeartbeatsTable")
    }
    assert protected == {"ApiKeysTable": True, "RollupsTable": True, "HeartbeatsTable": False}


def test_keys_are_put_into_the_stacks_table(deployed: Deployed) -> None:
    done = deployed.run("deploy.keys", "issue", "chat.example.com")
    assert done.returncode == 0, done.stderr
    digits = hashlib.sha256(done.stdout.strip().encode()).hexdigest()
    key = {"key_hash": {"S": digits}}
    item = deployed.aws.client("dynamodb").get_item(TableName=deployed.outputs["ApiKeysTable"], Key=key)["Item"]
    assert item["endpoints"] == {"SS": ["chat.example.com"]}
    done = deployed.run("deploy.keys", "--stack", "nobodys", "list")
    assert (done.returncode, done.stderr.startswith("AWS: ")) == (1, True)


def test_each_alarm_that_is_tried_reaches_the_topic_and_is_over(deployed: Deployed) -> None:
    done = deployed.try_alarms()
    assert done.returncode == 0, done.stderr
    assert sorted(line.split(": ") for line in done.stdout.splitlines()) == [
        [f"wafer-metrics-{alarm}", "rung"] for alarm in sorted(ALARMS)
    ]
    sent = sorted((message["AlarmName"], message["NewStateValue"]) for message in deployed.messages())
    assert sent == sorted((f"wafer-metrics-{alarm}", state) for alarm in ALARMS for state in ("ALARM", "OK"))


def test_one_alarm_can_be_tried_by_its_name(deployed: Deployed) -> None:
    assert deployed.try_alarms("refresh-lag").stdout == "wafer-metrics-refresh-lag: rung\n"
    assert {message["AlarmName"] for message in deployed.messages()} == {"wafer-metrics-refresh-lag"}
    done = deployed.try_alarms("refresh-lags")
    assert (done.returncode, "has no alarm refresh-lags" in done.stderr) == (1, True)


def test_an_alarm_that_stands_is_not_reported_to_be_over(deployed: Deployed) -> None:
    cloudwatch = deployed.aws.client("cloudwatch")
    name = "wafer-metrics-logs-silent"
    cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="in earnest")
    deployed.messages()
    assert "left alone" in deployed.try_alarms("logs-silent").stdout
    assert deployed.messages() == []
    [alarm] = cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"]
    assert alarm["StateValue"] == "ALARM"


def test_alarms_are_not_tried_where_their_topic_would_drop_them(deployed: Deployed) -> None:
    sns = deployed.aws.client("sns")
    for key in ("alias/aws/sns", "arn:aws:kms:us-east-1:123456789012:alias/aws/sns"):
        sns.set_topic_attributes(TopicArn=deployed.topic, AttributeName="KmsMasterKeyId", AttributeValue=key)
        done = deployed.try_alarms()
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith(f"{deployed.topic} is encrypted with alias/aws/sns")
    assert deployed.messages() == []
    sns.set_topic_attributes(TopicArn=deployed.topic, AttributeName="KmsMasterKeyId", AttributeValue="alias/on-call")
    assert deployed.try_alarms("refresh-lag").stdout == "wafer-metrics-refresh-lag: rung\n"
    assert {message["AlarmName"] for message in deployed.messages()} == {"wafer-metrics-refresh-lag"}
    sns.set_topic_attributes(TopicArn=deployed.topic, AttributeName="KmsMasterKeyId", AttributeValue="")


def test_the_documented_lines_remove_the_stack_and_then_what_it_leaves(tmp_path: Path) -> None:
    section = OPERATIONS.split("\n## Removing it\n")[1].split("\n## ")[0]
    stack, tables = re.findall(r"```sh\n(.*?)```", section.replace("sleep 60\n", ""), re.DOTALL)
    with ministack(tmp_path, tmp_path / "log") as aws:
        template = template_stack.put_code(aws)
        topic = aws.client("sns").create_topic(Name="on-call")["TopicArn"]
        assert template_stack.create(aws, template, "wafer-metrics", topic) == "CREATE_COMPLETE"
        outputs = aws.outputs("wafer-metrics")
        keys, rollups = outputs["ApiKeysTable"], outputs["RollupsTable"]
        aws.client("s3").put_object(Bucket=outputs["ResultsBucket"], Key="results/one.csv", Body=b"1")
        left = "echo \"left: $(aws dynamodb list-tables --query 'TableNames[]' --output text)\"\n"
        printed = aws.run(f"{stack}\n{left}\n{tables}\n{left}").splitlines()
        assert f"ExistingApiKeysTable={keys} ExistingRollupsTable={rollups}" in printed
        after_stack, after_tables = [line.split()[1:] for line in printed if line.startswith("left:")]
        assert (set(after_stack), after_tables) == ({keys, rollups}, [])
        buckets = {bucket["Name"] for bucket in aws.client("s3").list_buckets()["Buckets"]}
        assert buckets == {"code", "request-logs"}


def test_a_worker_may_put_heartbeats_and_nothing_else(deployed: Deployed) -> None:
    """The emulator does not check which endpoint's: it knows no `dynamodb:LeadingKeys`."""
    written = re.search(r"```json\n(\{.*?\n\})\n```", OPERATIONS, re.DOTALL)
    assert written
    text = written.group(1).replace("TABLE", deployed.outputs["HeartbeatsTable"]).replace("ACCOUNT", "000000000000")
    policy = json.loads(text.replace("REGION", "us-east-1"))
    [statement] = policy["Statement"]
    assert statement["Condition"] == {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["chat.example.com"]}}
    worker = deployed.aws.client("dynamodb", template_stack.user(deployed.aws, "worker-0", policy))
    key = {"endpoint": {"S": "chat.example.com"}, "worker_id": {"S": "worker-0"}}
    worker.put_item(TableName=deployed.outputs["HeartbeatsTable"], Item=key)
    with pytest.raises(ClientError, match="AccessDenied"):
        worker.get_item(TableName=deployed.outputs["HeartbeatsTable"], Key=key)
    with pytest.raises(ClientError, match="AccessDenied"):
        worker.delete_item(TableName=deployed.outputs["HeartbeatsTable"], Key=key)
    with pytest.raises(ClientError, match="AccessDenied"):
        worker.put_item(TableName=deployed.outputs["ApiKeysTable"], Item={"key_hash": {"S": "0" * 64}})
