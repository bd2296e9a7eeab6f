//! What an endpoint's newly read minutes change about what is stored of it. No I/O.

use std::collections::BTreeMap;
use std::ops::Range;

use jiff::Timestamp;

use crate::model::summary::{Summary, Total};
use crate::model::window::Minute;
use crate::stores::rollups::{MinuteChange, Stored, Versioned};

#[derive(Debug, Default)]
pub struct Changes {
    pub minutes: Vec<MinuteChange>,
    /// The total after them.
    pub total: Total,
    /// Minutes that are stored as they were read.
    pub unchanged: u64,
    /// Minutes that a younger query has written otherwise: they stay.
    pub superseded: u64,
    /// Requests of minutes stored before that these did not have.
    pub late_rows: u64,
}

/// Compares what a query submitted at `as_of` says of a range with what is stored. A stored minute that has no row any
/// more gets an empty summary.
#[must_use]
pub fn changes(
    read: &[(Minute, Summary)],
    range: &Range<Minute>,
    stored: &BTreeMap<Minute, Stored>,
    total: Option<&Versioned<Total>>,
    as_of: Timestamp,
) -> Changes {
    let mut changes =
        Changes { total: total.map(|total| total.value.clone()).unwrap_or_default(), ..Changes::default() };
    let empty = Summary::default();
    let gone = stored.range(range.clone()).map(|(minute, _)| *minute);
    let gone = gone.filter(|minute| !read.iter().any(|(found, _)| found == minute)).map(|minute| (minute, &empty));
    for (minute, summary) in read.iter().map(|(minute, summary)| (*minute, summary)).chain(gone) {
        let before = stored.get(&minute);
        match before {
            Some(before) if before.summary == *summary => changes.unchanged += 1,
            Some(before) if before.as_of > as_of => changes.superseded += 1,
            _ => {
                let had = before.map_or(&empty, |before| &before.summary);
                if before.is_some() {
                    changes.late_rows += summary.requests().saturating_sub(had.requests());
                }
                changes.total.raise(summary, had);
                let replaces = before.map(|before| before.version);
                changes.minutes.push(MinuteChange { period: minute, summary: summary.clone(), replaces });
            }
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::summary::StatusCounts;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_795_550_000 + second).unwrap()
    }

    fn minute(number: i64) -> Minute {
        Minute::floor(at(0)).plus(number)
    }

    fn requests(count: u64) -> Summary {
        let mut statuses = StatusCounts::default();
        statuses.add(200, count);
        Summary { statuses, ..Summary::default() }
    }

    fn stored(minutes: &[(i64, u64, i64)]) -> BTreeMap<Minute, Stored> {
        let item = |(number, count, as_of): &(i64, u64, i64)| {
            (minute(*number), Stored { summary: requests(*count), as_of: at(*as_of), version: 4 })
        };
        minutes.iter().map(item).collect()
    }

    fn written(changes: &Changes) -> Vec<(Minute, u64, Option<u64>)> {
        changes.minutes.iter().map(|change| (change.period, change.summary.requests(), change.replaces)).collect()
    }

    #[test]
    fn a_new_minute_is_written_and_an_unchanged_one_is_not() {
        let read = [(minute(0), requests(3)), (minute(1), requests(5))];
        let changes = changes(&read, &(minute(0)..minute(2)), &stored(&[(0, 3, 0)]), None, at(60));
        assert_eq!(written(&changes), [(minute(1), 5, None)]);
        assert_eq!((changes.unchanged, changes.late_rows, changes.total.requests()), (1, 0, 5));
    }

    #[test]
    fn a_late_row_replaces_the_minute_and_raises_the_total_by_itself() {
        let total = Versioned { value: requests(3).coarse(), version: 1 };
        let read = [(minute(0), requests(4))];
        let changes = changes(&read, &(minute(0)..minute(1)), &stored(&[(0, 3, 0)]), Some(&total), at(60));
        assert_eq!(written(&changes), [(minute(0), 4, Some(4))]);
        assert_eq!((changes.late_rows, changes.total.requests()), (1, 4));
    }

    #[test]
    fn a_minute_whose_rows_are_gone_is_emptied_and_the_total_stays() {
        let total = Versioned { value: requests(8).coarse(), version: 1 };
        let read = [(minute(1), requests(5))];
        let stored = stored(&[(0, 3, 0), (1, 5, 0), (2, 9, 0)]);
        let changes = changes(&read, &(minute(0)..minute(2)), &stored, Some(&total), at(60));
        assert_eq!(written(&changes), [(minute(0), 0, Some(4))]);
        assert_eq!(changes.total.requests(), 8);
    }

    #[test]
    fn a_minute_of_a_younger_query_stays_and_counts_nothing() {
        let read = [(minute(0), requests(2)), (minute(1), requests(5))];
        let changes = changes(&read, &(minute(0)..minute(2)), &stored(&[(0, 3, 61)]), None, at(60));
        assert_eq!(written(&changes), [(minute(1), 5, None)]);
        assert_eq!((changes.superseded, changes.total.requests()), (1, 5));
    }
}
