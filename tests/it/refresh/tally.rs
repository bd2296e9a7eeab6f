//! Counts and sums straight from the rows, by the words of the contract. It shares no code with the product.

use std::collections::{BTreeMap, HashSet};

use testing::logs::Row;

pub const MINUTE_MS: i64 = 60_000;
/// Buckets to a doubling in what a minute or an hour holds, and in what a running total holds.
pub const FINE: i32 = 64;
pub const COARSE: i32 = 16;
/// The bucket of zero.
pub const ZERO: i32 = i32::MIN;

/// What some requests add up to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    /// Requests by status code, 0 for none from 100 to 599.
    pub statuses: BTreeMap<u16, u128>,
    /// Input, output and cache-read tokens; times to first token and durations in microseconds; speeds in thousandths.
    pub sums: [u128; 6],
    /// Times to first token, durations and speeds, by bucket.
    pub buckets: [BTreeMap<i32, u128>; 3],
}

impl Tally {
    /// Of rows that are all different, with so many buckets to a doubling.
    pub fn of<'r>(rows: impl IntoIterator<Item = &'r Row>, per_doubling: i32) -> Self {
        let mut tally = Self::default();
        for row in rows {
            tally.count(row, per_doubling);
        }
        tally
    }

    fn count(&mut self, row: &Row, per_doubling: i32) {
        let status = row.status_code.and_then(|code| u16::try_from(code).ok()).filter(|code| (100..600).contains(code));
        *self.statuses.entry(status.unwrap_or(0)).or_default() += 1;
        for (sum, tokens) in
            self.sums.iter_mut().zip([tokens(row.input_tokens), tokens(row.output_tokens), cached(row)])
        {
            *sum += tokens.unwrap_or(0);
        }
        let values = [ttft_seconds(row), duration_seconds(row), tokens_per_second(row)];
        for (place, value) in values.into_iter().enumerate() {
            let Some(value) = value else { continue };
            *self.buckets[place].entry(bucket(value, per_doubling)).or_default() += 1;
            let parts = if place == 2 { 1e3 } else { 1e6 };
            if value >= 1e-6 {
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 10^15")]
                let parts = (value * parts).round() as u128;
                self.sums[3 + place] += parts;
            }
        }
    }

    pub fn add(&mut self, other: &Self) {
        for (code, count) in &other.statuses {
            *self.statuses.entry(*code).or_default() += count;
        }
        for (sum, more) in self.sums.iter_mut().zip(other.sums) {
            *sum += more;
        }
        for (buckets, more) in self.buckets.iter_mut().zip(&other.buckets) {
            for (bucket, count) in more {
                *buckets.entry(*bucket).or_default() += count;
            }
        }
    }

    /// Whether each count and sum is at least the other's.
    pub fn covers(&self, other: &Self) -> bool {
        let statuses =
            other.statuses.iter().all(|(code, count)| self.statuses.get(code).is_some_and(|own| own >= count));
        let sums = self.sums.iter().zip(other.sums).all(|(own, sum)| *own >= sum);
        let buckets = self.buckets.iter().zip(&other.buckets);
        statuses
            && sums
            && buckets
                .into_iter()
                .all(|(own, other)| other.iter().all(|(bucket, count)| own.get(bucket) >= Some(count)))
    }

    pub fn requests(&self) -> u128 {
        self.statuses.values().sum()
    }
}

/// The requests of an endpoint that ended in that time, each once.
pub fn requests<'r>(rows: &'r [Row], endpoint: &str, from_ms: i64, to_ms: i64) -> Vec<&'r Row> {
    let mut seen = HashSet::new();
    let ended = |row: &&Row| row.ended_at_ms.is_some_and(|at| from_ms <= at && at < to_ms);
    let own = |row: &&Row| row.endpoint.as_deref().is_some_and(|host| host.eq_ignore_ascii_case(endpoint));
    let first = |row: &&'r Row| match row.request_id.as_deref() {
        None | Some("") => true,
        Some(id) => seen.insert((id, row.ended_at_ms)),
    };
    rows.iter().filter(ended).filter(own).filter(first).collect()
}

fn tokens(count: Option<i64>) -> Option<u128> {
    count.filter(|count| (0..=1_000_000_000_000).contains(count)).and_then(|count| count.try_into().ok())
}

fn cached(row: &Row) -> Option<u128> {
    let input = tokens(row.input_tokens)?;
    tokens(row.cache_read_tokens).filter(|cached| *cached <= input)
}

fn is_good(row: &Row) -> bool {
    row.status_code.is_some_and(|code| (200..300).contains(&code))
}

pub fn ttft_seconds(row: &Row) -> Option<f64> {
    row.ttft_ms
        .filter(|ms| is_good(row) && row.is_streaming == Some(true) && *ms >= 0.0 && *ms <= 1e9)
        .map(|ms| ms / 1e3)
}

pub fn duration_seconds(row: &Row) -> Option<f64> {
    row.total_latency_ms.filter(|ms| is_good(row) && *ms >= 0.0 && *ms <= 1e9).map(|ms| ms / 1e3)
}

pub fn tokens_per_second(row: &Row) -> Option<f64> {
    let output = tokens(row.output_tokens).filter(|tokens| *tokens > 0)?;
    let seconds = duration_seconds(row).filter(|seconds| *seconds >= 1e-6)?;
    #[expect(clippy::cast_precision_loss, reason = "at most 10^12")]
    let speed = output as f64 / seconds;
    (speed <= 1e9).then_some(speed)
}

/// The number of the bucket with the smallest bound that the value does not exceed; bounds are powers of the root of
/// two.
fn bucket(value: f64, per_doubling: i32) -> i32 {
    if value < 1e-6 {
        return ZERO;
    }
    let bound = |number: i32| (f64::from(number) / f64::from(per_doubling)).exp2();
    let (mut low, mut high) = (-30 * per_doubling, 31 * per_doubling);
    while high - low > 1 {
        let middle = i32::midpoint(low, high);
        if bound(middle) >= value { high = middle } else { low = middle }
    }
    high
}

/// The value of the smallest rank with at least this share of the values, which are in order, at or below it.
pub fn nearest_rank(values: &[f64], share: f64) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "thousands of values")]
    let rank = (1..=values.len()).find(|rank| *rank as f64 / values.len() as f64 >= share - 1e-12)?;
    Some(values[rank - 1])
}
