//! The time of one invocation, read once at its start.

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// When an invocation started; what it calls now follows from that and the time it has taken.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started_at: Timestamp,
    started: Instant,
}

impl Clock {
    #[must_use]
    pub fn start(now: Timestamp) -> Self {
        Self { started_at: now, started: Instant::now() }
    }

    #[must_use]
    pub const fn started_at(&self) -> Timestamp {
        self.started_at
    }

    /// The same moment, for deadlines.
    #[must_use]
    pub const fn started(&self) -> Instant {
        self.started
    }

    #[must_use]
    pub fn now(&self) -> Timestamp {
        let elapsed = SignedDuration::try_from(self.started.elapsed()).unwrap_or(SignedDuration::MAX);
        self.started_at.saturating_add(elapsed).unwrap_or(Timestamp::MAX)
    }
}
