//! The ranges that the JSON route answers for, each with the bins it is shown in.

use std::ops::Range;

use crate::model::window::{Minute, WINDOW_MINUTES};

/// A length that ends where the figures end, and that of its bins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BinnedRange {
    pub minutes: i64,
    pub bin_minutes: i64,
}

/// Every range, the shortest first.
pub const RANGES: [BinnedRange; 8] = [
    range(5, 1),
    range(15, 1),
    range(30, 1),
    BinnedRange::HOUR,
    range(360, 15),
    range(1440, 30),
    range(10_080, 180),
    range(43_200, 1440),
];

const fn range(minutes: i64, bin_minutes: i64) -> BinnedRange {
    BinnedRange { minutes, bin_minutes }
}

impl BinnedRange {
    pub const HOUR: Self = range(60, 5);

    /// The range of so many minutes, written as plain digits.
    pub fn parse(minutes: &str) -> Option<Self> {
        RANGES.into_iter().find(|range| range.minutes.to_string() == minutes)
    }

    /// Whether it is longer than a day: then it starts on the hour, and is read from whole hours.
    pub const fn is_of_hours(self) -> bool {
        self.minutes > WINDOW_MINUTES
    }

    /// How many bins that takes; the last may be shorter.
    pub fn bins_of(self, window: &Range<Minute>) -> usize {
        let bins = window.end.since(window.start).max(0).unsigned_abs().div_ceil(self.bin_minutes.unsigned_abs());
        usize::try_from(bins).unwrap_or_default()
    }

    /// What it covers where the figures end there, and nothing before `since` was ever read.
    pub fn window(self, end: Minute, since: Option<Minute>) -> Range<Minute> {
        let start = end.plus(-self.minutes);
        let start = if self.is_of_hours() { start.hour_ceil().start() } else { start };
        since.map_or(start, |since| start.max(since)).min(end)..end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minute(time: &str) -> Minute {
        Minute::floor(time.parse().unwrap())
    }

    #[test]
    fn a_range_is_one_of_eight_lengths() {
        let lengths = RANGES.map(|range| range.minutes);
        assert_eq!(lengths, [5, 15, 30, 60, 360, 1440, 10_080, 43_200]);
        for range in RANGES {
            assert_eq!(BinnedRange::parse(&range.minutes.to_string()), Some(range));
        }
        for text in ["", "0", "1", "05", "+5", "5.0", "5 ", "60m", "43201", "-5"] {
            assert_eq!(BinnedRange::parse(text), None, "{text}");
        }
    }

    #[test]
    fn up_to_a_day_a_range_is_exact_to_the_minute_and_beyond_it_starts_on_the_hour() {
        let (end, long_ago) = (minute("2026-11-25T13:08:00Z"), minute("2026-01-01T00:00:00Z"));
        let start = |minutes: &str, since| BinnedRange::parse(minutes).unwrap().window(end, Some(since)).start;
        assert_eq!(start("1440", long_ago), minute("2026-11-24T13:08:00Z"));
        assert_eq!(start("10080", long_ago), minute("2026-11-18T14:00:00Z"));
        assert_eq!(start("43200", long_ago), minute("2026-10-26T14:00:00Z"));
        assert_eq!(start("43200", minute("2026-11-20T07:00:00Z")), minute("2026-11-20T07:00:00Z"));
        assert_eq!(start("5", minute("2026-11-25T13:06:00Z")), minute("2026-11-25T13:06:00Z"));
        assert_eq!(start("5", minute("2026-11-25T14:00:00Z")), end);
    }
}
