//! The rows of a course: delivered to Athena, and counted as they must be.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::ops::Range;

use jiff::{SignedDuration, Timestamp};
use testing::athena::{File, ScriptedAthena, folder};
use testing::logs::Row;

use super::draws::Draws;
use crate::refresh::fixture::{hours, minutes};
use crate::refresh::tally::{COARSE, Tally};
use crate::refresh::traffic::request;

/// Rows of these endpoints neither change nor go away.
pub const STEADY: [&str; 3] = ["long.example", "quiet.example", "steady.example"];
/// Those of this one do.
pub const CHANGING: &str = "changing.example";

/// Files whose rows may change.
const CHANGING_FILES: usize = 12;

#[derive(Default)]
pub struct Logs {
    steady: BTreeMap<&'static str, SteadyRows>,
    changing: VecDeque<(File, Vec<Row>)>,
    /// The ids of rows that are known, and their ends.
    known: HashSet<(String, i64)>,
}

/// The rows of an endpoint, without copies, and when each arrives.
#[derive(Default)]
struct SteadyRows {
    uncounted: Vec<(Timestamp, Row)>,
    /// Those of the last days.
    counted: Vec<(Timestamp, Row)>,
    tally: Tally,
}

impl Logs {
    /// Where an endpoint has counted so much before.
    pub fn with(endpoint: &'static str, counted: Tally) -> Self {
        let rows = SteadyRows { tally: counted, ..SteadyRows::default() };
        Self { steady: BTreeMap::from([(endpoint, rows)]), ..Self::default() }
    }

    /// Delivers what ended in that time, a request each so many seconds, as pipelines do: a file every five minutes or
    /// oftener, some rows late, some twice.
    pub fn deliver(&mut self, athena: &ScriptedAthena, draws: &mut Draws, from: Timestamp, to: Timestamp, every: i64) {
        let mut start = from;
        while start < to {
            let end = (start + minutes(5)).min(to);
            for host in STEADY.into_iter().chain([CHANGING]) {
                let every = if host == "quiet.example" { every * 30 } else { every };
                self.deliver_file(athena, draws, host, start.as_millisecond()..end.as_millisecond(), every * 1_000);
            }
            start = end;
        }
    }

    fn deliver_file(
        &mut self,
        athena: &ScriptedAthena,
        draws: &mut Draws,
        host: &'static str,
        ended: Range<i64>,
        every: i64,
    ) {
        let (mut file, mut at) = (Vec::new(), ended.start + draws.between(0..every));
        let soon = ended.end + draws.between(0..40_000);
        while at < ended.end {
            let row = request(host, at);
            if draws.one_in(12) && row.request_id.is_some() {
                let arrived = ended.end + draws.between(0..900_000);
                self.put(athena, draws, time(arrived), vec![row.clone()]);
            }
            if draws.one_in(12) {
                // Ten minutes late at most.
                let arrived = at + draws.between(0..600_001);
                self.put(athena, draws, time(arrived.max(ended.end)), vec![row]);
            } else {
                file.push(row);
            }
            at += draws.between(every / 2..every * 3 / 2);
        }
        self.put(athena, draws, time(soon), file);
    }

    /// Delivers rows that ended up to five hours ago, too late to be counted without a recomputation.
    pub fn deliver_too_late(&mut self, athena: &ScriptedAthena, draws: &mut Draws, now: Timestamp) -> Vec<Timestamp> {
        let ended: Vec<_> = (0..draws.between(1..4))
            .map(|_| now - SignedDuration::from_millis(draws.between(660_000..5 * 3_600_000)))
            .collect();
        for ended in &ended {
            let host = draws.one_of(&STEADY);
            self.put(athena, draws, now, vec![request(host, ended.as_millisecond())]);
        }
        ended
    }

    fn put(&mut self, athena: &ScriptedAthena, draws: &mut Draws, arrived: Timestamp, rows: Vec<Row>) {
        let Some(oldest) = rows.iter().filter_map(|row| row.ended_at_ms).min() else { return };
        let newest = rows.iter().filter_map(|row| row.ended_at_ms).max().unwrap_or(oldest);
        let named_by = draws.one_of(&[arrived, time(oldest), time(newest) - hours(1)]);
        let file = athena.deliver_into(&folder(named_by), arrived, rows.clone());
        let host = rows[0].endpoint.clone().unwrap();
        if host == CHANGING {
            self.changing.push_back((file, rows));
            if self.changing.len() > CHANGING_FILES {
                self.changing.pop_front();
            }
            return;
        }
        let steady = self.steady.entry(STEADY.into_iter().find(|steady| *steady == host).unwrap()).or_default();
        for row in rows {
            let is_new = match &row.request_id {
                Some(id) => self.known.insert((id.clone(), row.ended_at_ms.unwrap())),
                None => true,
            };
            if is_new {
                steady.uncounted.push((arrived, row));
            } else if let Some((first, _)) = steady.uncounted.iter_mut().find(|(_, known)| is_copy(known, &row)) {
                *first = arrived.min(*first);
            }
        }
    }

    /// Writes a file of the changing endpoint anew, takes it away, or puts it back; or delivers a copy that differs.
    pub fn change(&mut self, athena: &ScriptedAthena, draws: &mut Draws, now: Timestamp) {
        if self.changing.is_empty() {
            return;
        }
        let place = draws.below(self.changing.len());
        let (file, rows) = self.changing[place].clone();
        let mut changed = rows.clone();
        for row in &mut changed {
            if draws.one_in(2) {
                row.status_code = Some(draws.one_of(&[200, 200, 429, 500]));
                row.output_tokens = Some(draws.between(0..900));
                row.total_latency_ms = row.total_latency_ms.map(|time| time / 2.0);
            }
        }
        match draws.below(5) {
            0 => athena.replace(file, rows),
            1 => athena.replace(file, Vec::new()),
            2 => {
                changed.truncate(draws.below(changed.len() + 1));
                athena.replace(file, changed);
            }
            3 => athena.replace(file, changed),
            _ => self.put(athena, draws, now, changed),
        }
    }

    /// Counts what had arrived by then and ended before a window's end: each row once.
    pub fn count(&mut self, by: Timestamp, window_end: Timestamp) {
        for rows in self.steady.values_mut() {
            let ended_before = |row: &Row| row.ended_at_ms.is_some_and(|ended| ended < window_end.as_millisecond());
            let is_due = |(arrived, row): &mut (Timestamp, Row)| *arrived <= by && ended_before(row);
            let due: Vec<_> = rows.uncounted.extract_if(.., is_due).collect();
            rows.tally.add(&Tally::of(due.iter().map(|(_, row)| row), COARSE));
            let oldest = (window_end - hours(60)).as_millisecond();
            rows.counted.retain(|(_, row)| row.ended_at_ms.is_some_and(|ended| ended >= oldest));
            rows.counted.extend(due);
        }
    }

    /// What is counted of an endpoint.
    pub fn tally(&self, host: &str) -> &Tally {
        &self.steady[host].tally
    }

    /// The rows of the last days that are counted.
    pub fn rows(&self, host: &str) -> Vec<Row> {
        self.steady[host].counted.iter().map(|(_, row)| row.clone()).collect()
    }

    /// What is counted that ended before a window's end and arrived after that time.
    pub fn late(&self, host: &str, window_end: Timestamp, counted_by: Timestamp) -> Tally {
        let rows = self.steady[host].counted.iter().filter(|(arrived, row)| {
            *arrived > counted_by && row.ended_at_ms.is_some_and(|ended| ended < window_end.as_millisecond())
        });
        Tally::of(rows.map(|(_, row)| row), COARSE)
    }
}

fn is_copy(one: &Row, other: &Row) -> bool {
    (&one.request_id, one.ended_at_ms) == (&other.request_id, other.ended_at_ms)
}

fn time(milliseconds: i64) -> Timestamp {
    Timestamp::from_millisecond(milliseconds).unwrap()
}
