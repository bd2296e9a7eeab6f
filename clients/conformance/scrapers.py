"""Each client with our configuration and its key in a file, and how one sees whether it scrapes."""

import contextlib
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from datadog_checks.base import OpenMetricsBaseCheckV2
from datadog_checks.base.stubs import aggregator

from clients.conformance import configurations, scrapes
from clients.conformance.otlp import collector
from clients.conformance.programs import built_prometheus, program
from clients.conformance.prometheus import prometheus
from clients.conformance.stack import CHAT, CODE, Stack
from clients.conformance.telegraf import telegraf
from loopback.processes import free_address

ENDPOINTS = (CHAT, CODE)


@dataclass
class Client:
    """`is_up` is about its last scrape, and `says` is all that it says of failures."""

    is_up: Callable[[], bool]
    says: Callable[[], str]


@contextlib.contextmanager
def prometheus_client(stack: Stack, folder: Path, key_file: Path) -> Iterator[Client]:
    config = folder / "prometheus.yml"
    text = configurations.filled_in("prometheus/prometheus.yml", stack.address, ENDPOINTS, key_file, scrapes.INTERVAL)
    config.write_text(text)
    (folder / "alerts.yml").write_text(configurations.read("alerts.yml"))
    with prometheus(built_prometheus(), config, folder / "data") as server:

        def target() -> dict[str, str]:
            return next(iter(server.get("targets")["activeTargets"]), {"health": "unknown", "lastError": ""})

        yield Client(lambda: target()["health"] == "up", lambda: target()["lastError"])


@contextlib.contextmanager
def vmagent_client(stack: Stack, folder: Path, key_file: Path) -> Iterator[Client]:
    nowhere = f"http://{free_address()}"
    with scrapes.vmagent(program("vmagent"), stack, folder, key_file, nowhere) as url:

        def targets() -> str:
            with urllib.request.urlopen(f"{url}/targets", timeout=10) as answer:
                return str(answer.read().decode())

        yield Client(lambda: "state=up" in targets(), targets)


@contextlib.contextmanager
def collector_client(stack: Stack, folder: Path, key_file: Path) -> Iterator[Client]:
    with collector(stack.address, folder, key_file) as (running, received):

        def is_up() -> bool:
            scrapes = received.scrapes()
            return bool(scrapes) and scrapes[-1].values.get(("up", frozenset())) == 1

        yield Client(is_up, running.log.read_text)


@contextlib.contextmanager
def telegraf_client(stack: Stack, folder: Path, key_file: Path) -> Iterator[Client]:
    with telegraf(stack.address, folder, key_file.read_text().strip()) as running:

        def is_up() -> bool:
            log = running.log.read_text()
            return log.rfind("\nwafer_") > log.rfind(" E! ")

        yield Client(is_up, running.log.read_text)


class Check:
    """Datadog's check, run at an interval, as the Agent does."""

    def __init__(self, instance: dict[str, Any]) -> None:
        self.check = OpenMetricsBaseCheckV2("openmetrics", {}, [instance])
        self.due = 0.0
        self.health: list[int] = []
        self.problems = ""

    def is_up(self) -> bool:
        if time.monotonic() >= self.due:
            self.due = time.monotonic() + float(scrapes.INTERVAL.removesuffix("s"))
            aggregator.reset()
            self.problems += self.check.run()
            self.health = [one.status for one in aggregator.service_checks("wafer.openmetrics.health")]
        assert self.health in ([self.check.OK], [self.check.CRITICAL])
        return self.health == [self.check.OK]

    def says(self) -> str:
        return self.problems


@contextlib.contextmanager
def datadog_client(stack: Stack, folder: Path, key_file: Path) -> Iterator[Client]:
    config = yaml.safe_load(configurations.filled_in("datadog/conf.yaml", stack.address, ENDPOINTS, key_file))
    check = Check(config["instances"][0])
    yield Client(check.is_up, check.says)


CLIENTS = {
    "Prometheus": prometheus_client,
    "vmagent": vmagent_client,
    "OpenTelemetry Collector": collector_client,
    "Telegraf": telegraf_client,
    "Datadog Agent": datadog_client,
}
