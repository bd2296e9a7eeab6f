"""The Kubernetes objects, against the types of the Prometheus Operator and what the other clients do."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from clients.conformance import configurations, contract
from clients.conformance.documented import INTERVAL, PARAMS, TIMEOUT
from clients.conformance.typescript import compile_types, literal

OPERATOR = "@kubernetes-models/prometheus-operator/monitoring.coreos.com"


def scrape_config() -> dict[str, Any]:
    [config] = yaml.safe_load_all(configurations.read("kubernetes/scrapeconfig.yaml"))
    return dict(config)


def service_monitor() -> list[dict[str, Any]]:
    """The ServiceMonitor, and the Service and Endpoints that it selects."""
    return list(yaml.safe_load_all(configurations.read("kubernetes/servicemonitor.yaml")))


def test_objects_are_of_the_operators_types(node_modules: Path) -> None:
    monitor, service, endpoints = service_monitor()
    lines = [
        f'import type {{ IScrapeConfig }} from "{OPERATOR}/v1alpha1/ScrapeConfig";',
        f'import type {{ IServiceMonitor }} from "{OPERATOR}/v1/ServiceMonitor";',
        'import type { IService } from "kubernetes-models/v1/Service";',
        'import type { IEndpoints } from "kubernetes-models/v1/Endpoints";',
        literal("scrape_config", "IScrapeConfig", scrape_config()),
        literal("monitor", "IServiceMonitor", monitor),
        literal("service", "IService", service),
        literal("endpoints", "IEndpoints", endpoints),
    ]
    compile_types("kubernetes", lines, node_modules)


def test_scrape_config_scrapes_as_the_others_do() -> None:
    spec = scrape_config()["spec"]
    assert (spec["jobName"], spec["scheme"]) == ("wafer", "HTTPS"), "the ScrapeConfig has another job or scheme"
    assert spec["staticConfigs"] == [{"targets": [configurations.HOST]}], f"it scrapes {spec['staticConfigs']}"
    check_spec(spec, "metricsPath", "scrapeInterval")


def test_service_monitor_scrapes_as_the_others_do() -> None:
    monitor, service, endpoints = service_monitor()
    [endpoint] = monitor["spec"]["endpoints"]
    address = [{"targetLabel": "__address__", "replacement": f"{configurations.HOST}:443"}]
    assert endpoint["relabelings"] == address, "the ServiceMonitor scrapes its stand-in"
    check_spec(endpoint, "path", "interval")
    selected = monitor["spec"]["selector"]["matchLabels"]
    assert selected == service["metadata"]["labels"], "the ServiceMonitor does not select the Service"
    names = {service["metadata"]["name"], endpoints["metadata"]["name"]}
    assert names == {"wafer"}, "Service and Endpoints differ, or the job is not wafer"
    ports = {service["spec"]["ports"][0]["name"], endpoints["subsets"][0]["ports"][0]["name"], endpoint["port"]}
    assert len(ports) == 1, f"the port has several names: {ports}"


def check_spec(spec: Mapping[str, Any], path: str, interval: str) -> None:
    assert spec[path] == contract.PATH, f"it scrapes {spec[path]}"
    assert (spec[interval], spec["scrapeTimeout"]) == (INTERVAL, TIMEOUT), "it has another interval or timeout"
    assert spec["params"] == PARAMS, f"it has the params {spec['params']}"
    assert spec["honorLabels"] is True, "it does not honor labels"
    wanted = {"type": "Bearer", "credentials": {"name": "wafer-api-key", "key": "api-key"}}
    assert spec["authorization"] == wanted, f"it has the authorization {spec['authorization']}"
