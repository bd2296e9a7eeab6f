//! Minutes, hours and the 24 h window, in UTC since the Unix epoch.

use std::fmt;
use std::ops::Range;

use jiff::Timestamp;

/// The length of a scrape's window in seconds; what `wafer_metrics_window_seconds` says.
pub const WINDOW_SECONDS: i64 = 86_400;
pub const WINDOW_MINUTES: i64 = WINDOW_SECONDS / 60;

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
    pub fn floor(time: Timestamp) -> Self {
        Self(time.as_second().div_euclid(60))
    }

    /// The first minute that starts at `time` or later.
    pub fn ceil(time: Timestamp) -> Self {
        let floor = Self::floor(time);
        if floor.as_second() == time.as_second() && time.subsec_nanosecond() == 0 { floor } else { floor.plus(1) }
    }

    /// Reads the minute back from the Unix seconds it starts at; `None` off the minute or outside the years 0 to 9999.
    pub fn from_second(second: i64) -> Option<Self> {
        let representable = Timestamp::from_second(second).is_ok();
        (representable && second.rem_euclid(60) == 0).then_some(Self(second / 60))
    }

    /// Reads back the minute that is shown as `2026-11-24T20:15`.
    pub fn from_key(key: &str) -> Option<Self> {
        let time = jiff::civil::DateTime::strptime("%Y-%m-%dT%H:%M", key).ok()?;
        jiff::tz::Offset::UTC.to_timestamp(time).ok().map(Self::floor)
    }

    pub fn start(self) -> Timestamp {
        timestamp(self.as_second())
    }

    /// Unix seconds of its start.
    pub const fn as_second(self) -> i64 {
        self.0 * 60
    }

    /// The minute so many minutes later, or earlier where negative.
    pub const fn plus(self, minutes: i64) -> Self {
        Self(self.0 + minutes)
    }

    /// Whole minutes from `earlier` to this one; negative when `earlier` is later.
    pub const fn since(self, earlier: Self) -> i64 {
        self.0 - earlier.0
    }

    /// The last minute at or before it whose number is a multiple of `minutes`.
    pub const fn floor_to(self, minutes: i64) -> Self {
        Self(self.0.div_euclid(minutes) * minutes)
    }

    pub const fn hour(self) -> Hour {
        Hour(self.0.div_euclid(60))
    }

    /// The first hour that starts with it or later.
    pub const fn hour_ceil(self) -> Hour {
        Self(self.0 + 59).hour()
    }
}

impl Hour {
    /// Reads back the hour that is shown as `2026-11-24T20`.
    pub fn from_key(key: &str) -> Option<Self> {
        Minute::from_key(&format!("{key}:00")).map(Minute::hour)
    }

    pub const fn start(self) -> Minute {
        Minute(self.0 * 60)
    }

    /// The minute after its last, which is the next hour's first.
    pub const fn end(self) -> Minute {
        self.next().start()
    }

    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    pub const fn previous(self) -> Self {
        self.plus(-1)
    }

    /// The hour so many hours later, or earlier where negative.
    pub const fn plus(self, hours: i64) -> Self {
        Self(self.0 + hours)
    }

    /// Hours from `earlier` to this one; negative when `earlier` is later.
    pub const fn since(self, earlier: Self) -> i64 {
        self.0 - earlier.0
    }
}

/// Saturates; only arithmetic can leave jiff's range.
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
    pub fn partition(self) -> String {
        civil(self.start().as_second()).strftime("%Y-%m-%d-%H").to_string()
    }
}

/// What one window is put together from: the minutes of its first, partial hour, the whole hours that are sealed, and
/// the minutes since. The three follow each other without gap or overlap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowParts {
    /// Minutes before the first whole hour.
    pub head: Range<Minute>,
    /// Whole sealed hours.
    pub hours: Range<Hour>,
    /// Minutes after the last sealed hour; the last [`CONCURRENT_MINUTES`] at least.
    pub tail: Range<Minute>,
}

impl WindowParts {
    /// The parts of a window of any length, where every hour before `sealed` has its items. Without a whole sealed hour
    /// all of it is tail.
    pub fn new(window: &Range<Minute>, sealed: Hour) -> Self {
        let first = window.start.hour_ceil();
        let last = sealed.min(window.end.plus(-CONCURRENT_MINUTES).hour());
        if last <= first {
            return Self { head: window.start..window.start, hours: first..first, tail: window.clone() };
        }
        Self { head: window.start..first.start(), hours: first..last, tail: last.start()..window.end }
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

    fn day_until(end: Minute) -> Range<Minute> {
        end.plus(-WINDOW_MINUTES)..end
    }

    #[test]
    fn a_window_on_the_hour_has_no_partial_first_hour() {
        let end = minute("2026-11-24T20:00:00Z");
        let parts = WindowParts::new(&day_until(end), minute("2026-11-24T19:00:00Z").hour());
        assert!(parts.head.is_empty());
        assert_eq!(parts.hours.start.to_string(), "2026-11-23T20");
        assert_eq!(parts.hours.end.to_string(), "2026-11-24T19");
        assert_eq!(parts.tail, minute("2026-11-24T19:00:00Z")..end);
    }

    #[test]
    fn nothing_sealed_leaves_minutes_only() {
        let end = minute("2026-11-24T20:07:00Z");
        let parts = WindowParts::new(&day_until(end), minute("2026-11-20T00:00:00Z").hour());
        assert!(parts.head.is_empty() && parts.hours.is_empty());
        assert_eq!(parts.tail, day_until(end));
    }

    proptest! {
        #[test]
        fn the_parts_cover_each_minute_of_a_window_of_any_length_once(
            end in 28_000_000_i64..30_000_000, length in 1_i64..=31 * 24 * 60, sealed_before in 0_i64..800,
        ) {
            let end = Minute(end);
            let window = end.plus(-length)..end;
            let sealed = Hour(end.hour().0 - sealed_before);
            let parts = WindowParts::new(&window, sealed);
            prop_assert_eq!(parts.head.start, window.start);
            if parts.hours.is_empty() {
                prop_assert!(parts.head.is_empty());
                prop_assert_eq!(parts.tail.start, window.start);
            } else {
                prop_assert_eq!(parts.head.end, parts.hours.start.start());
                prop_assert_eq!(parts.hours.end.start(), parts.tail.start);
            }
            prop_assert_eq!(parts.tail.end, end);
            prop_assert!(parts.head.end.since(parts.head.start) < 60);
            prop_assert!(parts.tail.end.since(parts.tail.start) >= CONCURRENT_MINUTES.min(length));
            prop_assert!(parts.hours.is_empty() || parts.hours.end <= sealed);
        }
    }
}
