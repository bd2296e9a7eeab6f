//! Numbers without a pattern, the same for the same seed.

use std::ops::Range;

#[derive(Clone, Debug)]
pub struct Draws(u64);

impl Draws {
    /// Those of one step of a course.
    pub fn new(seed: u64, step: u64) -> Self {
        Self(mix(seed) ^ mix(!step))
    }

    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    pub fn between(&mut self, range: Range<i64>) -> i64 {
        let length = (range.end - range.start).unsigned_abs();
        range.start + i64::try_from(self.number() % length).unwrap()
    }

    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.number() % end as u64).unwrap()
    }

    pub fn one_in(&mut self, many: u64) -> bool {
        self.number().is_multiple_of(many)
    }

    pub fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}

/// Spreads numbers that lie close together: `SplitMix64`.
fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}
