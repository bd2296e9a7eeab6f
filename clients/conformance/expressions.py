"""Every expression of the rules and of the dashboard, asked of a Prometheus that scraped the endpoint."""

import re

import contract
import kit
import schemas
import yaml
from report import Mismatch, expect

SELECTOR = re.compile(r"\b(?:wafer_\w+|wafer:[\w:]+|up)\b(?:\{[^}]*\})?")
COMPARISON = re.compile(r"(?<![=!<>~])(==|!=|<=|>=|<|>)(?![=~])")
LABEL = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"|\bby \(([^)]*)\)|\bwithout \(([^)]*)\)|\bon \(([^)]*)\)')
KNOWN_LABELS = {"endpoint", "exported_endpoint", "status_class", "quantile", "job", "instance"}


def rules():
    """Each rule's name and expression."""
    groups = yaml.safe_load(kit.read("alerts.yml"))["groups"]
    return [(rule.get("alert") or rule["record"], rule["expr"]) for group in groups for rule in group["rules"]]


def panel_queries(endpoint_label, endpoints=".+"):
    """Each panel's title and query, with the dashboard's variables set."""
    return [
        (panel["title"], target["expr"].replace("$label", endpoint_label).replace("$endpoint", endpoints))
        for panel in schemas.panels(schemas.dashboard())
        for target in panel["targets"]
    ]


def check_names():
    """No expression speaks of a series or a label that the endpoint does not promise."""
    recorded = {name for name, _ in rules() if name.startswith("wafer:")}
    known = set(contract.FAMILIES) | recorded | {"up"}
    for name, expression in rules() + panel_queries("endpoint"):
        for selector in SELECTOR.findall(expression):
            series = selector.partition("{")[0]
            expect(series in known, f"{name} speaks of {series}")
        for groups in LABEL.findall(expression):
            for label in re.split(r"[,\s]+", " ".join(groups).strip()):
                expect(label in KNOWN_LABELS, f"{name} speaks of the label {label}")


def check_rule(server, expression):
    """A rule of which nothing is true has no result. So every comparison is made to yield 0 or 1, and must then have one."""
    for selector in SELECTOR.findall(expression):
        has_data(server, selector)
    if "offset" in expression:
        for selector in re.findall(SELECTOR.pattern + r" offset \w+", expression):
            has_data(server, selector)
    has_data(server, with_bool(expression))


def check_panels(server, endpoint_label):
    empty = []
    for title, query in panel_queries(endpoint_label):
        try:
            has_data(server, query)
        except Mismatch as mismatch:
            empty.append(f"{title}: {mismatch}")
    expect(not empty, "\n".join(empty))


def with_bool(expression):
    """`a > 1` becomes `a > bool 1`; what stands in braces is left alone."""
    parts = re.split(r"(\{[^}]*\})", expression)
    return "".join(part if part.startswith("{") else COMPARISON.sub(r"\1 bool", part) for part in parts)


def has_data(server, expression):
    result = server.query(expression)
    expect(result, f"no data: {expression}")
    for one in result:
        expect(one["value"][1] not in ("NaN", "+Inf", "-Inf"), f"{one['value'][1]}: {expression}")


def check_evaluated(server):
    for group in server.get("rules")["groups"]:
        for rule in group["rules"]:
            expect(rule["health"] == "ok", f"{rule['name']} is {rule['health']}: {rule.get('lastError')}")
    firing = {alert["labels"]["alertname"] for alert in server.get("alerts")["alerts"] if alert["state"] == "firing"}
    expect(not firing, f"firing: {', '.join(sorted(firing))}")
