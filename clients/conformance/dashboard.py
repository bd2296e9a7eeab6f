"""clients/grafana/dashboard.json."""

import json
from typing import Any

from clients.conformance import configurations

Panel = dict[str, Any]


def dashboard() -> dict[str, Any]:
    return dict(json.loads(configurations.read("grafana/dashboard.json")))


def panels() -> list[Panel]:
    """Those that show data."""
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def name(panel: Panel) -> str:
    """Unlike the title, it is the name of one panel."""
    return f"{panel['id']}: {panel['title']}"


def queries(panel: Panel, endpoint_label: str = "endpoint", endpoints: str = ".+") -> list[str]:
    """With the dashboard's variables set."""
    expressions = [target["expr"] for target in panel["targets"]]
    return [one.replace("$label", endpoint_label).replace("$endpoint", endpoints) for one in expressions]
