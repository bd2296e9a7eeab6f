"""A front between a client and the stack, which asks for the figures itself before and after each scrape.

Where they did not move meanwhile, they are what the client was answered: it should have the very same values.
"""

import contextlib
import http.client
from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from clients.conformance import contract
from clients.conformance.contract import Series
from clients.conformance.stack import CHAT, CODE, Stack
from loopback.serving import Handler, served

Values = dict[Series, float]

# Heartbeats come every 10 s: if scrapes came as often, all would meet one once one did.
ODD_INTERVAL = "13s"
# It is another one for each key.
BUDGET = "wafer_scrape_budget_remaining"


@dataclass
class Witness:
    """`moments` are the values at each scrape during which nothing moved."""

    address: str
    moments: list[Values]

    def saw(self, values: Values) -> bool:
        return without_budget(values) in self.moments

    def differences(self, values: Values) -> str:
        """To the moment that is most like them."""
        found = without_budget(values)
        off = [differences(found, moment) for moment in self.moments]
        nearest = min(off, key=len, default=["at no scrape the figures stood still"])
        return "\n".join(nearest)


def differences(found: Values, wanted: Values) -> list[str]:
    off = (one for one in found.keys() | wanted.keys() if found.get(one) != wanted.get(one))
    return sorted(f"{contract.described(one)}: {found.get(one)}, not {wanted.get(one)}" for one in off)


def without_budget(values: Values) -> Values:
    budgets = {one: value for one, value in values.items() if one[0] == BUDGET}
    assert all(value in range(6) for value in budgets.values()), f"calls left: {budgets}"
    return {one: value for one, value in values.items() if one not in budgets}


def figures(stack: Stack) -> Values:
    families = text_string_to_metric_families(stack.scrape(CHAT, CODE, view=contract.BOTH).text)
    return {(one.name, frozenset(one.labels.items())): one.value for family in families for one in family.samples}


@contextlib.contextmanager
def witness(stack: Stack) -> Iterator[Witness]:
    moments: list[Values] = []

    class Front(Handler):
        def do_GET(self) -> None:
            before = without_budget(figures(stack))
            connection = http.client.HTTPConnection(stack.address, timeout=20)
            connection.request("GET", self.path, headers=dict(self.headers))
            answer = connection.getresponse()
            body = answer.read()
            connection.close()
            if answer.status == 200 and before == without_budget(figures(stack)):
                moments.append(before)
            passed_on = ("Content-Type", "Content-Encoding")
            headers = {name: value for name, value in answer.headers.items() if name.title() in passed_on}
            self.answer(answer.status, headers, body)

    with served(Front) as address:
        yield Witness(address, moments)
