//! What the request logs say about one endpoint over some stretch of time.

use std::mem;

use crate::model::dense_sketch::DenseSketch;
use crate::model::sketch::{COARSE, CountByBucket, FINE, Sketch};

/// The status code under which requests are counted that have none from 100 to 599.
pub const NO_STATUS: u16 = 0;

/// Counts, sums and distributions of the requests that ended in a stretch of time. They add up. `S` is the kind of
/// sketch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Figures<S> {
    pub statuses: StatusCounts,
    pub input_tokens: u128,
    pub output_tokens: u128,
    /// Input tokens that came from the prompt cache.
    pub cache_read_tokens: u128,
    /// Time to first token: seconds, the sum in microseconds.
    pub ttft: Distribution<S>,
    /// End to end: seconds, the sum in microseconds.
    pub duration: Distribution<S>,
    /// Output tokens per second, the sum in thousandths.
    pub speed: Distribution<S>,
}

/// What ended in a minute, an hour or a window.
pub type Summary = Figures<Sketch<FINE>>;

/// What was ever counted.
pub type Total = Figures<Sketch<COARSE>>;

/// A summary that many others are added to.
pub type DenseSummary = Figures<DenseSketch>;

/// Values by bucket, and their exact sum. The sum is an integer, so that it is the same in whatever order it is added
/// up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Distribution<S> {
    pub sketch: S,
    pub sum: u128,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct StatusCounts(Vec<(u16, u64)>);

impl StatusCounts {
    /// Adds requests of a status code, or of [`NO_STATUS`].
    pub fn add(&mut self, code: u16, count: u64) {
        if count == 0 {
            return;
        }
        match self.0.binary_search_by_key(&code, |(code, _)| *code) {
            Ok(at) => self.0[at].1 = self.0[at].1.saturating_add(count),
            Err(at) => self.0.insert(at, (code, count)),
        }
    }

    /// All requests, whatever their status.
    #[must_use]
    pub fn all(&self) -> u64 {
        self.sum_of(|_| true)
    }

    /// Requests of a class: 2 for the codes from 200 to 299.
    #[must_use]
    pub fn class(&self, class: u16) -> u64 {
        self.sum_of(|code| code / 100 == class)
    }

    /// Codes that have a request, and how many, in order; [`NO_STATUS`] first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (u16, u64)> {
        self.0.iter().copied()
    }

    fn sum_of(&self, counts: impl Fn(u16) -> bool) -> u64 {
        let counted = self.0.iter().filter(|(code, _)| counts(*code));
        counted.fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    fn count(&self, code: u16) -> u64 {
        self.0.binary_search_by_key(&code, |(code, _)| *code).map_or(0, |at| self.0[at].1)
    }
}

impl<const SCHEMA: u32> Figures<Sketch<SCHEMA>> {
    /// What these figures have more than others: each count and sum by itself.
    #[must_use]
    pub fn excess_over(&self, other: &Self) -> Self {
        let mut statuses = StatusCounts::default();
        for (code, count) in self.statuses.iter() {
            statuses.add(code, count.saturating_sub(other.statuses.count(code)));
        }
        Self {
            statuses,
            input_tokens: self.input_tokens.saturating_sub(other.input_tokens),
            output_tokens: self.output_tokens.saturating_sub(other.output_tokens),
            cache_read_tokens: self.cache_read_tokens.saturating_sub(other.cache_read_tokens),
            ttft: self.ttft.excess_over(&other.ttft),
            duration: self.duration.excess_over(&other.duration),
            speed: self.speed.excess_over(&other.speed),
        }
    }
}

impl<S> Figures<S> {
    /// Adds what another stretch of time holds.
    pub fn merge<const SCHEMA: u32>(&mut self, other: &Figures<Sketch<SCHEMA>>)
    where
        S: CountByBucket<SCHEMA>,
    {
        for (code, count) in other.statuses.iter() {
            self.statuses.add(code, count);
        }
        self.input_tokens = self.input_tokens.saturating_add(other.input_tokens);
        self.output_tokens = self.output_tokens.saturating_add(other.output_tokens);
        self.cache_read_tokens = self.cache_read_tokens.saturating_add(other.cache_read_tokens);
        self.ttft.merge(&other.ttft);
        self.duration.merge(&other.duration);
        self.speed.merge(&other.speed);
    }

    /// All requests, whatever their status.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.statuses.all()
    }

    /// The share of input tokens that came from the prompt cache, 0 to 1; `None` without input.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a ratio of two sums is not exact in any case")]
    pub fn cache_hit_ratio(&self) -> Option<f64> {
        (self.input_tokens > 0).then(|| self.cache_read_tokens as f64 / self.input_tokens as f64)
    }
}

impl Summary {
    /// The same on the grid of a running total.
    #[must_use]
    pub fn coarse(&self) -> Total {
        Total {
            statuses: self.statuses.clone(),
            input_tokens: self.input_tokens,
            output_tokens: self.output_tokens,
            cache_read_tokens: self.cache_read_tokens,
            ttft: self.ttft.coarse(),
            duration: self.duration.coarse(),
            speed: self.speed.coarse(),
        }
    }
}

impl DenseSummary {
    /// What was added so far. Counting starts anew, in the same memory.
    #[must_use]
    pub fn take(&mut self) -> Summary {
        Summary {
            statuses: mem::take(&mut self.statuses),
            input_tokens: mem::take(&mut self.input_tokens),
            output_tokens: mem::take(&mut self.output_tokens),
            cache_read_tokens: mem::take(&mut self.cache_read_tokens),
            ttft: self.ttft.take(),
            duration: self.duration.take(),
            speed: self.speed.take(),
        }
    }
}

impl Total {
    /// Counts what a later reading of the same minute found more. Nothing is ever taken back.
    pub fn raise(&mut self, found: &Summary, stored: &Summary) {
        self.merge(&found.coarse().excess_over(&stored.coarse()));
    }
}

impl<S> Distribution<S> {
    fn merge<const SCHEMA: u32>(&mut self, other: &Distribution<Sketch<SCHEMA>>)
    where
        S: CountByBucket<SCHEMA>,
    {
        self.sketch.merge(&other.sketch);
        self.sum = self.sum.saturating_add(other.sum);
    }
}

impl<const SCHEMA: u32> Distribution<Sketch<SCHEMA>> {
    fn excess_over(&self, other: &Self) -> Self {
        Self { sketch: self.sketch.excess_over(&other.sketch), sum: self.sum.saturating_sub(other.sum) }
    }
}

impl Distribution<Sketch<FINE>> {
    fn coarse(&self) -> Distribution<Sketch<COARSE>> {
        Distribution { sketch: self.sketch.coarse(), sum: self.sum }
    }
}

impl Distribution<DenseSketch> {
    fn take(&mut self) -> Distribution<Sketch<FINE>> {
        Distribution { sketch: self.sketch.take(), sum: mem::take(&mut self.sum) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requests(code: u16, count: u64, tokens: u128, bucket: i32) -> Summary {
        let mut summary = Summary { input_tokens: tokens, ..Summary::default() };
        summary.statuses.add(code, count);
        summary.duration.sketch.add(bucket, count).unwrap();
        summary
    }

    #[test]
    fn a_total_rises_by_what_is_found_more_and_never_falls() {
        let mut total = Total::default();
        total.raise(&requests(200, 5, 100, 64), &Summary::default());
        // One request turns out to have failed: its status and its bucket are new, nothing is taken back.
        total.raise(&requests(500, 1, 40, 128), &requests(200, 5, 100, 64));
        assert_eq!(total.statuses.iter().collect::<Vec<_>>(), [(200, 5), (500, 1)]);
        assert_eq!(total.input_tokens, 100);
        assert_eq!(total.duration.sketch.buckets(), [(16, 5), (32, 1)]);
        // Neighbours on the fine grid are one bucket of the total: this moves nothing.
        total.raise(&requests(200, 5, 100, 63), &requests(200, 5, 100, 64));
        assert_eq!(total.duration.sketch.buckets(), [(16, 5), (32, 1)]);
    }

    #[test]
    fn a_status_that_is_in_no_class_is_among_all_requests() {
        let mut statuses = StatusCounts::default();
        for code in [NO_STATUS, 101, 200, 299, 302, 404, 599] {
            statuses.add(code, 1);
        }
        assert_eq!(statuses.all(), 7);
        assert_eq!([2, 4, 5].map(|class| statuses.class(class)), [2, 1, 1]);
    }
}
