"""Which failures of a scrape the rate limit explains."""

import pytest

from clients.conformance import samples
from clients.conformance.prometheus import Outcome

INTERVAL, USUAL = 10, 0.02
SECOND, SEVENTH = 1, 7


def outcomes(late: float) -> list[Outcome]:
    """Every 10 s, the second one so late, and the seventh from there on refused."""
    took = {SECOND: USUAL + late}
    return [Outcome(INTERVAL * one, one != SEVENTH, took.get(one, USUAL)) for one in range(12)]


@pytest.mark.parametrize(("late", "failures"), [(0, [70]), (0.9, [70]), (1.0, []), (3, [])])
def test_a_call_that_came_late_explains_why_the_seventh_was_refused(late: float, failures: list[float]) -> None:
    assert samples.unexplained_failures(outcomes(late)) == failures


def test_a_failure_before_six_calls_is_not_explained() -> None:
    first = [Outcome(0, True, 30), Outcome(10, False, USUAL), Outcome(20, True, USUAL)]
    assert samples.unexplained_failures(first) == [10]
