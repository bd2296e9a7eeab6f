//! Minutes, hours and the 24 h window, in UTC since the Unix epoch.

use std::fmt;
use std::ops::Range;

use jiff::Timestamp;

/// The length of the window in seconds; what `wafer_metrics_window_seconds` says.
pub const WINDOW_SECONDS: i64 = 86_400;
const WINDOW_MINUTES: i64 = WINDOW_SECONDS / 60;

/// How many of the window's last minutes `wafer_concurrent_requests` looks at.
pub const CONCURRENT_MINUTES: i64 = 2;

/// The start of a minute. Shown as `2026-11-24T20:15`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Minute(i64);

/// The start of an hour. Shown as `2026-11-24T20`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hour(i64);

impl Minute {
    /// The minute that `time` lies in.
    #[must_use]
    pub fn floor(time: Timestamp) -> Self {
        Self(time.as_second().div_euclid(60))
    }

    /// The first minute that starts at `time` or later.
    #[must_use]
    pub fn ceil(time: Timestamp) -> Self {
        let floor = Self::floor(time);
        if floor.as_second() == time.as_second() && time.subsec_nanosecond() == 0 { floor } else { floor.plus(1) }
    }

    /// Reads the minute back from the Unix seconds it starts at; `None` off the minute or outside the years 0 to 9999.
    #[must_use]
    pub fn from_second(second: i64) -> Option<Self> {
        let representable = Timestamp::from_second(second).is_ok();
        (representable && second.rem_euclid(60) == 0).then_some(Self(second / 60))
    }

    /// Reads back the minute that is shown as `2026-11-24T20:15`.
    #[must_use]
    pub fn from_key(key: &str) -> Option<Self> {
        let time = jiff::civil::DateTime::strptime("%Y-%m-%dT%H:%M", key).ok()?;
        jiff::tz::Offset::UTC.to_timestamp(time).ok().map(Self::floor)
    }

    /// When it starts.
    #[must_use]
    pub fn start(self) -> Timestamp {
        timestamp(self.as_second())
    }

    /// Unix seconds of its start.
    #[must_use]
    pub const fn as_second(self) -> i64 {
        self.0 * 60
    }

    /// The minute so many minutes later, or earlier where negative.
    #[must_use]
    pub const fn plus(self, minutes: i64) -> Self {
        Self(self.0 + minutes)
    }

    /// Whole minutes from `earlier` to this one; negative when `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> i64 {
        self.0 - earlier.0
    }

    /// The last minute at or before it whose number is a multiple of `minutes`.
    #[must_use]
    pub const fn floor_to(self, minutes: i64) -> Self {
        Self(self.0.div_euclid(minutes) * minutes)
    }

    /// The hour it lies in.
    #[must_use]
    pub const fn hour(self) -> Hour {
        Hour(self.0.div_euclid(60))
    }

    /// The first hour that starts with it or later.
    #[must_use]
    pub const fn hour_ceil(self) -> Hour {
        Self(self.0 + 59).hour()
    }
}

impl Hour {
    /// Its first minute.
    #[must_use]
    pub const fn start(self) -> Minute {
        Minute(self.0 * 60)
    }

    /// The minute after its last, which is the next hour's first.
    #[must_use]
    pub const fn end(self) -> Minute {
        self.next().start()
    }

    /// The hour after it.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The hour before it.
    #[must_use]
    pub const fn previous(self) -> Self {
        self.plus(-1)
    }

    /// The hour so many hours later, or earlier where negative.
    #[must_use]
    pub const fn plus(self, hours: i64) -> Self {
        Self(self.0 + hours)
    }

    /// Hours from `earlier` to this one; negative when `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> i64 {
        self.0 - earlier.0
    }
}

/// Minutes come from timestamps, so theirs are held at the ends of time only after arithmetic.
fn timestamp(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap_or(if second < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

fn civil(second: i64) -> jiff::civil::DateTime {
    jiff::tz::Offset::UTC.to_datetime(timestamp(second))
}

impl fmt::Display for Minute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", civil(self.as_second()).strftime("%Y-%m-%dT%H:%M"))
    }
}

impl fmt::Display for Hour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", civil(self.start().as_second()).strftime("%Y-%m-%dT%H"))
    }
}

impl Hour {
    /// The name of its partition of the request logs, `2026-11-24-20`.
    #[must_use]
    pub fn partition(self) -> String {
        civil(self.start().as_second()).strftime("%Y-%m-%d-%H").to_string()
    }
}

/// The start of the window that ends at `end`.
#[must_use]
pub const fn window_start(end: Minute) -> Minute {
    end.plus(-WINDOW_MINUTES)
}

/// What one window is put together from: the minutes of its first, broken hour, the whole hours that are sealed, and the
/// minutes since. The three follow each other without gap or overlap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pieces {
    /// Minutes before the first whole hour.
    pub head: Range<Minute>,
    /// Whole sealed hours.
    pub hours: Range<Hour>,
    /// Minutes after the last sealed hour; the last [`CONCURRENT_MINUTES`] at least.
    pub tail: Range<Minute>,
}

impl Pieces {
    /// The pieces of the window that ends at `end`, where every hour before `sealed` has been rolled up.
    #[must_use]
    pub fn of_window(end: Minute, sealed: Hour) -> Self {
        let start = window_start(end);
        let first = start.hour_ceil();
        let last = sealed.min(end.plus(-CONCURRENT_MINUTES).hour()).max(first);
        Self { head: start..first.start(), hours: first..last, tail: last.start()..end }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn minute(text: &str) -> Minute {
        Minute::floor(text.parse().unwrap())
    }

    #[test]
    fn a_minute_and_an_hour_show_as_their_keys_do() {
        let minute = minute("2026-11-24T20:15:59.999Z");
        assert_eq!(minute.to_string(), "2026-11-24T20:15");
        assert_eq!(minute.hour().to_string(), "2026-11-24T20");
        assert_eq!(minute.hour().partition(), "2026-11-24-20");
    }

    #[test]
    fn rounding_up_keeps_what_is_on_the_minute() {
        assert_eq!(Minute::ceil("2026-11-24T20:15:00Z".parse().unwrap()), minute("2026-11-24T20:15:00Z"));
        assert_eq!(Minute::ceil("2026-11-24T20:15:00.001Z".parse().unwrap()), minute("2026-11-24T20:16:00Z"));
    }

    #[test]
    fn a_window_on_the_hour_has_no_broken_first_hour() {
        let end = minute("2026-11-24T20:00:00Z");
        let pieces = Pieces::of_window(end, minute("2026-11-24T19:00:00Z").hour());
        assert!(pieces.head.is_empty());
        assert_eq!(pieces.hours.start.to_string(), "2026-11-23T20");
        assert_eq!(pieces.hours.end.to_string(), "2026-11-24T19");
        assert_eq!(pieces.tail, minute("2026-11-24T19:00:00Z")..end);
    }

    #[test]
    fn nothing_sealed_leaves_minutes_only() {
        let end = minute("2026-11-24T20:07:00Z");
        let pieces = Pieces::of_window(end, minute("2026-11-20T00:00:00Z").hour());
        assert!(pieces.hours.is_empty());
        assert_eq!(pieces.head.start, window_start(end));
        assert_eq!(pieces.tail.end, end);
    }

    proptest! {
        #[test]
        fn the_pieces_cover_each_minute_of_the_window_once(end in 28_000_000_i64..30_000_000, sealed_before in 0_i64..30) {
            let end = Minute(end);
            let sealed = Hour(end.hour().0 - sealed_before);
            let pieces = Pieces::of_window(end, sealed);
            prop_assert_eq!(pieces.head.start, window_start(end));
            prop_assert_eq!(pieces.head.end, pieces.hours.start.start());
            prop_assert_eq!(pieces.hours.end.start(), pieces.tail.start);
            prop_assert_eq!(pieces.tail.end, end);
            prop_assert!(pieces.head.end.since(pieces.head.start) < 60);
            prop_assert!(pieces.tail.end.since(pieces.tail.start) >= CONCURRENT_MINUTES);
            prop_assert!(pieces.hours.end <= sealed.max(pieces.hours.start));
        }
    }
}
