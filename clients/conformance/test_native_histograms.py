"""The two scrape files with native histograms, each in a Prometheus that takes it."""

import contextlib
from collections.abc import Iterator
from typing import NamedTuple

import pytest
import yaml

from clients.conformance import configurations, contract
from clients.conformance.contract import Series
from clients.conformance.dashboard import Panel, name, panels, queries
from clients.conformance.programs import built_prometheus, newest_prometheus
from clients.conformance.prometheus import Prometheus, prometheus, version
from clients.conformance.scrapes import CALM_INTERVAL
from clients.conformance.stack import CHAT, IDLE, Stack

FLAG, JOB = "prometheus/native-histograms-until-3.7.yml", "prometheus/native-histograms.yml"
KEYS = {
    FLAG: {"always_scrape_classic_histograms"},
    JOB: {"always_scrape_classic_histograms", "scrape_native_histograms"},
}
# From and to which version a file is for.
VERSIONS = {FLAG: ((3, 0), (3, 7)), JOB: ((3, 8), (99, 0))}
SCRAPES = 3
HISTOGRAMS = {one for one, family in contract.FAMILIES.items() if family.type == "histogram"}


class Client(NamedTuple):
    file: str
    version: tuple[int, int]
    server: Prometheus


@pytest.fixture(scope="module")
def clients(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Client]]:
    """Both at once; one of the endpoints has never had a request."""
    with contextlib.ExitStack() as servers:
        found = {}
        for file, program, options in (
            (FLAG, newest_prometheus(), ["--enable-feature=native-histograms"]),
            (JOB, built_prometheus(), []),
        ):
            folder = tmp_path_factory.mktemp("native-histograms")
            key_file = stack.new_key_file(folder.name)
            config = folder / "prometheus.yml"
            config.write_text(
                configurations.filled_in(file, stack.address, (CHAT, IDLE), key_file, interval=CALM_INTERVAL)
            )
            (folder / "alerts.yml").write_text(configurations.read("alerts.yml"))
            server = servers.enter_context(prometheus(program, config, folder / "data", *options))
            found[file] = Client(file, version(program), server)
        yield found


@pytest.fixture(scope="module", params=KEYS)
def client(request: pytest.FixtureRequest, clients: dict[str, Client]) -> Client:
    """After some scrapes."""
    found = clients[request.param]
    found.server.wait_for_scrapes("wafer", SCRAPES)
    return found


@pytest.mark.parametrize("file", KEYS)
def test_file_is_the_usual_one_with_keys_for_histograms(file: str) -> None:
    usual, with_keys = (yaml.safe_load(configurations.read(name)) for name in ("prometheus/prometheus.yml", file))
    [job] = with_keys["scrape_configs"]
    assert all(job.pop(key) is True for key in KEYS[file])
    assert with_keys == usual


def test_file_is_run_in_a_version_that_it_is_for(client: Client) -> None:
    first, last = VERSIONS[client.file]
    assert first <= client.version <= last, f"{client.file} is run in {client.version}: build one that it is for"


def test_every_series_is_stored_and_each_histogram_in_both_kinds(client: Client) -> None:
    assert client.server.value('min(min_over_time(up{job="wafer"}[10m]))') == 1
    classic = contract.series([CHAT]) | contract.idle_series(IDLE, contract.BOTH)
    native: set[Series] = {
        (family, frozenset({("endpoint", endpoint)})) for family in HISTOGRAMS for endpoint in (CHAT, IDLE)
    }
    contract.assert_same_series(client.server.stored("wafer"), classic | native)


def test_histogram_of_the_family_s_own_name_is_a_native_one(client: Client) -> None:
    for family in HISTOGRAMS:
        kinds = [one.keys() & {"value", "histogram"} for one in client.server.query(f'{family}{{job="wafer"}}')]
        assert kinds == [{"histogram"}] * 2, f"of {family} there are {kinds}"


@pytest.mark.parametrize("panel", panels(), ids=name)
def test_panel_shows_no_figure_of_an_endpoint_that_is_none(client: Client, panel: Panel) -> None:
    """Nothing divided by nothing is not shown as NaN."""
    for query in queries(panel, endpoints=IDLE):
        for one in client.server.query(query):
            assert one["value"][1] not in ("NaN", "+Inf", "-Inf"), f"{one['value'][1]}: {query}"
