"""The rules in other formats, and what Alertmanager makes of their names."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from clients.conformance import configurations
from clients.conformance.programs import newest
from clients.conformance.prometheusrule import PATH, prometheusrule
from clients.conformance.typescript import compile_types, literal

MIXIN = configurations.CLIENTS / "mixin" / "mixin.libsonnet"
INHIBITION = configurations.CLIENTS / "alertmanager" / "inhibit.yml"
OPERATOR = "@kubernetes-models/prometheus-operator/monitoring.coreos.com"
RUNBOOKS = "https://runbooks.example.com/wafer"


@pytest.fixture(scope="module")
def rules() -> dict[str, Any]:
    return dict(yaml.safe_load(configurations.read("alerts.yml")))


def test_prometheusrule_is_made_of_the_rules(rules: dict[str, Any]) -> None:
    assert PATH.read_text() == prometheusrule(), "run `python -m clients.conformance.prometheusrule`"
    assert yaml.safe_load(PATH.read_text())["spec"] == rules


def test_prometheusrule_is_of_the_operators_type_and_says_what_selects_it(node_modules: Path) -> None:
    text = PATH.read_text()
    lines = [
        f'import type {{ IPrometheusRule }} from "{OPERATOR}/v1/PrometheusRule";',
        literal("rule", "IPrometheusRule", yaml.safe_load(text)),
    ]
    compile_types("prometheusrule", lines, node_modules)
    assert re.search(r"^  labels:\n    \S+: \S+ # CHANGE: .*`ruleSelector`", text, re.MULTILINE)


def test_mixin_has_the_rules_and_the_dashboard(rules: dict[str, Any]) -> None:
    mixin = evaluated(f"import '{MIXIN}'")
    assert mixin["prometheusAlerts"] == rules
    assert mixin["grafanaDashboards"] == {"wafer.json": json.loads(configurations.read("grafana/dashboard.json"))}


def test_mixin_takes_another_place_for_the_runbooks(rules: dict[str, Any]) -> None:
    mixin = evaluated(f"(import '{MIXIN}') + {{ _config+:: {{ runbooks: 'https://wiki.example.com' }} }}")
    moved = json.loads(json.dumps(rules).replace(RUNBOOKS, "https://wiki.example.com"))
    assert mixin["prometheusAlerts"] == moved != rules


def evaluated(expression: str) -> dict[str, Any]:
    """Fields of a mixin are hidden."""
    import _jsonnet

    visible = f"local mixin = {expression}; {{ [name]: mixin[name] for name in std.objectFieldsAll(mixin) }}"
    return dict(json.loads(_jsonnet.evaluate_snippet("mixin", visible)))


def test_alertmanager_takes_the_inhibition() -> None:
    done = subprocess.run(
        [newest("amtool"), "check-config", INHIBITION],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "5 inhibit rules" in done.stdout


def test_inhibition_names_alerts_and_labels_that_exist(rules: dict[str, Any]) -> None:
    alerts = [rule for group in rules["groups"] for rule in group["rules"] if "alert" in rule]
    names = {rule["alert"] for rule in alerts}
    labels = {label for rule in alerts for label in rule["labels"]} | {"job", "endpoint", "exported_endpoint"}
    for rule in yaml.safe_load(INHIBITION.read_text())["inhibit_rules"]:
        assert set(rule["equal"]) <= labels
        for matcher in rule["source_matchers"] + rule["target_matchers"]:
            match = re.fullmatch(r'(\w+)(=~?)"(.*)"', matcher)
            assert match, matcher
            if match[1] != "alertname":
                assert match[1] in labels
                continue
            patterns = match[3].split("|") if match[2] == "=~" else [re.escape(match[3])]
            for pattern in patterns:
                assert any(re.fullmatch(pattern, name) for name in names), f"{pattern} is not an alert"
