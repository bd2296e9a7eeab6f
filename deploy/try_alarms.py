"""Sets each alarm of a stack to ALARM and back, so that whoever is paged sees that pages come, and what they look like.

ALARM is a name without the stack's, as in docs/operations.md.
"""

import argparse
import sys
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

REASON = "Only a test: an operator tries the alarms."


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


def ring(cloudwatch: Any, alarm: str) -> bool:
    """Whether it was rung: one that stands in ALARM must not be reported to be over."""
    [found] = cloudwatch.describe_alarms(AlarmNames=[alarm])["MetricAlarms"]
    if found["StateValue"] == "ALARM":
        return False
    for state in ("ALARM", "OK"):
        cloudwatch.set_alarm_state(AlarmName=alarm, StateValue=state, StateReason=REASON)
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
        for alarm in chosen(arguments.stack, arguments.alarm):
            print(f"{alarm}: {'rung' if ring(cloudwatch, alarm) else 'left alone, it stands in ALARM'}", flush=True)
    except (BotoCoreError, ClientError) as error:
        sys.exit(f"AWS: {error}")


if __name__ == "__main__":
    main()
