"""What each client shows of a 401, 403, 429 and 502, and that it goes on by itself afterwards.

The answers are real: of a key that is revoked, that owns other endpoints, or that others use up, and of a stack that
cannot read its figures.
"""

import contextlib
import re
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
import yaml
from datadog_checks.base import OpenMetricsBaseCheckV2
from datadog_checks.base.stubs import aggregator

from clients.conformance import configurations, contract, scrapes
from clients.conformance.faults import FAILS, Faults
from clients.conformance.otlp import collector
from clients.conformance.programs import newest_prometheus, program
from clients.conformance.prometheus import prometheus
from clients.conformance.stack import CHAT, CODE, IDLE, Stack
from clients.conformance.telegraf import telegraf
from loopback import ROOT
from loopback.processes import free_address, wait_for

STATUSES = (401, 403, 502, 429)
# A slot that others have taken is free a minute later.
SECONDS = 120
ENDPOINTS = (CHAT, CODE)


# What a client says of an answer.
Said = dict[tuple[str, int], str]


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
    with prometheus(newest_prometheus(), config, folder / "data") as server:

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
            return bool(received.scrapes) and received.last().values["up", frozenset()] == 1

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


@contextlib.contextmanager
def refused(stack: Stack, faults: Faults, keys: list[str], status: int) -> Iterator[Callable[[], None]]:
    """While it lasts scrapes get this answer. Yields what must be done again and again for that."""

    def put_keys(endpoints: tuple[str, ...], revoked: bool = False) -> None:
        for key in keys:
            stack.put_key(key, endpoints, revoked=revoked)

    def use_up() -> None:
        for key in keys:
            while stack.status(f"{contract.PATH}?endpoint={CHAT}", key) == 200:
                pass

    match status:
        case 401:
            put_keys(ENDPOINTS, revoked=True)
        case 403:
            put_keys((IDLE,))
        case 429:
            yield use_up
        case 502:
            with faults("Query rollups", FAILS):
                yield lambda: None
    if status in (401, 403):
        yield lambda: None
        put_keys(ENDPOINTS)


@pytest.fixture(scope="module")
def said(faulty: tuple[Stack, Faults], tmp_path_factory: pytest.TempPathFactory) -> Said:
    """What each client says while each answer lasts. Before and after they are up."""
    stack, faults = faulty
    said: Said = {}
    with contextlib.ExitStack() as running:
        files = {name: stack.new_key_file(f"refused-{name}") for name in CLIENTS}
        clients = {
            name: running.enter_context(start(stack, tmp_path_factory.mktemp("refused"), files[name]))
            for name, start in CLIENTS.items()
        }
        keys = [path.read_text().strip() for path in files.values()]
        wait_until_up(clients, "they start")
        for status in STATUSES:
            before = {name: one.says() for name, one in clients.items()}
            with refused(stack, faults, keys, status) as keep_on:
                for name, one in clients.items():
                    said[name, status] = wait_for(
                        f"{name} shows a {status}",
                        partial(what_it_says, one, before[name], status, keep_on),
                        SECONDS,
                        pause=0.2,
                    )
            wait_until_up(clients, f"the {status} is over")
    return said


def what_it_says(client: Client, before: str, status: int, keep_on: Callable[[], None]) -> str:
    """Nothing before it shows the answer."""
    keep_on()
    if client.is_up():
        return ""
    now = client.says().removeprefix(before)
    return now if str(status) in now else ""


def wait_until_up(clients: dict[str, Client], after: str) -> None:
    for name, one in clients.items():
        wait_for(f"{name} is up after {after}", one.is_up, SECONDS)


def documented() -> dict[str, str]:
    """What each client says of a 401, by the page."""
    page = (ROOT / "docs" / "clients.md").read_text()
    section = page.partition("\n### What your client shows\n")[2].partition("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| ")]
    return {row[0]: row[-1].strip("`") for row in rows[1:]}


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_says_what_the_page_has_and_goes_on(said: Said, client: str, status: int) -> None:
    phrase = HTTPStatus(status).phrase
    wanted = documented()[client].replace("401", str(status)).replace("Unauthorized", phrase)
    if status >= 500:
        wanted = wanted.replace("Client Error", "Server Error")
    pattern = ".*".join(re.escape(part.strip()) for part in wanted.split("…"))
    assert re.search(pattern, said[client, status]), f"{client} says {said[client, status]}"


def test_the_page_has_each_client_that_is_run() -> None:
    assert documented().keys() == CLIENTS.keys()
