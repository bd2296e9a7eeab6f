"""The files that customers paste, filled in as a customer would."""

import re
from collections.abc import Sequence
from pathlib import Path

from loopback import ROOT

CLIENTS = ROOT / "clients"
NAMES = (
    "prometheus/prometheus.yml",
    "prometheus/native-histograms-until-3.7.yml",
    "prometheus/native-histograms.yml",
    "kubernetes/scrapeconfig.yaml",
    "kubernetes/probe.yaml",
    "alloy/config.alloy",
    "grafana-cloud/agent.yaml",
    "grafana-cloud/metrics-endpoint.tf",
    "otel/collector.yaml",
    "datadog/conf.yaml",
    "datadog/cluster-check.yaml",
    "vmagent/vmagent.yml",
    "telegraf/telegraf.conf",
)

HOST = "api.example.com"
ENDPOINTS = ("my-endpoint.example.com", "my-other-endpoint.example.com")
KEY_FILE = "/etc/wafer/api-key"

INTERVAL = re.compile(r'(interval(?:: | = "))60s', re.IGNORECASE)

# A setting that stands in a comment, for those who want native histograms.
NATIVE = re.compile(r"^( *)(?:#|//) (\w*(?:[Hh]istograms|[Pp]rotocols)(?::| +=) .+)$", re.MULTILINE)


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
    secure = "HTTPS" if "HTTPS" in text else "https"
    changes[secure] = secure[:-1]
    for placeholder, value in changes.items():
        assert placeholder in text, f"{name} has no {placeholder}"
        text = text.replace(placeholder, value)
    if interval:
        text, found = INTERVAL.subn(rf"\g<1>{interval}", text)
        assert found, f"{name} has no interval"
    return text


def with_native_histograms(text: str) -> str:
    """The same with the settings for native histograms taken in."""
    assert NATIVE.search(text), "the file has no settings for native histograms"
    return NATIVE.sub(r"\1\2", text)
