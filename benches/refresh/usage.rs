//! What this process takes, and how long another was at work, by `/proc`.

use std::fs::{read_dir, read_to_string};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// How often resident memory is looked at. What comes and goes in between is in [`highest_megabytes`].
const INTERVAL: Duration = Duration::from_millis(10);

/// The most resident memory since it was last asked for.
#[derive(Clone, Default)]
pub struct Memory(Arc<AtomicU64>);

impl Memory {
    pub fn watch() -> Self {
        let memory = Self::default();
        let watched = memory.clone();
        thread::spawn(move || {
            loop {
                watched.0.fetch_max(kilobytes("VmRSS"), Ordering::Relaxed);
                thread::sleep(INTERVAL);
            }
        });
        memory
    }

    pub fn take_megabytes(&self) -> f64 {
        megabytes(self.0.swap(0, Ordering::Relaxed))
    }
}

/// The most resident memory that the kernel has seen of this process.
pub fn highest_megabytes() -> f64 {
    megabytes(kilobytes("VmHWM"))
}

#[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
fn megabytes(kilobytes: u64) -> f64 {
    kilobytes as f64 / 1024.0
}

fn kilobytes(name: &str) -> u64 {
    let status = read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// What a process has had of the machine, all its threads together.
#[derive(Clone, Copy, Default)]
pub struct Processor {
    /// At work.
    pub busy: Duration,
    /// Ready to work, and behind others. Of threads that have ended nothing is known.
    pub waiting: Duration,
}

impl Processor {
    pub fn of(process: u32) -> Self {
        let tasks = read_dir(format!("/proc/{process}/task")).unwrap();
        let times = tasks.filter_map(|task| read_to_string(task.unwrap().path().join("schedstat")).ok());
        times.fold(Self::default(), |sum, times| {
            let mut nanoseconds = times.split(' ').map(|time| Duration::from_nanos(time.parse().unwrap_or_default()));
            let mut next = || nanoseconds.next().unwrap_or_default();
            Self { busy: sum.busy + next(), waiting: sum.waiting + next() }
        })
    }

    pub fn since(self, earlier: Self) -> Self {
        let busy = self.busy.saturating_sub(earlier.busy);
        Self { busy, waiting: self.waiting.saturating_sub(earlier.waiting) }
    }
}

/// How busy the machine has been in the last minutes.
pub fn load() -> String {
    read_to_string("/proc/loadavg").unwrap().split(' ').take(3).collect::<Vec<_>>().join(" ")
}
