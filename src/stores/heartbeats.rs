//! The heartbeats table: what the workers of an endpoint last reported.

use aws_sdk_dynamodb::Client;
use jiff::{SignedDuration, Timestamp};

use crate::error::Cause;
use crate::model::engine::{EngineGauges, Heartbeat};
use crate::model::host::Host;
use crate::stores::dynamodb::item::{AttributeError, Item, number, required, s, string};
use crate::stores::dynamodb::query;
use crate::stores::rate_limits::Admission;

/// How far ahead of ours a worker's clock may be.
const CLOCK_SKEW: SignedDuration = SignedDuration::from_secs(30);
/// No gauge of a worker goes higher.
const MAX_COUNT: f64 = 1e9;

/// Reads the heartbeats table.
#[derive(Clone, Debug)]
pub struct Heartbeats {
    client: Client,
    table: String,
}

/// What the workers of an endpoint report.
#[derive(Debug)]
pub struct EngineReading {
    pub gauges: EngineGauges,
    /// Heartbeats that were left out.
    pub malformed: u64,
}

impl Heartbeats {
    pub const fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }

    /// The engine gauges of an endpoint. A heartbeat that does not fit is left out whole and counted.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub async fn gauges(&self, _: &Admission, endpoint: &Host, now: Timestamp) -> Result<EngineReading, Cause> {
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("endpoint = :endpoint")
            .expression_attribute_values(":endpoint", s(endpoint.as_str()));
        let (mut heartbeats, mut malformed) = (Vec::new(), Vec::new());
        for item in query::items(query).await? {
            match decode(&item, now) {
                Ok(heartbeat) => heartbeats.push(heartbeat),
                Err(error) => malformed.push((string(&item, "worker_id").ok().flatten().map(str::to_owned), error)),
            }
        }
        if let Some((worker, error)) = malformed.first() {
            tracing::warn!(%endpoint, count = malformed.len(), worker_id = worker.as_deref(), cause = %error, "malformed heartbeats");
        }
        Ok(EngineReading { gauges: EngineGauges::from_heartbeats(&heartbeats, now), malformed: malformed.len() as u64 })
    }
}

fn decode(item: &Item, now: Timestamp) -> Result<Heartbeat, AttributeError> {
    let reported: f64 = required("reported_at_ms", number(item, "reported_at_ms")?)?;
    Ok(Heartbeat {
        reported_at: reported_at(reported, now).ok_or_else(|| AttributeError::out_of_range("reported_at_ms"))?,
        running_requests: count(item, "running_requests")?,
        queue_depth: count(item, "queue_depth")?,
        kv_cache_usage_ratio: ratio(item, "kv_cache_usage_ratio")?,
        kv_cache_hit_ratio: ratio(item, "kv_cache_hit_ratio")?,
    })
}

/// A time slightly ahead of ours is now; one further ahead cannot be right.
#[expect(clippy::cast_possible_truncation, reason = "whole, and refused by Timestamp when out of range")]
fn reported_at(milliseconds: f64, now: Timestamp) -> Option<Timestamp> {
    let time = Timestamp::from_millisecond(milliseconds as i64).ok().filter(|_| milliseconds.fract() == 0.0)?;
    (time.duration_since(now) <= CLOCK_SKEW).then(|| time.min(now))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a whole number from 0 to 10^9")]
fn count(item: &Item, name: &'static str) -> Result<Option<u64>, AttributeError> {
    match number::<f64>(item, name)? {
        Some(count) if count.fract() != 0.0 || !(0.0..=MAX_COUNT).contains(&count) => {
            Err(AttributeError::out_of_range(name))
        }
        count => Ok(count.map(|count| count as u64)),
    }
}

fn ratio(item: &Item, name: &'static str) -> Result<Option<f64>, AttributeError> {
    match number::<f64>(item, name)? {
        Some(ratio) if !(0.0..=1.0).contains(&ratio) => Err(AttributeError::out_of_range(name)),
        ratio => Ok(ratio),
    }
}
