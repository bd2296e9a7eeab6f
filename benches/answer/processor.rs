//! What this process has worked.

use std::fs;
use std::thread;
use std::time::Duration;

/// The time that the main thread, which does all the work, had on a processor.
pub fn time() -> Duration {
    // The kernel counts to the nanosecond once a thread sleeps, and else by ticks.
    thread::sleep(Duration::from_micros(20));
    let times = fs::read_to_string("/proc/self/schedstat").unwrap();
    Duration::from_nanos(times.split(' ').next().unwrap().parse().unwrap())
}
