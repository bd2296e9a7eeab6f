//! Random draws that depend on nothing but what they are drawn for.

/// A `SplitMix64` generator: tiny, good enough for demo traffic, and the same forever, which no general-purpose
/// generator of a library promises.
pub(super) struct Draws {
    state: u64,
}

impl Draws {
    /// The draws for one call of one repetition of an endpoint's trace.
    pub(super) fn new(endpoint: &str, repetition: i64, index: usize) -> Self {
        // FNV-1a: names differ in few bits, seeds should not.
        let name = endpoint
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        let repetition = mix(name ^ repetition.cast_unsigned());
        Self { state: mix(repetition ^ index as u64) }
    }

    /// 64 uniform bits.
    pub(super) fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.state)
    }

    /// Uniform in `[0, 1)`.
    #[expect(clippy::cast_precision_loss, reason = "53 bits are what an f64 holds")]
    pub(super) fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Whether an event of this probability happened.
    pub(super) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// Uniform whole number in `[low, high)`.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "ranges are delays, far below 2^53 ms"
    )]
    pub(super) fn between(&mut self, low: i64, high: i64) -> i64 {
        low + (self.unit() * (high - low) as f64) as i64
    }

    /// A factor about 1, log-normal: its median is 1 and its logarithm has the standard deviation `sigma`.
    pub(super) fn noise(&mut self, sigma: f64) -> f64 {
        // Box-Muller; 1 - u keeps the logarithm from zero.
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        let angle = std::f64::consts::TAU * self.unit();
        (sigma * radius * angle.cos()).exp()
    }
}

fn mix(bits: u64) -> u64 {
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_the_same_on_every_run_and_differ_by_endpoint_repetition_and_call() {
        let first = |endpoint, repetition, index| Draws::new(endpoint, repetition, index).bits();
        assert_eq!(first("chat.demo.example", 7, 3), 9_125_392_406_262_899_950);
        let others =
            [first("code.demo.example", 7, 3), first("chat.demo.example", 8, 3), first("chat.demo.example", 7, 4)];
        assert!(!others.contains(&first("chat.demo.example", 7, 3)));
    }

    #[test]
    fn noise_has_its_median_at_one_and_the_spread_asked_for() {
        let mut logs: Vec<f64> = (0..20_000).map(|index| Draws::new("x", 0, index).noise(0.3).ln()).collect();
        logs.sort_by(f64::total_cmp);
        assert!(logs[10_000].abs() < 0.01, "{}", logs[10_000]);
        // One standard deviation above the mean lies 84.13 % of a normal distribution.
        assert!((logs[16_826] - 0.3).abs() < 0.01, "{}", logs[16_826]);
    }
}
