//! What a refresh has to do, as a function of the watermark, the time and the settings. No I/O.
//!
//! Two kinds of step: read a range of minutes from the request logs, and seal an hour from its stored minutes. Each
//! step that is done moves the watermark, so a run that is cut off after any step has achieved something.

use std::collections::VecDeque;
use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::model::watermark::{Stride, Watermark};
use crate::model::window::{Hour, Minute};

/// A first fill reads at least this much: the window, and the hour by which a window may end early and still be
/// answered.
const FIRST_FILL_MINUTES: i64 = 25 * 60;
/// What lies further back is given up: stored minutes are kept a day longer than this.
pub const REACH_MINUTES: i64 = 7 * 24 * 60;
/// From this far behind on, reading is catching up.
const BEHIND_MINUTES: i64 = 3;
/// A range longer than the time rows may come late and this is catching up too.
const SPARE_MINUTES: i64 = 5;
/// The length at whose ends it is checked whether logs have stopped.
pub const QUARTER_MINUTES: i64 = 15;

/// How late rows may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lateness {
    /// How long after a minute's end its rows have usually arrived.
    pub settle: SignedDuration,
    /// How long after a request's end its row may arrive and still be counted.
    pub late: SignedDuration,
}

impl Lateness {
    /// The end of the last minute that is due.
    #[must_use]
    pub fn target(&self, now: Timestamp) -> Minute {
        floor_before(now, self.settle)
    }

    /// The first minute that rows may still come for.
    #[must_use]
    pub fn settled_at(&self, at: Timestamp) -> Minute {
        floor_before(at, self.late)
    }

    /// The folders that hold the rows of a range: from the hour before its first, since writers name a folder by its
    /// oldest row, to the hour in which its last row arrives.
    #[must_use]
    pub fn folders(&self, range: &Range<Minute>) -> RangeInclusive<Hour> {
        let latest = self.late.max(self.settle);
        let arrival = range.end.start().saturating_add(latest).unwrap_or(Timestamp::MAX);
        range.start.hour().previous()..=Minute::floor(arrival).hour()
    }

    fn late_minutes(&self) -> i64 {
        (self.late.as_secs() + 59) / 60
    }
}

fn floor_before(time: Timestamp, duration: SignedDuration) -> Minute {
    Minute::floor(time.saturating_sub(duration).unwrap_or(Timestamp::MIN))
}

/// Where a run starts from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    pub watermark: Watermark,
    /// Minutes that are not read any more, after an outage longer than [`REACH_MINUTES`].
    pub given_up: Option<Range<Minute>>,
}

/// Where a run starts from that found this watermark, and this first minute ever read.
#[must_use]
pub fn start(before: Option<Watermark>, since: Option<Minute>, target: Minute) -> Start {
    let reach = target.plus(-REACH_MINUTES).hour().start();
    let Some(mut watermark) = before else {
        // Without a watermark but with stored minutes, which somebody must have taken away: what is stored compares
        // equal.
        let from = since.map_or(target.plus(-FIRST_FILL_MINUTES).hour().start(), |since| since.max(reach));
        let watermark = Watermark {
            through: from,
            settled: from,
            sealed: from.hour_ceil(),
            sealing: None,
            stride: Stride::SHORTEST,
            last_row: None,
            caught_up_at: None,
        };
        return Start { watermark, given_up: None };
    };
    let given_up = (target.since(watermark.settled) > REACH_MINUTES && watermark.settled < reach)
        .then_some(watermark.settled..reach);
    if given_up.is_some() {
        watermark.settled = reach;
        watermark.through = watermark.through.max(reach);
        if watermark.sealed < reach.hour() {
            (watermark.sealed, watermark.sealing) = (reach.hour(), None);
        }
    }
    Start { watermark, given_up }
}

/// Whether more is to be read than the usual minutes.
#[must_use]
pub fn is_catching_up(mark: &Watermark, target: Minute, lateness: &Lateness) -> bool {
    target.since(mark.through) >= BEHIND_MINUTES || target.since(mark.settled) > lateness.late_minutes() + SPARE_MINUTES
}

/// What a run reads: ranges, each in pieces of at most the stride.
///
/// Usually that is one piece: the minutes that rows may still come late for, and the new one. Where one piece cannot
/// hold that, what can be settled comes first, then what is new, and the minutes between, which have been read before
/// and will be once more, come last: so a run that has time for a single minute moves something.
#[derive(Debug)]
pub struct Reading {
    parts: VecDeque<Range<Minute>>,
    run_time: Duration,
    /// What each minute of the last piece took.
    per_minute: Duration,
}

impl Reading {
    /// What is due now, for a run that has so much time in all.
    #[must_use]
    pub fn new(mark: &Watermark, now: Timestamp, lateness: &Lateness, run_time: Duration) -> Self {
        Self { parts: parts(mark, now, lateness), run_time, per_minute: Duration::ZERO }
    }

    /// The piece to read next: a stride, or what the time left has room for at the pace of the piece before. `None`
    /// when nothing is left to read, or not in that time; the first piece is always tried.
    #[must_use]
    pub fn next(&self, stride: Stride, left: Duration) -> Option<Range<Minute>> {
        let part = self.parts.front()?;
        let room = left
            .as_nanos()
            .checked_div(self.per_minute.as_nanos())
            .map_or(i64::MAX, |minutes| i64::try_from(minutes).unwrap_or(i64::MAX));
        let end = part.start.plus(stride.minutes().min(room)).min(part.end);
        (end > part.start).then_some(part.start..end)
    }

    /// Notes that the piece is stored; the stride for the pieces after it. It doubles where a whole stride took under
    /// half of the run's time.
    pub fn done(&mut self, piece: &Range<Minute>, stride: Stride, took: Duration) -> Stride {
        if let Some(part) = self.parts.front_mut() {
            part.start = piece.end;
            if part.is_empty() {
                self.parts.pop_front();
            }
        }
        let length = piece.end.since(piece.start);
        self.per_minute = took / u32::try_from(length).unwrap_or(1).max(1);
        if length == stride.minutes() && took * 2 < self.run_time { stride.doubled() } else { stride }
    }

    /// Whether all that was due has been read.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.parts.is_empty()
    }
}

fn parts(mark: &Watermark, now: Timestamp, lateness: &Lateness) -> VecDeque<Range<Minute>> {
    let target = lateness.target(now);
    if target <= mark.through {
        return VecDeque::new();
    }
    if target.since(mark.settled) <= mark.stride.minutes() {
        return VecDeque::from([mark.settled..target]);
    }
    let settles = lateness.settled_at(now).clamp(mark.settled, target);
    let new = mark.through.max(settles);
    let parts = [mark.settled..settles, new..target, settles..new];
    parts.into_iter().filter(|part| !part.is_empty()).collect()
}

/// The watermark once a piece has been stored that was read by a query submitted at that time.
#[must_use]
pub fn after_read(mark: &Watermark, piece: &Range<Minute>, submitted_at: Timestamp, lateness: &Lateness) -> Watermark {
    let mut after = mark.clone();
    if piece.start <= mark.through {
        after.through = mark.through.max(piece.end);
    }
    if piece.start <= mark.settled {
        after.settled = mark.settled.max(piece.end.min(lateness.settled_at(submitted_at)));
    }
    after
}

/// The hour that is to be sealed next.
#[must_use]
pub fn due_seal(mark: &Watermark) -> Option<Hour> {
    (hours_unsealed(mark) > 0).then_some(mark.sealed)
}

/// What is kept back from a reading step for sealing. A first step of a minute may take the whole run: it cannot be
/// shorter.
#[must_use]
pub fn seal_reserve(mark: &Watermark, is_first: bool, seal_time: Duration) -> Duration {
    if due_seal(mark).is_none() || (is_first && mark.stride == Stride::SHORTEST) { Duration::ZERO } else { seal_time }
}

/// How many hours can be sealed and are not.
#[must_use]
pub fn hours_unsealed(mark: &Watermark) -> i64 {
    mark.settled.hour().since(mark.sealed).max(0)
}

/// The watermark once the hour is sealed.
#[must_use]
pub fn after_seal(mark: &Watermark) -> Watermark {
    Watermark { sealed: mark.sealed.next(), sealing: None, ..mark.clone() }
}

/// The quarter of an hour that ended with this move and had no row.
#[must_use]
pub fn silent_quarter(before: Minute, after: &Watermark) -> Option<Range<Minute>> {
    let end = after.through.floor_to(QUARTER_MINUTES);
    let start = end.plus(-QUARTER_MINUTES);
    (before < end && after.last_row.is_none_or(|minute| minute < start)).then_some(start..end)
}

#[cfg(test)]
mod tests;
