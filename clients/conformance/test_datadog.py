"""Datadog's own check class, with the instance of clients/datadog/conf.yaml. It stands in for the Agent around it."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from datadog_checks.base import OpenMetricsBaseCheckV2
from datadog_checks.base.stubs import aggregator

from clients.conformance import configurations, contract
from clients.conformance.stack import CHAT, CODE, Stack

HISTOGRAMS = [name for name, family in contract.FAMILIES.items() if family.type == "histogram"]


@pytest.fixture
def key_file(stack: Stack) -> Path:
    return stack.new_key_file("datadog")


@pytest.fixture
def instance(stack: Stack, key_file: Path) -> dict[str, Any]:
    config = yaml.safe_load(configurations.filled_in("datadog/conf.yaml", stack.address, (CHAT, CODE), key_file))
    return dict(config["instances"][0])


def test_collects_every_series_with_the_key_in_a_file(instance: dict[str, Any]) -> None:
    check_collects(instance)


def test_collects_every_series_with_the_key_in_headers(instance: dict[str, Any], key_file: Path) -> None:
    """As the Agent hands the instance over once its secret backend has put in the key."""
    del instance["auth_token"]
    check_collects({**instance, "headers": {"Authorization": f"Bearer {key_file.read_text().strip()}"}})


def check_collects(instance: dict[str, Any]) -> None:
    aggregator.reset()
    problem = OpenMetricsBaseCheckV2("openmetrics", {}, [instance]).run()
    assert not problem, problem
    health = [check.status for check in aggregator.service_checks("wafer.openmetrics.health")]
    assert health == [OpenMetricsBaseCheckV2.OK], f"the health is {health}"
    found = {
        (renamed(name), labels_of(one.tags)) for name in aggregator.metric_names for one in aggregator.metrics(name)
    }
    for family in HISTOGRAMS:
        for one in aggregator.histogram_bucket(family.replace("wafer_", "wafer.", 1)):
            bounds = {("lower_bound", str(one.lower_bound)), ("upper_bound", str(one.upper_bound))}
            le = str(one.upper_bound).replace("inf", "+Inf")
            found.add((f"{family}_bucket", (labels_of(one.tags) - bounds) | {("le", le)}))
    contract.assert_same_series(found, contract.series([CHAT, CODE]))


def renamed(name: str) -> str:
    """Our name of a metric of Datadog's."""
    family, _, part = name.replace("wafer.", "wafer_", 1).partition(".")
    if not part:
        return family
    return f"{family}_{part}" if family in HISTOGRAMS else family + {"count": "_total"}[part]


def labels_of(tags: list[str]) -> frozenset[tuple[str, str]]:
    pairs = [tag.partition(":") for tag in tags]
    return frozenset((label, value) for label, _, value in pairs)
