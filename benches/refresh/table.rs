//! What is printed.

use std::fmt;
use std::time::Duration;

use wafer_metrics::refresh::Report;

use crate::calls::Counts;
use crate::usage::Processor;

pub const HEADING: &str = "\
| endpoints | run | runs | failed | unfinished | median s | slowest s | CPU s, median | most \
| waited for a CPU s, median | most | items written | transactions | reads | memory MB | lag at most s |
|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|";

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    FirstFill,
    Usual,
    WithSeal,
}

pub struct Run {
    pub kind: Kind,
    pub took: Duration,
    pub processor: Processor,
    pub stand_ins: Processor,
    pub calls: Counts,
    pub megabytes: f64,
    pub lag_seconds: i64,
    pub report: Report,
    pub failure: Option<String>,
}

/// All runs of a kind.
#[derive(Default)]
pub struct Runs(Vec<Run>);

impl Runs {
    pub fn add(&mut self, run: Run) {
        self.0.push(run);
    }

    /// A line of the table for each kind.
    pub fn print(&self, endpoints: usize) {
        for kind in [Kind::FirstFill, Kind::Usual, Kind::WithSeal] {
            let runs: Vec<&Run> = self.0.iter().filter(|run| run.kind == kind).collect();
            if !runs.is_empty() {
                println!("| {endpoints} | {kind} | {} |", line(&runs));
            }
        }
    }
}

fn line(runs: &[&Run]) -> String {
    let count = |is: fn(&Run) -> bool| runs.iter().filter(|run| is(run)).count();
    let (failed, unfinished) = (count(|run| run.failure.is_some()), count(|run| !run.report.complete));
    let (median, slowest) = median_and_most(runs, |run| run.took);
    let (busy, busiest) = median_and_most(runs, |run| run.processor.busy);
    let (waiting, longest) = median_and_most(runs, |run| run.processor.waiting.max(run.stand_ins.waiting));
    let sum = |of: fn(&Run) -> u64| runs.iter().map(|run| of(run)).sum::<u64>();
    let (written, transactions) = (sum(|run| run.report.items_written), sum(|run| run.calls.transactions));
    let reads = sum(|run| run.calls.reads);
    let megabytes = runs.iter().map(|run| run.megabytes).fold(0.0, f64::max);
    let lag = runs.iter().map(|run| run.lag_seconds).max().unwrap_or_default();
    [
        format!("{} | {failed} | {unfinished} | {median:.1} | {slowest:.1} | {busy:.2} | {busiest:.2}", runs.len()),
        format!("{waiting:.1} | {longest:.1} | {written} | {transactions} | {reads} | {megabytes:.0} | {lag}"),
    ]
    .join(" | ")
}

/// In seconds.
fn median_and_most(runs: &[&Run], time: impl Fn(&Run) -> Duration) -> (f64, f64) {
    let mut seconds: Vec<f64> = runs.iter().map(|run| time(run).as_secs_f64()).collect();
    seconds.sort_by(f64::total_cmp);
    let middle = |place: usize| seconds[place / 2];
    let median = f64::midpoint(middle(seconds.len() - 1), middle(seconds.len()));
    (median, seconds[seconds.len() - 1])
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FirstFill => "first fill",
            Self::Usual => "usual",
            Self::WithSeal => "with a seal",
        })
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, took, processor, stand_ins, calls, megabytes, lag_seconds, report, failure } = self;
        write!(f, "{kind}, {:.1} s, CPU {processor}, stand-ins {stand_ins}, ", took.as_secs_f64())?;
        write!(f, "{} queries {} ms, {} written, {calls}, ", report.queries, report.query_ms, report.items_written)?;
        write!(f, "{megabytes:.0} MB, lag {lag_seconds} s, complete {}, ", report.complete)?;
        write!(f, "minutes behind {:?}, hours sealed {}", report.minutes_behind, report.hours_sealed)?;
        write!(f, ", unsealed {:?}, late rows {}", report.hours_unsealed, report.late_rows)?;
        failure.iter().try_for_each(|failure| write!(f, ", failed: {failure}"))
    }
}

impl fmt::Display for Processor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} s (waited {:.1} s)", self.busy.as_secs_f64(), self.waiting.as_secs_f64())
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} transactions, {} reads", self.transactions, self.reads)
    }
}
