"""docs/clients.md against the files it shows and the series it lists."""

import re

import contract
import kit
from report import expect

SHOWN = re.compile(r"<!-- clients/(\S+) -->\n```\w*\n(.*?)```", re.DOTALL)
CONFIGURATIONS = (
    "prometheus/prometheus.yml",
    "kubernetes/scrapeconfig.yaml",
    "kubernetes/servicemonitor.yaml",
    "alloy/config.alloy",
    "grafana-cloud/agent.yaml",
    "otel/collector.yaml",
    "datadog/conf.yaml",
    "vmagent/vmagent.yml",
    "telegraf/telegraf.conf",
)


def check_files_shown():
    """A configuration on the page is the file, so that what is pasted is what was tested."""
    text = page()
    for name, shown in SHOWN.findall(text):
        expect(shown == kit.read(name), f"the page shows another {name}")
    for name in (*CONFIGURATIONS, "grafana/dashboard.json", "alerts.yml"):
        expect(f"clients/{name}" in text, f"the page does not name clients/{name}")


def check_series_listed():
    text = page()
    for family, label in contract.FAMILIES.items():
        row = next((line for line in text.splitlines() if line.startswith(f"| `{family}`")), None)
        expect(row, f"the page does not list {family}")
        if label:
            name, values = label
            expect(f"`{name}`" in row and all(value in row for value in values), f"the page lists other labels: {row}")


def page():
    return (kit.ROOT / "docs" / "clients.md").read_text()
