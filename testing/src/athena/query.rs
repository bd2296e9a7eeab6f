//! What a query of the refresh asks for, by the literals in its text.

use std::ops::{Range, RangeInclusive};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// A query of the refresh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    pub kind: Kind,
    /// The hours of the folders it reads.
    pub folders: Vec<RangeInclusive<String>>,
    /// The times at which its rows ended: one range, or that of the day before first.
    pub ended: Vec<Range<Timestamp>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Every endpoint's minutes.
    Minutes,
    /// Every endpoint's requests of an hour, and of the same hour a day before.
    Seal,
    /// All requests.
    Count,
}

impl Query {
    /// `None` where the text is another.
    pub fn parse(text: &str) -> Option<Self> {
        let kind = if text.contains("ttft_buckets") {
            Kind::Minutes
        } else if text.contains("requests_day_before") {
            Kind::Seal
        } else if text.contains("AS requests") {
            Kind::Count
        } else {
            return None;
        };
        let literals = || text.split('\'').skip(1).step_by(2);
        let hours: Vec<&str> = literals().filter(|literal| is_hour(literal)).collect();
        let folders = hours.chunks(2).map(|bounds| Some(bounds.first()?.to_string()..=bounds.get(1)?.to_string()));
        // However often and in whatever order a text names them: the ranges do not overlap.
        let mut times: Vec<Timestamp> = literals().filter(|literal| !is_hour(literal)).filter_map(time).collect();
        times.sort_unstable();
        times.dedup();
        let ended = times.chunks(2).map(|bounds| Some(*bounds.first()?..*bounds.get(1)?));
        let query = Self { kind, folders: folders.collect::<Option<_>>()?, ended: ended.collect::<Option<_>>()? };
        let ranges = query.ended.len();
        let whole = !query.folders.is_empty() && (ranges == 1 || (ranges == 2 && kind == Kind::Seal));
        whole.then_some(query)
    }

    pub(super) fn reads(&self, folder: &str) -> bool {
        self.folders.iter().any(|hours| hours.start().as_str() <= folder && folder <= hours.end().as_str())
    }
}

/// Whether a text is like `2026-11-24-20`.
fn is_hour(text: &str) -> bool {
    text.len() == 13
        && text
            .bytes()
            .enumerate()
            .all(|(at, byte)| if [4, 7, 10].contains(&at) { byte == b'-' } else { byte.is_ascii_digit() })
}

fn time(text: &str) -> Option<Timestamp> {
    TimeZone::UTC.to_timestamp(text.parse::<DateTime>().ok()?).ok()
}
