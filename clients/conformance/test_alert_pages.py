"""docs/clients.md under *Alerts*, and docs/runbooks.md, against the rules, both ways."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from clients.conformance import configurations, contract, week
from clients.conformance.expressions import COMPARISON, SELECTOR, name_of
from clients.conformance.programs import newest
from clients.conformance.prometheus import Promtool
from loopback import ROOT

CLIENTS_PAGE = (ROOT / "docs" / "clients.md").read_text()
ALERTS = CLIENTS_PAGE.partition("\n## Alerts\n")[2].partition("\n## ")[0]
RUNBOOKS = (ROOT / "docs" / "runbooks.md").read_text()
SECTIONS = dict(re.findall(r"^## (\w+)\n\n(.*?)(?=^## |\Z)", RUNBOOKS, re.MULTILINE | re.DOTALL))
PARTS = ("Meaning", "Impact", "Diagnosis", "Mitigation")
NUMBER = re.compile(r"\d+(?:\.\d+)?")
WORDS = {"six": 6.0}

Rule = dict[str, Any]


def rules_in(name: str) -> list[Rule]:
    groups = yaml.safe_load(configurations.read(name))["groups"]
    return [rule for group in groups for rule in group["rules"]]


RULES = rules_in("alerts.yml")
ALL_RULES = RULES + rules_in("prometheus/discovery-alerts.yml")
NAMES = {rule["alert"] for rule in RULES if "alert" in rule}
ALL_NAMES = {rule["alert"] for rule in ALL_RULES if "alert" in rule}
RECORDS = {rule["record"] for rule in RULES if "record" in rule}


def rules_of(alert: str) -> list[Rule]:
    return [rule for rule in ALL_RULES if rule.get("alert") == alert]


def severities(alert: str) -> str:
    return ", ".join(dict.fromkeys(rule["labels"]["severity"] for rule in rules_of(alert)))


# --- Rules ---


@pytest.mark.parametrize("rule", [rule for rule in ALL_RULES if "alert" in rule], ids=name_of)
def test_alert_has_a_severity_with_a_reason_and_a_runbook(rule: Rule) -> None:
    text = configurations.read("alerts.yml") + configurations.read("prometheus/discovery-alerts.yml")
    severity, name = rule["labels"]["severity"], rule["alert"]
    assert severity in ("critical", "warning")
    reason = rf"^ +# {severity}: [^\n]+(\n +#[^\n]*)*\n +- alert: {name}$"
    assert re.search(reason, text, re.MULTILINE), f"no comment says why {name} is {severity}"
    assert rule["annotations"]["runbook_url"] == f"https://runbooks.example.com/wafer#{name.lower()}"
    assert name in SECTIONS


def test_burn_alerts_have_the_windows_of_a_budget_of_thirty_days() -> None:
    windows = [("14.4", "1h", "5m", "critical"), ("6", "6h", "30m", "critical"), ("3", "1d", "2h", "warning")]
    windows.append(("1", "3d", "6h", "warning"))
    for slo, name in (("availability", "WaferAvailabilityBudgetBurn"), ("ttft", "WaferTtftBudgetBurn")):
        rules = rules_of(name)
        for rule, (times, long, short, severity) in zip(rules, windows, strict=True):
            assert rule["labels"] == {"severity": severity, "slo": slo, "long": long, "short": short}
            budget = f"{times} * (1 - scalar(max(wafer:slo_{slo}:objective)))"
            for window in (long, short):
                assert f"ratio_rate{window} > {budget}" in rule["expr"]
            assert rule["expr"].endswith(">= 5")
            row = f"| {severity} | {long} | {short} | "
            assert row in ALERTS
            assert f"{row}{times} | {spent(rule):g} % |" in SECTIONS["WaferAvailabilityBudgetBurn"]


def test_objectives_stand_in_one_place() -> None:
    text = configurations.read("alerts.yml")
    for slo in ("availability", "ttft"):
        assert len(re.findall(rf"record: wafer:slo_{slo}:objective\n +expr: vector\(0\.9+\) # CHANGE", text)) == 1
    assert text.count("vector(") == 2


def test_bound_of_the_first_token_is_the_same_everywhere() -> None:
    """That of native histograms, and that of classic ones as any remote writer sends it."""
    text = configurations.read("alerts.yml")
    assert len(re.findall(r"histogram_fraction\(-Inf, 2,", text)) == text.count("histogram_fraction") == 7
    assert text.count(r'le=~"2(\\.0)?"') == text.count("le=") == 7


def test_rules_ask_histograms_for_nothing_that_vmalert_does_not_know() -> None:
    assert set(re.findall(r"histogram_\w+", configurations.read("alerts.yml"))) == {
        "histogram_quantile",
        "histogram_fraction",
    }


def test_no_rule_joins_or_groups_on_instance() -> None:
    for rule in RULES:
        assert not re.search(r"\b(by|on|group_left|group_right) ?\(", rule["expr"]), rule


# --- Pages ---


def test_every_alert_has_a_row_and_a_runbook_and_no_other_has() -> None:
    rows = re.findall(r"^\| \[`(\w+)`\]\(runbooks\.md#(\w+)\) \| ([\w, ]+) \|", ALERTS, re.MULTILINE)
    assert {name for name, _, _ in rows} == NAMES
    assert SECTIONS.keys() == ALL_NAMES
    for name, anchor, severity in rows:
        assert (anchor, severity) == (name.lower(), severities(name))
        assert SECTIONS[name].startswith(severity.replace(", ", " or ").capitalize())


@pytest.mark.parametrize("name", sorted(ALL_NAMES))
def test_runbook_has_its_parts(name: str) -> None:
    places = [SECTIONS[name].find(f"- **{part}.** ") for part in PARTS]
    assert -1 not in places, f"{name} lacks a part"
    assert places == sorted(places)


@pytest.mark.parametrize("page", [ALERTS, RUNBOOKS], ids=["clients", "runbooks"])
def test_page_names_what_exists(page: str) -> None:
    alerts = set(re.findall(r"\bWafer[A-Z]\w+", page))
    assert alerts <= ALL_NAMES, alerts - ALL_NAMES
    series = {selector.partition("{")[0] for selector in SELECTOR.findall(page)} - {"up"}
    known = contract.names_in(contract.BOTH) | RECORDS
    assert series <= known, series - known
    for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page):
        assert (ROOT / "docs" / link).exists(), link


@pytest.mark.parametrize("page", [ALERTS, RUNBOOKS], ids=["clients", "runbooks"])
def test_page_links_to_headings_that_exist(page: str) -> None:
    headings = {
        name: {
            re.sub(r"[^\w -]", "", heading).replace(" ", "-").lower() for heading in re.findall(r"^## (.+)", text, re.M)
        }
        for name, text in (("clients.md", CLIENTS_PAGE), ("runbooks.md", RUNBOOKS))
    }
    own = "clients.md" if page is ALERTS else "runbooks.md"
    for name, anchor in re.findall(r"\]\(([\w.]*)#([\w-]+)\)", page):
        assert anchor in headings[name or own], anchor


@pytest.mark.parametrize("name", sorted(ALL_NAMES))
def test_numbers_of_a_page_are_those_of_the_rule(name: str) -> None:
    """Those of the alert's row, and of what its runbook says that it means."""
    meaning = SECTIONS[name].partition("- **Meaning.** ")[2].partition("\n- **Impact.**")[0]
    row = next((line for line in ALERTS.splitlines() if line.startswith(f"| [`{name}`]")), "").rpartition("|")[0]
    for text in (meaning, row.rpartition("|")[2]):
        # Neither 5xx and p90 nor a window's name is a number.
        plain = re.sub(r"\]\([^)]*\)|\b5xx\b|`[^`]*`", "", text)
        said = {float(number) for number in NUMBER.findall(plain)} | {WORDS[word] for word in WORDS if word in plain}
        assert said <= numbers_of(name), said - numbers_of(name)


def numbers_of(alert: str) -> set[float]:
    """As they stand in the rules and the records that they read, as shares in percent, and what an objective leaves."""
    texts = [f"{rule['expr']} {rule.get('for', '')} {rule['labels']}" for rule in rules_of(alert)]
    names = {name for text in texts for name in RECORDS if name in text}
    texts += [rule["expr"] for rule in RULES if rule.get("record") in names]
    found = {float(number) for text in texts for number in NUMBER.findall(text)}
    if "scalar(" in texts[0]:
        objective = max(number for number in found if number < 1)
        # A budget of 30 days, the share of it that a pair of windows spends, and the objective itself.
        found |= {round(100 * (1 - objective), 6), 30, *(spent(rule) for rule in rules_of(alert))}
    # The limit of a key, and for how long a worker counts, are the contract's.
    limits = {"WaferScrapesRefused": {6.0}, "WaferNoReplicaReporting": {10.0}}
    return found | {round(100 * number, 6) for number in found if number < 1} | limits.get(alert, set())


def spent(rule: Rule) -> float:
    """The share of a budget of 30 days that is spent in the long window, in percent."""
    match = re.search(r"> ([\d.]+) \*", rule["expr"])
    assert match
    hours = {"1h": 1, "6h": 6, "1d": 24, "3d": 72}[rule["labels"]["long"]]
    return round(100 * float(match[1]) * hours / (30 * 24), 6)


def test_thresholds_are_told() -> None:
    """Whoever changes the number of a comparison changes the page: each stands in the row or in the runbook."""
    for name in NAMES:
        text = SECTIONS[name] + ALERTS
        for rule in rules_of(name):
            for number in re.findall(rf"(?:{COMPARISON.pattern}) ([\d.]+)", rule["expr"]):
                value = float(number[-1])
                forms = {f"{value:g}", f"{100 * value:g} %"} | ({f"{value:g} days"} if value == 14 else set())
                assert value == 0 or any(form in text for form in forms), f"{name}: {value:g}"


FAULTS = [*week.FAULTS, week.SECOND_SCRAPER]


def test_promises_of_the_runbooks_are_those_that_are_tried() -> None:
    tried = {(fault.alert, fault.promise) for fault in FAULTS}
    promised = {
        (name, promise)
        for name, section in SECTIONS.items()
        for promise in re.findall(r"within \d+ \w+(?: where \d+ % fail)?", section.partition("\n")[0])
    }
    assert promised == tried
    for fault in FAULTS:
        assert fault.severity.capitalize() in SECTIONS[fault.alert].partition("\n")[0].replace("or w", "or W")


@pytest.mark.parametrize("place", ["runbooks", "bound"])
def test_command_of_the_page_changes_every_rule(tmp_path: Path, place: str) -> None:
    commands = re.findall(r"^    (sed -i '.*' alerts\.yml)$", ALERTS, re.MULTILINE)
    command = next(one for one in commands if ("runbooks" in one) == (place == "runbooks"))
    rules = tmp_path / "alerts.yml"
    rules.write_text(configurations.read("alerts.yml"))
    subprocess.run(command, shell=True, check=True, cwd=tmp_path)
    text = rules.read_text()
    Promtool(newest("promtool")).check("check", "rules", rules)
    if place == "runbooks":
        assert "runbooks.example.com" not in text
    else:
        assert text.count("(-Inf, 4,") == text.count(r'le=~"4(\\.0)?"') == 7
        assert "(-Inf, 2," not in text
        assert 'le=~"2' not in text
        assert " 2 s" not in text
