"""How the table of series in docs/contract.md is read. test_text.py holds the endpoint against it."""

import pytest

from clients.conformance.contract import COUNTERS, WINDOW, Family, Label, families_of, parts_of

PAGE = """
## The series

| view | name | type | further label | value |
|---|---|---|---|---|
| window | `wafer_requests` | gauge | `status_class`: 2xx, 4xx | requests |
| counters | `wafer_codes_total` | counter | `status_code`: 100 to 599 | requests |
| both | `wafer_tokens` | gauge | | sum |

## Another section

| name | further label | value |
"""


def test_each_row_is_a_family_with_its_view_type_and_label() -> None:
    assert families_of(PAGE) == {
        "wafer_requests": Family("window", "gauge", Label("status_class", ("2xx", "4xx"))),
        "wafer_codes_total": Family("counters", "counter", Label("status_code", ())),
        "wafer_tokens": Family("both", "gauge", None),
    }


def test_a_view_has_its_own_families_and_those_of_both() -> None:
    in_view = {view: [family.is_in(view) for family in families_of(PAGE).values()] for view in (WINDOW, COUNTERS)}
    assert in_view == {WINDOW: [True, False, True], COUNTERS: [False, True, True]}


def test_a_histogram_has_a_series_for_each_bucket_its_sum_and_its_count() -> None:
    speeds = list(parts_of("wafer_speed_tokens_per_second", Family("counters", "histogram", None)))
    times = list(parts_of("wafer_time_seconds", Family("counters", "histogram", None)))
    assert (len(speeds), len(times)) == (11 + 1 + 2, 17 + 1 + 2)
    assert times[0] == ("_bucket", [("le", "0.0078125")])
    assert speeds[10:] == [("_bucket", [("le", "1024.0")]), ("_bucket", [("le", "+Inf")]), ("_sum", []), ("_count", [])]


def test_a_label_that_is_written_otherwise_is_refused() -> None:
    with pytest.raises(ValueError, match="status_class"):
        families_of(PAGE.replace("`status_class`:", "status_class"))


def test_a_table_with_another_header_is_refused() -> None:
    with pytest.raises(ValueError, match="further label"):
        families_of(PAGE.replace("further label", "label"))
