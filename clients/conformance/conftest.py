"""What the tests share. Each program starts with the first test that asks for it, and ends with the run."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from clients.conformance import contract, history, scrapes
from clients.conformance.faults import Faults, faulty_stack
from clients.conformance.programs import newest_prometheus, program
from clients.conformance.prometheus import Prometheus, Promtool
from clients.conformance.prometheus import prometheus as running_prometheus
from clients.conformance.stack import CHAT, CODE, Stack
from loopback import ROOT
from loopback.local_stack import local_stack
from loopback.processes import end_on_termination


def pytest_configure() -> None:
    end_on_termination()


def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    """What waits for minutes of scrapes comes last: they are made while the others run."""
    items.sort(key=lambda item: "minutes_of_scrapes" in item.fixturenames)


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """Installed by the Makefile."""
    return ROOT / "target" / "conformance" / "node_modules"


@pytest.fixture(scope="session")
def promtool() -> Promtool:
    return Promtool(program("promtool"))


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("stack")
    logs = folder / "request-logs"
    logs.mkdir()
    # The stack keeps what it writes in a temporary folder.
    environment = {**os.environ, "TMPDIR": str(logs)}
    with local_stack(folder / "local-stack.log", environment=environment) as addresses:
        yield Stack(addresses.http, addresses.dynamodb, folder, logs)


@pytest.fixture(scope="session")
def faulty(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stack, Faults]]:
    with faulty_stack(stack, tmp_path_factory.mktemp("faulty")) as stack_and_faults:
        yield stack_and_faults


@pytest.fixture(scope="session")
def our_config(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """prometheus.yml filled in, with alerts.yml beside it."""
    return scrapes.prometheus_config(stack, tmp_path_factory.mktemp("prometheus"))


class Servers(NamedTuple):
    """The newest Prometheus has a job for each format."""

    ours: Prometheus
    second: Prometheus
    newest: Prometheus


@pytest.fixture(scope="session")
def scraping(
    stack: Stack, promtool: Promtool, our_config: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Servers]:
    """Everything that scrapes, started together, so that the tests wait for a minute of scrapes once."""
    # What takes long comes first: the past is to end just before the first scrape.
    server, newest_server, agent = program("prometheus"), newest_prometheus(), program("vmagent")
    second_folder = tmp_path_factory.mktemp("second-prometheus")
    second_config = scrapes.second_config(stack, second_folder)
    data = our_config.with_name("data")
    labels = {"job": "wafer", "instance": stack.address}
    end = history.backfill(promtool, stack.scrape(CHAT, CODE, view=contract.BOTH).text, labels, data)
    receiver = "--web.enable-remote-write-receiver"
    with (
        running_prometheus(server, our_config, data) as ours,
        running_prometheus(server, second_config, second_folder / "data", receiver) as second,
        scrapes.in_formats(newest_server, stack, tmp_path_factory.mktemp("newest"), *scrapes.FORMATS) as newest,
        scrapes.vmagent(
            agent, stack, tmp_path_factory.mktemp("vmagent"), stack.new_key_file("vmagent"), second.write_url
        ),
    ):
        history.backfill_rules(promtool, ours, our_config.with_name("alerts.yml"), end, data)
        yield Servers(ours, second, newest)


@pytest.fixture(scope="session")
def prometheus(scraping: Servers) -> Prometheus:
    """With our configuration, our rules, and a day of past."""
    return scraping.ours


@pytest.fixture(scope="session")
def second_prometheus(scraping: Servers) -> Prometheus:
    """With the scrape parts of other clients; it also receives what vmagent scrapes."""
    return scraping.second
