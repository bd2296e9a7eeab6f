//! One call, and the times by which its steps must be done.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, timeout_at};

use crate::clock::Clock;
use crate::error::DeadlinePassed;
use crate::http::event::HttpRequest;
use crate::http::request::time_to_answer;
use crate::model::request_id::RequestId;

/// Kept back from the deadline for writing the answer.
const RESPONSE_MARGIN: Duration = Duration::from_millis(50);
/// Kept back from the reads' time for what is left of them when heartbeats hang.
const HEARTBEAT_MARGIN: Duration = Duration::from_millis(50);

#[derive(Clone, Copy)]
pub struct Call<'a> {
    pub request: &'a HttpRequest,
    pub id: &'a RequestId,
    pub clock: Clock,
    /// When the steps must be done.
    pub answer_by: Instant,
    /// When reading heartbeats must be done.
    pub heartbeats_by: Instant,
}

impl<'a> Call<'a> {
    pub fn new(request: &'a HttpRequest, id: &'a RequestId, clock: Clock) -> Self {
        let answer_by = clock.started() + time_to_answer(&request.headers) - RESPONSE_MARGIN;
        Self { request, id, clock, answer_by, heartbeats_by: answer_by - HEARTBEAT_MARGIN }
    }

    pub fn now(&self) -> Timestamp {
        self.clock.started_at()
    }
}

/// A step's result, or what its error is where the deadline comes first.
pub async fn within<T, E>(
    deadline: Instant,
    step: impl Future<Output = Result<T, E>>,
    late: impl FnOnce(DeadlinePassed) -> E,
) -> Result<T, E> {
    timeout_at(deadline, step).await.unwrap_or_else(|_| Err(late(DeadlinePassed)))
}
