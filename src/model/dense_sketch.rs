//! The sum of many sketches, with a counter for every bucket of the grid: adding is an index, not a search.

use super::sketch::{CountByBucket, FINE, Sketch, SketchError, ZERO_BUCKET};

const FIRST: i32 = *Sketch::<FINE>::BUCKETS.start();
const LAST: i32 = *Sketch::<FINE>::BUCKETS.end();

/// Counts of values by bucket; each stops at the largest number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DenseSketch {
    zeros: u64,
    /// From the first bucket to the last, 25 KB; empty before the first value.
    counts: Vec<u64>,
}

impl CountByBucket for DenseSketch {
    const SCHEMA: u32 = FINE;

    #[inline]
    fn add(&mut self, bucket: i32, count: u64) -> Result<(), SketchError> {
        if bucket == ZERO_BUCKET {
            self.zeros = self.zeros.saturating_add(count);
            return Ok(());
        }
        if self.counts.is_empty() {
            self.counts = vec![0; FIRST.abs_diff(LAST) as usize + 1];
        }
        let slot =
            usize::try_from(i64::from(bucket) - i64::from(FIRST)).ok().and_then(|index| self.counts.get_mut(index));
        let slot = slot.ok_or(SketchError::BucketOutOfRange(bucket.into()))?;
        *slot = slot.saturating_add(count);
        Ok(())
    }
}

impl From<DenseSketch> for Sketch<FINE> {
    fn from(dense: DenseSketch) -> Self {
        let counts = (FIRST..).zip(dense.counts).filter(|(_, count)| *count > 0);
        Self::from_sorted(dense.zeros, counts.collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn adding_sketches_up_is_merging_them(
            sketches in vec(vec((prop_oneof![9 => FIRST..=LAST, 1 => Just(ZERO_BUCKET)], 1..u64::MAX), 0..20), 0..9),
        ) {
            let (mut dense, mut merged) = (DenseSketch::default(), Sketch::default());
            for counts in sketches {
                let mut sketch = Sketch::default();
                for (bucket, count) in counts {
                    // A bucket that is drawn twice may overflow, which one sketch refuses.
                    if sketch.add(bucket, count).is_ok() {
                        dense.add(bucket, count).unwrap();
                    }
                }
                merged.merge(&sketch);
            }
            prop_assert_eq!(Sketch::from(dense), merged);
        }
    }

    #[test]
    fn a_bucket_off_the_grid_is_refused() {
        for bucket in [i32::MIN, ZERO_BUCKET + 1, FIRST - 1, LAST + 1, i32::MAX] {
            let refused = Err(SketchError::BucketOutOfRange(bucket.into()));
            assert_eq!(DenseSketch::default().add(bucket, 1), refused);
        }
    }
}
