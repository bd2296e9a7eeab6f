"""The configurations of clients that cannot be had here, against the schema that their documentation gives.

Each schema lists the keys that a part must have and those it may have besides. So a key that is renamed or misspelt is found,
which the client itself would refuse or, worse, ignore.
"""

import tomllib

import alloy
import contract
import kit
import yaml
from report import expect

INTERVAL, TIMEOUT = "60s", "10s"


def check_keys(where, mapping, required, allowed=()):
    expect(isinstance(mapping, dict), f"{where} is no mapping")
    missing = set(required) - mapping.keys()
    expect(not missing, f"{where} has no {', '.join(sorted(missing))}")
    unknown = mapping.keys() - set(required) - set(allowed)
    expect(not unknown, f"{where} has the unknown {', '.join(map(str, sorted(unknown, key=str)))}")


def only(where, items):
    expect(isinstance(items, list) and len(items) == 1, f"{where} is no list of one")
    return items[0]


def scrape_config(where, config):
    """A scrape_config of Prometheus, which the other clients of its family embed.

    https://prometheus.io/docs/prometheus/latest/configuration/configuration/#scrape_config
    """
    required = {
        "job_name", "scheme", "metrics_path", "params", "authorization", "scrape_interval", "scrape_timeout", "honor_labels", "static_configs"
    }
    check_keys(where, config, required)
    check_keys(f"{where}.authorization", config["authorization"], {"credentials_file"}, {"type"})
    targets = only(f"{where}.static_configs", config["static_configs"])
    check_keys(f"{where}.static_configs", targets, {"targets"})
    check_request(where, config, only(f"{where}.targets", targets["targets"]))
    expect(config["authorization"].get("type", "Bearer") == "Bearer", f"{where} does not send a bearer token")


def check_request(where, config, target):
    expect(config["job_name"] == "wafer", f"{where}: the alerts would not find the job {config['job_name']}")
    expect(config["scheme"] == "https", f"{where} does not use https")
    expect(target == kit.HOST, f"{where} scrapes {target}")
    expect(config["metrics_path"] == contract.PATH, f"{where} scrapes {config['metrics_path']}")
    expect(config["params"] == {"endpoint": list(kit.ENDPOINTS)}, f"{where} has the params {config['params']}")
    expect(config["scrape_interval"] == INTERVAL, f"{where} scrapes every {config['scrape_interval']}")
    expect(config["scrape_timeout"] == TIMEOUT, f"{where} times out after {config['scrape_timeout']}")
    expect(config["honor_labels"] is True, f"{where} does not honor labels")


def prometheus():
    config = yaml.safe_load(kit.read("prometheus/prometheus.yml"))
    check_keys("prometheus.yml", config, {"global", "rule_files", "scrape_configs"})
    scrape_config("prometheus.yml", only("scrape_configs", config["scrape_configs"]))


def vmagent():
    config = yaml.safe_load(kit.read("vmagent/vmagent.yml"))
    check_keys("vmagent.yml", config, {"scrape_configs"})
    scrape_config("vmagent.yml", only("scrape_configs", config["scrape_configs"]))


def otel_collector():
    """https://opentelemetry.io/docs/collector/configuration/ and the README of the Prometheus receiver."""
    config = yaml.safe_load(kit.read("otel/collector.yaml"))
    check_keys("collector.yaml", config, {"receivers", "processors", "exporters", "service"})
    check_keys("receivers", config["receivers"], {"prometheus"})
    check_keys("receivers.prometheus", config["receivers"]["prometheus"], {"config"})
    inner = config["receivers"]["prometheus"]["config"]
    check_keys("receivers.prometheus.config", inner, {"scrape_configs"})
    scrape_config("receivers.prometheus", only("scrape_configs", inner["scrape_configs"]))
    # The Collector expands `$` in every value, also in those meant for Prometheus.
    expect("$" not in str(inner), "the Collector would expand a $ in the scrape configuration")
    check_keys("processors", config["processors"], {"batch"})
    check_keys("exporters", config["exporters"], {"otlphttp"})
    check_keys("exporters.otlphttp", config["exporters"]["otlphttp"], {"endpoint"})
    check_keys("service", config["service"], {"pipelines"})
    check_keys("service.pipelines", config["service"]["pipelines"], {"metrics"})
    pipeline = config["service"]["pipelines"]["metrics"]
    check_keys("service.pipelines.metrics", pipeline, {"receivers", "processors", "exporters"})
    for part, names in pipeline.items():
        expect(set(names) == config[part].keys(), f"the pipeline's {part} are {names}")


def grafana_agent():
    """https://grafana.com/docs/agent/latest/static/configuration/metrics-config/"""
    config = yaml.safe_load(kit.read("grafana-cloud/agent.yaml"))
    check_keys("agent.yaml", config, {"metrics"})
    check_keys("metrics", config["metrics"], {"wal_directory", "global", "configs"})
    check_keys("metrics.global", config["metrics"]["global"], {"remote_write"})
    remote = only("remote_write", config["metrics"]["global"]["remote_write"])
    check_keys("remote_write", remote, {"url", "basic_auth"})
    check_keys("remote_write.basic_auth", remote["basic_auth"], {"username", "password"})
    instance = only("metrics.configs", config["metrics"]["configs"])
    check_keys("metrics.configs", instance, {"name", "scrape_configs"})
    scrape_config("agent.yaml", only("scrape_configs", instance["scrape_configs"]))


def grafana_alloy():
    """https://grafana.com/docs/alloy/latest/reference/components/prometheus/, prometheus.scrape and prometheus.remote_write."""
    scrape, write = alloy.parse(kit.read("alloy/config.alloy"))
    expect((scrape.name, scrape.label) == ("prometheus.scrape", "wafer"), f"the first block is {scrape.name} {scrape.label}")
    required = {
        "job_name", "scheme", "metrics_path", "targets", "params", "scrape_interval", "scrape_timeout", "honor_labels", "forward_to"
    }
    check_keys("prometheus.scrape", scrape.attributes, required)
    target = only("targets", scrape.attributes["targets"])
    check_keys("targets", target, {"__address__"})
    check_request("prometheus.scrape", scrape.attributes, target["__address__"])
    authorization = only("blocks of prometheus.scrape", scrape.blocks)
    expect(authorization.name == "authorization", f"prometheus.scrape has a block {authorization.name}")
    check_keys("authorization", authorization.attributes, {"type", "credentials"})
    expect(authorization.attributes["type"] == "Bearer", "authorization sends no bearer token")
    expect(authorization.attributes["credentials"] == alloy.Reference("sys.env", ("WAFER_API_KEY",)), "the key is not from the environment")

    expect(write.name == "prometheus.remote_write", f"the second block is {write.name}")
    receiver = alloy.Reference(f"{write.name}.{write.label}.receiver")
    expect(scrape.attributes["forward_to"] == [receiver], f"forward_to is {scrape.attributes['forward_to']}")
    check_keys("prometheus.remote_write", write.attributes, set())
    endpoint = only("blocks of prometheus.remote_write", write.blocks)
    expect(endpoint.name == "endpoint", f"prometheus.remote_write has a block {endpoint.name}")
    check_keys("endpoint", endpoint.attributes, {"url"})
    basic_auth = only("blocks of endpoint", endpoint.blocks)
    expect(basic_auth.name == "basic_auth", f"endpoint has a block {basic_auth.name}")
    check_keys("basic_auth", basic_auth.attributes, {"username", "password"})


def telegraf():
    """https://docs.influxdata.com/telegraf/v1/input-plugins/prometheus/"""
    config = tomllib.loads(kit.read("telegraf/telegraf.conf"))
    check_keys("telegraf.conf", config, {"inputs"})
    check_keys("inputs", config["inputs"], {"prometheus"})
    plugin = only("inputs.prometheus", config["inputs"]["prometheus"])
    check_keys("inputs.prometheus", plugin, {"interval", "urls", "bearer_token_string", "metric_version", "url_tag", "timeout"})
    expect(only("urls", plugin["urls"]) == url_of_placeholders(), f"it scrapes {plugin['urls']}")
    expect(plugin["bearer_token_string"] == "${WAFER_API_KEY}", "the key is not from the environment")
    expect((plugin["interval"], plugin["timeout"]) == (INTERVAL, TIMEOUT), f"interval and timeout are {plugin['interval']}, {plugin['timeout']}")
    expect(plugin["metric_version"] == 2 and plugin["url_tag"] == "", "metrics would have other names or a tag with the URL")


def datadog_agent():
    """The conf.yaml.example of Datadog's openmetrics check. The check itself is run too."""
    config = yaml.safe_load(kit.read("datadog/conf.yaml"))
    check_keys("conf.yaml", config, {"init_config", "instances"})
    instance = only("instances", config["instances"])
    required = {
        "openmetrics_endpoint", "namespace", "min_collection_interval", "timeout", "tag_by_endpoint", "auth_token", "metrics"
    }
    check_keys("instances", instance, required)
    expect(instance["openmetrics_endpoint"] == url_of_placeholders(), f"it scrapes {instance['openmetrics_endpoint']}")
    expect(instance["min_collection_interval"] == 60 and instance["timeout"] == 10, "interval or timeout differ")
    names = {name: renamed for entry in instance["metrics"] for name, renamed in entry.items()}
    expect(names == {family: family.removeprefix("wafer_") for family in contract.FAMILIES}, f"the metrics are {names}")


def url_of_placeholders():
    return f"https://{kit.HOST}{contract.PATH}?" + "&".join(f"endpoint={endpoint}" for endpoint in kit.ENDPOINTS)
