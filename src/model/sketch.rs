//! A mergeable histogram of latencies or speeds, from which quantiles are read within 0.54 %.
//!
//! The grid is that of a Prometheus native histogram: at schema `s`, bucket `i` holds the values in `(2^((i-1)/2^s),
//! 2^(i/2^s)]` (<https://prometheus.io/docs/specs/native_histograms/#schema>). Each step to a lower schema joins two
//! neighbours, exactly.

use std::ops::RangeInclusive;

use thiserror::Error;

/// The schema of what a minute or an hour holds.
pub const FINE: u32 = 6;
/// The schema of what a running total holds, and what a native histogram shows.
pub const COARSE: u32 = 4;

/// Buckets to a doubling at schema [`FINE`].
pub const BUCKETS_PER_DOUBLING: i32 = 1 << FINE;

/// Stands for the bucket of the value zero wherever buckets are numbers; far below every other bucket.
pub const ZERO_BUCKET: i32 = -80_000;

/// Values below this count as zero: a microsecond, or a millionth of a token per second.
pub const SMALLEST: f64 = 1e-6;

/// What counts values by bucket of the grid at schema `SCHEMA`.
pub trait CountByBucket<const SCHEMA: u32> {
    /// Adds the counts of a sketch.
    fn merge(&mut self, sketch: &Sketch<SCHEMA>);

    /// Adds values that are zero.
    ///
    /// # Errors
    /// When their count overflows.
    fn add_zeros(&mut self, count: u64) -> Result<(), SketchError>;

    /// A function that adds a count to a bucket, which is not [`ZERO_BUCKET`]. It fails where no value falls into the
    /// bucket, or its count overflows.
    fn adder(&mut self) -> impl FnMut(i32, u64) -> Result<(), SketchError>;
}

/// Counts of values by bucket. Two sketches of the same values are equal, however they were put together. At most 3,201
/// buckets: values are from [`SMALLEST`] to 2^30.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Sketch<const SCHEMA: u32> {
    zeros: u64,
    /// Bucket and count, in order of buckets; no count is 0. Sparse, since a minute has few requests.
    counts: Vec<(i32, u64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SketchError {
    /// No value falls into it.
    #[error("bucket {0} is out of range")]
    BucketOutOfRange(i64),
    #[error("bucket count overflows")]
    Overflow,
}

impl<const SCHEMA: u32> Sketch<SCHEMA> {
    /// The buckets of values from 2^-20 to 2^30.
    pub const BUCKETS: RangeInclusive<i32> = 1 - (20 << SCHEMA)..=30 << SCHEMA;

    /// With these values: buckets in order, none twice, no count 0.
    pub(super) const fn from_sorted(zeros: u64, counts: Vec<(i32, u64)>) -> Self {
        Self { zeros, counts }
    }

    /// Adds `count` values to a bucket, [`ZERO_BUCKET`] included.
    ///
    /// # Errors
    /// When no value falls into that bucket, or the count overflows.
    pub fn add(&mut self, bucket: i32, count: u64) -> Result<(), SketchError> {
        if count == 0 {
            return Ok(());
        }
        let sum = |slot: &u64| slot.checked_add(count).ok_or(SketchError::Overflow);
        if bucket == ZERO_BUCKET {
            self.zeros = sum(&self.zeros)?;
            return Ok(());
        }
        if !Self::BUCKETS.contains(&bucket) {
            return Err(SketchError::BucketOutOfRange(bucket.into()));
        }
        // Buckets mostly come in order.
        if self.counts.last().is_none_or(|(last, _)| *last < bucket) {
            self.counts.push((bucket, count));
            return Ok(());
        }
        match self.counts.binary_search_by_key(&bucket, |(bucket, _)| *bucket) {
            Ok(at) => self.counts[at].1 = sum(&self.counts[at].1)?,
            Err(at) => self.counts.insert(at, (bucket, count)),
        }
        Ok(())
    }

    /// What this sketch has more than another, bucket by bucket.
    #[must_use]
    pub fn excess_over(&self, other: &Self) -> Self {
        let more = |(bucket, count): &(i32, u64)| {
            let more = count.saturating_sub(other.bucket_count(*bucket));
            (more > 0).then_some((*bucket, more))
        };
        Self { zeros: self.zeros.saturating_sub(other.zeros), counts: self.counts.iter().filter_map(more).collect() }
    }

    fn bucket_count(&self, bucket: i32) -> u64 {
        self.counts.binary_search_by_key(&bucket, |(bucket, _)| *bucket).map_or(0, |at| self.counts[at].1)
    }

    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().fold(self.zeros, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// How many values are zero.
    #[must_use]
    pub const fn zeros(&self) -> u64 {
        self.zeros
    }

    /// Buckets that hold a value and their counts, in order; without the zeros.
    #[must_use]
    pub fn buckets(&self) -> &[(i32, u64)] {
        &self.counts
    }
}

impl<const SCHEMA: u32> CountByBucket<SCHEMA> for Sketch<SCHEMA> {
    fn merge(&mut self, other: &Self) {
        self.zeros = self.zeros.saturating_add(other.zeros);
        self.counts.extend_from_slice(&other.counts);
        // Two runs in order: a stable sort merges them in one pass.
        self.counts.sort_by_key(|(bucket, _)| *bucket);
        self.counts.dedup_by(|(bucket, count), (kept_bucket, kept_count)| {
            let same = bucket == kept_bucket;
            if same {
                *kept_count = kept_count.saturating_add(*count);
            }
            same
        });
    }

    fn add_zeros(&mut self, count: u64) -> Result<(), SketchError> {
        self.add(ZERO_BUCKET, count)
    }

    fn adder(&mut self) -> impl FnMut(i32, u64) -> Result<(), SketchError> {
        |bucket, count| self.add(bucket, count)
    }
}

impl Sketch<FINE> {
    /// The same values on the grid of a running total.
    #[must_use]
    pub fn coarse(&self) -> Sketch<COARSE> {
        let mut counts: Vec<(i32, u64)> = Vec::with_capacity(self.counts.len());
        for (bucket, count) in &self.counts {
            // Rounds up: each step down halves the bucket's number, ceil(i / 2).
            let joined = -((-bucket) >> (FINE - COARSE));
            match counts.last_mut() {
                Some((last, sum)) if *last == joined => *sum = sum.saturating_add(*count),
                _ => counts.push((joined, *count)),
            }
        }
        Sketch { zeros: self.zeros, counts }
    }

    /// The nearest-rank quantiles for percents in rising order: of the values in order those of rank `ceil(percent /
    /// 100 * count)`, within 0.54 %. There are none where there are no values.
    pub fn quantiles(&self, percents: impl IntoIterator<Item = u8>) -> impl Iterator<Item = f64> {
        let count = u128::from(self.count());
        let mut buckets = self.counts.iter();
        let (mut bucket, mut seen) = (None, u128::from(self.zeros));
        percents.into_iter().take_while(move |_| count > 0).map(move |percent| {
            let rank = (count * u128::from(percent)).div_ceil(100).max(1);
            while seen < rank
                && let Some((next, count)) = buckets.next()
            {
                bucket = Some(*next);
                seen += u128::from(*count);
            }
            bucket.map_or(0.0, value_of)
        })
    }
}

/// The value between the bucket's bounds that halves the worst relative error: their harmonic mean.
fn value_of(bucket: i32) -> f64 {
    let upper = f64::from(bucket) / f64::from(BUCKETS_PER_DOUBLING);
    let growth = (1.0 / f64::from(BUCKETS_PER_DOUBLING)).exp2();
    upper.exp2() * (2.0 / (1.0 + growth))
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// The grid as the native histogram specification words it, beside what the query computes in SQL.
    #[expect(clippy::cast_possible_truncation, reason = "bucket numbers are small")]
    fn bucket_of(value: f64, schema: u32) -> i32 {
        if value < SMALLEST { ZERO_BUCKET } else { (value.log2() * f64::from(1 << schema)).ceil() as i32 }
    }

    fn sketch_of<const SCHEMA: u32>(values: &[f64]) -> Sketch<SCHEMA> {
        let mut sketch = Sketch::default();
        for value in values {
            sketch.add(bucket_of(*value, SCHEMA), 1).unwrap();
        }
        sketch
    }

    fn value() -> impl Strategy<Value = f64> {
        prop_oneof![9 => (-6.0..9.0_f64).prop_map(|exponent| 10_f64.powf(exponent)), 1 => Just(0.0)]
    }

    fn sketch() -> impl Strategy<Value = Sketch<FINE>> {
        vec(value(), 0..60).prop_map(|values| sketch_of(&values))
    }

    proptest! {
        #[test]
        fn merging_is_commutative_and_associative(a in sketch(), b in sketch(), c in sketch()) {
            let merged = |parts: [&Sketch<FINE>; 3]| {
                let mut sum = Sketch::default();
                for part in parts {
                    sum.merge(part);
                }
                sum
            };
            let mut right = b.clone();
            right.merge(&c);
            let mut nested = a.clone();
            nested.merge(&right);
            prop_assert_eq!(&merged([&a, &b, &c]), &nested);
            prop_assert_eq!(&merged([&c, &a, &b]), &nested);
        }

        #[test]
        fn merging_sketches_is_the_sketch_of_all_values(a in vec(value(), 0..60), b in vec(value(), 0..60)) {
            let mut merged: Sketch<FINE> = sketch_of(&a);
            merged.merge(&sketch_of(&b));
            prop_assert_eq!(merged, sketch_of(&[a, b].concat()));
        }

        #[test]
        fn a_quantile_is_the_nearest_rank_within_six_per_mille(
            mut values in vec(value(), 1..200),
            mut percents in vec(1_u8..=99, 1..6),
        ) {
            percents.sort_unstable();
            let sketch = sketch_of(&values);
            let answers: Vec<f64> = sketch.quantiles(percents.iter().copied()).collect();
            values.sort_by(f64::total_cmp);
            prop_assert_eq!(answers.len(), percents.len());
            for (answer, percent) in answers.into_iter().zip(percents) {
                let exact = values[(values.len() * usize::from(percent)).div_ceil(100) - 1];
                prop_assert!((answer - exact).abs() <= 0.006 * exact, "{answer} for {exact}");
            }
        }

        #[test]
        fn a_coarse_sketch_is_that_of_the_values_themselves(values in vec(value(), 0..60)) {
            let fine: Sketch<FINE> = sketch_of(&values);
            prop_assert_eq!(fine.coarse(), sketch_of(&values));
        }

        #[test]
        fn what_one_sketch_has_more_and_the_other_make_at_least_both(a in sketch(), b in sketch()) {
            let mut raised = b.clone();
            raised.merge(&a.excess_over(&b));
            for (bucket, count) in a.buckets().iter().chain(b.buckets()) {
                let largest = a.bucket_count(*bucket).max(b.bucket_count(*bucket));
                prop_assert!(*count <= largest);
                prop_assert_eq!(raised.bucket_count(*bucket), largest);
            }
            prop_assert_eq!(raised.zeros(), a.zeros().max(b.zeros()));
        }
    }

    #[test]
    fn no_values_have_no_quantile() {
        assert_eq!(Sketch::default().quantiles([50, 99]).next(), None);
    }

    #[test]
    fn a_sketch_is_bounded() {
        assert_eq!(Sketch::<FINE>::BUCKETS.count() + 1, 3_201);
        for value in [SMALLEST, 1.0, 1e9, 2_f64.powi(30)] {
            assert!(Sketch::<FINE>::default().add(bucket_of(value, FINE), 1).is_ok(), "{value}");
        }
        for bucket in [ZERO_BUCKET + 1, -1_280, 1_921] {
            assert_eq!(Sketch::<FINE>::default().add(bucket, 1), Err(SketchError::BucketOutOfRange(bucket.into())));
        }
    }
}
