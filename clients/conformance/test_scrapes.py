"""Clients scrape the endpoint for a minute with our configurations."""

import pytest

from clients.conformance import contract, samples
from clients.conformance.contract import Series
from clients.conformance.prometheus import Prometheus
from clients.conformance.scrapes import EMBEDDED, KEPT, RENAMED, job_of
from clients.conformance.stack import CHAT, CODE

# Enough for each client to meet the rate limit, were it to.
SCRAPES = 6


def test_prometheus_is_up_throughout_and_stores_every_series(prometheus: Prometheus) -> None:
    check_scraped(prometheus, "wafer")


def test_vmagent_is_up_throughout_and_stores_every_series(second_prometheus: Prometheus) -> None:
    check_scraped(second_prometheus, "wafer")


@pytest.mark.parametrize("client", EMBEDDED)
def test_scrape_part_is_up_throughout_and_stores_every_series(second_prometheus: Prometheus, client: str) -> None:
    check_scraped(second_prometheus, job_of(client))


def check_scraped(server: Prometheus, job: str) -> None:
    server.wait_for_scrapes(job, SCRAPES)
    assert samples.unexplained_failures(server.outcomes(job, 10)) == [], f"{job} was not up throughout"
    check_stored(server, job, contract.series([CHAT, CODE]))


def check_stored(server: Prometheus, job: str, wanted: set[Series]) -> None:
    """After one more scrape where the last one failed."""
    server.wait_for(f'up{{job="{job}"}} == 1')
    contract.assert_same_series(server.stored(job), wanted)


def test_target_label_endpoint_renames_ours_and_honor_labels_prevents_it(second_prometheus: Prometheus) -> None:
    """This is why each configuration turns honor_labels on."""
    second_prometheus.wait_for_scrapes(RENAMED, 1)
    second_prometheus.wait_for_scrapes(KEPT, 1)
    check_stored(second_prometheus, KEPT, contract.series([CHAT, CODE]))
    second_prometheus.wait_for(f'up{{job="{RENAMED}"}} == 1')
    renamed = {(name, labels - {("endpoint", "https")}) for name, labels in second_prometheus.stored(RENAMED)}
    contract.assert_same_series(renamed, contract.series([CHAT, CODE], endpoint_label="exported_endpoint"))
