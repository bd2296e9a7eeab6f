//! The live state of an endpoint's engine, from its workers' heartbeats.

use jiff::{SignedDuration, Timestamp};

/// How old a heartbeat may be before its worker no longer counts.
pub const FRESH_FOR: SignedDuration = SignedDuration::from_mins(10);

/// One worker's last report.
#[derive(Clone, Debug, PartialEq)]
pub struct Heartbeat {
    /// When the worker reported, by its own clock.
    pub reported_at: Timestamp,
    /// Requests in flight.
    pub running_requests: Option<u64>,
    /// Requests that wait for admission.
    pub queue_depth: Option<u64>,
    /// 0 to 1.
    pub kv_cache_usage_ratio: Option<f64>,
    /// 0 to 1.
    pub kv_cache_hit_ratio: Option<f64>,
}

/// The gauges of one endpoint, over the workers that are fresh.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EngineGauges {
    /// Workers that reported within [`FRESH_FOR`].
    pub replicas_reporting: u64,
    /// Sum; `None` where no fresh worker reports it, as in all that follow.
    pub running_requests: Option<u64>,
    /// Sum.
    pub queue_depth: Option<u64>,
    /// Mean, 0 to 1.
    pub kv_cache_usage_ratio: Option<f64>,
    /// Mean, 0 to 1.
    pub kv_cache_hit_ratio: Option<f64>,
}

impl EngineGauges {
    /// Puts together what the workers that are fresh at `now` report.
    #[must_use]
    pub fn from_heartbeats(heartbeats: &[Heartbeat], now: Timestamp) -> Self {
        let fresh: Vec<_> =
            heartbeats.iter().filter(|beat| now.duration_since(beat.reported_at) <= FRESH_FOR).collect();
        let sum =
            |field: fn(&Heartbeat) -> Option<u64>| fresh.iter().copied().filter_map(field).reduce(u64::saturating_add);
        let mean = |field: fn(&Heartbeat) -> Option<f64>| {
            let (sum, count) = fresh
                .iter()
                .copied()
                .filter_map(field)
                .fold((0.0, 0.0), |(sum, count), ratio| (sum + ratio, count + 1.0));
            (count > 0.0).then(|| sum / count)
        };
        Self {
            replicas_reporting: fresh.len() as u64,
            running_requests: sum(|beat| beat.running_requests),
            queue_depth: sum(|beat| beat.queue_depth),
            kv_cache_usage_ratio: mean(|beat| beat.kv_cache_usage_ratio),
            kv_cache_hit_ratio: mean(|beat| beat.kv_cache_hit_ratio),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beat(age_ms: i64) -> Heartbeat {
        Heartbeat {
            reported_at: Timestamp::from_millisecond(1_000_000_000 - age_ms).unwrap(),
            running_requests: None,
            queue_depth: None,
            kv_cache_usage_ratio: None,
            kv_cache_hit_ratio: None,
        }
    }

    fn engine(heartbeats: &[Heartbeat]) -> EngineGauges {
        EngineGauges::from_heartbeats(heartbeats, Timestamp::from_millisecond(1_000_000_000).unwrap())
    }

    #[test]
    fn a_worker_counts_until_its_heartbeat_is_older_than_ten_minutes() {
        assert_eq!(engine(&[beat(600_000)]).replicas_reporting, 1);
        assert_eq!(engine(&[beat(600_001)]).replicas_reporting, 0);
    }

    #[test]
    fn counts_are_summed_and_ratios_averaged_over_the_workers_that_report_them() {
        let busy = Heartbeat { running_requests: Some(3), kv_cache_usage_ratio: Some(0.5), ..beat(0) };
        let busier = Heartbeat { running_requests: Some(4), kv_cache_usage_ratio: Some(1.0), ..beat(0) };
        let stale = Heartbeat { running_requests: Some(100), ..beat(600_001) };
        assert_eq!(
            engine(&[busy, busier, beat(1), stale]),
            EngineGauges {
                replicas_reporting: 3,
                running_requests: Some(7),
                kv_cache_usage_ratio: Some(0.75),
                ..EngineGauges::default()
            }
        );
    }

    #[test]
    fn no_worker_leaves_every_gauge_absent() {
        assert_eq!(engine(&[]), EngineGauges::default());
    }
}
