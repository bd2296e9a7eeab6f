//! The demo fleet: what its workers would report, and how it reaches the heartbeats table.

use std::fmt::Display;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::{SignedDuration, Timestamp};
use wafer_metrics::model::engine::{GAUGES, Gauge, Heartbeat, KV_CACHE_HIT_RATIO, Kind, QUEUE_DEPTH};

use crate::demo::swing::{BUSY_PERIOD_MS, swing};
use crate::demo::traffic::{CHAT, CODE};

/// How long the table keeps a heartbeat. Readers judge freshness by the time of the report, not by this.
const HEARTBEAT_TTL: SignedDuration = SignedDuration::from_hours(1);

#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Host of the endpoint the worker serves.
    pub endpoint: &'static str,
    pub heartbeat: Heartbeat,
}

/// The workers of a demo endpoint, all alike.
struct Pool {
    endpoint: &'static str,
    workers: u32,
    /// Requests one worker runs at once.
    slots: f64,
    /// About which the hit ratio swings.
    hit_ratio: f64,
}

const FLEET: [Pool; 2] = [
    Pool { endpoint: CHAT.endpoint, workers: 3, slots: 16.0, hit_ratio: 0.42 },
    Pool { endpoint: CODE.endpoint, workers: 2, slots: 8.0, hit_ratio: 0.61 },
];

/// The heartbeat of every worker at `now`: a pure function of time.
///
/// A worker's load, 0 to 1, is the sum of a swing of 15 minutes and one of 2; workers are out of step with each other.
/// Gauges follow the load, but for the queue, which forms where the load is above 0.8, and the KV cache's hits.
#[must_use]
pub fn fleet_at(now: Timestamp) -> Vec<Report> {
    FLEET.iter().flat_map(|pool| (0..pool.workers).map(move |worker| pool.report(worker, now))).collect()
}

/// Reports the heartbeat of every worker at `now` to `table`.
///
/// # Errors
///
/// When a write fails after the client's own retries. Heartbeats before it are written.
pub async fn report(client: &Client, table: &str, now: Timestamp) -> Result<(), aws_sdk_dynamodb::Error> {
    for Report { endpoint, heartbeat } in fleet_at(now) {
        let mut put = client
            .put_item()
            .table_name(table)
            .item("endpoint", AttributeValue::S(endpoint.to_owned()))
            .item("worker_id", AttributeValue::S(heartbeat.worker))
            .item("reported_at_ms", number(heartbeat.reported_at.as_millisecond()))
            .item("expires_at", number((heartbeat.reported_at + HEARTBEAT_TTL).as_second()));
        for (attribute, value) in heartbeat.values {
            put = put.item(attribute, number(value));
        }
        put.send().await?;
    }
    Ok(())
}

fn number(value: impl Display) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

impl Pool {
    fn report(&self, worker: u32, now: Timestamp) -> Report {
        // No even share of a period: workers evenly spread would add up to a line that never moves.
        let step = 0.2 * f64::from(worker);
        let now_ms = now.as_millisecond();
        let load = 0.5 + 0.3 * swing(now_ms, BUSY_PERIOD_MS, step) + 0.15 * swing(now_ms, 120_000, 2.0 * step);
        let value = |gauge: Gauge| match gauge {
            QUEUE_DEPTH => whole((load - 0.8) * 5.0 * self.slots),
            KV_CACHE_HIT_RATIO => to_four_digits(self.hit_ratio + 0.08 * swing(now_ms, 2_400_000, step)),
            Gauge { kind: Kind::Count, .. } => whole(load * self.slots),
            Gauge { kind: Kind::Ratio, .. } => to_four_digits(0.1 + 0.8 * load),
        };
        let values = GAUGES.map(|gauge| (gauge.attribute, value(gauge))).into();
        let heartbeat = Heartbeat { worker: format!("worker-{worker}"), reported_at: now, values };
        Report { endpoint: self.endpoint, heartbeat }
    }
}

/// The nearest whole number, 0 for a negative one.
fn whole(value: f64) -> f64 {
    value.max(0.0).round()
}

fn to_four_digits(ratio: f64) -> f64 {
    (ratio * 10_000.0).round() / 10_000.0
}

#[cfg(test)]
mod tests {
    use wafer_metrics::model::engine::{KV_CACHE_USAGE_RATIO, RUNNING_REQUESTS};

    use super::*;

    fn two_hours_every_ten_seconds() -> impl Iterator<Item = Vec<Report>> {
        (0..720).map(|tick| fleet_at(Timestamp::from_second(1_795_550_000 + 10 * tick).unwrap()))
    }

    fn value(report: &Report, gauge: Gauge) -> f64 {
        report.heartbeat.values[gauge.attribute]
    }

    #[test]
    fn three_workers_serve_chat_two_code_and_none_the_idle_endpoint() {
        for fleet in two_hours_every_ten_seconds() {
            let workers: Vec<(&str, &str)> =
                fleet.iter().map(|report| (report.endpoint, report.heartbeat.worker.as_str())).collect();
            assert_eq!(
                workers,
                [
                    ("chat.demo.example", "worker-0"),
                    ("chat.demo.example", "worker-1"),
                    ("chat.demo.example", "worker-2"),
                    ("code.demo.example", "worker-0"),
                    ("code.demo.example", "worker-1"),
                ]
            );
        }
    }

    #[test]
    fn values_fit_their_gauges_and_a_queue_forms_now_and_then() {
        let reports: Vec<Report> = two_hours_every_ten_seconds().flatten().collect();
        for report in &reports {
            for gauge in GAUGES {
                assert!(gauge.kind.allows(value(report, gauge)), "{gauge:?} of {report:?}");
            }
            assert!(value(report, RUNNING_REQUESTS) <= 16.0, "{report:?}");
        }
        assert!(reports.iter().any(|report| value(report, QUEUE_DEPTH) > 0.0));
        assert!(reports.iter().any(|report| value(report, QUEUE_DEPTH) == 0.0));
    }

    #[test]
    fn gauges_move_smoothly_and_do_move() {
        let fleets: Vec<Vec<Report>> = two_hours_every_ten_seconds().collect();
        for pair in fleets.windows(2) {
            for (before, after) in pair[0].iter().zip(&pair[1]) {
                let moved = |gauge| (value(before, gauge) - value(after, gauge)).abs();
                assert!(moved(KV_CACHE_USAGE_RATIO) < 0.1);
                assert!(moved(RUNNING_REQUESTS) <= 2.0);
            }
        }
        assert_ne!(fleets[0][0].heartbeat.values, fleets[30][0].heartbeat.values);
    }
}
