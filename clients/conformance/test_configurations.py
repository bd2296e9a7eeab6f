"""What every configuration has in common."""

import pytest

from clients.conformance import configurations
from clients.conformance.configurations import ENDPOINTS, HOST, KEY_FILE

MARK = "CHANGE:"
MARK_IN_PROSE = "marked CHANGE"


@pytest.mark.parametrize("name", configurations.NAMES)
def test_exactly_the_lines_to_change_are_marked(name: str) -> None:
    lines = configurations.read(name).splitlines()
    assert any(MARK_IN_PROSE in line for line in lines), f"{name} does not say what to change"
    assert any("Success:" in line for line in lines), f"{name} does not say what success looks like"
    marked = [line for line in lines if MARK in line]
    assert 2 <= len(marked) <= 3, f"{name} marks {len(marked)} lines to change"
    for line in lines:
        comment = line.lstrip().startswith(("#", "//"))
        for placeholder in (HOST, *ENDPOINTS, KEY_FILE):
            assert comment or placeholder not in line or MARK in line, (
                f"{name}: {placeholder} stands in a line that is not marked: {line}"
            )
