"""Any call gets an answer that docs/openapi.yaml has, and the one that docs/contract.md says."""

import re
import urllib.parse
from collections import Counter
from collections.abc import Callable, Collection, Iterable

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import CHECKS, load_all_checks

from clients.conformance import contract
from clients.conformance.faults import FAILS, HANGS, Faults
from clients.conformance.stack import CHAT, CODE, IDLE, PATIENT, SCRAPE_TIMEOUT, Stack
from loopback import ROOT

DOCUMENT = schemathesis.openapi.from_path(ROOT / "docs" / "openapi.yaml")
SCRAPE, JSON, TARGETS = contract.PATH, "/v1/endpoints/metrics", "/v1/endpoints/metrics/targets"

load_all_checks()
CHECKED = CHECKS.get_by_names(
    [f"{what}_conformance" for what in ("status_code", "content_type", "response_headers", "response_schema")]
)
PROTOBUF = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
ACCEPTS = [None, "application/openmetrics-text", PROTOBUF]
# Most calls are made with a key that owns what is asked for.
HOLDERS = ["of what is asked for"] * 10 + ["of nothing", "malformed"]
# Of a call that is to be answered before what hangs comes to an end.
SHORT = {SCRAPE_TIMEOUT: "2"}
# Calls of each route, of each kind.
EXAMPLES = {SCRAPE: 80, JSON: 60, TARGETS: 30}
LONGEST_QUERY = 8_000

HOST = re.compile(r"(?!.{254})(?!-)[a-z0-9-]{1,63}(?<!-)(\.(?!-)[a-z0-9-]{1,63}(?<!-))*", re.IGNORECASE | re.ASCII)
VIEWS, RANGES = {"window", "counters"}, {"5", "15", "30", "60", "360", "1440", "10080", "43200"}
TWENTY_ONE = [f"h{number:02}.example" for number in range(21)]

# What is added to good calls, one or two at a time.
ODD = [
    *[("endpoint", value) for value in ("*", "", CHAT.upper(), f"{CHAT},{CODE}", f"{IDLE},", f",{IDLE}", "a b", "*,*")],
    *[("endpoint", value) for value in (f"{CHAT}:443", f"https://{CHAT}", f"{CHAT}.", "a_b", ",".join(TWENTY_ONE))],
    *[("range_minutes", value) for value in ("60", "7", "", "05", "+5", "60.0", "5,15", "-5", "1e2", "43201")],
    *[("view", value) for value in ("window", "counters", "counters,window", "both", "", "window,", "Window")],
    *[("Endpoint", CHAT), ("unknown", "1"), ("", ""), ("range", "5"), ("format", "json")],
]
ENDPOINTS = {SCRAPE: ["*", "*", CHAT, f"{CODE},{IDLE}"], JSON: [CHAT, CODE, IDLE], TARGETS: []}
GOOD = {path: [("endpoint", value) for value in values] for path, values in ENDPOINTS.items()}


def judged(path: str, query: str, owned: Collection[str]) -> str:
    """The code that the contract has for a call with a good key that owns these endpoints; `ok` for 200."""
    pairs = urllib.parse.parse_qsl(query, keep_blank_values=True, errors="replace")
    endpoints, views, ranges = (
        [value for name, value in pairs if name == parameter] for parameter in ("endpoint", "view", "range_minutes")
    )
    hosts = {host.lower() for value in endpoints for host in value.split(",")}
    is_all = endpoints == ["*"]
    if path != TARGETS:
        most = 1 if path == JSON else 20
        is_valid = bool(endpoints) and all(map(HOST.fullmatch, hosts)) and len(hosts) <= most
        if not (is_valid or (is_all and path == SCRAPE)):
            return "invalid_endpoint"
    if path != JSON and not {name for value in views for name in value.split(",")} <= VIEWS:
        return "invalid_view"
    if path == JSON and (len(ranges) > 1 or not set(ranges) <= RANGES):
        return "invalid_range"
    if path == TARGETS:
        return "ok"
    if not (owned if is_all else hosts <= set(owned)):
        return "endpoint_forbidden"
    return "too_many_endpoints" if is_all and len(owned) > 20 else "ok"


def hosts_of(value: object) -> list[str]:
    """The hosts that the values of a parameter name."""
    values = value if isinstance(value, list) else [value]
    named = [host for one in values if isinstance(one, str) for host in one.split(",")]
    return sorted({host.lower() for host in named if HOST.fullmatch(host)})


def odd_cases(path: str) -> st.SearchStrategy[Case]:
    """Good calls with one or two parameters more, in any order."""
    good = st.lists(st.sampled_from(GOOD[path]), min_size=1, max_size=1) if GOOD[path] else st.just([])
    more = st.lists(st.sampled_from(ODD), min_size=1, max_size=2)
    pairs = st.tuples(good, more).flatmap(lambda both: st.permutations([*both[0], *both[1]]))
    return pairs.map(lambda pairs: DOCUMENT[path]["GET"].Case(query=query_of(pairs)))


def query_of(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    query: dict[str, list[str]] = {}
    for name, value in pairs:
        query.setdefault(name, []).append(value)
    return query


def cases(path: str) -> dict[str, st.SearchStrategy[Case]]:
    operation = DOCUMENT[path]["GET"]
    return {
        "as documented": operation.as_strategy(GenerationMode.POSITIVE),
        "otherwise": operation.as_strategy(GenerationMode.NEGATIVE),
        "nearly as documented": odd_cases(path),
    }


@pytest.mark.parametrize("path", [SCRAPE, JSON, TARGETS])
def test_any_call_gets_an_answer_that_is_documented_and_right(stack: Stack, path: str) -> None:
    answers: Counter[str] = Counter()

    def call(case: Case, accept: str | None, holder: str, owned: int) -> None:
        count(answers, stack, path, case, accept, holder, owned)

    for strategy in cases(path).values():
        repeat(strategy, EXAMPLES[path], call)
    print(path, dict(answers))
    assert answers["200"] >= 50, answers
    # Of a scrape and of JSON.
    assert answers["422"] >= 20 or path == TARGETS, answers


def repeat(
    strategy: st.SearchStrategy[Case], examples: int, call: Callable[[Case, str | None, str, int], None]
) -> None:
    """Makes so many calls, the same ones each time."""
    drawn = given(strategy, st.sampled_from(ACCEPTS), st.sampled_from(HOLDERS), st.sampled_from([1, 20, 21, 21]))
    profile = settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    profile(drawn(call))()


def count(
    answers: Counter[str], stack: Stack, path: str, case: Case, accept: str | None, holder: str, owned: int
) -> None:
    """Makes a call with a key that nobody has used; it owns some endpoints where the call names none by name."""
    query = urllib.parse.urlencode(case.query, doseq=True)
    assume(len(query) < LONGEST_QUERY)
    endpoints = [] if holder == "of nothing" else hosts_of(case.query.get("endpoint")) or TWENTY_ONE[:owned]
    key = "short" if holder == "malformed" else stack.new_key(endpoints=endpoints)
    case.headers = {**PATIENT, "Authorization": f"Bearer {key}", **({"Accept": accept} if accept else {})}
    response = case.call(base_url=f"http://{stack.address}", timeout=30)
    case.validate_response(response, checks=CHECKED)
    code = "ok" if response.status_code == 200 else response.json()["error"]["code"]
    sent = urllib.parse.urlsplit(str(response.request.url)).query
    wanted = "invalid_api_key" if holder == "malformed" else judged(path, sent, endpoints)
    assert code == wanted, sent
    answers[str(response.status_code)] += 1
    answers[code] += 1


@pytest.mark.parametrize(
    ("call", "fault", "status"),
    [
        ("GetItem api_keys", FAILS, 503),
        ("UpdateItem rate_limits", FAILS, 503),
        ("Query rollups", FAILS, 502),
        ("Query rollups", HANGS, 504),
    ],
)
def test_a_failure_gets_an_answer_that_is_documented(
    faulty: tuple[Stack, Faults], call: str, fault: str, status: int
) -> None:
    stack, faults = faulty
    paths = [SCRAPE, JSON, TARGETS] if status == 503 else [SCRAPE, JSON]
    for path in paths:
        assert checked(stack, path, stack.new_key()) == 200, path
        with faults(call, fault):
            assert checked(stack, path, stack.new_key(), SHORT if fault == HANGS else PATIENT) == status, path


def test_a_route_over_its_limit_is_refused_as_documented_and_costs_the_others_nothing(stack: Stack) -> None:
    paths = [SCRAPE, JSON, TARGETS]
    for polled in paths:
        key = stack.new_key()
        statuses = [checked(stack, polled, key) for _ in range(7)]
        assert statuses == [200] * 6 + [429], polled
        assert [checked(stack, path, key) for path in paths if path != polled] == [200, 200], polled


def checked(stack: Stack, path: str, key: str, timeout: dict[str, str] = PATIENT) -> int:
    """The status of a good call, whose answer is documented."""
    case = DOCUMENT[path]["GET"].Case(
        query={} if path == TARGETS else {"endpoint": CHAT},
        headers={"Authorization": f"Bearer {key}", **timeout},
    )
    response = case.call(base_url=f"http://{stack.address}", timeout=30)
    case.validate_response(response, checks=CHECKED)
    return int(response.status_code)
