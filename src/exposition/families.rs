//! The series, each once, in the contract's order: a new one is a new entry here.

use std::fmt::{self, Display};

use super::{EndpointSnapshot, Snapshot};
use crate::model::engine;
use crate::model::sketch::{FINE, Sketch};
use crate::model::window::WINDOW_SECONDS;

/// A family of series.
pub struct Family {
    pub name: &'static str,
    pub help: &'static str,
    pub kind: Kind,
    pub values: Values,
}

/// A Prometheus metric type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Gauge,
}

/// How a family's values come from a snapshot.
pub enum Values {
    /// One line per endpoint, or none.
    One(fn(&Snapshot, &EndpointSnapshot) -> Option<Number>),
    /// A line per value of a further label.
    By { label: &'static str, values: fn(&EndpointSnapshot) -> Vec<(&'static str, Number)> },
    /// A line per quantile; none without a sample.
    Quantiles { quantiles: &'static [(&'static str, u8)], sketch: fn(&EndpointSnapshot) -> &Sketch<FINE> },
}

/// A value as it is written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    Integer(u128),
    Float(f64),
}

impl Family {
    /// The label beside `endpoint`.
    pub const fn label(&self) -> Option<&'static str> {
        match self.values {
            Values::One(_) => None,
            Values::By { label, .. } => Some(label),
            Values::Quantiles { .. } => Some("quantile"),
        }
    }

    /// An endpoint's lines: the further label's value, empty where there is no such label, and the number.
    pub fn lines(&self, snapshot: &Snapshot, endpoint: &EndpointSnapshot) -> Vec<(&'static str, Number)> {
        match self.values {
            Values::One(value) => value(snapshot, endpoint).map(|value| ("", value)).into_iter().collect(),
            Values::By { values, .. } => values(endpoint),
            Values::Quantiles { quantiles, sketch } => {
                let sketch = sketch(endpoint);
                let value =
                    |(label, percent): &(&'static str, u8)| Some((*label, Number::Float(sketch.quantile(*percent)?)));
                quantiles.iter().filter_map(value).collect()
            }
        }
    }
}

impl Kind {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
        }
    }
}

impl Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(number) => number.fmt(f),
            Self::Float(number) => number.fmt(f),
        }
    }
}

impl From<u64> for Number {
    fn from(number: u64) -> Self {
        Self::Integer(number.into())
    }
}

const fn gauge(name: &'static str, help: &'static str, values: Values) -> Family {
    Family { name, help, kind: Kind::Gauge, values }
}

/// Every family.
pub static FAMILIES: [Family; 18] = [
    gauge(
        "wafer_requests_last_24h",
        "Requests that ended in the 24 h window, by status class.",
        Values::By {
            label: "status_class",
            values: |endpoint| {
                let classes = [("2xx", 2), ("4xx", 4), ("5xx", 5)];
                classes.map(|(name, class)| (name, endpoint.window.statuses.class(class).into())).into()
            },
        },
    ),
    gauge(
        "wafer_input_tokens_last_24h",
        "Input tokens billed in the 24 h window.",
        Values::One(|_, endpoint| Some(Number::Integer(endpoint.window.input_tokens))),
    ),
    gauge(
        "wafer_output_tokens_last_24h",
        "Output tokens billed in the 24 h window.",
        Values::One(|_, endpoint| Some(Number::Integer(endpoint.window.output_tokens))),
    ),
    gauge(
        "wafer_cache_read_tokens_last_24h",
        "Input tokens served from the prompt cache in the 24 h window.",
        Values::One(|_, endpoint| Some(Number::Integer(endpoint.window.cache_read_tokens))),
    ),
    gauge(
        "wafer_cache_hit_ratio_last_24h",
        "Cache-read tokens over input tokens in the 24 h window, 0 to 1.",
        Values::One(|_, endpoint| endpoint.window.cache_hit_ratio().map(Number::Float)),
    ),
    gauge(
        "wafer_ttft_seconds",
        "Time to the first token of successful streaming requests over the 24 h window, by quantile. Quantiles cannot be averaged.",
        Values::Quantiles {
            quantiles: &[("0.5", 50), ("0.9", 90), ("0.95", 95), ("0.99", 99)],
            sketch: |endpoint| &endpoint.window.ttft.sketch,
        },
    ),
    gauge(
        "wafer_request_duration_seconds",
        "End-to-end duration of successful requests over the 24 h window, by quantile. Quantiles cannot be averaged.",
        Values::Quantiles {
            quantiles: &[("0.5", 50), ("0.9", 90), ("0.99", 99)],
            sketch: |endpoint| &endpoint.window.duration.sketch,
        },
    ),
    gauge(
        "wafer_output_tokens_per_second",
        "Output tokens per second of each successful request over the 24 h window, by quantile. Quantiles cannot be averaged.",
        Values::Quantiles {
            quantiles: &[("0.1", 10), ("0.5", 50), ("0.9", 90), ("0.99", 99)],
            sketch: |endpoint| &endpoint.window.speed.sketch,
        },
    ),
    gauge(
        "wafer_engine_running_requests",
        "Requests in flight, summed over the workers that report.",
        Values::One(|_, endpoint| endpoint.engine.as_ref()?.value(engine::RUNNING_REQUESTS).map(Number::Float)),
    ),
    gauge(
        "wafer_engine_queue_depth",
        "Requests waiting for engine admission, summed over the workers that report.",
        Values::One(|_, endpoint| endpoint.engine.as_ref()?.value(engine::QUEUE_DEPTH).map(Number::Float)),
    ),
    gauge(
        "wafer_engine_kv_cache_usage_ratio",
        "KV cache utilisation, 0 to 1, averaged over the workers that report.",
        Values::One(|_, endpoint| endpoint.engine.as_ref()?.value(engine::KV_CACHE_USAGE_RATIO).map(Number::Float)),
    ),
    gauge(
        "wafer_engine_kv_cache_hit_ratio",
        "Engine-side KV cache hit rate, 0 to 1, averaged over the workers that report.",
        Values::One(|_, endpoint| endpoint.engine.as_ref()?.value(engine::KV_CACHE_HIT_RATIO).map(Number::Float)),
    ),
    gauge(
        "wafer_concurrent_requests",
        "Distinct requests, of any status, that ended in the last 2 minutes of the window: request logs only contain finished requests.",
        Values::One(|_, endpoint| Some(endpoint.concurrent_requests.into())),
    ),
    gauge(
        "wafer_metrics_window_seconds",
        "Length of the window of the last_24h series and the quantiles, in seconds.",
        Values::One(|_, _| Some(Number::from(WINDOW_SECONDS.unsigned_abs()))),
    ),
    gauge(
        "wafer_metrics_window_end_timestamp_seconds",
        "Unix time at which the 24 h window ends; its age is the age of the data.",
        Values::One(|snapshot, _| Some(Number::from(snapshot.window_end.as_second().unsigned_abs()))),
    ),
    gauge(
        "wafer_engine_replicas_reporting",
        "Workers whose last heartbeat is at most 10 minutes old.",
        Values::One(|_, endpoint| Some(endpoint.engine.as_ref()?.replicas_reporting.into())),
    ),
    gauge(
        "wafer_engine_scrape_success",
        "1 when worker heartbeats could be read, else 0.",
        Values::One(|_, endpoint| Some(u64::from(endpoint.engine.is_some()).into())),
    ),
    gauge(
        "wafer_scrape_budget_remaining",
        "Calls this API key has left before a slot of its rate limit must free.",
        Values::One(|snapshot, _| Some(snapshot.budget_remaining.into())),
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows of the contract's table of series: name and further label.
    fn documented() -> Vec<(String, Option<String>)> {
        let page = include_str!("../../docs/contract.md");
        let section = page.split("\n## ").find(|section| section.starts_with("The series")).unwrap();
        let code = |cell: &str| cell.split('`').nth(1).map(str::to_owned);
        let rows = section.lines().filter(|line| line.starts_with("| `wafer_"));
        let cells = rows.map(|row| row.split('|').map(str::trim).collect::<Vec<_>>());
        cells.map(|cells| (code(cells[1]).unwrap(), code(cells[2]))).collect()
    }

    #[test]
    fn the_contracts_table_lists_the_families_in_order() {
        let written: Vec<_> =
            FAMILIES.iter().map(|family| (family.name.to_owned(), family.label().map(str::to_owned))).collect();
        assert_eq!(documented(), written);
    }
}
