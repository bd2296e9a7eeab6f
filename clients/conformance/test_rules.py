"""alerts.yml, with promtool and vmalert, and its unit tests."""

import subprocess
from pathlib import Path

import pytest
import yaml

from clients.conformance import rule_tests
from clients.conformance.configurations import CLIENTS
from clients.conformance.programs import newest
from clients.conformance.prometheus import Promtool

RULES = CLIENTS / "alerts.yml"
# What takes long is tried as it is, and where its expressions differ.
SLOW = {"latency.yml", "slo_days.yml"}
HISTOGRAMS = {"native", "native-and-classic"}
# That file is about lost scrapes, and about figures of the window beside the counters.
CASES = [
    pytest.param(variant, name, id=f"{name.removesuffix('.yml')}-{variant}")
    for name in rule_tests.NAMES
    for variant in rule_tests.VARIANTS
    if name != "situations.yml" and (name != "slo_days.yml" or variant in HISTOGRAMS)
]


@pytest.fixture(scope="module")
def newest_promtool() -> Promtool:
    """It knows native histograms."""
    return Promtool(newest("promtool"))


def test_rules_are_valid(promtool: Promtool, newest_promtool: Promtool) -> None:
    promtool.check("check", "rules", RULES)
    newest_promtool.check("check", "rules", "--lint-fatal", RULES)


def test_rules_are_valid_in_vmalert() -> None:
    done = subprocess.run([newest("vmalert"), "-dryRun", f"-rule={RULES}"], text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", rule_tests.NAMES)
def test_rules_pass_their_unit_tests(newest_promtool: Promtool, name: str) -> None:
    newest_promtool.check("test", "rules", rule_tests.FOLDER / name)


@pytest.mark.parametrize(("variant", "name"), CASES)
def test_rules_pass_them_too_with(newest_promtool: Promtool, tmp_path: Path, variant: str, name: str) -> None:
    tests = rule_tests.variant(variant, name)
    path = tmp_path / name
    path.write_text(yaml.safe_dump(tests))
    newest_promtool.check("test", "rules", path)


def test_filled_in_configuration_with_the_rules_is_valid(promtool: Promtool, our_config: Path) -> None:
    promtool.check("check", "config", our_config)
