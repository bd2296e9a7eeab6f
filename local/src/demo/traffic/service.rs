//! How a served model answers: the latency and status model behind the demo traffic.

use super::rng::Draws;
use crate::demo::swing::{BUSY_PERIOD_MS, swing};
use crate::demo::trace::Call;

/// The longest a request lasts, milliseconds: a stream is cut there, as a serving gateway would.
pub(super) const MAX_LATENCY_MS: u32 = 600_000;

/// A model behind an endpoint, and how fast it serves.
///
/// *Time to first token* is `(prefill_ms + prefill_ms_per_token × uncached input) × noise × pace`, *each further token*
/// takes `decode_ms_per_token × noise × pace`, drawn once a request; both noises are log-normal with median 1 (σ 0.35
/// and 0.15). The pace goes up and down: for the first token by half, for further ones by 15 %, every 15 minutes, as
/// the workers' queues do; and by half and a tenth of what the load of the minute before is over the trace's mean. A
/// share of the calls, `cache_hit_share`, finds 20 to 95 % of its input in the prompt cache, in blocks of 16 tokens. A
/// share, `streaming_share`, streams; only those have a time to first token in the log. Of all calls
///
/// | share | status | `error_code` | output | lasts |
/// |---|---|---|---|---|
/// | 0.4 % | 429 | `rate_limit_exceeded` | none | 2 to 12 ms |
/// | 0.1 % | 400 | `invalid_request` | none | 2 to 12 ms |
/// | 0.05 % | 404 | `model_not_found` | none | 2 to 12 ms |
/// | 0.05 % | 422 | `invalid_parameter` | none | 2 to 12 ms |
/// | 0.1 % | 503 | `overloaded` | none | 2 to 12 ms |
/// | 0.2 % | 500 | `engine_error` | every second call some of it | as far as it came |
#[derive(Clone, Copy, Debug)]
pub struct Service {
    /// Host of the endpoint, lower case.
    pub endpoint: &'static str,
    pub model: &'static str,
    /// Milliseconds before the first token that do not depend on the input.
    pub prefill_ms: f64,
    /// Milliseconds before the first token for each input token that is not cached.
    pub prefill_ms_per_token: f64,
    /// Milliseconds for each further token.
    pub decode_ms_per_token: f64,
    /// Share of calls that stream, 0 to 1.
    pub streaming_share: f64,
    /// Share of calls that find part of their input in the prompt cache, 0 to 1.
    pub cache_hit_share: f64,
}

/// A large chat model: long answers.
pub const CHAT: Service = Service {
    endpoint: "chat.demo.example",
    model: "demo-chat-70b",
    prefill_ms: 60.0,
    prefill_ms_per_token: 0.12,
    decode_ms_per_token: 18.0,
    streaming_share: 0.7,
    cache_hit_share: 0.45,
};

/// A smaller completion model: long prompts, short answers.
pub const CODE: Service = Service {
    endpoint: "code.demo.example",
    model: "demo-code-32b",
    prefill_ms: 40.0,
    prefill_ms_per_token: 0.06,
    decode_ms_per_token: 11.0,
    streaming_share: 0.9,
    cache_hit_share: 0.65,
};

const PREFILL_SIGMA: f64 = 0.35;
const DECODE_SIGMA: f64 = 0.15;
const CACHE_BLOCK_TOKENS: u32 = 16;

/// How much longer than usual a token takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pace {
    first_token: f64,
    further_token: f64,
}

impl Pace {
    const SHORTEST: f64 = 0.3;
    const LONGEST: f64 = 4.0;

    /// Of a call that arrives then; `load` is that of the minute before, 1 being the mean.
    pub(super) fn at(arrived_ms: i64, load: f64) -> Self {
        let busy = swing(arrived_ms, BUSY_PERIOD_MS, 0.0);
        let pace = |swing: f64, by_load: f64| {
            (1.0 + swing * busy + by_load * (load - 1.0)).clamp(Self::SHORTEST, Self::LONGEST)
        };
        Self { first_token: pace(0.5, 0.5), further_token: pace(0.15, 0.1) }
    }
}

pub(super) struct Outcome {
    pub(super) status_code: i32,
    pub(super) error_code: Option<&'static str>,
    pub(super) is_streaming: bool,
    pub(super) ttft_ms: Option<f64>,
    pub(super) total_latency_ms: f64,
    pub(super) output_tokens: u32,
    pub(super) cache_read_tokens: u32,
}

impl Service {
    pub(super) fn serve(&self, call: &Call, pace: Pace, draws: &mut Draws) -> Outcome {
        let is_streaming = draws.chance(self.streaming_share);
        let fate = draws.unit();
        if fate < 0.004 {
            refused(429, "rate_limit_exceeded", is_streaming, draws)
        } else if fate < 0.005 {
            refused(400, "invalid_request", is_streaming, draws)
        } else if fate < 0.0055 {
            refused(404, "model_not_found", is_streaming, draws)
        } else if fate < 0.006 {
            refused(422, "invalid_parameter", is_streaming, draws)
        } else if fate < 0.007 {
            refused(503, "overloaded", is_streaming, draws)
        } else if fate < 0.008 {
            self.generate(call, 0, pace, is_streaming, draws).failed()
        } else if fate < 0.009 {
            let share = draws.unit();
            let sent = portion(call.generated_tokens, share);
            self.generate(call, sent, pace, is_streaming, draws).failed()
        } else {
            self.generate(call, call.generated_tokens, pace, is_streaming, draws)
        }
    }

    /// A call that is served until `output_tokens` have been sent.
    fn generate(&self, call: &Call, output_tokens: u32, pace: Pace, is_streaming: bool, draws: &mut Draws) -> Outcome {
        let cache_read_tokens = self.cached(call.context_tokens, draws);
        let uncached = f64::from(call.context_tokens - cache_read_tokens);
        let prefill_ms = (self.prefill_ms + self.prefill_ms_per_token * uncached) * draws.noise(PREFILL_SIGMA);
        let prefill_ms = prefill_ms * pace.first_token;
        let further = f64::from(output_tokens.saturating_sub(1));
        let decode_ms = self.decode_ms_per_token * further * draws.noise(DECODE_SIGMA) * pace.further_token;
        let first_token_ms = cut(prefill_ms);
        Outcome {
            status_code: 200,
            error_code: None,
            is_streaming,
            ttft_ms: (is_streaming && output_tokens > 0).then_some(first_token_ms),
            total_latency_ms: cut(prefill_ms + decode_ms),
            output_tokens,
            cache_read_tokens,
        }
    }

    fn cached(&self, input_tokens: u32, draws: &mut Draws) -> u32 {
        if !draws.chance(self.cache_hit_share) {
            return 0;
        }
        let share = 0.2 + 0.75 * draws.unit();
        let tokens = portion(input_tokens, share);
        tokens - tokens % CACHE_BLOCK_TOKENS
    }
}

impl Outcome {
    fn failed(self) -> Self {
        Self { status_code: 500, error_code: Some("engine_error"), ..self }
    }
}

fn refused(status_code: i32, error_code: &'static str, is_streaming: bool, draws: &mut Draws) -> Outcome {
    Outcome {
        status_code,
        error_code: Some(error_code),
        is_streaming,
        ttft_ms: None,
        total_latency_ms: cut(2.0 + 10.0 * draws.unit()),
        output_tokens: 0,
        cache_read_tokens: 0,
    }
}

/// A share of some tokens, rounded down.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share from 0 to 1 of a u32 is a u32")]
fn portion(tokens: u32, share: f64) -> u32 {
    (f64::from(tokens) * share) as u32
}

/// To the microsecond, as a server would log it, and no longer than a request may last.
fn cut(ms: f64) -> f64 {
    ((ms * 1_000.0).round() / 1_000.0).min(f64::from(MAX_LATENCY_MS))
}
