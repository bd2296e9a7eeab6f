"""The dashboard's annotations: which alerts it shows."""

from collections.abc import Iterator

import pytest
import yaml

from clients.conformance.dashboard import ALL, chosen, dashboard, filled_in
from clients.conformance.expressions import rules
from clients.conformance.programs import program
from clients.conformance.prometheus import Prometheus, prometheus
from clients.conformance.stack import CHAT, CODE

# Alerts that fire, and their labels.
FIRING = {"WaferOfAnEndpoint": {"endpoint": CHAT}, "WaferOfAScrape": {"job": "wafer"}, "NotOurs": {"endpoint": CHAT}}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    folder = tmp_path_factory.mktemp("alerts")
    alerts = [{"alert": name, "expr": "vector(1)", "labels": labels} for name, labels in FIRING.items()]
    (folder / "alerts.yml").write_text(yaml.safe_dump({"groups": [{"name": "firing", "rules": alerts}]}))
    config = folder / "prometheus.yml"
    config.write_text(yaml.safe_dump({"global": {"evaluation_interval": "1s"}, "rule_files": ["alerts.yml"]}))
    with prometheus(program("prometheus"), config, folder / "data") as found:
        found.wait_for(f'count(ALERTS{{alertstate="firing"}}) == {len(FIRING)}')
        yield found


@pytest.mark.parametrize(
    ("endpoints", "shown"),
    [
        (ALL, {"WaferOfAnEndpoint", "WaferOfAScrape"}),
        (chosen([CHAT, CODE]), {"WaferOfAnEndpoint", "WaferOfAScrape"}),
        (chosen([CODE]), {"WaferOfAScrape"}),
    ],
)
def test_alerts_of_the_endpoints_chosen_and_of_scrapes_are_shown(
    server: Prometheus, endpoints: str, shown: set[str]
) -> None:
    [annotation] = dashboard()["annotations"]["list"]
    result = server.query(filled_in(annotation["expr"], endpoints=endpoints))
    assert {one["metric"]["alertname"] for one in result} == shown


def test_every_alert_has_a_name_that_is_shown() -> None:
    alerts = [name for name, _ in rules() if ":" not in name]
    assert alerts
    assert all(name.startswith("Wafer") for name in alerts)
