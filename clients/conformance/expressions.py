"""The expressions of the rules and of the page, and how any is taken apart."""

import re
from typing import Any

import yaml

from clients.conformance import configurations
from loopback import ROOT

SELECTOR = re.compile(r"\b(?:wafer_\w+|wafer:[\w:]+|up)\b(?:\{[^}]*\})?")
COMPARISON = re.compile(r"(?<![=!<>~])(==|!=|<=|>=|<|>)(?![=~])")
LABEL = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"|\bby \(([^)]*)\)|\bwithout \(([^)]*)\)|\b(?:on|ignoring) \(([^)]*)\)')


def rules() -> list[tuple[str, str]]:
    """Each rule's name and expression. Alerts of one name differ in their windows."""
    groups = yaml.safe_load(configurations.read("alerts.yml"))["groups"]
    return [(name_of(rule), rule["expr"]) for group in groups for rule in group["rules"]]


def name_of(rule: dict[str, Any]) -> str:
    window = rule.get("labels", {}).get("long")
    return str(rule.get("alert") or rule["record"]) + (f"-{window}" if window else "")


def queries_of_the_page(native: bool | None = None) -> list[str]:
    """All, or those that need native histograms, or those that do not."""
    page = (ROOT / "docs" / "clients.md").read_text()
    blocks = re.findall(r"^```promql( native)?\n(.*?)\n```$", page, re.MULTILINE | re.DOTALL)
    return [query for mark, query in blocks if native is None or bool(mark) == native]


def selectors(expression: str) -> list[str]:
    """Also with the offset, where one has it."""
    return SELECTOR.findall(expression) + re.findall(SELECTOR.pattern + r" offset \w+", expression)


def series_in(expression: str) -> set[str]:
    return {selector.partition("{")[0] for selector in SELECTOR.findall(expression)}


def labels_in(expression: str) -> set[str]:
    return {label for groups in LABEL.findall(expression) for label in re.split(r"[,\s]+", " ".join(groups).strip())}


def with_bool(expression: str) -> str:
    """`a > 1` becomes `a > bool 1`; what stands in braces is left alone."""
    parts = re.split(r"(\{[^}]*\})", expression)
    return "".join(part if part.startswith("{") else COMPARISON.sub(r"\1 bool", part) for part in parts)
