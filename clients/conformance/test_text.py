"""The text itself: promtool's linter and the parsers of prometheus-client."""

import re
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import pairwise

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from prometheus_client.samples import Sample

from clients.conformance import contract
from clients.conformance.contract import BOTH, COUNTERS, FAMILIES, WINDOW
from clients.conformance.prometheus import Promtool
from clients.conformance.stack import CHAT, CODE, IDLE, Scrape, Stack

ENDPOINTS = (CHAT, CODE, IDLE)
VIEWS = (WINDOW, COUNTERS, BOTH)
TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
PROTOBUF = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
ACCEPT_OPENMETRICS = "application/openmetrics-text;version=1.0.0"
# What Telegraf sends: it would rather have protobuf.
ACCEPT_OF_TELEGRAF = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.1"
)
# Percentiles that are gauges need this label, which the linter expects on summaries alone.
KNOWN_REMARK = re.compile(r'^(wafer_\w+) non-summary metrics should not have "quantile" label$')

# The parsers of prometheus-client, by what is sent as Accept and comes as Content-Type.
Parser = Callable[[str], Iterable[Metric]]
FORMATS: dict[str, tuple[str | None, str, Parser]] = {
    "text": (None, TEXT, parse_text),
    "OpenMetrics": (ACCEPT_OPENMETRICS, OPENMETRICS, parse_openmetrics),
}


@pytest.fixture(params=FORMATS, scope="module")
def read(request: pytest.FixtureRequest, stack: Stack) -> Callable[[str], list[Metric]]:
    """The families of a view, in one format after the other."""
    accept, content_type, parse = FORMATS[request.param]

    def families(view: str) -> list[Metric]:
        scrape = stack.scrape(*ENDPOINTS, view=view, accept=accept)
        assert scrape.content_type == content_type
        return list(parse(scrape.text))

    return families


@pytest.mark.parametrize("view", VIEWS)
def test_prometheus_client_reads_every_series_of_the_view(read: Callable[[str], list[Metric]], view: str) -> None:
    check_families(read(view), view)


def test_without_a_view_the_answer_is_that_of_the_window(stack: Stack) -> None:
    assert names_in(stack.scrape(*ENDPOINTS)) == names_in(stack.scrape(*ENDPOINTS, view=WINDOW))


def names_in(scrape: Scrape) -> list[str]:
    """Of each line what stands before its value."""
    return [line.rpartition(" ")[0] for line in scrape.text.splitlines()]


def test_a_caller_that_prefers_protobuf_gets_it_with_counters_and_the_window_alone_as_text(stack: Stack) -> None:
    """What is in the protobuf: test_counters.py and test_telegraf.py."""
    for view in (COUNTERS, BOTH):
        assert stack.scrape(*ENDPOINTS, view=view, accept=ACCEPT_OF_TELEGRAF).content_type == PROTOBUF
    scrape = stack.scrape(*ENDPOINTS, accept=ACCEPT_OF_TELEGRAF)
    assert scrape.content_type == TEXT
    check_families(list(parse_text(scrape.text)), WINDOW)


def check_families(families: list[Metric], view: str) -> None:
    wanted = contract.families_in(view)
    # The parsers name the family of a counter without `_total`, in both formats.
    names = [family.name + "_total" * (family.type == "counter") for family in families]
    assert names == list(wanted), f"the families come in another order: {names}"
    for name, family in zip(names, families, strict=True):
        assert family.type == wanted[name].type, f"{name} is a {family.type}"
        assert family.documentation, f"{name} has no HELP"
    series = {series_of(sample) for family in families for sample in family.samples}
    contract.assert_same_series(series, contract.series([CHAT, CODE], view) | contract.idle_series(IDLE, view))


def series_of(sample: Sample) -> contract.Series:
    return sample.name, frozenset(sample.labels.items())


def test_histograms_rise_from_bound_to_bound_up_to_their_count(read: Callable[[str], list[Metric]]) -> None:
    for family in read(COUNTERS):
        if family.type != "histogram":
            continue
        for endpoint in ENDPOINTS:
            samples = [sample for sample in family.samples if sample.labels["endpoint"] == endpoint]
            buckets = [sample for sample in samples if sample.name.endswith("_bucket")]
            assert [bucket.labels["le"] for bucket in buckets] == contract.le_values(family.name)
            assert all(lower.value <= upper.value for lower, upper in pairwise(buckets)), f"{family.name} falls"
            total, count = samples[-2:]
            assert (total.name, count.name) == (f"{family.name}_sum", f"{family.name}_count")
            assert buckets[-1].value == count.value
            assert (total.value > 0) == (count.value > 0) == (endpoint != IDLE)


def test_status_codes_add_up_to_their_classes_and_an_idle_endpoint_has_none(
    read: Callable[[str], list[Metric]],
) -> None:
    classes, codes = read(COUNTERS)[:2]
    by_code: Counter[tuple[str, str]] = Counter()
    for sample in codes.samples:
        code = sample.labels["status_code"]
        assert re.fullmatch("[1-5][0-9]{2}", code), f"a line for the status code {code}"
        assert sample.value >= 1, f"{code} has a line before its first request"
        by_code[sample.labels["endpoint"], f"{code[0]}xx"] += int(sample.value)
    by_class = {(sample.labels["endpoint"], sample.labels["status_class"]): sample.value for sample in classes.samples}
    assert by_code == Counter(by_class)
    assert all(value == 0 for (endpoint, _), value in by_class.items() if endpoint == IDLE)


@pytest.mark.parametrize("view", VIEWS)
def test_promtools_linter_remarks_on_quantile_labels_alone(stack: Stack, promtool: Promtool, view: str) -> None:
    remarks = promtool.run("check", "metrics", stdin=stack.scrape(*ENDPOINTS, view=view).text).stdout.splitlines()
    known = [match[1] for remark in remarks if (match := KNOWN_REMARK.match(remark))]
    assert len(known) == len(remarks), "\n".join(remarks)
    families = contract.families_in(view)
    with_quantiles = {name for name, family in families.items() if family.label and family.label.name == "quantile"}
    assert set(known) == with_quantiles, f"the remark on quantile labels is made on {known}"


def test_a_key_that_does_not_expire_has_no_time_at_which_it_does(stack: Stack) -> None:
    expiring, lasting = stack.new_key(), stack.new_key(expires=False)
    expiry = "wafer_api_key_expiry_timestamp_seconds"
    assert FAMILIES[expiry].is_in(COUNTERS)
    assert expiry in stack.scrape(CHAT, view=COUNTERS, key=expiring).text
    assert expiry not in stack.scrape(CHAT, view=COUNTERS, key=lasting).text
