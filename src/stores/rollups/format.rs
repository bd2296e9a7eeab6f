//! Format 2: the one binary attribute that holds a summary or a running total.
//!
//! Two bytes, the format's version and the schema of its sketches; then unsigned LEB128 numbers. Status codes: how
//! many, and for each the distance from the one before and its count. The sums of input, output and cache-read tokens.
//! Then for time to first token, duration and speed: the sum, the zeros, the number of buckets, and for each the
//! distance from the one before (the first: the zigzag of its number) and its count. Totals over classes and counts of
//! values are added up when read, never kept.

use thiserror::Error;

use crate::model::sketch::{CountByBucket, Sketch, SketchError, ZERO_BUCKET};
use crate::model::summary::{Distribution, Figures, StatusCounts};

const VERSION: u8 = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FormatError {
    #[error("unknown summary format")]
    UnknownFormat,
    /// The bytes end too early, go on too long, or hold a number that does not fit.
    #[error("damaged summary")]
    Damaged,
    #[error("damaged summary: {0}")]
    Bucket(#[from] SketchError),
}

/// Writes figures; [`decode`] reads them back.
#[must_use]
pub fn encode<const SCHEMA: u32>(figures: &Figures<Sketch<SCHEMA>>) -> Vec<u8> {
    let mut bytes = vec![VERSION, schema_byte::<SCHEMA>()];
    let statuses = figures.statuses.iter();
    push(&mut bytes, statuses.len() as u128);
    let mut previous = 0;
    for (code, count) in statuses {
        push(&mut bytes, u128::from(code - previous));
        push(&mut bytes, count.into());
        previous = code;
    }
    for sum in [figures.input_tokens, figures.output_tokens, figures.cache_read_tokens] {
        push(&mut bytes, sum);
    }
    for distribution in [&figures.ttft, &figures.duration, &figures.speed] {
        encode_distribution(&mut bytes, distribution);
    }
    bytes
}

fn encode_distribution<const SCHEMA: u32>(bytes: &mut Vec<u8>, distribution: &Distribution<Sketch<SCHEMA>>) {
    push(bytes, distribution.sum);
    push(bytes, distribution.sketch.zeros().into());
    let buckets = distribution.sketch.buckets();
    push(bytes, buckets.len() as u128);
    let mut previous: Option<i32> = None;
    for (bucket, count) in buckets.iter().copied() {
        let number = previous.map_or_else(|| zigzag(bucket), |previous| bucket.abs_diff(previous));
        push(bytes, number.into());
        push(bytes, count.into());
        previous = Some(bucket);
    }
}

/// Reads what [`encode`] wrote.
///
/// # Errors
/// On anything else: another version or schema, bytes missing or left over, codes or buckets out of order or out of
/// range.
pub fn decode<S: CountByBucket<SCHEMA> + Default, const SCHEMA: u32>(bytes: &[u8]) -> Result<Figures<S>, FormatError> {
    let mut figures = Figures::default();
    decode_onto(&mut figures, bytes)?;
    Ok(figures)
}

/// Adds what [`encode`] wrote to figures.
///
/// # Errors
/// As [`decode`]; a part may have been added then.
pub fn decode_onto<S: CountByBucket<SCHEMA>, const SCHEMA: u32>(
    figures: &mut Figures<S>,
    bytes: &[u8],
) -> Result<(), FormatError> {
    let mut rest = match bytes {
        [VERSION, schema, rest @ ..] if *schema == schema_byte::<SCHEMA>() => rest,
        [] | [VERSION] => return Err(FormatError::Damaged),
        _ => return Err(FormatError::UnknownFormat),
    };
    let rest = &mut rest;
    decode_statuses(&mut figures.statuses, rest)?;
    for sum in [&mut figures.input_tokens, &mut figures.output_tokens, &mut figures.cache_read_tokens] {
        *sum = sum.saturating_add(take(rest)?);
    }
    for distribution in [&mut figures.ttft, &mut figures.duration, &mut figures.speed] {
        decode_distribution(distribution, rest)?;
    }
    if rest.is_empty() { Ok(()) } else { Err(FormatError::Damaged) }
}

fn decode_statuses(statuses: &mut StatusCounts, rest: &mut &[u8]) -> Result<(), FormatError> {
    let mut previous: Option<u16> = None;
    for _ in 0..take::<u64>(rest)? {
        let step: u16 = take(rest)?;
        let code = match previous {
            None => step,
            Some(_) if step == 0 => return Err(FormatError::Damaged),
            Some(previous) => previous.checked_add(step).ok_or(FormatError::Damaged)?,
        };
        statuses.add(code, take_count(rest)?);
        previous = Some(code);
    }
    Ok(())
}

fn decode_distribution<S: CountByBucket<SCHEMA>, const SCHEMA: u32>(
    distribution: &mut Distribution<S>,
    rest: &mut &[u8],
) -> Result<(), FormatError> {
    distribution.sum = distribution.sum.saturating_add(take(rest)?);
    distribution.sketch.add_zeros(take(rest)?)?;
    let buckets: u64 = take(rest)?;
    if buckets == 0 {
        return Ok(());
    }
    let mut bucket = unzigzag(take(rest)?);
    if bucket == ZERO_BUCKET {
        return Err(FormatError::Damaged);
    }
    let mut add = distribution.sketch.adder();
    let mut bytes = *rest;
    for _ in 1..buckets {
        // Most counts and distances are of one byte.
        if let [count @ 1..0x80, distance @ 1..0x80, tail @ ..] = bytes {
            add(bucket, (*count).into())?;
            // What was added is on the grid, far from the largest number.
            bucket += i32::from(*distance);
            bytes = tail;
        } else {
            add(bucket, take_count(&mut bytes)?)?;
            let distance: u32 = take(&mut bytes)?;
            let next = (distance > 0).then(|| bucket.checked_add_unsigned(distance));
            bucket = next.flatten().ok_or(FormatError::Damaged)?;
        }
    }
    add(bucket, take_count(&mut bytes)?)?;
    *rest = bytes;
    Ok(())
}

#[expect(clippy::cast_possible_truncation, reason = "schemas are below 9")]
const fn schema_byte<const SCHEMA: u32>() -> u8 {
    SCHEMA as u8
}

const fn zigzag(number: i32) -> u32 {
    ((number << 1) ^ (number >> 31)).cast_unsigned()
}

const fn unzigzag(number: u32) -> i32 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

#[expect(clippy::cast_possible_truncation, reason = "the seven low bits are what is wanted")]
fn push(bytes: &mut Vec<u8>, mut number: u128) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// What is listed has at least one request.
#[inline]
fn take_count(rest: &mut &[u8]) -> Result<u64, FormatError> {
    match take(rest)? {
        0 => Err(FormatError::Damaged),
        count => Ok(count),
    }
}

/// Most numbers are of one byte or two.
#[inline]
fn take<T: TryFrom<u128> + From<u8>>(rest: &mut &[u8]) -> Result<T, FormatError> {
    match *rest {
        [byte @ ..0x80, tail @ ..] => {
            *rest = tail;
            Ok(T::from(*byte))
        }
        [low, high @ ..0x80, tail @ ..] => {
            *rest = tail;
            let number = u16::from(low & 0x7f) | u16::from(*high) << 7;
            T::try_from(number.into()).map_err(|_| FormatError::Damaged)
        }
        _ => take_long(rest),
    }
}

fn take_long<T: TryFrom<u128>>(rest: &mut &[u8]) -> Result<T, FormatError> {
    let mut number: u128 = 0;
    for shift in (0..u128::BITS).step_by(7) {
        let (byte, tail) = rest.split_first().ok_or(FormatError::Damaged)?;
        *rest = tail;
        let bits = u128::from(byte & 0x7f);
        if bits.leading_zeros() < shift {
            return Err(FormatError::Damaged);
        }
        number |= bits << shift;
        if byte & 0x80 == 0 {
            return T::try_from(number).map_err(|_| FormatError::Damaged);
        }
    }
    Err(FormatError::Damaged)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::*;
    use crate::model::sketch::{COARSE, FINE};
    use crate::model::summary::{DenseSummary, Summary, Total};

    /// Of every length that it is written in, the shortest first.
    fn count() -> impl Strategy<Value = u64> {
        (0_u32..58).prop_flat_map(|bits| 1..=1_u64 << bits)
    }

    fn distribution() -> impl Strategy<Value = Distribution<Sketch<FINE>>> {
        let buckets = vec((prop_oneof![-1_279..=1_920, Just(ZERO_BUCKET)], count()), 0..40);
        (buckets, any::<u128>()).prop_map(|(buckets, sum)| {
            let mut sketch = Sketch::default();
            for (bucket, count) in buckets {
                sketch.add(bucket, count).unwrap();
            }
            Distribution { sketch, sum }
        })
    }

    fn summary() -> impl Strategy<Value = Summary> {
        let statuses = vec((prop_oneof![Just(0_u16), 100..600_u16], count()), 0..20);
        let tokens = (any::<u128>(), any::<u128>(), any::<u128>());
        (statuses, tokens, distribution(), distribution(), distribution()).prop_map(
            |(codes, (input_tokens, output_tokens, cache_read_tokens), ttft, duration, speed)| {
                let mut statuses = StatusCounts::default();
                for (code, count) in codes {
                    statuses.add(code, count);
                }
                Summary { statuses, input_tokens, output_tokens, cache_read_tokens, ttft, duration, speed }
            },
        )
    }

    fn garbage() -> impl Strategy<Value = Vec<u8>> {
        (vec(any::<u8>(), 0..60), any::<bool>()).prop_map(|(mut bytes, versioned)| {
            if versioned && bytes.len() > 1 {
                bytes[..2].copy_from_slice(&[VERSION, schema_byte::<FINE>()]);
            }
            bytes
        })
    }

    fn damaged() -> impl Strategy<Value = Vec<u8>> {
        (summary(), any::<Index>(), any::<u8>()).prop_map(|(summary, place, byte)| {
            let mut bytes = encode(&summary);
            let place = place.index(bytes.len());
            bytes[place] = byte;
            bytes
        })
    }

    proptest! {
        #[test]
        fn figures_read_back_as_they_were_written(summary in summary()) {
            prop_assert_eq!(decode(&encode(&summary)), Ok(summary.clone()));
            let mut counted = DenseSummary::default();
            prop_assert_eq!(decode_onto(&mut counted, &encode(&summary)), Ok(()));
            prop_assert_eq!(counted.take(), summary.clone());
            let total: Total = summary.coarse();
            prop_assert_eq!(decode(&encode(&total)), Ok(total));
        }

        #[test]
        fn garbage_is_an_error_or_figures_and_never_a_panic(bytes in prop_oneof![garbage(), damaged()]) {
            let figures = decode::<Sketch<FINE>, _>(&bytes);
            let counted: Result<DenseSummary, _> = decode(&bytes);
            prop_assert_eq!(&counted.map(|mut figures| figures.take()), &figures);
            if let Ok(figures) = figures {
                prop_assert_eq!(decode(&encode(&figures)), Ok(figures));
            }
        }

        #[test]
        fn bytes_cut_short_or_one_too_many_are_damaged(summary in summary(), cut in 1_usize..300) {
            let mut bytes = encode(&summary);
            let short = bytes.len().saturating_sub(cut);
            prop_assert!(decode::<Sketch<FINE>, _>(&bytes[..short]).is_err());
            bytes.push(0);
            prop_assert_eq!(decode::<Sketch<FINE>, _>(&bytes), Err(FormatError::Damaged));
        }
    }

    #[test]
    fn a_bucket_has_a_count_and_comes_once() {
        let mut summary = Summary::default();
        for bucket in [64, 65, 66, 400] {
            summary.duration.sketch.add(bucket, 1).unwrap();
        }
        let bytes = encode(&summary);
        // After the header, statuses, tokens and first tokens: the buckets of the durations, then the speeds.
        let [counts @ .., 0, 0, 0] = &bytes[9..] else { panic!("{bytes:?}") };
        assert_eq!(counts, [0, 0, 4, 0x80, 1, 1, 1, 1, 1, 1, 0xce, 2, 1]);
        for (place, what) in [(14, "a count"), (15, "a distance"), (16, "a count"), (17, "a distance"), (21, "a count")]
        {
            let mut damaged = bytes.clone();
            damaged[place] = 0;
            assert_eq!(decode::<Sketch<FINE>, _>(&damaged), Err(FormatError::Damaged), "{what} of 0 at {place}");
        }
    }

    #[test]
    fn a_bucket_off_the_grid_is_refused() {
        let first = |bucket: i32| {
            let mut bytes = vec![VERSION, schema_byte::<FINE>(), 0, 0, 0, 0, 0, 0, 2];
            push(&mut bytes, zigzag(bucket).into());
            bytes.extend([1, 1, 1, 0, 0, 0, 0, 0, 0]);
            [decode(&bytes).map(|_: Summary| ()), decode(&bytes).map(|_: DenseSummary| ())]
        };
        assert_eq!(first(1_919), [Ok(()); 2]);
        assert_eq!(first(ZERO_BUCKET), [Err(FormatError::Damaged); 2]);
        // The last bucket of the grid is followed by another.
        for (bucket, off) in [(i32::MIN, i32::MIN), (-1_280, -1_280), (1_920, 1_921), (i32::MAX, i32::MAX)] {
            assert_eq!(first(bucket), [Err(SketchError::BucketOutOfRange(off.into()).into()); 2]);
        }
    }

    #[test]
    fn another_version_or_schema_is_refused() {
        let mut bytes = encode(&Summary::default());
        assert_eq!(decode::<Sketch<COARSE>, _>(&bytes), Err(FormatError::UnknownFormat));
        bytes[0] = VERSION + 1;
        assert_eq!(decode::<Sketch<FINE>, _>(&bytes), Err(FormatError::UnknownFormat));
    }
}
