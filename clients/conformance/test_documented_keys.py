"""Each configuration has the keys that its client's documentation gives, also where the client is not run."""

import re
import tomllib
from typing import Any

import yaml

from clients.conformance import alloy, configurations
from clients.conformance.documented import INTERVAL, TIMEOUT, URL, check_keys, check_request, check_scrape_config, only


def parsed(name: str) -> Any:
    return yaml.safe_load(configurations.read(name))


def test_prometheus() -> None:
    config = parsed("prometheus/prometheus.yml")
    check_keys("prometheus.yml", config, {"global", "rule_files", "scrape_configs"})
    check_scrape_config("prometheus.yml", only("scrape_configs", config["scrape_configs"]))


def test_vmagent() -> None:
    config = parsed("vmagent/vmagent.yml")
    check_keys("vmagent.yml", config, {"scrape_configs"})
    check_scrape_config("vmagent.yml", only("scrape_configs", config["scrape_configs"]))


def test_datadog_agent() -> None:
    """The conf.yaml.example of Datadog's openmetrics check. test_datadog.py runs the check itself."""
    config = parsed("datadog/conf.yaml")
    check_keys("conf.yaml", config, {"init_config", "instances"})
    instance = only("instances", config["instances"])
    required = {
        "openmetrics_endpoint",
        "namespace",
        "min_collection_interval",
        "timeout",
        "tag_by_endpoint",
        "collect_counters_with_distributions",
        "auth_token",
        "raw_metric_prefix",
        "metrics",
    }
    check_keys("instances", instance, required)
    assert instance["openmetrics_endpoint"] == URL, f"it scrapes {instance['openmetrics_endpoint']}"
    assert (instance["min_collection_interval"], instance["timeout"]) == (60, 10), "interval or timeout differ"
    assert (instance["raw_metric_prefix"], instance["metrics"]) == ("wafer_", [".+"]), "it leaves series out"


def test_opentelemetry_collector() -> None:
    """https://opentelemetry.io/docs/collector/configuration/ and the README of the Prometheus receiver."""
    config = parsed("otel/collector.yaml")
    check_keys("collector.yaml", config, {"receivers", "processors", "exporters", "service"})
    check_keys("receivers", config["receivers"], {"prometheus"})
    check_keys("receivers.prometheus", config["receivers"]["prometheus"], {"config"})
    inner = config["receivers"]["prometheus"]["config"]
    check_keys("receivers.prometheus.config", inner, {"scrape_configs"})
    check_scrape_config("receivers.prometheus", only("scrape_configs", inner["scrape_configs"]))
    # The Collector expands `$` in every value, also in those meant for Prometheus.
    assert "$" not in str(inner), "the Collector would expand a $ in the scrape configuration"
    check_keys("processors", config["processors"], {"batch"})
    check_keys("exporters", config["exporters"], {"otlphttp"})
    check_keys("exporters.otlphttp", config["exporters"]["otlphttp"], {"endpoint"})
    check_keys("service", config["service"], {"pipelines"})
    check_keys("service.pipelines", config["service"]["pipelines"], {"metrics"})
    pipeline = config["service"]["pipelines"]["metrics"]
    check_keys("service.pipelines.metrics", pipeline, {"receivers", "processors", "exporters"})
    for part, names in pipeline.items():
        assert set(names) == config[part].keys(), f"the pipeline's {part} are {names}"


def test_grafana_agent() -> None:
    """https://grafana.com/docs/agent/latest/static/configuration/metrics-config/"""
    config = parsed("grafana-cloud/agent.yaml")
    check_keys("agent.yaml", config, {"metrics"})
    check_keys("metrics", config["metrics"], {"wal_directory", "global", "configs"})
    check_keys("metrics.global", config["metrics"]["global"], {"remote_write"})
    remote = only("remote_write", config["metrics"]["global"]["remote_write"])
    check_keys("remote_write", remote, {"url", "basic_auth"})
    check_keys("remote_write.basic_auth", remote["basic_auth"], {"username", "password"})
    instance = only("metrics.configs", config["metrics"]["configs"])
    check_keys("metrics.configs", instance, {"name", "scrape_configs"})
    check_scrape_config("agent.yaml", only("scrape_configs", instance["scrape_configs"]))


def test_grafana_cloud_by_terraform() -> None:
    """grafana_connections_metrics_endpoint_scrape_job of Grafana's provider, which takes 30, 60 and 120 seconds."""
    text = configurations.read("grafana-cloud/metrics-endpoint.tf")
    body = text.partition('resource "grafana_connections_metrics_endpoint_scrape_job" "wafer" {\n')[2]
    settings = dict(re.findall(r'^  (\w+) += "?([^"\n]+?)"?(?: #.*)?$', body, re.MULTILINE))
    required = {"stack_id", "name", "url", "authentication_method", "authentication_bearer_token"}
    check_keys("resource", settings, required | {"scrape_interval_seconds"})
    assert settings["url"] == URL
    assert (settings["authentication_method"], settings["scrape_interval_seconds"]) == ("bearer", "60")
    assert settings["authentication_bearer_token"] == "var.wafer_api_key"


def test_grafana_alloy() -> None:
    """prometheus.scrape and prometheus.remote_write of https://grafana.com/docs/alloy/latest/reference/components/prometheus/."""
    scrape, write = alloy.parse(configurations.read("alloy/config.alloy"))
    first = (scrape.name, scrape.label)
    assert first == ("prometheus.scrape", "wafer"), f"the first block is {first}"
    required = {
        "job_name",
        "scheme",
        "metrics_path",
        "targets",
        "params",
        "scrape_interval",
        "scrape_timeout",
        "honor_labels",
        "forward_to",
    }
    check_keys("prometheus.scrape", scrape.attributes, required)
    target = only("targets", scrape.attributes["targets"])
    check_keys("targets", target, {"__address__"})
    check_request("prometheus.scrape", scrape.attributes, target["__address__"])
    authorization = only("blocks of prometheus.scrape", scrape.blocks)
    assert authorization.name == "authorization", f"prometheus.scrape has a block {authorization.name}"
    check_keys("authorization", authorization.attributes, {"type", "credentials"})
    assert authorization.attributes["type"] == "Bearer", "authorization sends no bearer token"
    key = alloy.Reference("sys.env", ("WAFER_API_KEY",))
    assert authorization.attributes["credentials"] == key, "the key is not from the environment"

    assert write.name == "prometheus.remote_write", f"the second block is {write.name}"
    receiver = alloy.Reference(f"{write.name}.{write.label}.receiver")
    assert scrape.attributes["forward_to"] == [receiver], f"forward_to is {scrape.attributes['forward_to']}"
    check_keys("prometheus.remote_write", write.attributes, set())
    endpoint = only("blocks of prometheus.remote_write", write.blocks)
    assert endpoint.name == "endpoint", f"prometheus.remote_write has a block {endpoint.name}"
    check_keys("endpoint", endpoint.attributes, {"url"})
    basic_auth = only("blocks of endpoint", endpoint.blocks)
    assert basic_auth.name == "basic_auth", f"endpoint has a block {basic_auth.name}"
    check_keys("basic_auth", basic_auth.attributes, {"username", "password"})


def test_grafana_alloy_with_native_histograms() -> None:
    """https://grafana.com/docs/alloy/latest/collect/prometheus-native-histograms/"""
    text = configurations.read("alloy/config.alloy")
    default, native = alloy.parse(text), alloy.parse(configurations.with_native_histograms(text))
    scrape, write = (
        {name: value for name, value in after.items() if name not in before}
        for before, after in zip(map(settings, default), map(settings, native), strict=True)
    )
    assert scrape.pop("scrape_protocols")[0] == "PrometheusProto"
    assert scrape == {"scrape_native_histograms": True, "scrape_classic_histograms": True}
    assert write == {"send_native_histograms": True}


def settings(block: alloy.Block) -> dict[str, Any]:
    """Its own and those of the blocks in it."""
    inner = {name: value for one in block.blocks for name, value in one.attributes.items()}
    return {**inner, **block.attributes}


def test_telegraf() -> None:
    """https://docs.influxdata.com/telegraf/v1/input-plugins/prometheus/"""
    config = tomllib.loads(configurations.read("telegraf/telegraf.conf"))
    check_keys("telegraf.conf", config, {"inputs"})
    check_keys("inputs", config["inputs"], {"prometheus"})
    plugin = only("inputs.prometheus", config["inputs"]["prometheus"])
    required = {"interval", "urls", "bearer_token_string", "metric_version", "url_tag", "timeout"}
    check_keys("inputs.prometheus", plugin, required)
    assert only("urls", plugin["urls"]) == URL, f"it scrapes {plugin['urls']}"
    assert plugin["bearer_token_string"] == "${WAFER_API_KEY}", "the key is not from the environment"
    times = (plugin["interval"], plugin["timeout"])
    assert times == (INTERVAL, TIMEOUT), f"interval and timeout are {times}"
    assert plugin["metric_version"] == 2, "metrics would have other names"
    assert plugin["url_tag"] == "", "metrics would have a tag with the URL"
