"""The series that the endpoint promises, as docs/clients.md lists them."""

from itertools import product

# Family: its second label and that label's values.
FAMILIES = {
    "wafer_requests_last_24h": ("status_class", ("2xx", "4xx", "5xx")),
    "wafer_input_tokens_last_24h": None,
    "wafer_output_tokens_last_24h": None,
    "wafer_cache_read_tokens_last_24h": None,
    "wafer_cache_hit_ratio_last_24h": None,
    "wafer_ttft_seconds": ("quantile", ("0.5", "0.9", "0.95", "0.99")),
    "wafer_request_duration_seconds": ("quantile", ("0.5", "0.9", "0.99")),
    "wafer_output_tokens_per_second": ("quantile", ("0.1", "0.5", "0.9", "0.99")),
    "wafer_engine_running_requests": None,
    "wafer_engine_queue_depth": None,
    "wafer_engine_kv_cache_usage_ratio": None,
    "wafer_engine_kv_cache_hit_ratio": None,
    "wafer_concurrent_requests": None,
    "wafer_metrics_window_seconds": None,
    "wafer_metrics_window_end_timestamp_seconds": None,
    "wafer_engine_replicas_reporting": None,
    "wafer_engine_scrape_success": None,
    "wafer_scrape_budget_remaining": None,
}

# Absent for an endpoint without traffic and without workers.
ABSENT_WHEN_IDLE = {
    "wafer_cache_hit_ratio_last_24h",
    "wafer_ttft_seconds",
    "wafer_request_duration_seconds",
    "wafer_output_tokens_per_second",
    "wafer_engine_running_requests",
    "wafer_engine_queue_depth",
    "wafer_engine_kv_cache_usage_ratio",
    "wafer_engine_kv_cache_hit_ratio",
}

PATH = "/v1/endpoints/metrics/prometheus"


def series(endpoints, endpoint_label="endpoint", families=FAMILIES):
    """Every series of these endpoints, each as its name and its set of labels."""
    return {
        (family, frozenset({(endpoint_label, endpoint), *extra}))
        for endpoint, family in product(endpoints, families)
        for extra in second_labels(FAMILIES[family])
    }


def idle_series(endpoint):
    return series([endpoint], families=[family for family in FAMILIES if family not in ABSENT_WHEN_IDLE])


def second_labels(label):
    if label is None:
        return [()]
    name, values = label
    return [((name, value),) for value in values]


def differences(found, wanted):
    """Where two sets of series differ, in words; empty where they do not."""
    lines = [f"missing: {describe(one)}" for one in sorted(map(plain, wanted - found))]
    lines += [f"not promised: {describe(one)}" for one in sorted(map(plain, found - wanted))]
    return "\n".join(lines)


def plain(one):
    name, labels = one
    return name, sorted(labels)


def describe(one):
    name, labels = one
    return name + "{" + ", ".join(f'{label}="{value}"' for label, value in labels) + "}"
