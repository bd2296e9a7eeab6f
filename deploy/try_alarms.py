"""Sets each alarm of a stack to ALARM and back, so that whoever is paged sees that pages come, and what they look like.

ALARM is a name without the stack's, as in docs/operations.md.
"""

import argparse
import sys
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

REASON = "Only a test: an operator tries the alarms."
# CloudWatch may not use this key, nobody can let it, and what it cannot encrypt it drops.
DEFAULT_KEY = "alias/aws/sns"


def alarms_of(stack: str) -> list[str]:
    """The full names of a stack's alarms."""
    pages = boto3.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=stack)
    resources = [resource for page in pages for resource in page["StackResourceSummaries"]]
    found = [resource for resource in resources if resource["ResourceType"] == "AWS::CloudWatch::Alarm"]
    return sorted(resource["PhysicalResourceId"] for resource in found)


def chosen(stack: str, wanted: list[str]) -> list[str]:
    alarms = alarms_of(stack)
    unknown = [name for name in wanted if f"{stack}-{name}" not in alarms]
    if unknown:
        sys.exit(f"{stack} has no alarm {unknown[0]}: it has {', '.join(alarms)}")
    return [alarm for alarm in alarms if not wanted or alarm.removeprefix(f"{stack}-") in wanted]


def check_topics(alarms: list[dict[str, Any]]) -> None:
    """Setting an alarm does not fail where its topic cannot take it, so that is looked up first."""
    actions = {action for alarm in alarms for action in alarm["AlarmActions"] + alarm["OKActions"]}
    for topic in sorted(action for action in actions if ":sns:" in action):
        try:
            attributes = boto3.client("sns").get_topic_attributes(TopicArn=topic)["Attributes"]
        except ClientError as error:
            print(f"{topic}: how it is encrypted is unknown: {error}", file=sys.stderr)
            continue
        if attributes.get("KmsMasterKeyId", "").endswith(DEFAULT_KEY):
            sys.exit(
                f"{topic} is encrypted with {DEFAULT_KEY}, which CloudWatch cannot use: no alarm would reach it. Take "
                "a key of your own, or none: see The topic in docs/operations.md."
            )


def ring(cloudwatch: Any, alarm: dict[str, Any]) -> bool:
    """Whether it was rung: one that stands in ALARM must not be reported to be over."""
    if alarm["StateValue"] == "ALARM":
        return False
    for state in ("ALARM", "OK"):
        cloudwatch.set_alarm_state(AlarmName=alarm["AlarmName"], StateValue=state, StateReason=REASON)
    return True


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m deploy.try_alarms",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--stack", default="wafer-metrics")
    parser.add_argument("alarm", nargs="*")
    arguments = parser.parse_args()
    try:
        cloudwatch = boto3.client("cloudwatch")
        names = chosen(arguments.stack, arguments.alarm)
        alarms = cloudwatch.describe_alarms(AlarmNames=names)["MetricAlarms"]
        check_topics(alarms)
        for alarm in alarms:
            done = "rung" if ring(cloudwatch, alarm) else "left alone, it stands in ALARM"
            print(f"{alarm['AlarmName']}: {done}", flush=True)
    except (BotoCoreError, ClientError) as error:
        sys.exit(f"AWS: {error}")


if __name__ == "__main__":
    main()
