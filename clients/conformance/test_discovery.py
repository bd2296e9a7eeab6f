"""A Prometheus finds the endpoints of a key, and follows what is added to it and taken from it."""

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
# The shortest that the limit of discovery bears.
REFRESH = "10s"
# A scrape of each group in a minute, and one more where a group changes, are within the limit of scrapes.
SCRAPE_SECONDS = 60
FORMATS = ("text", "native")
ENDPOINTS = [CHAT, *(f"h{number:02}.example" for number in range(41))]
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
    text = text.replace("refresh_interval: 60s", f"refresh_interval: {REFRESH}")
    return dict(yaml.safe_load(text)["scrape_configs"][0])


def endpoints_of(server: Prometheus, job: str) -> set[str]:
    """Those that have a series of the window and one of the counters just now."""
    expression = (
        f'wafer_metrics_window_seconds{{job="{job}"}} and on (endpoint) wafer_input_tokens_total{{job="{job}"}}'
    )
    found = server.query(expression)
    assert all("instance" not in series["metric"] for series in found)
    return {series["metric"]["endpoint"] for series in found}


@pytest.mark.parametrize("job", FORMATS)
def test_prometheus_follows_the_endpoints_of_a_key_without_a_restart(
    stack: Stack, discovering: Discovering, job: str
) -> None:
    server = discovering.server
    wait_for("all endpoints", lambda: endpoints_of(server, job) == set(ENDPOINTS), 2 * SCRAPE_SECONDS)
    assert server.value(f'count(up{{job="{job}"}})') == 3

    changed = {*ENDPOINTS, ADDED} - {TAKEN}
    stack.put_key(discovering.keys[job], changed)
    wait_for("the change", lambda: endpoints_of(server, job) == changed, 2 * SCRAPE_SECONDS)
    assert server.value(f'min(min_over_time(up{{job="{job}"}}[10m]))') == 1, "a scrape failed"
    if job == "native":
        counted = server.value(f'histogram_count(wafer_time_to_first_token_seconds{{job="{job}", endpoint="{CHAT}"}})')
        assert counted, "there is no native histogram"


def test_prometheus_counts_what_discovery_refuses_and_keeps_its_targets(stack: Stack, discovering: Discovering) -> None:
    server = discovering.server
    before = len(server.query("up"))
    assert failures(server) == 0
    key = discovering.keys["text"]
    while stack.status(PATH, key) == 200:
        pass
    wait_for("a failure", lambda: failures(server) > 0, 30)
    assert len(server.query("up")) == before


def failures(server: Prometheus) -> float:
    """As the server says of itself."""
    lines = [line for line in server.own_metrics().splitlines() if line.startswith("prometheus_sd_http_failures_total")]
    assert lines, "it has no such counter"
    return sum(float(line.split()[-1]) for line in lines)


def test_the_alert_on_failures_is_a_rule(promtool: Promtool) -> None:
    promtool.check("check", "rules", configurations.CLIENTS / "prometheus" / "discovery-alerts.yml")
    assert "prometheus_sd_http_failures_total" in configurations.read("prometheus/discovery-alerts.yml")
