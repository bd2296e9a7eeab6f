"""The text itself: promtool's linter and the parsers of prometheus-client."""

import re
from collections.abc import Iterable

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from clients.conformance import contract
from clients.conformance.prometheus import Promtool
from clients.conformance.stack import CHAT, CODE, IDLE, Stack

ENDPOINTS = (CHAT, CODE, IDLE)
TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
ACCEPT_OPENMETRICS = "application/openmetrics-text;version=1.0.0"
# What Telegraf sends: it would rather have protobuf.
ACCEPT_OF_TELEGRAF = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.1"
)
# Percentiles that are gauges need this label, which the linter expects on summaries alone.
KNOWN_REMARK = re.compile(r'^(wafer_\w+) non-summary metrics should not have "quantile" label$')


@pytest.mark.parametrize("accept", [None, pytest.param(ACCEPT_OF_TELEGRAF, id="Telegraf, which prefers protobuf")])
def test_prometheus_client_reads_the_text_format(stack: Stack, accept: str | None) -> None:
    scrape = stack.scrape(*ENDPOINTS, accept=accept)
    assert scrape.content_type == TEXT
    check_families(parse_text(scrape.text))


def test_prometheus_client_reads_openmetrics(stack: Stack) -> None:
    scrape = stack.scrape(*ENDPOINTS, accept=ACCEPT_OPENMETRICS)
    assert scrape.content_type == OPENMETRICS
    check_families(parse_openmetrics(scrape.text))


def check_families(found: Iterable[Metric]) -> None:
    families = list(found)
    for family in families:
        assert family.type == "gauge", f"{family.name} is a {family.type}"
        assert family.documentation, f"{family.name} has no HELP"
    series = {(sample.name, frozenset(sample.labels.items())) for family in families for sample in family.samples}
    contract.assert_same_series(series, contract.series([CHAT, CODE]) | contract.idle_series(IDLE))
    names = [family.name for family in families]
    assert names == list(contract.FAMILIES), f"the families come in another order: {names}"


def test_promtools_linter_remarks_on_quantile_labels_alone(stack: Stack, promtool: Promtool) -> None:
    remarks = promtool.run("check", "metrics", stdin=stack.scrape(*ENDPOINTS).text).stdout.splitlines()
    known = [match[1] for remark in remarks if (match := KNOWN_REMARK.match(remark))]
    assert len(known) == len(remarks), "\n".join(remarks)
    with_quantiles = {family for family, label in contract.FAMILIES.items() if label and label.name == "quantile"}
    assert set(known) == with_quantiles, f"the remark on quantile labels is made on {known}"
