//! Calls of every route against their floor: the bare SDK calls for the same items, with the same client, in the same
//! order and overlap; the steps of a scrape, for a profiler; and the throughput of an instance. Figures for
//! docs/numbers.md.
//!
//! `CALLS` is how many of each are timed.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on ends")]

mod answers;
mod database;
mod distance;
mod floor;
mod processor;
mod replay;
mod steps;
mod tables;
mod throughput;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [database::ROLE, calls] => database::serve(calls.parse().unwrap()),
        [steps::ROLE, case, view] => steps::take(case, view),
        [throughput::ROLE] => throughput::measure(),
        _ => answers::measure_all(),
    }
}
