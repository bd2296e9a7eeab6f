"""What the clients' documentation says of a configuration.

Each part is given with the keys that it must have and those that it may have besides. So a key that is renamed or
misspelt is found, which the client itself would refuse or, worse, ignore.
"""

from collections.abc import Collection, Mapping
from typing import Any

from clients.conformance import contract
from clients.conformance.configurations import ENDPOINTS, HOST

INTERVAL, TIMEOUT = "60s", "10s"
PARAMS = {"endpoint": list(ENDPOINTS), "view": [contract.BOTH]}
URL = f"https://{HOST}{contract.PATH}?" + "&".join(f"{name}={value}" for name in PARAMS for value in PARAMS[name])


def check_keys(where: str, mapping: Any, required: Collection[str], allowed: Collection[str] = ()) -> None:
    assert isinstance(mapping, dict), f"{where} is not a mapping"
    missing = set(required) - mapping.keys()
    assert not missing, f"{where} has no {', '.join(sorted(missing))}"
    unknown = mapping.keys() - set(required) - set(allowed)
    assert not unknown, f"{where} has the unknown {', '.join(map(str, sorted(unknown, key=str)))}"


def only(where: str, items: Any) -> Any:
    assert isinstance(items, list), f"{where} is not a list"
    assert len(items) == 1, f"{where} has {len(items)} items"
    return items[0]


def check_scrape_config(where: str, config: dict[str, Any]) -> None:
    """A scrape_config of Prometheus, which the other clients of its family embed.

    https://prometheus.io/docs/prometheus/latest/configuration/configuration/#scrape_config
    """
    required = {
        "job_name",
        "scheme",
        "metrics_path",
        "params",
        "authorization",
        "scrape_interval",
        "scrape_timeout",
        "honor_labels",
        "static_configs",
    }
    check_keys(where, config, required)
    check_keys(f"{where}.authorization", config["authorization"], {"credentials_file"}, {"type"})
    targets = only(f"{where}.static_configs", config["static_configs"])
    check_keys(f"{where}.static_configs", targets, {"targets"})
    check_request(where, config, only(f"{where}.targets", targets["targets"]))
    assert config["authorization"].get("type", "Bearer") == "Bearer", f"{where} does not send a bearer token"


def check_request(where: str, config: Mapping[str, Any], target: str) -> None:
    assert config["job_name"] == "wafer", f"{where}: the alerts would not find the job {config['job_name']}"
    assert config["scheme"] == "https", f"{where} does not use https"
    assert target == HOST, f"{where} scrapes {target}"
    assert config["metrics_path"] == contract.PATH, f"{where} scrapes {config['metrics_path']}"
    assert config["params"] == PARAMS, f"{where} has the params {config['params']}"
    assert config["scrape_interval"] == INTERVAL, f"{where} scrapes every {config['scrape_interval']}"
    assert config["scrape_timeout"] == TIMEOUT, f"{where} times out after {config['scrape_timeout']}"
    assert config["honor_labels"] is True, f"{where} does not honor labels"
