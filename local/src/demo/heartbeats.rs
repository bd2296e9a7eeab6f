//! The demo fleet: what its workers would report, and how it reaches the heartbeats table.

use std::fmt::Display;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::{SignedDuration, Timestamp};

use crate::demo::swing::{BUSY_PERIOD_MS, swing};
use crate::demo::traffic::{CHAT, CODE};

/// How long the table keeps a heartbeat. Readers judge freshness by the time of the report, not by this.
const KEPT: SignedDuration = SignedDuration::from_hours(1);

/// What one worker reports of its engine.
#[derive(Clone, Debug, PartialEq)]
pub struct Heartbeat {
    /// Host of the endpoint the worker serves.
    pub endpoint: &'static str,
    /// The worker's name, unique within the endpoint.
    pub worker_id: String,
    /// When it reported.
    pub reported_at: Timestamp,
    /// Requests in a batch of the engine.
    pub running_requests: u32,
    /// Requests that wait for one.
    pub queue_depth: u32,
    /// Share of the KV cache in use, 0 to 1.
    pub kv_cache_usage_ratio: f64,
    /// Share of prompt tokens found in the KV cache, 0 to 1.
    pub kv_cache_hit_ratio: f64,
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
/// A worker's load, 0 to 1, is the sum of a swing of 15 minutes and one of 2; workers are out of step with each other. Running
/// requests and KV cache usage follow the load, and a queue forms where it is above 0.8.
#[must_use]
pub fn fleet_at(now: Timestamp) -> Vec<Heartbeat> {
    FLEET.iter().flat_map(|pool| (0..pool.workers).map(move |worker| pool.heartbeat(worker, now))).collect()
}

/// Reports the heartbeat of every worker at `now` to `table`.
///
/// # Errors
///
/// When a write fails after the client's own retries. Heartbeats before it are written.
pub async fn report(client: &Client, table: &str, now: Timestamp) -> Result<(), aws_sdk_dynamodb::Error> {
    for heartbeat in fleet_at(now) {
        let expires_at = (heartbeat.reported_at + KEPT).as_second();
        client
            .put_item()
            .table_name(table)
            .item("endpoint", AttributeValue::S(heartbeat.endpoint.to_owned()))
            .item("worker_id", AttributeValue::S(heartbeat.worker_id))
            .item("reported_at_ms", number(heartbeat.reported_at.as_millisecond()))
            .item("running_requests", number(heartbeat.running_requests))
            .item("queue_depth", number(heartbeat.queue_depth))
            .item("kv_cache_usage_ratio", number(heartbeat.kv_cache_usage_ratio))
            .item("kv_cache_hit_ratio", number(heartbeat.kv_cache_hit_ratio))
            .item("expires_at", number(expires_at))
            .send()
            .await?;
    }
    Ok(())
}

fn number(value: impl Display) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

impl Pool {
    fn heartbeat(&self, worker: u32, now: Timestamp) -> Heartbeat {
        // No even share of a period: workers evenly spread would add up to a line that never moves.
        let step = 0.2 * f64::from(worker);
        let now_ms = now.as_millisecond();
        let load = 0.5 + 0.3 * swing(now_ms, BUSY_PERIOD_MS, step) + 0.15 * swing(now_ms, 120_000, 2.0 * step);
        Heartbeat {
            endpoint: self.endpoint,
            worker_id: format!("worker-{worker}"),
            reported_at: now,
            running_requests: whole(load * self.slots),
            queue_depth: whole((load - 0.8) * 5.0 * self.slots),
            kv_cache_usage_ratio: to_four_digits(0.1 + 0.8 * load),
            kv_cache_hit_ratio: to_four_digits(self.hit_ratio + 0.08 * swing(now_ms, 2_400_000, step)),
        }
    }
}

/// The nearest whole number, 0 for a negative one.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, which is what is asked for"
)]
fn whole(value: f64) -> u32 {
    value.round() as u32
}

fn to_four_digits(ratio: f64) -> f64 {
    (ratio * 10_000.0).round() / 10_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two_hours_every_ten_seconds() -> impl Iterator<Item = Vec<Heartbeat>> {
        (0..720).map(|tick| fleet_at(Timestamp::from_second(1_795_550_000 + 10 * tick).unwrap()))
    }

    #[test]
    fn three_workers_serve_chat_two_code_and_none_the_idle_endpoint() {
        for fleet in two_hours_every_ten_seconds() {
            let workers: Vec<(&str, &str)> =
                fleet.iter().map(|heartbeat| (heartbeat.endpoint, heartbeat.worker_id.as_str())).collect();
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
    fn ratios_stay_ratios_and_a_queue_forms_now_and_then() {
        let heartbeats: Vec<Heartbeat> = two_hours_every_ten_seconds().flatten().collect();
        for heartbeat in &heartbeats {
            assert!((0.0..=1.0).contains(&heartbeat.kv_cache_usage_ratio), "{heartbeat:?}");
            assert!((0.0..=1.0).contains(&heartbeat.kv_cache_hit_ratio), "{heartbeat:?}");
            assert!(heartbeat.running_requests <= 16, "{heartbeat:?}");
        }
        assert!(heartbeats.iter().any(|heartbeat| heartbeat.queue_depth > 0));
        assert!(heartbeats.iter().any(|heartbeat| heartbeat.queue_depth == 0));
    }

    #[test]
    fn gauges_move_smoothly_and_do_move() {
        let fleets: Vec<Vec<Heartbeat>> = two_hours_every_ten_seconds().collect();
        for pair in fleets.windows(2) {
            for (before, after) in pair[0].iter().zip(&pair[1]) {
                assert!((before.kv_cache_usage_ratio - after.kv_cache_usage_ratio).abs() < 0.1);
                assert!(before.running_requests.abs_diff(after.running_requests) <= 2);
            }
        }
        assert_ne!(fleets[0][0].running_requests, fleets[30][0].running_requests);
    }
}
