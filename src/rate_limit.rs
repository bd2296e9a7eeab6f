//! The rate limit of one key: 6 slots, each free again 59 s after it was taken.

use jiff::{SignedDuration, Timestamp};

/// Admissions a key has at once.
pub const SLOTS: usize = 6;

/// How long an admission holds its slot: a second under the nominal minute, so that a scraper on a 10 s interval that jitters
/// is never refused.
pub const HELD_FOR: SignedDuration = SignedDuration::from_secs(59);

/// The nominal window that `RateLimit-Policy` states, in seconds.
pub const POLICY_WINDOW_SECONDS: u64 = 60;

/// How a key stands after a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Slots that are free.
    pub remaining: u64,
    /// Whole seconds until the next slot frees, rounded up.
    pub frees_in_seconds: u64,
}

impl RateLimit {
    /// Reads the state off the times at which the slots were last taken.
    #[must_use]
    pub fn of(taken_at: &[Timestamp; SLOTS], now: Timestamp) -> Self {
        let held = || taken_at.iter().map(|taken| frees_at(*taken)).filter(|frees| *frees > now);
        Self { remaining: (SLOTS - held().count()) as u64, frees_in_seconds: held().min().map_or(0, |frees| seconds_until(frees, now)) }
    }

    /// The state of a key that is refused until a slot frees.
    #[must_use]
    pub fn refused_until(frees: Timestamp, now: Timestamp) -> Self {
        Self { remaining: 0, frees_in_seconds: seconds_until(frees, now).max(1) }
    }
}

/// When a slot taken at that time is free again.
#[must_use]
pub fn frees_at(taken: Timestamp) -> Timestamp {
    taken.saturating_add(HELD_FOR).unwrap_or(Timestamp::MAX)
}

fn seconds_until(later: Timestamp, now: Timestamp) -> u64 {
    let milliseconds = later.duration_since(now).as_millis().max(0);
    u64::try_from(milliseconds).unwrap_or(u64::MAX).div_ceil(1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: i64) -> Timestamp {
        Timestamp::from_millisecond(1_000_000_000_000 + milliseconds).unwrap()
    }

    #[test]
    fn seconds_are_rounded_up_and_a_slot_frees_59_s_after_it_was_taken() {
        let never = Timestamp::UNIX_EPOCH;
        let slots = [never, never, never, never, at(0), at(1)];
        assert_eq!(RateLimit::of(&slots, at(1)), RateLimit { remaining: 4, frees_in_seconds: 59 });
        assert_eq!(RateLimit::of(&slots, at(57_999)), RateLimit { remaining: 4, frees_in_seconds: 2 });
        assert_eq!(RateLimit::of(&slots, at(58_999)), RateLimit { remaining: 4, frees_in_seconds: 1 });
        assert_eq!(RateLimit::of(&slots, at(59_000)), RateLimit { remaining: 5, frees_in_seconds: 1 });
        assert_eq!(RateLimit::of(&slots, at(59_001)), RateLimit { remaining: 6, frees_in_seconds: 0 });
    }
}
