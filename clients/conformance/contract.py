"""The series that docs/contract.md promises."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from loopback import ROOT

PATH = "/v1/endpoints/metrics/prometheus"

# What a call may ask for: without `view` it gets the window.
WINDOW, COUNTERS, BOTH = "window", "counters", "window,counters"

# A series: its name and its labels.
Series = tuple[str, frozenset[tuple[str, str]]]


@dataclass(frozen=True)
class Label:
    """`values` is empty where the traffic decides which there are."""

    name: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Family:
    view: str
    type: str
    label: Label | None

    def is_in(self, view: str) -> bool:
        return self.view == "both" or self.view in view.split(",")


def families_of(page: str) -> dict[str, Family]:
    """The families by name, from the table under "The series"."""
    section = page.partition("\n## The series\n")[2].partition("\n## ")[0]
    header, _, *rows = [cells(line) for line in section.splitlines() if line.startswith("|")]
    view, name, kind, label = (header.index(column) for column in ("view", "name", "type", "further label"))
    return {row[name].strip("`"): Family(row[view], row[kind], label_of(row[label])) for row in rows}


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def label_of(cell: str) -> Label | None:
    """``  `quantile`: 0.5, 0.9  ``, ``  `status_code`: 100 to 599  `` or nothing."""
    if not cell:
        return None
    match = re.fullmatch(r"`(\w+)`: (?:\d+ to \d+|(\S+(?:, \S+)*))", cell)
    if not match:
        raise ValueError(f"not a label with its values: {cell}")
    return Label(match[1], tuple(match[2].split(", ")) if match[2] else ())


FAMILIES = families_of((ROOT / "docs" / "contract.md").read_text())

TYPES = {name: family.type for name, family in FAMILIES.items()}

# Engine gauges that are there without a worker too.
WITHOUT_WORKERS = {"wafer_engine_replicas_reporting", "wafer_engine_scrape_success"}

# The upper bounds of classic buckets: powers of two, from the first exponent to the last.
TIMES, SPEEDS = (-7, 9), (0, 10)


def families_in(view: str) -> dict[str, Family]:
    return {name: family for name, family in FAMILIES.items() if family.is_in(view)}


def names_in(view: str) -> set[str]:
    """The names of series, of classic histograms and of native ones, which have the family's own."""
    families = families_in(view)
    return families.keys() | {name + suffix for name, one in families.items() for suffix, _ in parts_of(name, one)}


def bounds_of(histogram: str) -> list[float]:
    """All but infinity."""
    first, last = SPEEDS if histogram.endswith("_tokens_per_second") else TIMES
    return [2.0**exponent for exponent in range(first, last + 1)]


def le_values(histogram: str) -> list[str]:
    """As both text formats write them."""
    return [*map(str, bounds_of(histogram)), "+Inf"]


def is_absent_when_idle(name: str, family: Family) -> bool:
    """Without traffic a quantile has no sample and a ratio no divisor; without workers no gauge is reported."""
    if family.label and (family.label.name == "quantile" or not family.label.values):
        return True
    if name.startswith("wafer_engine_"):
        return name not in WITHOUT_WORKERS
    return name.endswith("_ratio_last_24h")


def series(
    endpoints: Iterable[str],
    view: str = BOTH,
    endpoint_label: str = "endpoint",
    families: Mapping[str, Family] = FAMILIES,
) -> set[Series]:
    """Every series of these endpoints; one that stands for all, where the traffic decides which there are."""
    return {
        (name + suffix, frozenset({(endpoint_label, endpoint), *labels}))
        for endpoint in endpoints
        for name, family in families.items()
        if family.is_in(view)
        for suffix, labels in parts_of(name, family)
    }


def idle_series(endpoint: str, view: str) -> set[Series]:
    present = {name: family for name, family in FAMILIES.items() if not is_absent_when_idle(name, family)}
    return series([endpoint], view, families=present)


def parts_of(name: str, family: Family) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Of each series of a family what follows its name, and its labels besides `endpoint`."""
    if family.type == "histogram":
        yield from (("_bucket", [("le", le)]) for le in le_values(name))
        yield from (("_sum", []), ("_count", []))
    elif family.label and family.label.values:
        yield from (("", [(family.label.name, value)]) for value in family.label.values)
    else:
        yield "", []


def assert_same_series(found: Iterable[Series], wanted: set[Series]) -> None:
    found = set(map(standing_for_all, found))
    lines = [f"missing: {one}" for one in sorted(map(described, wanted - found))]
    lines += [f"not promised: {one}" for one in sorted(map(described, found - wanted))]
    assert not lines, "\n".join(lines)


def standing_for_all(one: Series) -> Series:
    """Without the label of which the traffic decides the values."""
    name, labels = one
    label = FAMILIES[name].label if name in FAMILIES else None
    if not label or label.values:
        return one
    return name, frozenset((key, value) for key, value in labels if key != label.name)


def described(one: Series) -> str:
    name, labels = one
    return name + "{" + ", ".join(f'{label}="{value}"' for label, value in sorted(labels)) + "}"
