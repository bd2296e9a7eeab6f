//! The live state of an endpoint's engine, from its workers' heartbeats.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

/// How old a heartbeat may be before its worker no longer counts.
pub const FRESH_FOR: SignedDuration = SignedDuration::from_mins(10);
/// How old a heartbeat may be for its worker to be listed.
const LISTED_FOR: SignedDuration = SignedDuration::from_hours(24);
/// No count of a worker goes higher.
const MAX_COUNT: f64 = 1e9;

/// A gauge that workers report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gauge {
    pub attribute: &'static str,
    pub kind: Kind,
    /// How an endpoint's value comes from its workers'.
    pub aggregate: Aggregate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Whole, 0 to 10^9.
    Count,
    /// 0 to 1.
    Ratio,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aggregate {
    Sum,
    Mean,
}

pub const RUNNING_REQUESTS: Gauge =
    Gauge { attribute: "running_requests", kind: Kind::Count, aggregate: Aggregate::Sum };
pub const QUEUE_DEPTH: Gauge = Gauge { attribute: "queue_depth", kind: Kind::Count, aggregate: Aggregate::Sum };
pub const KV_CACHE_USAGE_RATIO: Gauge =
    Gauge { attribute: "kv_cache_usage_ratio", kind: Kind::Ratio, aggregate: Aggregate::Mean };
pub const KV_CACHE_HIT_RATIO: Gauge =
    Gauge { attribute: "kv_cache_hit_ratio", kind: Kind::Ratio, aggregate: Aggregate::Mean };

pub const GAUGES: [Gauge; 4] = [RUNNING_REQUESTS, QUEUE_DEPTH, KV_CACHE_USAGE_RATIO, KV_CACHE_HIT_RATIO];

/// Values of [`GAUGES`] by attribute, without those that are not reported.
pub type Values = BTreeMap<&'static str, f64>;

/// One worker's last report.
#[derive(Clone, Debug, PartialEq)]
pub struct Heartbeat {
    pub worker: String,
    /// When the worker reported, by its own clock.
    pub reported_at: Timestamp,
    pub values: Values,
}

/// The gauges of one endpoint, over the workers that are fresh.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EngineGauges {
    /// Workers that reported within [`FRESH_FOR`].
    pub replicas_reporting: u64,
    values: Values,
}

impl Heartbeat {
    /// Whether its worker counts.
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        now.duration_since(self.reported_at) <= FRESH_FOR
    }

    /// Whether its worker is listed.
    pub fn is_listed(&self, now: Timestamp) -> bool {
        now.duration_since(self.reported_at) <= LISTED_FOR
    }
}

impl Kind {
    pub fn allows(self, value: f64) -> bool {
        match self {
            Self::Count => value.fract() == 0.0 && (0.0..=MAX_COUNT).contains(&value),
            Self::Ratio => (0.0..=1.0).contains(&value),
        }
    }
}

impl Aggregate {
    /// `None` without values.
    fn over(self, values: impl Iterator<Item = f64>) -> Option<f64> {
        let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
        (count > 0.0).then_some(match self {
            Self::Sum => sum,
            Self::Mean => sum / count,
        })
    }
}

impl EngineGauges {
    /// Puts together what the workers that are fresh at `now` report.
    #[must_use]
    pub fn from_heartbeats(heartbeats: &[Heartbeat], now: Timestamp) -> Self {
        let fresh: Vec<_> = heartbeats.iter().filter(|beat| beat.is_fresh(now)).collect();
        let value = |gauge: Gauge| {
            let reported = fresh.iter().filter_map(|beat| beat.values.get(gauge.attribute).copied());
            Some((gauge.attribute, gauge.aggregate.over(reported)?))
        };
        Self { replicas_reporting: fresh.len() as u64, values: GAUGES.into_iter().filter_map(value).collect() }
    }

    /// `None` where no fresh worker reports it.
    pub fn value(&self, gauge: Gauge) -> Option<f64> {
        self.values.get(gauge.attribute).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beat<const N: usize>(age_ms: i64, values: [(Gauge, f64); N]) -> Heartbeat {
        Heartbeat {
            worker: "worker-0".to_owned(),
            reported_at: Timestamp::from_millisecond(1_000_000_000 - age_ms).unwrap(),
            values: values.map(|(gauge, value)| (gauge.attribute, value)).into(),
        }
    }

    fn engine(heartbeats: &[Heartbeat]) -> EngineGauges {
        EngineGauges::from_heartbeats(heartbeats, Timestamp::from_millisecond(1_000_000_000).unwrap())
    }

    #[test]
    fn the_contract_lists_the_gauges_with_their_ranges() {
        let page = include_str!("../../docs/contract.md");
        let table = page.split("**Heartbeats**").nth(1).unwrap().split("\n\n").nth(1).unwrap();
        let mut listed = Vec::new();
        for row in table.lines() {
            let cells: Vec<_> = row.split('|').map(str::trim).collect();
            let kind = match cells[3] {
                "whole, 0 to 10^9" => Kind::Count,
                "0 to 1" => Kind::Ratio,
                _ => continue,
            };
            listed.extend(cells[1].split('`').skip(1).step_by(2).map(|attribute| (attribute, kind)));
        }
        assert_eq!(listed, GAUGES.map(|gauge| (gauge.attribute, gauge.kind)));
    }

    #[test]
    fn a_worker_counts_until_its_heartbeat_is_older_than_ten_minutes() {
        assert_eq!(engine(&[beat(600_000, [])]).replicas_reporting, 1);
        assert_eq!(engine(&[beat(600_001, [])]).replicas_reporting, 0);
    }

    #[test]
    fn counts_are_summed_and_ratios_averaged_over_the_workers_that_report_them() {
        let busy = beat(0, [(RUNNING_REQUESTS, 3.0), (KV_CACHE_USAGE_RATIO, 0.5)]);
        let busier = beat(0, [(RUNNING_REQUESTS, 4.0), (KV_CACHE_USAGE_RATIO, 1.0)]);
        let stale = beat(600_001, [(RUNNING_REQUESTS, 100.0)]);
        let engine = engine(&[busy, busier, beat(1, []), stale]);
        assert_eq!(engine.replicas_reporting, 3);
        let gauges = [RUNNING_REQUESTS, QUEUE_DEPTH, KV_CACHE_USAGE_RATIO, KV_CACHE_HIT_RATIO];
        assert_eq!(gauges.map(|gauge| engine.value(gauge)), [Some(7.0), None, Some(0.75), None]);
    }

    #[test]
    fn no_worker_leaves_every_gauge_absent() {
        assert_eq!(engine(&[]), EngineGauges::default());
    }
}
