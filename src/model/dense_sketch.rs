//! The sum of many sketches, with a counter for every bucket of the grid: adding is an index, not a search.

use std::mem;

use super::sketch::{CountByBucket, FINE, Sketch, SketchError};

const FIRST: i32 = *Sketch::<FINE>::BUCKETS.start();
const LAST: i32 = *Sketch::<FINE>::BUCKETS.end();

/// Counts of values by bucket; each stops at the largest number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DenseSketch {
    zeros: u64,
    /// From the first bucket to the last, 25 KB; empty before the first value.
    counts: Vec<u64>,
}

impl CountByBucket<FINE> for DenseSketch {
    fn merge(&mut self, sketch: &Sketch<FINE>) {
        self.zeros = self.zeros.saturating_add(sketch.zeros());
        // No bucket of a sketch is off the grid.
        let mut add = self.adder();
        let _ = sketch.buckets().iter().try_for_each(|(bucket, count)| add(*bucket, *count));
    }

    fn add_zeros(&mut self, count: u64) -> Result<(), SketchError> {
        self.zeros = self.zeros.saturating_add(count);
        Ok(())
    }

    #[inline]
    fn adder(&mut self) -> impl FnMut(i32, u64) -> Result<(), SketchError> {
        if self.counts.is_empty() {
            self.counts = vec![0; FIRST.abs_diff(LAST) as usize + 1];
        }
        let slots = &mut self.counts[..];
        |bucket, count| {
            // What is below the first bucket becomes a number far above the last.
            let slot = slots.get_mut(bucket.wrapping_sub(FIRST).cast_unsigned() as usize);
            let slot = slot.ok_or(SketchError::BucketOutOfRange(bucket.into()))?;
            *slot = slot.saturating_add(count);
            Ok(())
        }
    }
}

impl DenseSketch {
    /// What was added so far. Counting starts anew, in the same memory.
    #[must_use]
    pub fn take(&mut self) -> Sketch<FINE> {
        let mut counts = Vec::new();
        for (bucket, slot) in (FIRST..).zip(&mut self.counts) {
            if *slot > 0 {
                counts.push((bucket, mem::take(slot)));
            }
        }
        Sketch::from_sorted(mem::take(&mut self.zeros), counts)
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::super::sketch::ZERO_BUCKET;
    use super::*;

    fn counts() -> impl Strategy<Value = Vec<(i32, u64)>> {
        vec((prop_oneof![9 => FIRST..=LAST, 1 => Just(ZERO_BUCKET)], 1..u64::MAX), 0..20)
    }

    proptest! {
        #[test]
        fn adding_sketches_up_is_merging_them(
            batches in vec(vec(counts(), 0..9), 1..3),
        ) {
            let mut dense = DenseSketch::default();
            for sketches in batches {
                let mut merged = Sketch::default();
                for counts in sketches {
                    let mut sketch = Sketch::default();
                    for (bucket, count) in counts {
                        // A bucket that is drawn twice may overflow, which one sketch refuses.
                        let _ = sketch.add(bucket, count);
                    }
                    dense.merge(&sketch);
                    merged.merge(&sketch);
                }
                prop_assert_eq!(dense.take(), merged);
            }
        }
    }

    #[test]
    fn a_bucket_off_the_grid_is_refused() {
        for bucket in [i32::MIN, ZERO_BUCKET, FIRST - 1, LAST + 1, i32::MAX] {
            let refused = Err(SketchError::BucketOutOfRange(bucket.into()));
            assert_eq!(DenseSketch::default().adder()(bucket, 1), refused);
        }
    }
}
