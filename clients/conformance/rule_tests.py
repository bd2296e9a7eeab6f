"""The unit tests of the rules, and the same with what another scrape would have stored of the same traffic.

They stand in clients/alerts_tests. promtool loads 10,000 samples for a query at most, and a native histogram counts as
several: so what goes over days has a sample in ten minutes.
"""

import copy
import itertools
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import yaml

from clients.conformance.configurations import CLIENTS

FOLDER = CLIENTS / "alerts_tests"
NAMES = sorted(path.name for path in FOLDER.glob("*.yml"))

# A test group of promtool's, or a whole file.
Case = dict[str, Any]

# A number, "stale" where the series has ended, a native histogram as promtool writes it, and `_` where nothing is.
Sample = float | str
NOTHING = "_"
STALE = "stale"

HISTOGRAM = "wafer_time_to_first_token_seconds"
SERIES = re.compile(r"([\w:]+)\{(.*)\}", re.DOTALL)
LABEL = re.compile(r'(\w+)="([^"]*)"')
# `5`, `5x3`, `0+10x60`, `_`, `_x3`, `stale`
VALUES = re.compile(r"(?P<word>_|stale)(x(?P<times>\d+))?|(?P<first>-?[\d.]+)(?P<step>[+-][\d.]+)?(x(?P<more>\d+))?")
UNITS = {"h": 3600, "m": 60, "s": 1}


@dataclass(frozen=True)
class Series:
    name: str
    labels: dict[str, str]
    samples: list[Sample]

    def written(self) -> dict[str, str]:
        runs = [(value, len(list(run))) for value, run in itertools.groupby(self.samples)]
        values = " ".join(run_of(value, times) for value, times in runs)
        return {"series": labelled(self.name, self.labels), "values": values}


def run_of(value: Sample, times: int) -> str:
    if isinstance(value, str):
        return " ".join([value] * times)
    return f"{value:.12g}" if times == 1 else f"{value:.12g}x{times - 1}"


def labelled(name: str, labels: dict[str, str]) -> str:
    return name + "{" + ", ".join(f'{key}="{value}"' for key, value in labels.items()) + "}"


def read(name: str) -> Case:
    """With every scalar as text: to YAML `0x30` would be a hexadecimal number."""
    return dict(yaml.load((FOLDER / name).read_text(), yaml.BaseLoader))


def seconds(duration: str) -> int:
    return sum(int(number) * UNITS[unit] for number, unit in re.findall(r"(\d+)([hms])", duration))


def series_of(test: Case) -> list[Series]:
    return [parsed(one["series"], one["values"]) for one in test["input_series"]]


def parsed(series: str, values: str) -> Series:
    match = SERIES.fullmatch(series)
    assert match, f"not a series: {series}"
    return Series(match[1], dict(LABEL.findall(match[2])), list(expanded(values)))


def expanded(values: str) -> Iterator[Sample]:
    for part in values.split():
        match = VALUES.fullmatch(part)
        assert match, f"not a value: {part}"
        if match["word"]:
            yield from [match["word"]] * int(match["times"] or 1)
        else:
            first, step, more = float(match["first"]), float(match["step"] or 0), int(match["more"] or 0)
            yield from (first + step * times for times in range(more + 1))


def without_annotations(test: Case) -> Case:
    """The same tests, of the series ALERTS: a figure in an annotation may differ where samples are missing."""
    checks = [
        {**check, "exp_samples": [{**one, "value": float(one["value"])} for one in check.get("exp_samples", [])]}
        for check in test.get("promql_expr_test", [])
    ]
    for check in test.get("alert_rule_test", []):
        state = {"alertname": check["alertname"], "alertstate": "firing"}
        expected = [
            {"labels": labelled("ALERTS", {**state, **one["exp_labels"]}), "value": 1} for one in check["exp_alerts"]
        ]
        checks.append({"expr": labelled("ALERTS", state), "eval_time": check["eval_time"], "exp_samples": expected})
    return {key: value for key, value in test.items() if key != "alert_rule_test"} | {"promql_expr_test": checks}


# --- What another scrape would have stored ---


def with_series(test: Case, series: list[Series]) -> Case:
    return {**test, "input_series": [one.written() for one in series]}


def with_expected_labels(test: Case, change: Callable[[dict[str, str]], dict[str, str]]) -> Case:
    """Changes the labels of alerts that are to fire."""
    changed = copy.deepcopy(test)
    for check in changed["promql_expr_test"]:
        for sample in check.get("exp_samples", []):
            if sample.get("labels", "").startswith("ALERTS{"):
                sample["labels"] = labelled("ALERTS", change(dict(LABEL.findall(sample["labels"]))))
    return changed


def without(label: str, labels: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in labels.items() if key != label}


def without_instance(test: Case) -> Iterator[Case]:
    series = [replace(one, labels=without("instance", one.labels)) for one in series_of(test)]
    yield with_expected_labels(with_series(test, series), lambda labels: without("instance", labels))


def discovered_in_three_groups(test: Case) -> Iterator[Case]:
    """`up` is there for each group, and the other series have no instance. What a test is about is the first group."""
    if seconds(test["interval"]) <= 10:
        # Three groups at 10 s are over the limit by themselves.
        return
    series = []
    for one in series_of(test):
        if one.name != "up":
            series.append(replace(one, labels=without("instance", one.labels)))
            continue
        healthy: list[Sample] = [sample if isinstance(sample, str) else 1.0 for sample in one.samples]
        for group, samples in enumerate((one.samples, healthy, healthy), 1):
            instance = f"{one.labels['instance']}/{group}"
            series.append(Series("up", {**one.labels, "instance": instance}, samples))

    def first_group(labels: dict[str, str]) -> dict[str, str]:
        return {key: f"{value}/1" if key == "instance" else value for key, value in labels.items()}

    yield with_expected_labels(with_series(test, series), first_group)


def renamed_by_a_target_label(test: Case) -> Iterator[Case]:
    """As a ServiceMonitor without honorLabels has it."""

    def renamed(labels: dict[str, str]) -> dict[str, str]:
        own = {"exported_endpoint" if key == "endpoint" else key: value for key, value in labels.items()}
        return {**own, "endpoint": "https"}

    def renamed_where_there(labels: dict[str, str]) -> dict[str, str]:
        """An alert on a whole job has neither label."""
        return renamed(labels) if {"endpoint", "instance"} & labels.keys() else labels

    series = [replace(one, labels=renamed(one.labels)) for one in series_of(test)]
    changed = copy.deepcopy(test)
    for check in changed["promql_expr_test"]:
        check["expr"] = re.sub(r"\bendpoint\b", "exported_endpoint", check["expr"])
        for sample in check.get("exp_samples", []):
            if not sample.get("labels", "ALERTS{").startswith("ALERTS{"):
                sample["labels"] = re.sub(r"\bendpoint\b", "exported_endpoint", sample["labels"])
    yield with_expected_labels(with_series(changed, series), renamed_where_there)


def with_native_histograms_alone(test: Case) -> Iterator[Case]:
    series = [one for one in series_of(test) if not one.name.startswith(HISTOGRAM)]
    yield with_series(test, series + native_histograms(test))


def with_native_histograms_too(test: Case) -> Iterator[Case]:
    yield with_series(test, series_of(test) + native_histograms(test))


def native_histograms(test: Case) -> list[Series]:
    """The classic ones as native ones of schema 0, whose buckets end at powers of two."""
    families: dict[str, dict[float, Series]] = {}
    for one in series_of(test):
        if one.name == f"{HISTOGRAM}_bucket":
            family = labelled(HISTOGRAM, without("le", one.labels))
            families.setdefault(family, {})[float(one.labels["le"])] = one
    return [native(family, buckets) for family, buckets in families.items()]


def native(family: str, buckets: dict[float, Series]) -> Series:
    bounds = sorted(bound for bound in buckets if bound != math.inf)
    low = round(math.log2(bounds[0]))
    # What is above the last bound is put into the next bucket.
    places = [round(math.log2(bound)) - low for bound in bounds] + [round(math.log2(bounds[-1])) - low + 1]
    samples: list[Sample] = []
    # Some buckets may be written further than others.
    for cumulative in zip(*(buckets[bound].samples for bound in sorted(buckets)), strict=False):
        if isinstance(cumulative[0], str):
            samples.append(cumulative[0])
            continue
        counts = [0.0] * (places[-1] + 1)
        below = 0.0
        for place, count in zip(places, cumulative, strict=True):
            counts[place] = float(count) - below
            below = float(count)
        written = " ".join(f"{count:.12g}" for count in counts)
        # The zeros keep a histogram of which nothing was counted yet a native one.
        samples.append("{{" + f"schema:0 count:{below:.12g} sum:0 offset:{low} buckets:[{written}]" + "}}")
    return Series(HISTOGRAM, dict(LABEL.findall(family)), samples)


def with_a_scrape_lost_in_five(test: Case) -> Iterator[Case]:
    """Tests of `up` are about lost scrapes themselves."""
    series = series_of(test)
    if any(one.name == "up" for one in series):
        return
    yield with_series(
        test,
        [
            replace(
                one,
                samples=[STALE if at % 5 == 4 and value != NOTHING else value for at, value in enumerate(one.samples)],
            )
            for one in series
        ],
    )


def with_a_gap_of_three_minutes(before: str) -> Callable[[Case], Iterator[Case]]:
    """Each check by itself, with a gap that ends so long before it."""

    def variant(test: Case) -> Iterator[Case]:
        interval = seconds(test["interval"])
        for check in test["promql_expr_test"]:
            end = seconds(check["eval_time"]) - seconds(before)
            gap = range(end - 3 * 60 + 1, end + 1)
            series = [
                replace(
                    one, samples=[NOTHING if at * interval in gap else value for at, value in enumerate(one.samples)]
                )
                for one in series_of(test)
            ]
            yield {**with_series(test, series), "promql_expr_test": [check]}

    return variant


VARIANTS: dict[str, Callable[[Case], Iterator[Case]]] = {
    "without-instance": without_instance,
    "three-groups": discovered_in_three_groups,
    "exported-endpoint": renamed_by_a_target_label,
    "native": with_native_histograms_alone,
    "native-and-classic": with_native_histograms_too,
    "lost-scrapes": with_a_scrape_lost_in_five,
    "gap": with_a_gap_of_three_minutes("0m"),
    "gap-before": with_a_gap_of_three_minutes("5m"),
}


def variant(name: str, file: str) -> Case:
    """A whole file of tests."""
    tests = [one for test in read(file)["tests"] for one in VARIANTS[name](without_annotations(test))]
    return {**read(file), "rule_files": [str(CLIENTS / "alerts.yml")], "tests": tests}
