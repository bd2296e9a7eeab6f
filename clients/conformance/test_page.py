"""docs/clients.md, against the files it shows and the series it lists."""

import re

import pytest

from clients.conformance import configurations, contract
from clients.conformance.contract import BOTH, COUNTERS, WINDOW
from loopback import ROOT

SHOWN = re.compile(r"<!-- clients/(\S+) -->\n```\w*\n(.*?)```", re.DOTALL)
PAGE = (ROOT / "docs" / "clients.md").read_text()


def test_page_shows_the_files_as_they_are() -> None:
    """What is pasted from the page is what was tested."""
    for name, shown in SHOWN.findall(PAGE):
        assert shown == configurations.read(name), f"the page shows another {name}"


@pytest.mark.parametrize("name", [*configurations.NAMES, "grafana/dashboard.json", "alerts.yml"])
def test_page_names_the_file(name: str) -> None:
    assert f"clients/{name}" in PAGE


@pytest.mark.parametrize("view", [WINDOW, COUNTERS, BOTH])
def test_page_counts_the_series_of_a_view(view: str) -> None:
    classic = len(contract.series(["one"], view))
    histograms = [name for name, family in contract.families_in(view).items() if family.type == "histogram"]
    native = classic - sum(len(contract.le_values(name)) + 2 for name in histograms) + len(histograms)
    cells = ["", ""] if view == WINDOW else [", and one for each status code"] * 2
    counts = [str(classic), ""] if view == WINDOW else [str(classic - 1), str(native - 1)]
    row = " | ".join(count + rest for count, rest in zip(counts, cells, strict=True))
    assert f"| `{view}` | {row}".rstrip() in PAGE
