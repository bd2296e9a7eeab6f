"""Datadog's own check class, with the instance of clients/datadog/conf.yaml. It stands in for the Agent around it."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from datadog_checks.base import OpenMetricsBaseCheckV2
from datadog_checks.base.stubs import aggregator

from clients.conformance import configurations, contract
from clients.conformance.contract import Series
from clients.conformance.stack import CHAT, CODE, Stack
from clients.conformance.witness import Values, Witness, witness

HISTOGRAMS = [name for name, family in contract.FAMILIES.items() if family.type == "histogram"]
# Of what is not a bucket.
TYPES = {aggregator.GAUGE: "gauge", aggregator.MONOTONIC_COUNT: "counter"}
ATTEMPTS = 5


@pytest.fixture
def seen(stack: Stack) -> Iterator[Witness]:
    with witness(stack) as seen:
        yield seen


@pytest.fixture
def key_file(stack: Stack) -> Path:
    return stack.new_key_file("datadog")


@pytest.fixture
def instance(seen: Witness, key_file: Path) -> dict[str, Any]:
    config = yaml.safe_load(configurations.filled_in("datadog/conf.yaml", seen.address, (CHAT, CODE), key_file))
    return dict(config["instances"][0])


def test_collects_every_series_with_the_key_in_a_file(seen: Witness, instance: dict[str, Any]) -> None:
    check_collects(seen, instance)


def test_collects_every_series_with_the_key_in_headers(seen: Witness, instance: dict[str, Any], key_file: Path) -> None:
    """As the Agent hands the instance over once its secret backend has put in the value."""
    del instance["auth_token"]
    assert "Authorization: ENC[wafer_authorization]\n" in configurations.read("datadog/conf.yaml")
    check_collects(seen, {**instance, "headers": {"Authorization": f"Bearer {key_file.read_text().strip()}"}})


def test_a_cluster_check_is_the_same_check_run_once() -> None:
    """Its object is of the types of Datadog's Operator, in test_kubernetes.py."""
    spec = yaml.safe_load(configurations.read("datadog/cluster-check.yaml"))["spec"]
    assert spec["features"]["clusterChecks"]["enabled"] is True
    [text] = spec["override"]["clusterAgent"]["extraConfd"]["configDataMap"].values()
    alone = yaml.safe_load(configurations.read("datadog/conf.yaml"))
    assert yaml.safe_load(text) == {**alone, "cluster_check": True}
    [volume] = spec["override"]["nodeAgent"]["volumes"]
    [mount] = spec["override"]["nodeAgent"]["containers"]["agent"]["volumeMounts"]
    assert mount["name"] == volume["name"]
    assert f"{mount['mountPath']}/api-key" == configurations.KEY_FILE


def check_collects(seen: Witness, instance: dict[str, Any]) -> None:
    """Once in a while the figures move during a scrape."""
    for _ in range(ATTEMPTS):
        values, types = collected(instance)
        if seen.saw(values):
            break
    else:
        pytest.fail(seen.differences(values))
    contract.assert_same_series(values, contract.series([CHAT, CODE]))
    assert types == contract.TYPES


def collected(instance: dict[str, Any]) -> tuple[Values, dict[str, str]]:
    """The values of the series, and the types of the families."""
    aggregator.reset()
    problem = OpenMetricsBaseCheckV2("openmetrics", {}, [instance]).run()
    assert not problem, problem
    health = [check.status for check in aggregator.service_checks("wafer.openmetrics.health")]
    assert health == [OpenMetricsBaseCheckV2.OK], f"the health is {health}"
    values: Values = {}
    types: dict[str, str] = {}
    for name in aggregator.metric_names:
        ours = renamed(name)
        family = ours.removesuffix("_sum").removesuffix("_count")
        for one in aggregator.metrics(name):
            values[ours, labels_of(one.tags)] = one.value
            kind = TYPES[one.type]
            assert family not in HISTOGRAMS or kind == "counter"
            types[family] = "histogram" if family in HISTOGRAMS else kind
    for family in HISTOGRAMS:
        values.update(buckets(family))
    return values, types


def buckets(family: str) -> Iterator[tuple[Series, float]]:
    """Datadog is given how many lie in each bucket, with its bounds; a scrape counts up to the upper one."""
    found = aggregator.histogram_bucket(family.replace("wafer_", "wafer.", 1))
    assert all(one.monotonic for one in found)
    by_endpoint: defaultdict[frozenset[tuple[str, str]], list[Any]] = defaultdict(list)
    for one in found:
        bounds = {("lower_bound", str(one.lower_bound)), ("upper_bound", str(one.upper_bound))}
        by_endpoint[labels_of(one.tags) - bounds].append(one)
    for labels, each in by_endpoint.items():
        up_to = 0.0
        for one in sorted(each, key=lambda one: one.upper_bound):
            up_to += one.value
            le = str(one.upper_bound).replace("inf", "+Inf")
            yield (f"{family}_bucket", labels | {("le", le)}), up_to


def renamed(name: str) -> str:
    """Our name of a metric of Datadog's."""
    family, _, part = name.replace("wafer.", "wafer_", 1).partition(".")
    if not part:
        return family
    return f"{family}_{part}" if family in HISTOGRAMS else family + {"count": "_total"}[part]


def labels_of(tags: list[str]) -> frozenset[tuple[str, str]]:
    pairs = [tag.partition(":") for tag in tags]
    return frozenset((label, value) for label, _, value in pairs)
