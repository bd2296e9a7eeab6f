//! What processes have worked.

use std::fs;
use std::time::Duration;

/// The time that all threads of a process had on a processor, to the nanosecond once they sleep.
pub fn time(process: u32) -> Duration {
    let threads = fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let times = threads.map(|thread| fs::read_to_string(thread.unwrap().path().join("schedstat")).unwrap());
    Duration::from_nanos(times.map(|times| times.split(' ').next().unwrap().parse::<u64>().unwrap()).sum())
}
