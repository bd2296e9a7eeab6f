"""Counters and histograms as clients store them of live traffic, against the rows of the request log.

Environment: COUNTERS_MINUTES, how long the clients have scraped; 4, and 10 for the long form.
"""

import math
import os
import time
from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pytest

from clients.conformance import contract, samples, scrapes
from clients.conformance.conftest import Servers
from clients.conformance.prometheus import Prometheus
from clients.conformance.request_log import DECIMALS, NATIVE_SCHEMA, RequestLog, State
from clients.conformance.samples import Scrape
from clients.conformance.stack import CHAT, CODE, Stack
from loopback.processes import wait_for

MINUTES = int(os.environ.get("COUNTERS_MINUTES", "4"))
# What rates are asked over: five minutes, or as much of them as there is.
RANGE = min(MINUTES - 1, 5)
ENDPOINTS = (CHAT, CODE)
QUANTILE = 0.9
# Of the client that scrapes least often.
SCRAPES_A_MINUTE = 4
REMOTE_WRITE_SECONDS = 15


class Client(NamedTuple):
    """Which server has what a client scraped, under which job; and which histograms."""

    server: str
    job: str
    classic: bool
    native: bool


CLIENTS = {
    "prometheus of the machine": Client("ours", "wafer", True, False),
    "vmagent": Client("second", "wafer", True, False),
    "text": Client("newest", scrapes.job_of("text"), True, False),
    "openmetrics": Client("newest", scrapes.job_of("openmetrics"), True, False),
    "protobuf": Client("newest", scrapes.job_of("native"), False, True),
    "protobuf, classic too": Client("newest", scrapes.job_of("native-and-classic"), True, True),
}


@pytest.fixture(scope="module")
def minutes_of_scrapes(scraping: Servers) -> Servers:
    """Once every client has scraped for so long."""

    def all_have() -> bool:
        counts = [server_of(scraping, client).value(scrapes_of(client)) or 0 for client in CLIENTS.values()]
        return min(counts) >= MINUTES * SCRAPES_A_MINUTE

    wait_for(f"{MINUTES} minutes of scrapes", all_have, MINUTES * 60 + 120, pause=5)
    return scraping


def server_of(servers: Servers, client: Client) -> Prometheus:
    server: Prometheus = getattr(servers, client.server)
    return server


def scrapes_of(client: Client) -> str:
    return f'count_over_time(up{{job="{client.job}"}}[{MINUTES + 5}m])'


class Scraped:
    """What one client stored, and the rows that it should agree with."""

    def __init__(self, servers: Servers, stack: Stack, client: Client) -> None:
        self.server = server_of(servers, client)
        self.client = client
        # What is written from afar comes some seconds after it was scraped.
        self.now = time.time() - REMOTE_WRITE_SECONDS
        self.scrapes: dict[str, list[Scrape]] = {}
        self.logs: dict[str, RequestLog] = {}
        for endpoint in ENDPOINTS:
            found = samples.scrapes(self.server, client.job, endpoint, MINUTES)
            self.scrapes[endpoint] = [scrape for scrape in found if scrape.at <= self.now]
            self.logs[endpoint] = RequestLog(stack.logs, endpoint, found[0].window_end)

    def states(self, endpoint: str) -> list[State]:
        """For each scrape what of the log had been counted."""
        try:
            return samples.states(self.logs[endpoint], self.scrapes[endpoint], self.is_stored)
        except AssertionError as problem:
            raise AssertionError(f"{endpoint}: {problem}") from None

    def is_stored(self, name: str) -> bool:
        """Whether the client stores what has this name: one kind of buckets, or both."""
        return self.client.native if name in DECIMALS else self.client.classic or not name.endswith("_bucket")


@pytest.fixture(scope="module", params=CLIENTS)
def scraped(request: pytest.FixtureRequest, minutes_of_scrapes: Servers, stack: Stack) -> Scraped:
    return Scraped(minutes_of_scrapes, stack, CLIENTS[request.param])


def test_no_scrape_failed(scraped: Scraped) -> None:
    assert samples.unexplained_failures(scraped.server.outcomes(scraped.client.job, MINUTES + 5)) == []


def test_nothing_falls_from_one_scrape_to_the_next(scraped: Scraped) -> None:
    for found in scraped.scrapes.values():
        for earlier, later in pairwise(found):
            assert later.window_end >= earlier.window_end
            falls = earlier.figures - later.figures
            assert not falls, f"falls after {earlier.at}: {falls}"


def test_every_counter_bucket_and_sum_rises_as_the_rows_say(scraped: Scraped) -> None:
    for endpoint, found in scraped.scrapes.items():
        states = scraped.states(endpoint)
        assert len({scrape.window_end for scrape in found}) >= MINUTES - 1, "the window hardly moved"
        assert states[-1].ended_before - states[0].ended_before >= (MINUTES - 2) * 60


def test_rate_and_increase_are_what_promql_defines_on_these_samples(scraped: Scraped) -> None:
    start, end = scraped.now - RANGE * 60, scraped.now
    checked: set[str] = set()
    for endpoint, found in scraped.scrapes.items():
        within = [scrape for scrape in found if start < scrape.at]
        for name, label in within[-1].figures:
            values = [(scrape.at, float(scrape.figures[name, label])) for scrape in within]
            is_near_zero = values[0][1] < values[-1][1] - values[0][1]
            if is_near_zero or name in DECIMALS:
                continue
            series = f'{{job="{scraped.client.job}",endpoint="{endpoint}"{matcher(name, label)}}}'
            wanted = samples.increase(values, start, end) / samples.unit(name)
            for function, value in (("increase", wanted), ("rate", wanted / (RANGE * 60))):
                query = expression(scraped.client, name, function, f"{series}[{RANGE}m] @ {end:.3f}")
                answer = scraped.server.value(query)
                assert answer == pytest.approx(value, rel=1e-6, abs=1e-9), query
            checked.add(name)
    assert len(checked) >= 5 + 2 * len(DECIMALS), f"checked are {checked}"


def expression(client: Client, name: str, function: str, series: str) -> str:
    """A rate; of what is a part of a native histogram, that part of its rate."""
    family, _, part = name.rpartition("_")
    if client.classic or family not in DECIMALS:
        return f"{function}({name}{series})"
    return f"histogram_{part}({function}({family}{series}))"


def matcher(name: str, label: str) -> str:
    if name.endswith("_bucket"):
        return f',le="{label}"'
    further = contract.FAMILIES[name].label if name in contract.FAMILIES else None
    return f',{further.name}="{label}"' if further else ""


@pytest.mark.parametrize("family", DECIMALS)
def test_a_quantile_lies_in_the_bucket_of_the_observation_of_its_rank(scraped: Scraped, family: str) -> None:
    """Of both endpoints together."""
    start, end = scraped.now - RANGE * 60, scraped.now
    observed = np.sort(np.concatenate(list(observations(scraped, family, start))))
    assert len(observed) > 100, "hardly anything was observed"
    observation = observed[math.ceil(QUANTILE * len(observed)) - 1]
    if scraped.client.classic:
        bounds = [0.0, *contract.bounds_of(family)]
        upper = next(bound for bound in bounds if observation <= bound)
        lower = bounds[bounds.index(upper) - 1]
        buckets = f'sum by (le) (rate({family}_bucket{{job="{scraped.client.job}"}}[{RANGE}m] @ {end:.3f}))'
        check_between(scraped.server.value(f"histogram_quantile({QUANTILE}, {buckets})"), lower, upper)
    if scraped.client.native:
        number = math.ceil(math.log2(observation) * 2**NATIVE_SCHEMA)
        lower, upper = (2 ** (bound / 2**NATIVE_SCHEMA) for bound in (number - 1, number))
        histogram = f'sum(rate({family}{{job="{scraped.client.job}"}}[{RANGE}m] @ {end:.3f}))'
        check_between(scraped.server.value(f"histogram_quantile({QUANTILE}, {histogram})"), lower, upper)


def observations(scraped: Scraped, family: str, start: float) -> Iterable[np.ndarray]:
    """What was counted from the first scrape after a time to the last, by endpoint."""
    for endpoint, found in scraped.scrapes.items():
        states = [state for one, state in zip(found, scraped.states(endpoint), strict=True) if start < one.at]
        yield scraped.logs[endpoint].observations(family, states[0], states[-1])


def check_between(quantile: float | None, lower: float, upper: float) -> None:
    assert quantile is not None
    assert lower * (1 - 1e-9) <= quantile <= upper * (1 + 1e-9), f"{quantile} is not in ({lower}, {upper}]"
