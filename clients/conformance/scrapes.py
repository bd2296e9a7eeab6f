"""The scrape configurations, run: ours in Prometheus and vmagent, the others' scrape parts in a second Prometheus."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from clients.conformance import alloy, configurations
from clients.conformance.programs import operator
from clients.conformance.prometheus import Prometheus, prometheus, version
from clients.conformance.stack import CHAT, CODE, Stack
from loopback.processes import Command, free_address, running

# The shortest that the rate limit bears, so that the test is over soon.
INTERVAL = "10s"
# Leaves room for a busy machine, where a scrape comes a second early or late.
CALM_INTERVAL = "15s"
# Clients that are not run, whose scrape part is Prometheus'. The Operator's own code makes it of the objects.
EMBEDDED = ("grafana-agent", "grafana-alloy", "operator-scrapeconfig", "operator-probe")
# The version for which the Operator writes.
PROMETHEUS = "v2.42.0"
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
        case "grafana-agent":
            agent = yaml.safe_load(filled_in(stack, "grafana-cloud/agent.yaml", client))
            return dict(agent["metrics"]["configs"][0]["scrape_configs"][0])
        case "operator-scrapeconfig" | "operator-probe":
            return by_the_operator(stack, client)
        case "grafana-alloy":
            return from_alloy(stack, stack.new_key_file(client))
        case _:
            raise ValueError(f"{client} embeds no scrape configuration")


def by_the_operator(stack: Stack, client: str) -> dict[str, Any]:
    """Its job has the name that the object gives it, in a label."""
    name = f"kubernetes/{client.removeprefix('operator-')}.yaml"
    text = configurations.filled_in(name, stack.address, (CHAT, CODE), interval=INTERVAL)
    text = text.replace("jobName: wafer", f"jobName: {job_of(client)}")
    return dict(operator_config(text, stack.new_key())["scrape_configs"][0])


def operator_config(text: str, key: str) -> dict[str, Any]:
    """What the Prometheus Operator makes of an object, with the key in its Secret."""
    made = subprocess.run([operator(), PROMETHEUS, key], input=text, text=True, capture_output=True, check=False)
    assert made.returncode == 0, made.stderr
    return dict(yaml.safe_load(made.stdout))


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
def in_formats(
    program: Path, stack: Stack, folder: Path, *formats: str, interval: str = CALM_INTERVAL
) -> Iterator[Prometheus]:
    """A Prometheus 3 with our job once for each format."""
    jobs = []
    native, options = native_histograms(program)
    for name in formats:
        job = yaml.safe_load(filled_in(stack, "prometheus/prometheus.yml", name))["scrape_configs"][0]
        own = {"job_name": job_of(name), "scrape_interval": interval, **FORMATS[name]}
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
def vmagent(program: Path, stack: Stack, folder: Path, key_file: Path, write_to: str) -> Iterator[str]:
    """vmagent with our configuration. Yields its own URL; what it scrapes goes to another."""
    config = folder / "vmagent.yml"
    config.write_text(configurations.filled_in("vmagent/vmagent.yml", stack.address, (CHAT, CODE), key_file, INTERVAL))
    address = free_address()
    command: Command = [
        program,
        f"-promscrape.config={config}",
        f"-remoteWrite.url={write_to}",
        f"-remoteWrite.tmpDataPath={folder / 'queue'}",
        f"-httpListenAddr={address}",
    ]
    with running(command, folder / "vmagent.log"):
        yield f"http://{address}"


def filled_in(stack: Stack, name: str, client: str) -> str:
    return configurations.filled_in(name, stack.address, (CHAT, CODE), stack.new_key_file(client), INTERVAL)
