"""A Prometheus finds the endpoints of a key, and follows what is added to it and taken from it."""

import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from clients.conformance import configurations, scrapes
from clients.conformance.programs import newest_prometheus
from clients.conformance.prometheus import Prometheus, Promtool, prometheus
from clients.conformance.stack import CHAT, Stack
from loopback.processes import wait_for

PATH = "/v1/endpoints/metrics/targets"
# One slot of the limit of discovery is left, for a refresh that comes late.
REFRESH_SECONDS = 12
# A scrape of each group in a minute, and one more where a group changes, are within the limit of scrapes.
SCRAPE_SECONDS = 60
FORMATS = ("text", "native")
ENDPOINTS = [CHAT, *(f"h{number:02}.example" for number in range(41))]
# Of 20 endpoints at most.
GROUPS = 3
TAKEN, ADDED = ENDPOINTS[-1], "h41.example"


class Discovering(NamedTuple):
    server: Prometheus
    # By format.
    keys: dict[str, str]


@pytest.fixture(scope="module")
def discovering(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Discovering]:
    """The newest Prometheus, with a job and a key for each format. Addresses and schemes are those of the stack."""
    folder = tmp_path_factory.mktemp("discovery")
    program = newest_prometheus()
    native, options = scrapes.native_histograms(program)
    keys = {name: stack.new_key(endpoints=ENDPOINTS) for name in FORMATS}
    jobs = []
    for name, key in keys.items():
        job = documented(stack, folder / f"{name}.key", key)
        local = [
            {"target_label": "__address__", "replacement": stack.address},
            {"target_label": "__scheme__", "replacement": "http"},
        ]
        extra = {**scrapes.FORMATS[name], **(native if name == "native" else {})}
        jobs.append({**job, **extra, "job_name": name, "relabel_configs": local})
    config = folder / "prometheus.yml"
    config.write_text(yaml.safe_dump({"scrape_configs": jobs}))
    with prometheus(program, config, folder / "data", *options) as server:
        yield Discovering(server, keys)


def documented(stack: Stack, key_file: Path, key: str) -> dict[str, object]:
    """The job of the page, filled in."""
    key_file.write_text(key)
    text = configurations.read("prometheus/discovery.yml").replace(configurations.KEY_FILE, str(key_file))
    text = text.replace(f"https://{configurations.HOST}", f"http://{stack.address}")
    text = text.replace("refresh_interval: 60s", f"refresh_interval: {REFRESH_SECONDS}s")
    return dict(yaml.safe_load(text)["scrape_configs"][0])


def endpoints_of(server: Prometheus, job: str) -> set[str]:
    """Those that have a series of the window and one of the counters just now."""
    expression = (
        f'wafer_metrics_window_seconds{{job="{job}"}} and on (endpoint) wafer_input_tokens_total{{job="{job}"}}'
    )
    found = server.query(expression)
    assert all("instance" not in series["metric"] for series in found)
    return {series["metric"]["endpoint"] for series in found}


def test_prometheus_follows_the_endpoints_of_a_key_without_a_restart(stack: Stack, discovering: Discovering) -> None:
    server = discovering.server
    wait_for("all endpoints", lambda: all_have(server, set(ENDPOINTS)), 2 * SCRAPE_SECONDS)
    for job in FORMATS:
        assert server.value(f'count(up{{job="{job}"}})') == GROUPS, job

    changed = {*ENDPOINTS, ADDED} - {TAKEN}
    for key in discovering.keys.values():
        stack.put_key(key, changed)
    # A target that is gone keeps its last value for two more intervals.
    wait_for("the change", lambda: scraped(server) == changed, 5 * REFRESH_SECONDS)
    wait_for("the series of what was added", lambda: all_have(server, {ADDED}), 2 * SCRAPE_SECONDS)
    wait_for("every target to be up", lambda: server.value("min(up)") == 1, 2 * SCRAPE_SECONDS)
    counted = server.value(f'histogram_count(wafer_time_to_first_token_seconds{{job="native", endpoint="{CHAT}"}})')
    assert counted, "native histograms are missing"


def all_have(server: Prometheus, endpoints: set[str]) -> bool:
    return all(endpoints <= endpoints_of(server, job) for job in FORMATS)


def scraped(server: Prometheus) -> set[str]:
    """The endpoints that its targets name just now."""
    urls = [urllib.parse.urlsplit(target["scrapeUrl"]) for target in server.get("targets")["activeTargets"]]
    return {host for url in urls for host in urllib.parse.parse_qs(url.query)["endpoint"][0].split(",")}


def test_prometheus_counts_what_discovery_refuses_and_keeps_its_targets(stack: Stack, discovering: Discovering) -> None:
    server = discovering.server
    wait_for("all targets", lambda: len(server.query("up")) == GROUPS * len(FORMATS), 2 * SCRAPE_SECONDS)
    assert failures(server) == 0

    def takes_a_slot_and_sees_a_failure() -> bool:
        stack.status(PATH, discovering.keys["text"])
        return failures(server) > 0

    # What is free is taken before Prometheus comes.
    wait_for("a failure", takes_a_slot_and_sees_a_failure, 2 * SCRAPE_SECONDS, pause=0.2)
    assert len(server.query("up")) == GROUPS * len(FORMATS)


def failures(server: Prometheus) -> float:
    """As the server says of itself."""
    lines = [line for line in server.own_metrics().splitlines() if line.startswith("prometheus_sd_http_failures_total")]
    assert lines, "it has no such counter"
    return sum(float(line.split()[-1]) for line in lines)


def test_the_alert_on_failures_is_a_rule(promtool: Promtool) -> None:
    promtool.check("check", "rules", configurations.CLIENTS / "prometheus" / "discovery-alerts.yml")
    assert "prometheus_sd_http_failures_total" in configurations.read("prometheus/discovery-alerts.yml")
