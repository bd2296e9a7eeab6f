"""The series that docs/contract.md promises."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import product

from loopback import ROOT

PATH = "/v1/endpoints/metrics/prometheus"

# A series: its name and its labels.
Series = tuple[str, frozenset[tuple[str, str]]]


@dataclass(frozen=True)
class Label:
    name: str
    values: tuple[str, ...]


def families_of(page: str) -> dict[str, Label | None]:
    """The label that each family has besides `endpoint`, from the table under "The series"."""
    section = page.partition("\n## The series\n")[2].partition("\n## ")[0]
    header, _, *rows = [cells(line) for line in section.splitlines() if line.startswith("|")]
    name, label = header.index("name"), header.index("further label")
    return {row[name].strip("`"): label_of(row[label]) for row in rows}


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def label_of(cell: str) -> Label | None:
    """``  `quantile`: 0.5, 0.9  `` or nothing."""
    if not cell:
        return None
    match = re.fullmatch(r"`(\w+)`: (\S+(?:, \S+)*)", cell)
    if not match:
        raise ValueError(f"not a label with its values: {cell}")
    return Label(match[1], tuple(match[2].split(", ")))


FAMILIES = families_of((ROOT / "docs" / "contract.md").read_text())

# Engine gauges that are there without a worker too.
WITHOUT_WORKERS = {"wafer_engine_replicas_reporting", "wafer_engine_scrape_success"}


def is_absent_when_idle(family: str, label: Label | None) -> bool:
    """Without traffic a quantile has no sample and a ratio no divisor; without workers no gauge is reported."""
    if label and label.name == "quantile":
        return True
    if family.startswith("wafer_engine_"):
        return family not in WITHOUT_WORKERS
    return family.endswith("_ratio_last_24h")


def series(
    endpoints: Iterable[str],
    endpoint_label: str = "endpoint",
    families: Mapping[str, Label | None] = FAMILIES,
) -> set[Series]:
    """Every series of these endpoints."""
    return {
        (family, frozenset({(endpoint_label, endpoint), *further}))
        for endpoint, (family, label) in product(endpoints, families.items())
        for further in pairs_of(label)
    }


def idle_series(endpoint: str) -> set[Series]:
    present = {family: label for family, label in FAMILIES.items() if not is_absent_when_idle(family, label)}
    return series([endpoint], families=present)


def pairs_of(label: Label | None) -> list[list[tuple[str, str]]]:
    return [[(label.name, value)] for value in label.values] if label else [[]]


def assert_same_series(found: set[Series], wanted: set[Series]) -> None:
    lines = [f"missing: {one}" for one in sorted(map(described, wanted - found))]
    lines += [f"not promised: {one}" for one in sorted(map(described, found - wanted))]
    assert not lines, "\n".join(lines)


def described(one: Series) -> str:
    name, labels = one
    return name + "{" + ", ".join(f'{label}="{value}"' for label, value in sorted(labels)) + "}"
