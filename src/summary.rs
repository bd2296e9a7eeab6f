//! What the request logs say of one endpoint over some stretch of time.

use crate::sketch::Sketch;

/// Counts, sums and sketches of the requests that ended in a minute, an hour or a window. They add up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Summary {
    /// All requests, whatever their status.
    pub requests: u64,
    /// Requests with a status from 200 to 299.
    pub requests_2xx: u64,
    /// Requests with a status from 400 to 499.
    pub requests_4xx: u64,
    /// Requests with a status from 500 to 599.
    pub requests_5xx: u64,
    /// Input tokens.
    pub input_tokens: u128,
    /// Output tokens.
    pub output_tokens: u128,
    /// Input tokens that came from the prompt cache.
    pub cache_read_tokens: u128,
    /// Seconds to the first token.
    pub ttft: Sketch,
    /// Seconds from end to end.
    pub duration: Sketch,
    /// Output tokens per second.
    pub speed: Sketch,
}

impl Summary {
    /// Adds what another stretch of time holds.
    pub fn merge(&mut self, other: &Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.requests_2xx = self.requests_2xx.saturating_add(other.requests_2xx);
        self.requests_4xx = self.requests_4xx.saturating_add(other.requests_4xx);
        self.requests_5xx = self.requests_5xx.saturating_add(other.requests_5xx);
        self.input_tokens = self.input_tokens.saturating_add(other.input_tokens);
        self.output_tokens = self.output_tokens.saturating_add(other.output_tokens);
        self.cache_read_tokens = self.cache_read_tokens.saturating_add(other.cache_read_tokens);
        self.ttft.merge(&other.ttft);
        self.duration.merge(&other.duration);
        self.speed.merge(&other.speed);
    }

    /// The share of input tokens that came from the prompt cache, 0 to 1; `None` without input.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a ratio of two sums is not exact in any case")]
    pub fn cache_hit_ratio(&self) -> Option<f64> {
        (self.input_tokens > 0).then(|| self.cache_read_tokens as f64 / self.input_tokens as f64)
    }
}
