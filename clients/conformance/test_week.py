"""What alerts.yml makes of an ordinary week, and of faults. One alone: `-k "week and kv-cache"`."""

import os
import re
from pathlib import Path

import pytest
import yaml

from clients.conformance import week
from clients.conformance.configurations import CLIENTS
from clients.conformance.programs import newest
from clients.conformance.prometheus import Promtool
from clients.conformance.rule_tests import Case
from loopback import ROOT

# From one evaluation of the rules to the next. Samples are a minute apart. With 1m the week takes some minutes.
WEEK_STEP = os.environ.get("WEEK_STEP", "5m")


def check(tmp_path: Path, test: Case, step: str) -> None:
    file = tmp_path / "week.yml"
    tests = {"rule_files": [str(CLIENTS / "alerts.yml")], "evaluation_interval": step, "tests": [test]}
    # One line for each series: to fold lines takes longer than the test.
    file.write_text(yaml.dump(tests, width=float("inf")))
    Promtool(newest("promtool")).check("test", "rules", file)


def test_first_tokens_take_as_long_as_the_demos() -> None:
    source = (ROOT / "local" / "src" / "demo" / "traffic" / "service.rs").read_text()
    fields = ("prefill_ms", "prefill_ms_per_token", "cache_hit_share")
    demo = [[float(number) for number in re.findall(rf"^    {field}: ([\d.]+),$", source, re.M)] for field in fields]
    models = [(one.prefill * 1000, one.prefill_per_token * 1000, one.cache_hits) for one in (week.CHAT, week.CODE)]
    assert list(zip(*demo, strict=True)) == [pytest.approx(model) for model in models]


def test_an_ordinary_week_wakes_nobody_and_warns_once_at_most(tmp_path: Path) -> None:
    check(tmp_path, week.ordinary_week(), WEEK_STEP)


@pytest.mark.parametrize("fault", week.FAULTS, ids=lambda fault: fault.name)
def test_fault_of_a_week_is_found_within_the_time_that_is_promised(tmp_path: Path, fault: week.Fault) -> None:
    check(tmp_path, week.planted(fault), "1m")


def test_fault_of_a_week_is_found_within_the_time_that_is_promised_for_a_second_scraper(tmp_path: Path) -> None:
    check(tmp_path, week.second_scraper(), "1m")
