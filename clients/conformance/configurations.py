"""The files that customers paste, filled in as a customer would."""

from collections.abc import Sequence
from pathlib import Path

from loopback import ROOT

CLIENTS = ROOT / "clients"
NAMES = (
    "prometheus/prometheus.yml",
    "prometheus/native-histograms-until-3.7.yml",
    "prometheus/native-histograms.yml",
    "kubernetes/scrapeconfig.yaml",
    "kubernetes/servicemonitor.yaml",
    "alloy/config.alloy",
    "grafana-cloud/agent.yaml",
    "otel/collector.yaml",
    "datadog/conf.yaml",
    "vmagent/vmagent.yml",
    "telegraf/telegraf.conf",
)

HOST = "api.example.com"
ENDPOINTS = ("my-endpoint.example.com", "my-other-endpoint.example.com")
KEY_FILE = "/etc/wafer/api-key"


def read(name: str) -> str:
    return (CLIENTS / name).read_text()


def filled_in(
    name: str, address: str, endpoints: Sequence[str], key_file: Path | None = None, interval: str | None = None
) -> str:
    """A configuration with the marked lines changed, on plain HTTP, and at another interval where one is given.

    Everything else stays as it is shipped.
    """
    text = read(name)
    changes = {HOST: address, **dict(zip(ENDPOINTS, endpoints, strict=True))}
    if key_file:
        changes[KEY_FILE] = str(key_file)
    if interval:
        changes["_interval: 60s"] = f"_interval: {interval}"
    changes["https"] = "http"
    for placeholder, value in changes.items():
        assert placeholder in text, f"{name} has no {placeholder}"
        text = text.replace(placeholder, value)
    return text
