//! The rate limit of one key: a number of slots, each free again a while after it was taken.

use jiff::{SignedDuration, Timestamp};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Calls a key has at once.
    pub slots: usize,
    /// The nominal window, in seconds.
    pub window_seconds: u64,
}

/// What a key has of each route, counted by itself.
pub const PER_KEY: Quota = Quota { slots: 6, window_seconds: 60 };

/// A slot frees this much before the nominal window has passed, so that a scraper on a 10 s interval that jitters is
/// never refused.
const JITTER: SignedDuration = SignedDuration::from_secs(1);

impl Quota {
    /// How long a call holds its slot.
    pub const fn held_for(&self) -> SignedDuration {
        SignedDuration::from_secs(self.window_seconds.cast_signed()).saturating_sub(JITTER)
    }

    /// When a slot taken at that time is free again.
    pub fn frees_at(&self, taken: Timestamp) -> Timestamp {
        taken.saturating_add(self.held_for()).unwrap_or(Timestamp::MAX)
    }
}

/// How a key stands after a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    pub quota: Quota,
    pub remaining: u64,
    /// Whole seconds until the next slot frees, rounded up.
    pub frees_in_seconds: u64,
}

impl RateLimit {
    /// The state of a key whose slots were last taken at these times.
    pub fn from_slots(quota: Quota, taken_at: &[Timestamp], now: Timestamp) -> Self {
        let held = || taken_at.iter().map(|taken| quota.frees_at(*taken)).filter(|frees| *frees > now);
        let remaining = quota.slots.saturating_sub(held().count()) as u64;
        Self { quota, remaining, frees_in_seconds: held().min().map_or(0, |frees| seconds_until(frees, now)) }
    }

    /// The state of a key that is refused until a slot frees.
    pub fn refused_until(quota: Quota, frees: Timestamp, now: Timestamp) -> Self {
        Self { quota, remaining: 0, frees_in_seconds: seconds_until(frees, now).max(1) }
    }
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
        let state = |at| {
            let RateLimit { remaining, frees_in_seconds, .. } = RateLimit::from_slots(PER_KEY, &slots, at);
            (remaining, frees_in_seconds)
        };
        assert_eq!(state(at(1)), (4, 59));
        assert_eq!(state(at(57_999)), (4, 2));
        assert_eq!(state(at(58_999)), (4, 1));
        assert_eq!(state(at(59_000)), (5, 1));
        assert_eq!(state(at(59_001)), (6, 0));
    }
}
