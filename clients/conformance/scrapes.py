"""The scrape configurations, run: ours in Prometheus and vmagent, the others' scrape parts in a second Prometheus."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from clients.conformance import alloy, configurations
from clients.conformance.prometheus import Prometheus, prometheus, version
from clients.conformance.stack import CHAT, CODE, Stack
from loopback.processes import Command, free_address, running

# The shortest that the rate limit bears, so that the test is over soon.
INTERVAL = "10s"
# Leaves room for a busy machine, where a scrape comes a second early or late.
CALM_INTERVAL = "15s"
# Clients that are not run, whose scrape part is Prometheus'.
EMBEDDED = ("otel-collector", "grafana-agent", "grafana-alloy")
RENAMED, KEPT = "wafer-target-label", "wafer-target-label-honored"

# The demo fails 0.3 % of its requests.
OBJECTIVE, DEMO_OBJECTIVE = "vector(0.999)", "vector(0.99)"

# What a scrape may be answered in, as Prometheus 3 can be set to ask for it.
FORMATS: dict[str, dict[str, Any]] = {
    "text": {"scrape_protocols": ["PrometheusText0.0.4"]},
    "openmetrics": {"scrape_protocols": ["OpenMetricsText1.0.0"]},
    "native": {"scrape_protocols": ["PrometheusProto"]},
    "native-and-classic": {"scrape_protocols": ["PrometheusProto"], "always_scrape_classic_histograms": True},
}


def job_of(client: str) -> str:
    return f"wafer-{client}"


def prometheus_config(stack: Stack, folder: Path) -> Path:
    """Our prometheus.yml with our alerts.yml beside it, whose objective is what the demo's traffic can hold."""
    config = folder / "prometheus.yml"
    config.write_text(filled_in(stack, "prometheus/prometheus.yml", "prometheus"))
    rules = configurations.read("alerts.yml")
    assert rules.count(OBJECTIVE) == 1, "the objective does not stand in one place"
    (folder / "alerts.yml").write_text(rules.replace(OBJECTIVE, DEMO_OBJECTIVE))
    return config


def second_config(stack: Stack, folder: Path) -> Path:
    """What the other clients would scrape, and targets with a label `endpoint`, as a ServiceMonitor makes them."""
    jobs = [{**embedded_config(stack, client), "job_name": job_of(client)} for client in EMBEDDED]
    for job, honored in ((RENAMED, False), (KEPT, True)):
        labelled = yaml.safe_load(filled_in(stack, "prometheus/prometheus.yml", job))["scrape_configs"][0]
        labelled["static_configs"][0]["labels"] = {"endpoint": "https"}
        jobs.append({**labelled, "job_name": job, "honor_labels": honored})
    config = folder / "prometheus.yml"
    config.write_text(yaml.safe_dump({"scrape_configs": jobs}))
    return config


def embedded_config(stack: Stack, client: str) -> dict[str, Any]:
    """The scrape configuration inside that of a client."""
    match client:
        case "otel-collector":
            collector = yaml.safe_load(filled_in(stack, "otel/collector.yaml", client))
            return dict(collector["receivers"]["prometheus"]["config"]["scrape_configs"][0])
        case "grafana-agent":
            agent = yaml.safe_load(filled_in(stack, "grafana-cloud/agent.yaml", client))
            return dict(agent["metrics"]["configs"][0]["scrape_configs"][0])
        case "grafana-alloy":
            return from_alloy(stack, stack.new_key_file(client))
        case _:
            raise ValueError(f"{client} embeds no scrape configuration")


def from_alloy(stack: Stack, key_file: Path) -> dict[str, Any]:
    """Alloy's arguments have the names of Prometheus' settings. Its key comes from the environment."""
    text = configurations.read("alloy/config.alloy")
    changes = {
        configurations.HOST: stack.address,
        configurations.ENDPOINTS[0]: CHAT,
        configurations.ENDPOINTS[1]: CODE,
        '"https"': '"http"',
        '"60s"': f'"{INTERVAL}"',
    }
    for placeholder, value in changes.items():
        text = text.replace(placeholder, value)
    scrape = alloy.parse(text)[0]
    given = {name: value for name, value in scrape.attributes.items() if name not in ("targets", "forward_to")}
    authorization = {"type": scrape.blocks[0].attributes["type"], "credentials": key_file.read_text().strip()}
    targets = [target["__address__"] for target in scrape.attributes["targets"]]
    return {**given, "authorization": authorization, "static_configs": [{"targets": targets}]}


@contextlib.contextmanager
def in_formats(program: Path, stack: Stack, folder: Path, *formats: str) -> Iterator[Prometheus]:
    """A Prometheus 3 with our job once for each format."""
    jobs = []
    native, options = native_histograms(program)
    for name in formats:
        job = yaml.safe_load(filled_in(stack, "prometheus/prometheus.yml", name))["scrape_configs"][0]
        own = {"job_name": job_of(name), "scrape_interval": CALM_INTERVAL, **FORMATS[name]}
        jobs.append({**job, **own, **(native if name.startswith("native") else {})})
    config = folder / "prometheus.yml"
    config.write_text(yaml.safe_dump({"scrape_configs": jobs}))
    with prometheus(program, config, folder / "data", *options) as server:
        yield server


def native_histograms(program: Path) -> tuple[dict[str, Any], list[str]]:
    """What turns them on: the settings of a job from 3.8 on, and the options of the server before."""
    if version(program) >= (3, 8):
        return {"scrape_native_histograms": True}, []
    return {}, ["--enable-feature=native-histograms"]


@contextlib.contextmanager
def vmagent(program: Path, stack: Stack, folder: Path, receiver: Prometheus) -> Iterator[None]:
    """vmagent with our configuration; what it scrapes goes to the Prometheus `receiver`."""
    config = folder / "vmagent.yml"
    config.write_text(filled_in(stack, "vmagent/vmagent.yml", "vmagent"))
    command: Command = [
        program,
        f"-promscrape.config={config}",
        f"-remoteWrite.url={receiver.url}/api/v1/write",
        f"-remoteWrite.tmpDataPath={folder / 'queue'}",
        f"-httpListenAddr={free_address()}",
    ]
    with running(command, folder / "vmagent.log"):
        yield


def filled_in(stack: Stack, name: str, client: str) -> str:
    return configurations.filled_in(name, stack.address, (CHAT, CODE), stack.new_key_file(client), INTERVAL)
