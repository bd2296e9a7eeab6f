"""The text itself: promtool's linter and the parsers of prometheus-client."""

import re

import contract
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from report import expect
from stack import CHAT, CODE, IDLE

OPENMETRICS = "application/openmetrics-text;version=1.0.0"
# Percentiles that are gauges need this label, which the linter would see on summaries alone.
KNOWN_REMARK = re.compile(r'^(wafer_\w+) non-summary metrics should not have "quantile" label$')
QUANTILE_FAMILIES = {"wafer_ttft_seconds", "wafer_request_duration_seconds", "wafer_output_tokens_per_second"}
# What Telegraf sends: it would rather have protobuf.
TELEGRAF_ACCEPT = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7,text/plain;version=0.0.4;q=0.3,*/*;q=0.1"
)


def check_text(text, content_type):
    expect(content_type == "text/plain; version=0.0.4; charset=utf-8", f"the content type is {content_type}")
    check_families(parse_text(text))


def check_openmetrics(text, content_type):
    expect(content_type == "application/openmetrics-text; version=1.0.0; charset=utf-8", f"the content type is {content_type}")
    check_families(parse_openmetrics(text))


def check_families(families):
    families = list(families)
    for family in families:
        expect(family.type == "gauge", f"{family.name} is a {family.type}")
        expect(family.documentation, f"{family.name} has no HELP")
    found = {(sample.name, frozenset(sample.labels.items())) for family in families for sample in family.samples}
    difference = contract.differences(found, contract.series([CHAT, CODE]) | contract.idle_series(IDLE))
    expect(not difference, difference)
    names = [family.name for family in families]
    expect(names == list(contract.FAMILIES), f"the families come in another order: {names}")


def check_lint(promtool, text):
    said, _ = promtool.run("check", "metrics", input=text)
    remarks = said.splitlines()
    unknown = [remark for remark in remarks if not KNOWN_REMARK.match(remark)]
    expect(not unknown, "\n".join(unknown))
    named = {KNOWN_REMARK.match(remark)[1] for remark in remarks}
    expect(named == QUANTILE_FAMILIES, f"the remark on quantile labels is made on {named}")
