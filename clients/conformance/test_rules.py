"""alerts.yml, with promtool."""

from pathlib import Path

from clients.conformance.configurations import CLIENTS
from clients.conformance.prometheus import Promtool


def test_rules_are_valid(promtool: Promtool) -> None:
    promtool.check("check", "rules", CLIENTS / "alerts.yml")


def test_rules_pass_their_unit_tests(promtool: Promtool) -> None:
    promtool.check("test", "rules", CLIENTS / "alerts_test.yml")


def test_filled_in_configuration_with_the_rules_is_valid(promtool: Promtool, our_config: Path) -> None:
    promtool.check("check", "config", our_config)
