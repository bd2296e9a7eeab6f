//! Demo traffic: what the request log of an endpoint would hold, had a trace been replayed on it since 1970.
//!
//! A pure function of absolute time. Repetition *k* of the trace starts *k* periods after the epoch, each call arrives
//! at its time in the trace, and what became of it is drawn from a generator seeded by endpoint, repetition and call.
//! So any two runs, and any two ways of cutting time into ranges, agree on every row. What is drawn:
//!
//! - how the call was served: see [`Service`];
//! - when the log delivered the row: usually 5 to 50 s after it ended, one in 2,000 late by 1 to 9 minutes;
//! - one row in 1,000 is delivered a second time, 52 to 290 s after it ended and so perhaps in the next hour's
//!   partition.

mod rng;
mod service;
#[cfg(test)]
mod tests;

use jiff::Timestamp;

use crate::demo::trace::{Call, Trace};
use rng::Draws;
use service::Pace;
pub use service::{CHAT, CODE, Service};

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    /// The number in [`Row::request_id`].
    pub id: u64,
    /// Host of the endpoint, lower case.
    pub endpoint: &'static str,
    pub model: &'static str,
    pub status_code: i32,
    pub is_streaming: bool,
    /// When the last byte left, Unix milliseconds.
    pub ended_at_ms: i64,
    /// Milliseconds to the first token; `None` where none was streamed.
    pub ttft_ms: Option<f64>,
    /// Milliseconds from the call to its last byte.
    pub total_latency_ms: f64,
    pub input_tokens: i64,
    pub output_tokens: i64,
    /// Tokens of the prompt that came from the prompt cache.
    pub cache_read_tokens: i64,
    /// What went wrong; `None` on success.
    pub error_code: Option<&'static str>,
    /// When the log delivered this copy of the row, Unix milliseconds. Not a column: it decides file and partition.
    pub delivered_at_ms: i64,
}

impl Row {
    /// The request's identifier, the same for both copies of a row that is delivered twice.
    #[must_use]
    pub fn request_id(&self) -> String {
        format!("req-{:016x}", self.id)
    }
}

/// A trace replayed back to back, without beginning or end, on one endpoint.
#[derive(Clone, Debug)]
pub struct Traffic {
    service: Service,
    trace: Trace,
    /// Of each call of the trace.
    loads: Vec<f64>,
}

impl Traffic {
    #[must_use]
    pub fn new(service: Service, trace: Trace) -> Self {
        let loads = loads(&trace);
        Self { service, trace, loads }
    }

    #[must_use]
    pub const fn endpoint(&self) -> &'static str {
        self.service.endpoint
    }

    /// The rows delivered in `[from, to)`, second copies included, by time of arrival of their calls. To the
    /// millisecond.
    ///
    /// What a log pipeline writes: whole hours to fill the past, then one range after the other as time goes on.
    #[must_use]
    pub fn rows_delivered_between(&self, from: Timestamp, to: Timestamp) -> Vec<Row> {
        let range = from.as_millisecond()..to.as_millisecond();
        let earliest_ms = range.start - MAX_LATENCY_MS - MAX_DELAY_MS;
        let mut rows = Vec::new();
        for (row, second_copy) in self.requests(earliest_ms, range.end) {
            let copies = [Some(row), second_copy].into_iter().flatten();
            rows.extend(copies.filter(|copy| range.contains(&copy.delivered_at_ms)));
        }
        rows
    }

    /// The requests that ended in `[from, to)`, each once, by time of arrival of their calls. To the millisecond.
    ///
    /// What a summary of the log must come to.
    #[must_use]
    pub fn rows_ended_between(&self, from: Timestamp, to: Timestamp) -> Vec<Row> {
        let range = from.as_millisecond()..to.as_millisecond();
        let requests = self.requests(range.start - MAX_LATENCY_MS, range.end);
        requests.map(|(row, _)| row).filter(|row| range.contains(&row.ended_at_ms)).collect()
    }

    /// The requests whose calls arrived in `[from_ms, to_ms)`, with the second copy where there is one.
    fn requests(&self, from_ms: i64, to_ms: i64) -> impl Iterator<Item = (Row, Option<Row>)> {
        let period_ms = self.trace.period_ms();
        let repetitions = from_ms.div_euclid(period_ms)..=to_ms.div_euclid(period_ms);
        repetitions.flat_map(move |repetition| {
            let start_ms = repetition * period_ms;
            let calls = self.trace.calls();
            let first = calls.partition_point(|call| start_ms + call.offset_ms < from_ms);
            let end = calls.partition_point(|call| start_ms + call.offset_ms < to_ms);
            (first..end).map(move |index| self.request(start_ms, repetition, index, &calls[index]))
        })
    }

    fn request(&self, start_ms: i64, repetition: i64, index: usize, call: &Call) -> (Row, Option<Row>) {
        let mut draws = Draws::new(self.service.endpoint, repetition, index);
        let id = draws.bits();
        let arrived_ms = start_ms + call.offset_ms;
        let outcome = self.service.serve(call, Pace::at(arrived_ms, self.loads[index]), &mut draws);
        let ended_at_ms = arrived_ms + nearest(outcome.total_latency_ms);
        let delivery = Delivery::draw(&mut draws);
        let row = Row {
            id,
            endpoint: self.service.endpoint,
            model: self.service.model,
            status_code: outcome.status_code,
            is_streaming: outcome.is_streaming,
            ended_at_ms,
            ttft_ms: outcome.ttft_ms,
            total_latency_ms: outcome.total_latency_ms,
            input_tokens: i64::from(call.context_tokens),
            output_tokens: i64::from(outcome.output_tokens),
            cache_read_tokens: i64::from(outcome.cache_read_tokens),
            error_code: outcome.error_code,
            delivered_at_ms: ended_at_ms + delivery.delay_ms,
        };
        let second_copy =
            delivery.second_delay_ms.map(|delay_ms| Row { delivered_at_ms: ended_at_ms + delay_ms, ..row });
        (row, second_copy)
    }
}

/// The load at each call: how many came in the minute before it, where 1 is the trace's mean.
#[expect(
    clippy::cast_precision_loss,
    reason = "a trace has far fewer than 2^53 calls, and lasts far less than 2^53 ms"
)]
fn loads(trace: &Trace) -> Vec<f64> {
    let (calls, period_ms) = (trace.calls(), trace.period_ms());
    let minute_ms = period_ms.min(60_000);
    let mean = calls.len() as f64 * minute_ms as f64 / period_ms as f64;
    let until = |offset_ms: i64| calls.partition_point(|call| call.offset_ms <= offset_ms);
    let load = |call: &Call| {
        let since_ms = call.offset_ms - minute_ms;
        // And those of the repetition before.
        let came = until(call.offset_ms) - until(since_ms) + calls.len() - until(since_ms + period_ms);
        came as f64 / mean
    };
    calls.iter().map(load).collect()
}

#[expect(clippy::cast_possible_truncation, reason = "a latency is at most MAX_LATENCY_MS")]
fn nearest(latency_ms: f64) -> i64 {
    latency_ms.round() as i64
}

const LATE_SHARE: f64 = 1.0 / 2_000.0;
const TWICE_SHARE: f64 = 1.0 / 1_000.0;
const MAX_DELAY_MS: i64 = 9 * 60_000;
const MAX_LATENCY_MS: i64 = service::MAX_LATENCY_MS as i64;

/// How long after its end a row reaches the log, once or twice.
struct Delivery {
    delay_ms: i64,
    second_delay_ms: Option<i64>,
}

impl Delivery {
    fn draw(draws: &mut Draws) -> Self {
        let fate = draws.unit();
        let delay_ms = draws.between(5_000, 50_000);
        if fate < LATE_SHARE {
            Self { delay_ms: draws.between(60_000, MAX_DELAY_MS), second_delay_ms: None }
        } else if fate < LATE_SHARE + TWICE_SHARE {
            Self { delay_ms, second_delay_ms: Some(draws.between(52_000, 290_000)) }
        } else {
            Self { delay_ms, second_delay_ms: None }
        }
    }
}
