"""An ordinary week of three endpoints as Prometheus would have stored it, and faults planted into hours of one.

Calls, their times and the length of their prompts are those of the traces in local/data. What became of them, and what
the workers report, is made up, the same in each run. Everything is minute by minute.
"""

import csv
import gzip
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from clients.conformance.contract import bounds_of
from clients.conformance.rule_tests import HISTOGRAM, NOTHING, STALE, Case, Sample, Series
from loopback import ROOT

HOUR, DAY = 60, 24 * 60
WEEK = 7 * DAY

# By so much the window ends before a scrape.
LAG_MINUTES, LAG_SECONDS = 2, 150
STALENESS_SECONDS = 600
KEY_EXPIRES = 60 * 60 * DAY
# Requests that all workers of an endpoint can run at once, and how many they run on average.
SLOTS, LOAD = 60, 0.7
# Of all requests.
FAILURES, REFUSALS = 0.0003, 0.006

Values: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Endpoint:
    """What happens, before anything is scraped. `buckets` are those of the time to first token, bound by bound."""

    name: str
    requests: Values
    failures: Values
    buckets: Values
    workers: Values
    kv_cache: Values
    heartbeats_read: Values


@dataclass(frozen=True)
class Scrapes:
    """What becomes of the scrapes: a status, away for a target or a Prometheus that is not there, the refresh late."""

    up: Values
    away: Values
    minutes_late: Values


# --- The traffic ---


@dataclass(frozen=True)
class Trace:
    """Calls by minute, and the times to first token of each minute's, sorted, at an even pace."""

    calls: Values
    first_tokens: list[Values]

    def __len__(self) -> int:
        return len(self.calls)


@dataclass(frozen=True)
class Model:
    """How long a first token takes, in seconds, and which share of the calls finds most of its prompt cached."""

    trace: str
    prefill: float
    prefill_per_token: float
    cache_hits: float


# As local/src/demo/traffic/service.rs has them.
CHAT, CODE = Model("conv", 0.06, 0.00012, 0.45), Model("code", 0.04, 0.00006, 0.65)


def trace(model: Model) -> Trace:
    draws = np.random.default_rng(len(model.trace))
    path = ROOT / "local" / "data" / f"AzureLLMInferenceTrace_{model.trace}.csv.gz"
    with gzip.open(path, "rt") as lines:
        rows = [
            (datetime.fromisoformat(row["TIMESTAMP"][:26]), int(row["ContextTokens"])) for row in csv.DictReader(lines)
        ]
    minutes = np.array([(at - rows[0][0]).total_seconds() // 60 for at, _ in rows], dtype=int)
    cached = np.where(draws.random(len(rows)) < model.cache_hits, draws.uniform(0.2, 0.95, len(rows)), 0)
    tokens = np.array([float(tokens) for _, tokens in rows]) * (1 - cached)
    times = (model.prefill + model.prefill_per_token * tokens) * draws.lognormal(0, 0.35, len(rows))
    # The last minute is not a whole one.
    by_minute = [np.sort(times[minutes == minute]) for minute in range(minutes[-1])]
    return Trace(np.array([float(len(one)) for one in by_minute]), by_minute)


def endpoint(name: str, calls: Trace, level: Values, workers: Values, seed: int) -> Endpoint:
    """The trace over and over, at a level of 0 to 1."""
    draws = np.random.default_rng(seed)
    at = np.arange(len(level))
    requests = np.floor(calls.calls[at % len(calls)] * level)
    return Endpoint(
        name,
        requests,
        failures=draws.binomial(requests.astype(int), FAILURES).astype(float),
        buckets=first_tokens(calls, level, pace(calls, level)),
        workers=workers,
        kv_cache=np.clip(0.3 + 0.4 * load(requests) + draws.normal(0, 0.03, len(level)), 0.05, 0.85),
        heartbeats_read=np.ones(len(level)),
    )


def load(requests: Values) -> Values:
    """Of the slots, 1 being all. Workers are there for the mean of the busy hours, and it takes minutes to fill up."""
    smooth = np.convolve(requests, np.ones(10) / 10)[: len(requests)]
    return LOAD * smooth / requests[requests > 0].mean()


def pace(calls: Trace, level: Values) -> Values:
    """Slower by half and faster by half every 15 minutes, and slower with the load, as the demo is."""
    at = np.arange(len(level))
    swing = 0.5 * np.sin(2 * np.pi * at / 15)
    return np.clip(1 + swing + 0.5 * (calls.calls[at % len(calls)] / calls.calls.mean() - 1), 0.3, 4)


def first_tokens(calls: Trace, level: Values, slowness: Values) -> Values:
    bounds = np.array(bounds_of(HISTOGRAM))
    below = [
        np.searchsorted(calls.first_tokens[minute % len(calls)], bounds / slowness[minute], side="right")
        for minute in range(len(level))
    ]
    return np.floor(np.array(below, dtype=float) * level[:, np.newaxis])


# --- The week ---


def ordinary_week() -> Case:
    """Nothing of this is a fault: it asks that nobody is woken, and for one warning at most."""
    chat, code = trace(CHAT), trace(CODE)
    at = np.arange(WEEK)
    hour = (at % DAY) / HOUR
    by_day = 0.6 + 0.4 * np.sin(2 * np.pi * (hour - 9) / 24)
    # Requests stop at 22:00, the worker ten minutes later, and it counts for ten minutes more. From 6:00 on they come
    # up within an hour.
    open_hours = np.where((hour >= 6) & (hour < 22), 0.2 * np.minimum(hour - 6 + 1 / HOUR, 1), 0)
    reporting = ((hour >= 6) & (hour < 22 + 20 / 60)).astype(float)
    endpoints = [
        with_restarts(endpoint("chat.example", chat, np.ones(WEEK), np.full(WEEK, 3.0), 3), [2 * DAY + 14 * HOUR]),
        with_restarts(
            endpoint("code.example", code, by_day, np.full(WEEK, 2.0), 4), [DAY + 3 * HOUR, 4 * DAY + 16 * HOUR]
        ),
        with_restarts(endpoint("night.example", chat, open_hours, reporting, 5), []),
    ]
    deploy = 3 * DAY + 14 * HOUR
    endpoints[0] = with_deploy(endpoints[0], chat, deploy)
    endpoints[2] = with_cold_starts(endpoints[2], chat, open_hours, 6 * HOUR)
    return {
        "name": "an ordinary week",
        "interval": "1m",
        "input_series": [one.written() for one in stored(endpoints, ordinary_scrapes())],
        "promql_expr_test": [
            {"expr": 'count_over_time(ALERTS{alertstate="firing", severity="critical"}[7d])', "eval_time": "7d"},
            {"expr": 'count(count_over_time(ALERTS{alertstate="firing"}[7d])) > 1', "eval_time": "7d"},
        ],
    }


def ordinary_scrapes() -> Scrapes:
    draws = np.random.default_rng(6)
    at = np.arange(WEEK)
    up = (draws.random(WEEK) > 0.005).astype(float)
    # The metrics API is unavailable for three minutes once, and Prometheus restarts once.
    up[5 * DAY + 11 * HOUR :][:3] = 0
    away = np.zeros(WEEK)
    away[4 * DAY + 9 * HOUR :][:3] = 1
    # One refresh a day fails; the next one makes up for it.
    return Scrapes(up, away, (at % DAY == 3 * HOUR + 17).astype(float))


def with_restarts(one: Endpoint, times: Sequence[int]) -> Endpoint:
    """One worker is away for a while, and what it was at fails."""
    workers, failures = one.workers.copy(), one.failures.copy()
    for at in times:
        workers[at : at + 12] -= 1
        failures[at] += 2
    return replace(one, workers=workers, failures=failures)


def with_deploy(one: Endpoint, calls: Trace, at: int) -> Endpoint:
    """The workers restart one after the other, and their caches are cold for a quarter of an hour."""
    slowness = pace(calls, np.ones(WEEK))
    slowness[at : at + 15] *= 1.3
    return with_restarts(replace(one, buckets=first_tokens(calls, np.ones(WEEK), slowness)), [at, at + 12, at + 24])


def with_cold_starts(one: Endpoint, calls: Trace, level: Values, minute_of_day: int) -> Endpoint:
    """The first minutes of a day are slow, and a request fails before the first worker is there."""
    slowness, failures = pace(calls, level), one.failures.copy()
    for day in range(WEEK // DAY):
        at = day * DAY + minute_of_day
        slowness[at : at + 2] *= 6
        failures[at] += 1
    return replace(one, buckets=first_tokens(calls, level, slowness), failures=failures)


# --- What Prometheus stores of it ---


def stored(endpoints: Sequence[Endpoint], scrapes: Scrapes) -> list[Series]:
    job = {"job": "wafer", "instance": "api.example.com"}
    up: list[Sample] = [NOTHING if away else float(value) for value, away in zip(scrapes.up, scrapes.away, strict=True)]
    return [Series("up", job, up), *(one for each in endpoints for one in series_of_endpoint(each, scrapes, job))]


def series_of_endpoint(one: Endpoint, scrapes: Scrapes, job: dict[str, str]) -> list[Series]:
    minutes = np.arange(len(one.requests))
    # The minute up to which figures of requests go.
    end = (minutes - LAG_MINUTES - scrapes.minutes_late).astype(int)
    # Engine gauges are there where a worker reports.
    engine = (one.workers > 0) & (one.heartbeats_read > 0)
    draws = np.random.default_rng(len(one.name))
    offered = np.round(load(one.requests) * SLOTS)
    running = np.minimum(offered, SLOTS)
    waiting = np.maximum(offered - SLOTS, 0) + draws.poisson(np.minimum(offered, 4))

    def series(name: str, values: Values, there: NDArray[np.bool_] | None = None, **labels: str) -> Series:
        present = np.ones(len(minutes), dtype=bool) if there is None else there
        samples: list[Sample] = [
            NOTHING if away else float(value) if up and here else STALE
            for value, up, away, here in zip(values, scrapes.up, scrapes.away, present, strict=True)
        ]
        return Series(name, {**job, "endpoint": one.name, **labels}, samples)

    def counter(name: str, by_minute: Values, **labels: str) -> Series:
        return series(name, np.where(end >= 0, np.cumsum(by_minute)[np.maximum(end, 0)], 0), **labels)

    refused = np.floor(one.requests * REFUSALS)
    bounds = [f"{bound}" for bound in bounds_of(HISTOGRAM)] + ["+Inf"]
    # What is above the last bound is not slow here.
    counts = np.column_stack([one.buckets, one.buckets[:, -1]])
    recent = one.requests + np.concatenate([[0], one.requests[:-1]])
    return [
        counter("wafer_requests_total", one.requests - refused - one.failures, status_class="2xx"),
        counter("wafer_requests_total", refused, status_class="4xx"),
        counter("wafer_requests_total", one.failures, status_class="5xx"),
        *(counter(f"{HISTOGRAM}_bucket", counts[:, place], le=le) for place, le in enumerate(bounds)),
        counter(f"{HISTOGRAM}_count", counts[:, -1]),
        series("wafer_engine_running_requests", running, engine),
        series("wafer_engine_queue_depth", waiting, engine),
        series("wafer_engine_kv_cache_usage_ratio", np.round(one.kv_cache, 3), engine),
        series("wafer_engine_replicas_reporting", one.workers, one.heartbeats_read > 0),
        series("wafer_engine_scrape_success", one.heartbeats_read),
        series("wafer_concurrent_requests", recent[np.maximum(end, 0)]),
        series("wafer_metrics_window_end_timestamp_seconds", (minutes - scrapes.minutes_late) * 60 - LAG_SECONDS),
        series("wafer_scrape_budget_remaining", np.full(len(minutes), 5.0)),
        series("wafer_api_key_expiry_timestamp_seconds", np.full(len(minutes), float(KEY_EXPIRES))),
    ]


# --- Faults ---

# What is planted happens from here on, after hours without a fault.
START = 6 * HOUR
BURN = "WaferAvailabilityBudgetBurn"

Plant = Callable[[Endpoint, Scrapes, Trace], tuple[Endpoint, Scrapes]]


@dataclass(frozen=True)
class Fault:
    """`severity` and `promise` stand in the alert's section of docs/runbooks.md."""

    name: str
    alert: str
    severity: str
    promise: str
    plant: Plant

    @property
    def minutes(self) -> int:
        _, number, unit, *_ = self.promise.split()
        return int(number) * {"minutes": 1, "hours": HOUR}[unit.strip(",.")]


def later(before: Values, after: Values | float) -> Values:
    """One until the fault, the other from then on."""
    return np.where(np.arange(len(before)) < START, before, after)


def no_target(one: Endpoint, scrapes: Scrapes, _: Trace) -> tuple[Endpoint, Scrapes]:
    return one, replace(scrapes, away=later(scrapes.away, 1))


def every_scrape_fails(one: Endpoint, scrapes: Scrapes, _: Trace) -> tuple[Endpoint, Scrapes]:
    return one, replace(scrapes, up=later(scrapes.up, 0))


def half_of_the_scrapes_fail(one: Endpoint, scrapes: Scrapes, _: Trace) -> tuple[Endpoint, Scrapes]:
    return one, replace(scrapes, up=later(scrapes.up, np.arange(len(scrapes.up)) % 2))


def refresh_stops(one: Endpoint, scrapes: Scrapes, _: Trace) -> tuple[Endpoint, Scrapes]:
    late = np.maximum(np.arange(len(scrapes.up)) - START, 0).astype(float)
    up = (late * 60 + LAG_SECONDS <= STALENESS_SECONDS).astype(float)
    return one, replace(scrapes, minutes_late=late, up=up)


def heartbeats_unreadable(one: Endpoint, scrapes: Scrapes, _: Trace) -> tuple[Endpoint, Scrapes]:
    return replace(one, heartbeats_read=later(one.heartbeats_read, 0)), scrapes


def workers_gone(one: Endpoint, scrapes: Scrapes, _: Trace) -> tuple[Endpoint, Scrapes]:
    """Each counts for ten minutes after its last report."""
    gone = np.arange(len(one.workers)) > START + 10
    return replace(one, workers=np.where(gone, 0, one.workers), failures=later(one.failures, one.requests)), scrapes


def failing(share: float) -> Plant:
    def plant(one: Endpoint, scrapes: Scrapes, _: Trace) -> tuple[Endpoint, Scrapes]:
        # Spread over the minutes, whatever a minute's number of requests.
        failures = np.diff(np.floor(np.cumsum(one.requests) * share), prepend=0)
        return replace(one, failures=later(one.failures, failures)), scrapes

    return plant


def first_tokens_three_times_as_late(one: Endpoint, scrapes: Scrapes, calls: Trace) -> tuple[Endpoint, Scrapes]:
    level = np.ones(len(one.requests))
    slowness = pace(calls, level)
    return replace(one, buckets=first_tokens(calls, level, later(slowness, 3 * slowness))), scrapes


def kv_cache_full(one: Endpoint, scrapes: Scrapes, _: Trace) -> tuple[Endpoint, Scrapes]:
    return replace(one, kv_cache=later(one.kv_cache, 0.99)), scrapes


FAULTS = [
    Fault("no-target", "WaferTargetMissing", "critical", "within 16 minutes", no_target),
    Fault("every-scrape-fails", "WaferScrapeDown", "critical", "within 9 minutes", every_scrape_fails),
    Fault("half-of-the-scrapes-504", "WaferScrapesFailing", "warning", "within 20 minutes", half_of_the_scrapes_fail),
    Fault("stale-data", "WaferDataStale", "warning", "within 5 minutes", refresh_stops),
    Fault("heartbeats-unreadable", "WaferHeartbeatsUnreadable", "warning", "within 12 minutes", heartbeats_unreadable),
    Fault("workers-gone", "WaferNoReplicaReporting", "critical", "within 22 minutes", workers_gone),
    Fault("20-percent-5xx", BURN, "critical", "within 10 minutes where 20 % fail", failing(0.2)),
    Fault("1-percent-5xx", BURN, "critical", "within 4 hours where 1 % fail", failing(0.01)),
    Fault("share-of-5xx", "WaferErrorShareHigh", "warning", "within 8 minutes where 20 % fail", failing(0.2)),
    Fault("ttft-tripled", "WaferTtftHigh", "warning", "within 25 minutes", first_tokens_three_times_as_late),
    Fault("kv-cache-99-percent", "WaferKvCacheNearlyFull", "warning", "within 16 minutes", kv_cache_full),
]
# At 15 s, so apart: two scrapers at 60 s would have calls to spare.
SECOND_SCRAPER = Fault(
    "a-second-scraper", "WaferScrapesRefused", "warning", "within 20 minutes", lambda one, scrapes, _: (one, scrapes)
)


def planted(fault: Fault) -> Case:
    minutes = START + fault.minutes + 1
    calls, level = trace(CHAT), np.ones(minutes)
    healthy = Scrapes(np.ones(minutes), np.zeros(minutes), np.zeros(minutes))
    one, scrapes = fault.plant(endpoint("chat.example", calls, level, np.full(minutes, 3.0), 3), healthy, calls)
    series = [one.written() for one in stored([one], scrapes)]
    return {"name": fault.name, "interval": "1m", "input_series": series, "promql_expr_test": checks(fault)}


def checks(fault: Fault) -> list[Case]:
    firing = f'count(ALERTS{{alertname="{fault.alert}", alertstate="firing", severity="{fault.severity}"}})'
    return [
        {"expr": "ALERTS", "eval_time": f"{START - 1}m"},
        {"expr": f"{firing} >= bool 1", "eval_time": f"{START + fault.minutes}m", "exp_samples": [{"value": 1}]},
    ]


def second_scraper() -> Case:
    """Both scrape every 15 s, which is 8 calls a minute: each is refused one in four."""
    job = {"job": "wafer", "instance": "api.example.com"}
    minutes = SECOND_SCRAPER.minutes + 1
    up: list[Sample] = [1.0] * (4 * START)
    up += [1.0, 1.0, 1.0, 0.0] * minutes
    left: list[Sample] = [2.0] * (4 * START)
    left += [0.0, 0.0, 0.0, STALE] * minutes
    series = [
        Series("up", job, up),
        Series("wafer_scrape_budget_remaining", {**job, "endpoint": "chat.example"}, left),
    ]
    return {
        "name": SECOND_SCRAPER.name,
        "interval": "15s",
        "input_series": [one.written() for one in series],
        "promql_expr_test": checks(SECOND_SCRAPER),
    }
