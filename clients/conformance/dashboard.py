"""clients/grafana/dashboard.json."""

import json
import re
from collections.abc import Iterable
from typing import Any

from clients.conformance import configurations
from loopback import ROOT

Panel = dict[str, Any]

NAME = "grafana/dashboard.json"
# A Go module that reads a dashboard by the strict types of Grafana's SDK.
SDK = ROOT / "clients" / "conformance" / "grafana"
# What Grafana puts for a variable of which all values are chosen.
ALL = ".+"
# $__rate_interval is at least four times the interval of the query.
QUERY_INTERVAL, RATE_INTERVAL = "1m", "4m"
# Recorded by the alerts' rules. The dashboard has values of its own for where they are not loaded.
OBJECTIVES = {"wafer:slo_availability:objective": "objective", "wafer:slo_ttft:objective": "ttft_objective"}


def dashboard() -> dict[str, Any]:
    return dict(json.loads(configurations.read(NAME)))


def panels() -> list[Panel]:
    """Those that show data."""
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def rows() -> list[tuple[str, list[Panel]]]:
    """Each row's title, and its panels."""
    found: list[tuple[str, list[Panel]]] = []
    for panel in dashboard()["panels"]:
        if panel["type"] == "row":
            found.append((panel["title"], []))
        else:
            found[-1][1].append(panel)
    return found


def name(panel: Panel) -> str:
    """Unlike the title, it is the name of one panel."""
    return f"{panel['id']}: {panel['title']}"


def variables() -> dict[str, Any]:
    return {variable["name"]: variable for variable in dashboard()["templating"]["list"]}


def queries(panel: Panel, endpoint_label: str = "endpoint", endpoints: str = ALL, job: str = ALL) -> list[str]:
    """With the dashboard's variables set."""
    return [filled_in(target["expr"], endpoint_label, endpoints, job) for target in panel["targets"]]


def filled_in(text: str, endpoint_label: str = "endpoint", endpoints: str = ALL, job: str = ALL) -> str:
    own = {name: variable["current"]["value"] for name, variable in variables().items() if "current" in variable}
    given = {"label": endpoint_label, "endpoint": endpoints, "job": job, "__rate_interval": RATE_INTERVAL}
    values = own | given
    return re.sub(r"\$(?:(\w+)|\{(\w+)\})", lambda match: str(values[match[1] or match[2]]), text)


def chosen(values: Iterable[str]) -> str:
    """What Grafana puts for values that are chosen of a variable, one or several."""
    escaped = [re.sub(r"[$^*{}\[\]'+?.()|]", r"\\\\\g<0>", value) for value in values]
    return escaped[0] if len(escaped) == 1 else f"({'|'.join(escaped)})"
