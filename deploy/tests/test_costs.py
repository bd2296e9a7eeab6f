"""The page of costs against what is counted."""

import re

import pytest

from deploy import costs
from loopback import ROOT

PAGE = " ".join((ROOT / "docs/operations.md").read_text().split())


def test_the_page_holds_the_tables_that_are_counted() -> None:
    for line in costs.tables().splitlines():
        assert " ".join(line.split()) in PAGE, line


def test_the_page_names_the_other_figures_that_are_counted() -> None:
    figures = re.findall(r"\$[\d.]+\d|[\d.]+ million|\d+ minutes$", costs.remarks(), re.MULTILINE)
    assert len(figures) > 12
    for figure in figures:
        assert figure in PAGE, figure


def test_the_template_decides_memory_alarms_and_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    template = costs.template()
    before = costs.metrics(), costs.alarms(), costs.memory("RefreshFunction")
    changed = template.replace('".", "LateRows"', '".", "EarlyRows"], [".", "LateRows"', 1)
    changed = changed.replace(
        "  Dashboard:\n", "  More:\n    Type: AWS::CloudWatch::Alarm\n    Properties:\n  Dashboard:\n"
    )
    changed = changed.replace("      MemorySize: 512\n", "      MemorySize: 1024\n")
    monkeypatch.setattr(costs, "template", lambda: changed)
    after = costs.metrics(), costs.alarms(), costs.memory("RefreshFunction")
    assert after == (before[0] + 1, before[1] + 1, 1024)
