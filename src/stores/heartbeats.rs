//! The heartbeats table: what the workers of an endpoint last reported.

use std::pin::pin;

use aws_sdk_dynamodb::Client;
use futures_util::TryStreamExt;
use jiff::{SignedDuration, Timestamp};
use thiserror::Error;

use crate::error::{Cause, for_log};
use crate::model::engine::{GAUGES, Gauge, Heartbeat};
use crate::model::host::Host;
use crate::stores::dynamodb::item::{AttributeError, Item, number, required, s, size, string};
use crate::stores::dynamodb::query;
use crate::stores::rate_limits::Admission;

/// How far ahead of ours a worker's clock may be.
const CLOCK_SKEW: SignedDuration = SignedDuration::from_secs(30);
/// 2020-01-01T00:00:00Z in Unix milliseconds.
const EARLIEST_REPORT_MS: f64 = 1_577_836_800_000.0;
/// No endpoint has so many workers: whoever writes more must not use up the memory of all.
const MAX_BYTES: usize = 8 * 1024 * 1024;

#[derive(Clone, Copy, Debug, Error)]
#[error("heartbeats of over {} MB", MAX_BYTES >> 20)]
struct TooMany;

#[derive(Clone, Debug)]
pub struct Heartbeats {
    client: Client,
    table: String,
}

/// What the workers of an endpoint last reported.
#[derive(Debug)]
pub struct EngineReading {
    /// In the order of the workers' names.
    pub heartbeats: Vec<Heartbeat>,
    /// Heartbeats that did not fit, in part or whole.
    pub malformed: u64,
}

impl Heartbeats {
    pub const fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }

    /// The heartbeats of an endpoint. A field that does not fit is left out, and its heartbeat counted as malformed.
    ///
    /// # Errors
    /// When the table cannot be read, or holds over 8 MB for the endpoint.
    pub async fn read(&self, _: &Admission, endpoint: &Host, now: Timestamp) -> Result<EngineReading, Cause> {
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("endpoint = :endpoint")
            .expression_attribute_values(":endpoint", s(endpoint.as_str()));
        let (mut heartbeats, mut malformed) = (Vec::new(), Vec::new());
        let (mut pages, mut read) = (pin!(query::pages(query)), 0);
        while let Some(page) = pages.try_next().await? {
            read += page.iter().map(size).sum::<usize>();
            if read > MAX_BYTES {
                return Err(TooMany.into());
            }
            for item in page {
                let mut faults = Vec::new();
                heartbeats.extend(decode(&item, now, &mut faults));
                let worker = || string(&item, "worker_id").ok().flatten().map(for_log);
                malformed.extend(faults.into_iter().next().map(|fault| (worker(), fault)));
            }
        }
        if let Some((worker, error)) = malformed.first() {
            let (count, worker_id) = (malformed.len(), worker.as_deref());
            tracing::warn!(%endpoint, count, worker_id, cause = %error, "malformed heartbeats");
        }
        Ok(EngineReading { heartbeats, malformed: malformed.len() as u64 })
    }
}

/// `None` where its time is not valid. Any other field that does not fit is left out and spoils no other.
fn decode(item: &Item, now: Timestamp, faults: &mut Vec<AttributeError>) -> Option<Heartbeat> {
    let reported_at = taken(reported_at(item, now), faults)?;
    let values = GAUGES.into_iter().filter_map(|gauge| {
        let value = taken(value(item, gauge), faults)??;
        Some((gauge.attribute, value))
    });
    let worker = string(item, "worker_id").ok().flatten().unwrap_or_default().to_owned();
    Some(Heartbeat { worker, reported_at, values: values.collect() })
}

fn taken<T>(field: Result<T, AttributeError>, faults: &mut Vec<AttributeError>) -> Option<T> {
    field.map_err(|fault| faults.push(fault)).ok()
}

/// A time slightly ahead of ours is now; one further ahead, or from before there were such workers, cannot be right:
/// that is seconds for milliseconds.
#[expect(clippy::cast_possible_truncation, reason = "whole, and refused by Timestamp when out of range")]
fn reported_at(item: &Item, now: Timestamp) -> Result<Timestamp, AttributeError> {
    let name = "reported_at_ms";
    let milliseconds: f64 = required(name, number(item, name)?)?;
    let time = Timestamp::from_millisecond(milliseconds as i64).ok().filter(|_| milliseconds.fract() == 0.0);
    let time = time.filter(|_| milliseconds >= EARLIEST_REPORT_MS);
    let time = time.filter(|time| time.duration_since(now) <= CLOCK_SKEW);
    time.map(|time| time.min(now)).ok_or_else(|| AttributeError::out_of_range(name))
}

fn value(item: &Item, gauge: Gauge) -> Result<Option<f64>, AttributeError> {
    match number(item, gauge.attribute)? {
        Some(value) if !gauge.kind.allows(value) => Err(AttributeError::out_of_range(gauge.attribute)),
        value => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stores::dynamodb::item::n;

    #[test]
    fn seconds_for_milliseconds_are_a_fault_and_not_a_worker_that_has_gone() {
        let now: Timestamp = "2026-11-24T20:15:30Z".parse().unwrap();
        for (reported_at, faults_found) in [(now.as_second(), 1), (now.as_millisecond(), 0)] {
            let (mut faults, item) = (Vec::new(), Item::from([("reported_at_ms".to_owned(), n(reported_at))]));
            assert_eq!(decode(&item, now, &mut faults).is_none(), faults_found == 1);
            assert_eq!(faults.len(), faults_found);
        }
    }
}
