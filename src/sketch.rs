//! A mergeable histogram of latencies or speeds, from which quantiles are read within 0.6 %.
//!
//! The grid is that of a Prometheus native histogram of schema 6: bucket `i` holds the values in
//! `(2^((i-1)/64), 2^(i/64)]` (<https://prometheus.io/docs/specs/native_histograms/#schema>).

use thiserror::Error;

/// Buckets to a doubling.
pub const BUCKETS_PER_DOUBLING: i32 = 64;

/// Stands for the bucket of the value zero wherever buckets are numbers; below the bucket of the smallest `f64` above zero.
pub const ZERO_BUCKET: i32 = -80_000;

/// Where bucket numbers end: those of the smallest and the largest finite `f64`.
const BUCKETS: std::ops::RangeInclusive<i32> = -68_800..=65_536;

/// The first byte of an encoded sketch.
const FORMAT: u8 = 1;

/// Counts of values by bucket. Two sketches of the same values are equal, however they were put together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Sketch {
    zeros: u64,
    /// Bucket and count, in order of buckets; no count is 0. Sparse, since a minute has few requests, and one odd value may lie
    /// far from the others.
    counts: Vec<(i32, u64)>,
}

/// Why bytes or numbers make no sketch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SketchError {
    /// The first byte names no format known here.
    #[error("unknown sketch format")]
    UnknownFormat,
    /// The bytes end too early, go on too long, or hold a number that does not fit.
    #[error("damaged sketch")]
    Damaged,
    /// A bucket number that no finite value falls into.
    #[error("bucket {0} out of range")]
    BucketOutOfRange(i64),
    /// More values than can be counted.
    #[error("bucket count overflows")]
    Overflow,
}

impl Sketch {
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
        } else if BUCKETS.contains(&bucket) {
            match self.counts.binary_search_by_key(&bucket, |(bucket, _)| *bucket) {
                Ok(at) => self.counts[at].1 = sum(&self.counts[at].1)?,
                Err(at) => self.counts.insert(at, (bucket, count)),
            }
        } else {
            return Err(SketchError::BucketOutOfRange(bucket.into()));
        }
        Ok(())
    }

    /// Adds the values of another sketch.
    pub fn merge(&mut self, other: &Self) {
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

    /// How many values it holds.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().fold(self.zeros, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// The nearest-rank quantile: the value of rank `ceil(percent / 100 * count)` of the values in order, within 0.55 %.
    /// `None` when there are no values.
    #[must_use]
    pub fn quantile(&self, percent: u8) -> Option<f64> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        let rank = (u128::from(count) * u128::from(percent)).div_ceil(100).max(1);
        let mut seen = u128::from(self.zeros);
        if rank <= seen {
            return Some(0.0);
        }
        for (bucket, count) in &self.counts {
            seen += u128::from(*count);
            if rank <= seen {
                return Some(value_of(*bucket));
            }
        }
        None
    }

    /// One version byte, then unsigned LEB128 numbers: the zeros, the number of buckets that follow, and for each the distance
    /// from the bucket before (the first: the zigzag of its number) and its count.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![FORMAT];
        push_varint(&mut bytes, self.zeros);
        push_varint(&mut bytes, self.counts.len() as u64);
        let mut previous: Option<i32> = None;
        for (bucket, count) in self.counts.iter().copied() {
            match previous {
                None => push_varint(&mut bytes, zigzag(bucket)),
                Some(previous) => push_varint(&mut bytes, u64::from(bucket.abs_diff(previous))),
            }
            push_varint(&mut bytes, count);
            previous = Some(bucket);
        }
        bytes
    }

    /// Reads what [`Sketch::encode`] wrote.
    ///
    /// # Errors
    /// On anything else: another version, bytes missing or left over, buckets out of order or out of range, a count of 0.
    pub fn decode(bytes: &[u8]) -> Result<Self, SketchError> {
        let (FORMAT, mut rest) = bytes.split_first().map(|(format, rest)| (*format, rest)).ok_or(SketchError::Damaged)? else {
            return Err(SketchError::UnknownFormat);
        };
        let mut sketch = Self { zeros: take_varint(&mut rest)?, ..Self::default() };
        let buckets = take_varint(&mut rest)?;
        let mut previous: Option<i32> = None;
        for _ in 0..buckets {
            let number = take_varint(&mut rest)?;
            let bucket = match previous {
                None => unzigzag(number),
                Some(_) if number == 0 => return Err(SketchError::Damaged),
                Some(previous) => i64::try_from(number).ok().and_then(|step| step.checked_add(previous.into())),
            };
            let bucket = bucket.ok_or(SketchError::Damaged)?;
            let known = i32::try_from(bucket).ok().filter(|bucket| BUCKETS.contains(bucket));
            let bucket = known.ok_or(SketchError::BucketOutOfRange(bucket))?;
            match take_varint(&mut rest)? {
                0 => return Err(SketchError::Damaged),
                count => sketch.add(bucket, count)?,
            }
            previous = Some(bucket);
        }
        if rest.is_empty() { Ok(sketch) } else { Err(SketchError::Damaged) }
    }
}

/// The value between the bucket's bounds that halves the worst relative error: their harmonic mean.
fn value_of(bucket: i32) -> f64 {
    let upper = f64::from(bucket) / f64::from(BUCKETS_PER_DOUBLING);
    let growth = (1.0 / f64::from(BUCKETS_PER_DOUBLING)).exp2();
    upper.exp2() * (2.0 / (1.0 + growth))
}

fn zigzag(number: i32) -> u64 {
    let number = i64::from(number);
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

fn unzigzag(number: u64) -> Option<i64> {
    let magnitude = i64::try_from(number >> 1).ok()?;
    Some(if number & 1 == 0 { magnitude } else { -magnitude - 1 })
}

#[expect(clippy::cast_possible_truncation, reason = "the seven low bits are what is wanted")]
fn push_varint(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn take_varint(bytes: &mut &[u8]) -> Result<u64, SketchError> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first().ok_or(SketchError::Damaged)?;
        *bytes = rest;
        let bits = u64::from(byte & 0x7f);
        if bits.leading_zeros() < shift {
            return Err(SketchError::Damaged);
        }
        number |= bits << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(SketchError::Damaged)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// The grid as the native histogram specification words it, beside what the query computes in SQL.
    #[expect(clippy::cast_possible_truncation, reason = "bucket numbers of f64 values are below 2^17")]
    fn bucket_of(value: f64) -> i32 {
        if value == 0.0 { ZERO_BUCKET } else { (value.log2() * 64.0).ceil() as i32 }
    }

    fn sketch_of(values: &[f64]) -> Sketch {
        let mut sketch = Sketch::default();
        for value in values {
            sketch.add(bucket_of(*value), 1).unwrap();
        }
        sketch
    }

    fn value() -> impl Strategy<Value = f64> {
        prop_oneof![9 => (-9.0..12.0_f64).prop_map(|exponent| 10_f64.powf(exponent)), 1 => Just(0.0)]
    }

    fn sketch() -> impl Strategy<Value = Sketch> {
        vec(value(), 0..60).prop_map(|values| sketch_of(&values))
    }

    proptest! {
        #[test]
        fn merging_is_commutative_and_associative(a in sketch(), b in sketch(), c in sketch()) {
            let merged = |parts: [&Sketch; 3]| {
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
        fn any_split_of_the_values_gives_the_same_sketch(values in vec(value(), 0..80), at in 0_usize..80) {
            let (left, right) = values.split_at(at.min(values.len()));
            let mut merged = sketch_of(left);
            merged.merge(&sketch_of(right));
            prop_assert_eq!(merged, sketch_of(&values));
        }

        #[test]
        fn a_quantile_is_the_nearest_rank_within_six_per_mille(mut values in vec(value(), 1..200), percent in 1_u8..=99) {
            let answer = sketch_of(&values).quantile(percent).unwrap();
            values.sort_by(f64::total_cmp);
            let exact = values[(values.len() * usize::from(percent)).div_ceil(100) - 1];
            prop_assert!((answer - exact).abs() <= 0.006 * exact, "{answer} for {exact}");
        }

        #[test]
        fn decoding_gives_back_what_was_encoded(sketch in sketch()) {
            prop_assert_eq!(Sketch::decode(&sketch.encode()), Ok(sketch));
        }

        #[test]
        fn garbage_is_an_error_or_a_sketch_and_never_a_panic(bytes in vec(any::<u8>(), 0..40), versioned in any::<bool>()) {
            let mut bytes = bytes;
            if versioned && !bytes.is_empty() {
                bytes[0] = FORMAT;
            }
            if let Ok(sketch) = Sketch::decode(&bytes) {
                prop_assert_eq!(Sketch::decode(&sketch.encode()), Ok(sketch));
            }
        }

        #[test]
        fn a_sketch_cut_short_or_with_a_byte_too_many_is_damaged(sketch in sketch(), cut in 1_usize..200) {
            let mut bytes = sketch.encode();
            let short = bytes.len().saturating_sub(cut);
            prop_assert!(Sketch::decode(&bytes[..short]).is_err());
            bytes.push(0);
            prop_assert_eq!(Sketch::decode(&bytes), Err(SketchError::Damaged));
        }
    }

    #[test]
    fn another_version_is_refused() {
        let mut bytes = Sketch::default().encode();
        bytes[0] = FORMAT + 1;
        assert_eq!(Sketch::decode(&bytes), Err(SketchError::UnknownFormat));
    }

    #[test]
    fn no_values_have_no_quantile() {
        assert_eq!(Sketch::default().quantile(50), None);
    }

    #[test]
    fn the_extremes_of_f64_have_a_bucket() {
        for value in [f64::from_bits(1), 1e-310, f64::MIN_POSITIVE, 1e18, f64::MAX] {
            assert!(Sketch::default().add(bucket_of(value), 1).is_ok(), "{value}");
        }
    }

    #[test]
    fn a_bucket_no_value_falls_into_is_refused() {
        assert_eq!(Sketch::default().add(ZERO_BUCKET + 1, 1), Err(SketchError::BucketOutOfRange(-79_999)));
    }
}
