//! The series, each once, in the contract's order: a new one is a new entry here.

use super::View;
use super::family::{Family, Number, Values};
use super::histogram::{SECONDS, TOKENS_PER_SECOND};
use crate::model::engine;
use crate::model::window::WINDOW_SECONDS;

const fn family(view: View, name: &'static str, help: &'static str, values: Values) -> Family {
    Family { name, help, view, values }
}

pub static FAMILIES: [Family; 27] = [
    family(
        View::Window,
        "wafer_requests_last_24h",
        "Requests that ended in the 24 h window, by status class.",
        Values::GaugeByClass(|window| &window.statuses),
    ),
    family(
        View::Window,
        "wafer_input_tokens_last_24h",
        "Input tokens billed in the 24 h window.",
        Values::Gauge(|_, endpoint| Some(Number::Integer(endpoint.figures.window()?.input_tokens))),
    ),
    family(
        View::Window,
        "wafer_output_tokens_last_24h",
        "Output tokens billed in the 24 h window.",
        Values::Gauge(|_, endpoint| Some(Number::Integer(endpoint.figures.window()?.output_tokens))),
    ),
    family(
        View::Window,
        "wafer_cache_read_tokens_last_24h",
        "Input tokens served from the prompt cache in the 24 h window.",
        Values::Gauge(|_, endpoint| Some(Number::Integer(endpoint.figures.window()?.cache_read_tokens))),
    ),
    family(
        View::Window,
        "wafer_cache_hit_ratio_last_24h",
        "Cache-read tokens over input tokens in the 24 h window, 0 to 1.",
        Values::Gauge(|_, endpoint| endpoint.figures.window()?.cache_hit_ratio().map(Number::Float)),
    ),
    family(
        View::Window,
        "wafer_ttft_seconds",
        "Time to the first token of successful streaming requests over the 24 h window, by quantile. \
         Quantiles cannot be averaged.",
        Values::Quantiles {
            quantiles: &[("0.5", 50), ("0.9", 90), ("0.95", 95), ("0.99", 99)],
            sketch: |window| &window.ttft.sketch,
        },
    ),
    family(
        View::Window,
        "wafer_request_duration_seconds",
        "End-to-end duration of successful requests over the 24 h window, by quantile. Quantiles cannot be averaged.",
        Values::Quantiles {
            quantiles: &[("0.5", 50), ("0.9", 90), ("0.99", 99)],
            sketch: |window| &window.duration.sketch,
        },
    ),
    family(
        View::Window,
        "wafer_output_tokens_per_second",
        "Output tokens per second of each successful request over the 24 h window, by quantile. \
         Quantiles cannot be averaged.",
        Values::Quantiles {
            quantiles: &[("0.1", 10), ("0.5", 50), ("0.9", 90), ("0.99", 99)],
            sketch: |window| &window.speed.sketch,
        },
    ),
    family(
        View::Counters,
        "wafer_requests_total",
        "Requests that ended, by status class.",
        Values::CounterByClass(|total| &total.statuses),
    ),
    family(
        View::Counters,
        "wafer_requests_by_status_code_total",
        "Requests that ended, by status code. A code's line begins at its first requests, which increase() cannot see: \
         alert on wafer_requests_total.",
        Values::CounterByCode(|total| &total.statuses),
    ),
    family(
        View::Counters,
        "wafer_input_tokens_total",
        "Input tokens billed.",
        Values::Counter(|total| total.input_tokens),
    ),
    family(
        View::Counters,
        "wafer_output_tokens_total",
        "Output tokens billed.",
        Values::Counter(|total| total.output_tokens),
    ),
    family(
        View::Counters,
        "wafer_cache_read_tokens_total",
        "Input tokens served from the prompt cache.",
        Values::Counter(|total| total.cache_read_tokens),
    ),
    family(
        View::Counters,
        "wafer_time_to_first_token_seconds",
        "Time to the first token of successful streaming requests.",
        Values::Histogram { scale: SECONDS, distribution: |total| &total.ttft },
    ),
    family(
        View::Counters,
        "wafer_e2e_request_latency_seconds",
        "End-to-end duration of successful requests.",
        Values::Histogram { scale: SECONDS, distribution: |total| &total.duration },
    ),
    family(
        View::Counters,
        "wafer_output_speed_tokens_per_second",
        "Output tokens per second of each successful request.",
        Values::Histogram { scale: TOKENS_PER_SECOND, distribution: |total| &total.speed },
    ),
    family(
        View::Both,
        "wafer_engine_running_requests",
        "Requests in flight, summed over the workers that report.",
        Values::Gauge(|_, endpoint| endpoint.engine.as_ref()?.value(engine::RUNNING_REQUESTS).map(Number::Float)),
    ),
    family(
        View::Both,
        "wafer_engine_queue_depth",
        "Requests waiting for engine admission, summed over the workers that report.",
        Values::Gauge(|_, endpoint| endpoint.engine.as_ref()?.value(engine::QUEUE_DEPTH).map(Number::Float)),
    ),
    family(
        View::Both,
        "wafer_engine_kv_cache_usage_ratio",
        "KV cache utilisation, 0 to 1, averaged over the workers that report.",
        Values::Gauge(|_, endpoint| endpoint.engine.as_ref()?.value(engine::KV_CACHE_USAGE_RATIO).map(Number::Float)),
    ),
    family(
        View::Both,
        "wafer_engine_kv_cache_hit_ratio",
        "Engine-side KV cache hit rate, 0 to 1, averaged over the workers that report.",
        Values::Gauge(|_, endpoint| endpoint.engine.as_ref()?.value(engine::KV_CACHE_HIT_RATIO).map(Number::Float)),
    ),
    family(
        View::Both,
        "wafer_concurrent_requests",
        "Distinct requests, of any status, that ended in the last 2 minutes of the window: \
         request logs only contain finished requests.",
        Values::Gauge(|_, endpoint| Some(endpoint.concurrent_requests.into())),
    ),
    family(
        View::Window,
        "wafer_metrics_window_seconds",
        "Length of the window of the last_24h series and the quantiles, in seconds.",
        Values::Gauge(|_, _| Some(Number::from(WINDOW_SECONDS.unsigned_abs()))),
    ),
    family(
        View::Both,
        "wafer_metrics_window_end_timestamp_seconds",
        "Unix time at which the 24 h window ends; its age is the age of the data.",
        Values::Gauge(|snapshot, _| Some(Number::from(snapshot.window_end.as_second().unsigned_abs()))),
    ),
    family(
        View::Both,
        "wafer_engine_replicas_reporting",
        "Workers whose last heartbeat is at most 10 minutes old.",
        Values::Gauge(|_, endpoint| Some(endpoint.engine.as_ref()?.replicas_reporting.into())),
    ),
    family(
        View::Both,
        "wafer_engine_scrape_success",
        "1 when worker heartbeats could be read, else 0.",
        Values::Gauge(|_, endpoint| Some(u64::from(endpoint.engine.is_some()).into())),
    ),
    family(
        View::Both,
        "wafer_scrape_budget_remaining",
        "Calls this API key has left before a slot of its rate limit must free.",
        Values::Gauge(|snapshot, _| Some(snapshot.budget_remaining.into())),
    ),
    family(
        View::Counters,
        "wafer_api_key_expiry_timestamp_seconds",
        "Unix time at which this API key expires.",
        Values::Gauge(|snapshot, _| snapshot.key_expires_at.map(Number::Float)),
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows of the contract's table of series: views, name, type and further label.
    fn documented() -> Vec<[String; 4]> {
        let page = include_str!("../../docs/contract.md");
        let section = page.split("\n## ").find(|section| section.starts_with("The series")).unwrap();
        let word = |cell: &str| cell.split('`').nth(1).unwrap_or(cell).to_owned();
        let rows = section.lines().filter(|line| line.contains("| `wafer_"));
        let cells = rows.map(|row| row.split('|').map(str::trim).collect::<Vec<_>>());
        cells.map(|cells| [cells[1].to_owned(), word(cells[2]), word(cells[3]), word(cells[4])]).collect()
    }

    #[test]
    fn the_contracts_table_lists_the_families_in_order() {
        let view = |view| match view {
            View::Window => "window",
            View::Counters => "counters",
            View::Both => "both",
        };
        let row = |family: &Family| {
            [view(family.view), family.name, family.kind().name(), family.label().unwrap_or_default()]
                .map(str::to_owned)
        };
        assert_eq!(documented(), FAMILIES.iter().map(row).collect::<Vec<_>>());
    }
}
