"""Datadog's own check class, with the instance of clients/datadog/conf.yaml. It stands in for the Agent around it."""

import contract
import kit
import yaml
from datadog_checks.base import OpenMetricsBaseCheckV2
from datadog_checks.base.stubs import aggregator
from report import expect
from stack import CHAT, CODE


def instance(stack, key_file):
    return yaml.safe_load(kit.filled_in("datadog/conf.yaml", stack.address, (CHAT, CODE), key_file))["instances"][0]


def with_plain_header(given, key):
    """The form with `headers`, as the Agent hands it over once its secret backend has put in the key."""
    changed = {name: value for name, value in given.items() if name != "auth_token"}
    return {**changed, "headers": {"Authorization": f"Bearer {key}"}}


def check_collects(given):
    aggregator.reset()
    problem = OpenMetricsBaseCheckV2("openmetrics", {}, [given]).run()
    expect(not problem, problem)
    health = [check.status for check in aggregator.service_checks("wafer.openmetrics.health")]
    expect(health == [OpenMetricsBaseCheckV2.OK], f"the health is {health}")
    found = {
        (name.replace("wafer.", "wafer_", 1), frozenset(tuple(tag.split(":", 1)) for tag in metric.tags))
        for name in aggregator.metric_names
        for metric in aggregator.metrics(name)
    }
    difference = contract.differences(found, contract.series([CHAT, CODE]))
    expect(not difference, difference)
