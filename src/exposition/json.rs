//! The figures of one endpoint as JSON, field by field after the vendor's published Metrics API.

#![expect(clippy::struct_field_names, reason = "the names of that API")]

use std::ops::Range;

use jiff::Timestamp;
use serde::Serialize;

use crate::model::engine::{
    EngineGauges, Gauge, Heartbeat, KV_CACHE_HIT_RATIO, KV_CACHE_USAGE_RATIO, QUEUE_DEPTH, RUNNING_REQUESTS,
};
use crate::model::host::Host;
use crate::model::range::BinnedRange;
use crate::model::sketch::{FINE, Sketch};
use crate::model::summary::{DenseSummary, Summary};
use crate::model::window::Minute;

/// How many workers are listed at most.
const MAX_BACKENDS: usize = 1_000;

/// Everything one call for JSON says.
#[derive(Debug)]
pub struct RangeSnapshot<'a> {
    pub endpoint: &'a Host,
    pub range: BinnedRange,
    pub window: Range<Minute>,
    /// What ended in each bin.
    pub bins: Vec<Summary>,
    /// Requests that ended in the window's last 2 minutes.
    pub concurrent_requests: u64,
    /// `None` where heartbeats could not be read.
    pub heartbeats: Option<Vec<Heartbeat>>,
    pub now: Timestamp,
}

/// The answer, in the order of its fields.
#[derive(Debug, Serialize)]
pub struct Document<'a> {
    endpoint: &'a str,
    range_minutes: i64,
    queried_at: String,
    summary: RangeSummary,
    backends: Option<Vec<Backend>>,
    timeseries: Vec<Bin>,
    window_start: String,
    window_end: String,
    data_age_seconds: i64,
}

#[derive(Debug, Serialize)]
struct RangeSummary {
    total_requests: u64,
    rps: f64,
    #[serde(flatten)]
    ttft: Ttft,
    #[serde(flatten)]
    speed: Speed,
    #[serde(flatten)]
    latency: Latency,
    cache_hit_pct: Option<f64>,
    total_input_tokens: u128,
    total_output_tokens: u128,
    total_cache_read_tokens: u128,
    count_2xx: u64,
    count_4xx: u64,
    count_5xx: u64,
    error_rate_pct: Option<f64>,
    concurrent_requests: u64,
    /// Always null: it has no source here, like every other field of type `()`.
    active_accounts: (),
    engine_running_requests: Option<f64>,
    engine_queue_depth: Option<f64>,
    engine_kv_cache_hit_rate_pct: Option<f64>,
    engine_kv_cache_usage_pct: Option<f64>,
    engine_preemptions_in_range: (),
}

#[derive(Debug, Serialize)]
struct Backend {
    backend_id: String,
    active_requests: (),
    engine_running_requests: Option<f64>,
    engine_queue_depth: Option<f64>,
    is_healthy: bool,
}

#[derive(Debug, Serialize)]
struct Bin {
    time: String,
    requests: u64,
    #[serde(flatten)]
    speed: Speed,
    #[serde(flatten)]
    ttft: Ttft,
    #[serde(flatten)]
    latency: Latency,
    input_tokens: u128,
    cache_read_tokens: u128,
    error_count: u64,
}

#[derive(Debug, Serialize)]
struct Ttft {
    ttft_p50_ms: Option<f64>,
    ttft_p90_ms: Option<f64>,
    ttft_p95_ms: Option<f64>,
    ttft_p99_ms: Option<f64>,
}

#[derive(Debug, Serialize)]
struct Speed {
    tps_p10: Option<f64>,
    tps_p50: Option<f64>,
    tps_p90: Option<f64>,
    tps_p99: Option<f64>,
}

#[derive(Debug, Serialize)]
struct Latency {
    latency_p50_ms: Option<f64>,
    latency_p90_ms: Option<f64>,
    latency_p99_ms: Option<f64>,
}

impl<'a> From<RangeSnapshot<'a>> for Document<'a> {
    fn from(snapshot: RangeSnapshot<'a>) -> Self {
        let RangeSnapshot { endpoint, range, window, bins, concurrent_requests, heartbeats, now } = snapshot;
        let mut sum = DenseSummary::default();
        for bin in &bins {
            sum.merge(bin);
        }
        let engine = heartbeats.as_deref().map(|heartbeats| EngineGauges::from_heartbeats(heartbeats, now));
        let seconds = window.end.since(window.start).max(0).unsigned_abs() * 60;
        let bin = |(number, summary): (i64, &Summary)| Bin::new(window.start.plus(number * range.bin_minutes), summary);
        Document {
            endpoint: endpoint.as_str(),
            range_minutes: range.minutes,
            queried_at: now.strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string(),
            summary: RangeSummary::new(&sum.take(), seconds, concurrent_requests, engine.as_ref()),
            backends: heartbeats.map(|heartbeats| backends(heartbeats, now)),
            timeseries: (0..).zip(&bins).map(bin).collect(),
            window_start: time(window.start),
            window_end: time(window.end),
            data_age_seconds: now.duration_since(window.end.start()).as_secs().max(0),
        }
    }
}

impl RangeSummary {
    fn new(sum: &Summary, seconds: u64, concurrent_requests: u64, engine: Option<&EngineGauges>) -> Self {
        let gauge = |gauge: Gauge| engine.and_then(|engine| engine.value(gauge));
        let requests = sum.requests();
        Self {
            total_requests: requests,
            rps: rounded_ratio(requests.into(), seconds.into(), 100).unwrap_or_default(),
            ttft: Ttft::new(sum),
            speed: Speed::new(sum),
            latency: Latency::new(sum),
            cache_hit_pct: percent_of(sum.cache_read_tokens, sum.input_tokens),
            total_input_tokens: sum.input_tokens,
            total_output_tokens: sum.output_tokens,
            total_cache_read_tokens: sum.cache_read_tokens,
            count_2xx: sum.statuses.class(2),
            count_4xx: sum.statuses.class(4),
            count_5xx: sum.statuses.class(5),
            error_rate_pct: percent_of(errors(sum).into(), requests.into()),
            concurrent_requests,
            active_accounts: (),
            engine_running_requests: gauge(RUNNING_REQUESTS).map(tenths),
            engine_queue_depth: gauge(QUEUE_DEPTH).map(tenths),
            engine_kv_cache_hit_rate_pct: gauge(KV_CACHE_HIT_RATIO).map(tenths_of_a_percent),
            engine_kv_cache_usage_pct: gauge(KV_CACHE_USAGE_RATIO).map(tenths_of_a_percent),
            engine_preemptions_in_range: (),
        }
    }
}

impl Bin {
    fn new(start: Minute, summary: &Summary) -> Self {
        Self {
            time: time(start),
            requests: summary.requests(),
            speed: Speed::new(summary),
            ttft: Ttft::new(summary),
            latency: Latency::new(summary),
            input_tokens: summary.input_tokens,
            cache_read_tokens: summary.cache_read_tokens,
            error_count: errors(summary),
        }
    }
}

/// A worker is listed for a day after its last heartbeat.
fn backends(heartbeats: Vec<Heartbeat>, now: Timestamp) -> Vec<Backend> {
    let backend = |beat: Heartbeat| {
        let is_healthy = beat.is_fresh(now);
        let gauge = |gauge: Gauge| beat.values.get(gauge.attribute).copied().filter(|_| is_healthy).map(tenths);
        let (engine_running_requests, engine_queue_depth) = (gauge(RUNNING_REQUESTS), gauge(QUEUE_DEPTH));
        Backend {
            backend_id: beat.worker,
            active_requests: (),
            engine_running_requests,
            engine_queue_depth,
            is_healthy,
        }
    };
    let listed = heartbeats.into_iter().filter(|beat| beat.is_listed(now));
    listed.take(MAX_BACKENDS).map(backend).collect()
}

impl Ttft {
    fn new(summary: &Summary) -> Self {
        let mut quantiles = milliseconds(&summary.ttft.sketch, [50, 90, 95, 99]);
        let [ttft_p50_ms, ttft_p90_ms, ttft_p95_ms, ttft_p99_ms] = std::array::from_fn(|_| quantiles.next());
        Self { ttft_p50_ms, ttft_p90_ms, ttft_p95_ms, ttft_p99_ms }
    }
}

impl Speed {
    fn new(summary: &Summary) -> Self {
        let mut quantiles = summary.speed.sketch.quantiles([10, 50, 90, 99]).map(tenths);
        let [tps_p10, tps_p50, tps_p90, tps_p99] = std::array::from_fn(|_| quantiles.next());
        Self { tps_p10, tps_p50, tps_p90, tps_p99 }
    }
}

impl Latency {
    fn new(summary: &Summary) -> Self {
        let mut quantiles = milliseconds(&summary.duration.sketch, [50, 90, 99]);
        let [latency_p50_ms, latency_p90_ms, latency_p99_ms] = std::array::from_fn(|_| quantiles.next());
        Self { latency_p50_ms, latency_p90_ms, latency_p99_ms }
    }
}

fn errors(summary: &Summary) -> u64 {
    summary.statuses.class(4).saturating_add(summary.statuses.class(5))
}

fn milliseconds(seconds: &Sketch<FINE>, percents: impl IntoIterator<Item = u8>) -> impl Iterator<Item = f64> {
    seconds.quantiles(percents).map(|seconds| tenths(seconds * 1000.0))
}

fn percent_of(part: u128, whole: u128) -> Option<f64> {
    rounded_ratio(part.saturating_mul(100), whole, 10)
}

/// To one decimal, half away from zero.
fn tenths(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

/// A ratio as a percentage to one decimal. It is multiplied once: 0.2845 * 100 is less than 28.45.
fn tenths_of_a_percent(ratio: f64) -> f64 {
    (ratio * 1000.0).round() / 10.0
}

/// A quotient to as many parts of one, half away from zero, and exactly so; `None` where the divisor is 0.
#[expect(clippy::cast_precision_loss, reason = "a float is what is written")]
fn rounded_ratio(dividend: u128, divisor: u128, parts: u128) -> Option<f64> {
    let doubled = dividend.saturating_mul(2 * parts).saturating_add(divisor);
    Some(doubled.checked_div(divisor.saturating_mul(2))? as f64 / parts as f64)
}

fn time(minute: Minute) -> String {
    minute.start().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_workers_the_first_thousand_are_listed() {
        let now: Timestamp = "2026-11-24T20:15:30Z".parse().unwrap();
        let beat = |number| Heartbeat {
            worker: format!("worker-{number:04}"),
            reported_at: now,
            values: std::collections::BTreeMap::new(),
        };
        let listed = backends((0..1_001).map(beat).collect(), now);
        assert_eq!(listed.len(), 1_000);
        assert_eq!(listed.last().map(|backend| backend.backend_id.as_str()), Some("worker-0999"));
    }

    #[test]
    fn numbers_are_rounded_half_away_from_zero() {
        assert_eq!(rounded_ratio(1, 200, 100), Some(0.01));
        assert_eq!(rounded_ratio(1, 201, 100), Some(0.0));
        assert_eq!(percent_of(1, 2_000), Some(0.1));
        assert_eq!(percent_of(1, 2_001), Some(0.0));
        assert_eq!(percent_of(16, 1_200), Some(1.3));
        assert_eq!(percent_of(0, 0), None);
        assert_eq!([0.2845, 0.0005, 1.0].map(|ratio| tenths_of_a_percent(ratio).to_string()), ["28.5", "0.1", "100"]);
        assert_eq!([0.05, 409.95, 410.0].map(|number| tenths(number).to_string()), ["0.1", "410", "410"]);
    }
}
