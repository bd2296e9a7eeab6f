//! A histogram as it is shown: the classic buckets of the text formats, and the native ones of protobuf. Both are read
//! off one sketch; powers of two are bounds of its grid, so each classic bucket is exact.

use std::ops::RangeInclusive;

use super::family::Number;
use crate::model::sketch::{COARSE, Sketch};
use crate::model::summary::Distribution;

#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// The classic bounds are 2 to the power of each from the first to the last.
    pub exponents: (i32, i32),
    /// The decimal places of the sum.
    pub decimals: u32,
}

/// Times: from 2^-7 s to 2^9 s, the sum in microseconds.
pub const SECONDS: Scale = Scale { exponents: (-7, 9), decimals: 6 };

/// Speeds: from 1 to 2^10 tokens per second, the sum in thousandths.
pub const TOKENS_PER_SECOND: Scale = Scale { exponents: (0, 10), decimals: 3 };

pub struct Histogram<'a> {
    pub scale: Scale,
    pub distribution: &'a Distribution<Sketch<COARSE>>,
}

/// Buckets of a native histogram that follow each other, and the gap before them: to the span before, or to bucket 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub offset: i32,
    pub length: u32,
}

impl Histogram<'_> {
    pub fn count(&self) -> u64 {
        self.distribution.sketch.count()
    }

    pub const fn sum(&self) -> Number {
        Number::Decimal { units: self.distribution.sum, decimals: self.scale.decimals }
    }

    pub const fn zeros(&self) -> u64 {
        self.distribution.sketch.zeros()
    }

    /// Upper bounds, each with how many values are at most as large; the last bound is infinity.
    pub fn classic(&self) -> Vec<(f64, u64)> {
        let mut buckets = self.distribution.sketch.buckets().iter().copied().peekable();
        let mut count = self.zeros();
        let (first, last) = self.scale.exponents;
        let exponents: RangeInclusive<i32> = first..=last;
        let mut classic = Vec::with_capacity(exponents.clone().count() + 1);
        for exponent in exponents {
            while let Some((_, more)) = buckets.next_if(|(bucket, _)| *bucket <= exponent << COARSE) {
                count = count.saturating_add(more);
            }
            classic.push((f64::from(exponent).exp2(), count));
        }
        classic.push((f64::INFINITY, self.count()));
        classic
    }

    /// The native buckets of the sketch's own schema: where they are, and by how much each count differs from the one
    /// before.
    pub fn native(&self) -> (Vec<Span>, Vec<i64>) {
        let (mut spans, mut deltas): (Vec<Span>, Vec<i64>) = (Vec::new(), Vec::new());
        let (mut next, mut last_count) = (0, 0);
        for (bucket, count) in self.distribution.sketch.buckets().iter().copied() {
            match spans.last_mut() {
                Some(span) if bucket == next => span.length += 1,
                _ => spans.push(Span { offset: bucket - next, length: 1 }),
            }
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            deltas.push(count - last_count);
            (next, last_count) = (bucket + 1, count);
        }
        (spans, deltas)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::sketch::ZERO_BUCKET;

    fn distribution(buckets: &[(i32, u64)]) -> Distribution<Sketch<COARSE>> {
        let mut sketch = Sketch::default();
        for (bucket, count) in buckets {
            sketch.add(*bucket, *count).unwrap();
        }
        Distribution { sketch, sum: 0 }
    }

    #[test]
    fn a_classic_bucket_holds_its_bound_and_everything_below() {
        // 2^0 is the upper bound of bucket 0, and 2^1 of bucket 16.
        let distribution = distribution(&[(ZERO_BUCKET, 1), (-200, 2), (0, 4), (1, 8), (16, 16), (17, 32), (480, 64)]);
        let histogram = Histogram { scale: Scale { exponents: (-1, 2), decimals: 6 }, distribution: &distribution };
        assert_eq!(histogram.classic(), [(0.5, 3), (1.0, 7), (2.0, 31), (4.0, 63), (f64::INFINITY, 127)]);
    }

    #[test]
    fn native_buckets_that_follow_each_other_are_one_span() {
        let distribution = distribution(&[(ZERO_BUCKET, 9), (-3, 5), (-2, 7), (1, 1), (2, 1), (40, 6)]);
        let (spans, deltas) = Histogram { scale: SECONDS, distribution: &distribution }.native();
        let spans: Vec<_> = spans.iter().map(|span| (span.offset, span.length)).collect();
        assert_eq!(spans, [(-3, 2), (2, 2), (37, 1)]);
        assert_eq!(deltas, [5, 2, -6, 0, 5]);
    }
}
