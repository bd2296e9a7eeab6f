"""How the table of series in docs/contract.md is read. test_text.py holds the endpoint against it."""

import pytest

from clients.conformance.contract import Label, families_of

PAGE = """
## The series

| name | further label | value |
|---|---|---|
| `wafer_requests` | `status_class`: 2xx, 4xx | requests |
| `wafer_tokens` | | sum |

## Another section

| name | further label | value |
"""


def test_each_row_is_a_family_with_its_label() -> None:
    assert families_of(PAGE) == {"wafer_requests": Label("status_class", ("2xx", "4xx")), "wafer_tokens": None}


def test_a_label_that_is_written_otherwise_is_refused() -> None:
    with pytest.raises(ValueError, match="status_class"):
        families_of(PAGE.replace("`status_class`:", "status_class"))


def test_a_table_with_another_header_is_refused() -> None:
    with pytest.raises(ValueError, match="further label"):
        families_of(PAGE.replace("further label", "label"))
