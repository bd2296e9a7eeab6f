//! A scrape, from top to bottom: the contract's table of errors in its order. What a step returns is what the next asks for.

use std::time::Duration;

use futures_util::future::{join, try_join};
use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use thiserror::Error;
use tokio::time::{Instant, timeout_at};

use super::access_log::{AccessLog, Step};
use super::{AnswerError, Outcome, Service};
use crate::clock::Clock;
use crate::error::{Cause, DeadlinePassed, chain};
use crate::exposition::{EndpointSnapshot, Snapshot, text};
use crate::http::event::HttpRequest;
use crate::http::reply::{self, ResponseEvent};
use crate::http::request::{ScrapeRequest, time_to_answer};
use crate::model::engine::EngineGauges;
use crate::model::host::Host;
use crate::model::request_id::RequestId;
use crate::model::watermark::Watermark;
use crate::model::window::WINDOW_MINUTES;
use crate::stores::api_keys::KeyError;
use crate::stores::heartbeats::EngineReading;
use crate::stores::rate_limits::{Admission, LimitError};
use crate::stores::rollups::WindowSummary;

/// Kept back from the deadline for writing the answer.
const RESPONSE_MARGIN: Duration = Duration::from_millis(50);
/// Kept back from the reads' time for what is left of them when heartbeats hang.
const HEARTBEAT_MARGIN: Duration = Duration::from_millis(50);
/// Figures that end further in the future were read by a clock that was wrong.
const MAX_AHEAD: SignedDuration = SignedDuration::from_secs(60);
/// Endpoints read side by side: enough to hide the round trips, few enough not to open a hundred connections at once.
const ENDPOINTS_AT_ONCE: usize = 8;

/// The times by which steps must be done.
#[derive(Clone, Copy)]
struct Deadlines {
    answer: Instant,
    heartbeats: Instant,
}

/// Why the window cannot be answered from.
#[derive(Debug, Error)]
enum NoWindow {
    #[error("nothing has been read yet")]
    NoWatermark,
    #[error("window ended {0} s ago")]
    Stale(i64),
    #[error("window ends {0} s in the future")]
    Ahead(i64),
}

/// A step's result, or what its error is where the deadline comes first.
async fn within<T, E>(
    deadline: Instant,
    step: impl Future<Output = Result<T, E>>,
    late: impl FnOnce(DeadlinePassed) -> E,
) -> Result<T, E> {
    timeout_at(deadline, step).await.unwrap_or_else(|_| Err(late(DeadlinePassed)))
}

impl Service {
    pub(super) async fn scrape(
        &self,
        request: &HttpRequest,
        id: &RequestId,
        clock: Clock,
        log: &mut AccessLog<'_>,
    ) -> Outcome {
        let deadlines = Deadlines::new(request, clock);
        match self.admit_scrape(request, id, clock, deadlines, log).await {
            Ok((scrape, admission, watermark)) => {
                let result = self.answer_scrape(scrape, &admission, watermark, id, clock, deadlines, log).await;
                Outcome { limit: Some(admission.limit()), result }
            }
            Err(error) => error.into(),
        }
    }

    /// Not found, method not allowed, no or malformed key, invalid endpoint: no I/O. Key store unavailable, key invalid,
    /// serverless, not the key's endpoint: one read. Over the limit, limiter unavailable: one write; the watermark is read
    /// concurrently.
    async fn admit_scrape(
        &self,
        request: &HttpRequest,
        id: &RequestId,
        clock: Clock,
        deadlines: Deadlines,
        log: &mut AccessLog<'_>,
    ) -> Result<(ScrapeRequest, Admission, Result<Option<Watermark>, AnswerError>), AnswerError> {
        let now = clock.started_at();
        let scrape = ScrapeRequest::parse(request)?;
        log.asked(&scrape.key);

        let authorize = self.keys.authorize(scrape.key.clone(), scrape.endpoints.clone(), now);
        let grant = within(deadlines.answer, authorize, |late| KeyError::Unavailable(late.into())).await?;
        log.granted(&grant, request);
        log.step(Step::Key);

        let admit = self.limits.admit(&grant, id, now);
        let admit = within(deadlines.answer, admit, |late| LimitError::Unavailable(late.into()));
        let watermark = async {
            let read = async { self.rollups.watermark(&grant).await.map_err(AnswerError::SummaryFailed) };
            Ok(within(deadlines.answer, read, |_| AnswerError::SummaryTimeout).await)
        };
        let (admission, watermark) = try_join(admit, watermark).await?;
        log.step(Step::Limit);
        Ok((scrape, admission, watermark))
    }

    /// No summary, or none in time; else the exposition.
    #[expect(clippy::too_many_arguments, reason = "the evidence of the steps before")]
    async fn answer_scrape(
        &self,
        scrape: ScrapeRequest,
        admission: &Admission,
        watermark: Result<Option<Watermark>, AnswerError>,
        id: &RequestId,
        clock: Clock,
        deadlines: Deadlines,
        log: &mut AccessLog<'_>,
    ) -> Result<ResponseEvent, AnswerError> {
        let now = clock.started_at();
        let watermark = self.fresh(watermark?, now).map_err(|cause| AnswerError::SummaryFailed(cause.into()))?;
        log.window(&watermark);

        let windows = async {
            self.windows(admission, &scrape.endpoints, &watermark, now).await.map_err(AnswerError::SummaryFailed)
        };
        let windows = within(deadlines.answer, windows, |_| AnswerError::SummaryTimeout);
        let engines = self.engines(admission, &scrape.endpoints, now, deadlines.heartbeats, id, log);
        let (windows, engines) = join(windows, engines).await;
        let windows = windows?;
        log.step(Step::Read);

        let endpoints = scrape.endpoints.into_iter().zip(windows).zip(engines);
        let endpoints = endpoints.map(|((endpoint, window), engine)| EndpointSnapshot {
            endpoint,
            window: window.summary,
            concurrent_requests: window.concurrent_requests,
            engine,
        });
        let limit = admission.limit();
        let snapshot = Snapshot {
            endpoints: endpoints.collect(),
            window_end: watermark.through,
            budget_remaining: limit.remaining,
        };
        let text = text::render(&snapshot, scrape.format);
        let response = reply::exposition(id, limit, text, scrape.format, scrape.encoding);
        log.step(Step::Render);
        Ok(response)
    }

    /// The watermark, where a window may be answered from it.
    fn fresh(&self, watermark: Option<Watermark>, now: Timestamp) -> Result<Watermark, NoWindow> {
        let watermark = watermark.ok_or(NoWindow::NoWatermark)?;
        let age = now.duration_since(watermark.through.start());
        match age {
            _ if age > self.max_staleness => Err(NoWindow::Stale(age.as_secs())),
            _ if -age > MAX_AHEAD => Err(NoWindow::Ahead(-age.as_secs())),
            _ => Ok(watermark),
        }
    }

    async fn windows(
        &self,
        admission: &Admission,
        endpoints: &[Host],
        watermark: &Watermark,
        now: Timestamp,
    ) -> Result<Vec<WindowSummary>, Cause> {
        let mut windows = Vec::with_capacity(endpoints.len());
        for endpoint in endpoints {
            windows.push(self.rollups.window(admission, endpoint, WINDOW_MINUTES, watermark, now));
        }
        stream::iter(windows).buffered(ENDPOINTS_AT_ONCE).try_collect().await
    }

    /// The engine gauges of each endpoint, `None` where heartbeats could not be read in time: that fails no scrape.
    async fn engines(
        &self,
        admission: &Admission,
        endpoints: &[Host],
        now: Timestamp,
        by: Instant,
        id: &RequestId,
        log: &mut AccessLog<'_>,
    ) -> Vec<Option<EngineGauges>> {
        let mut readings = Vec::with_capacity(endpoints.len());
        for endpoint in endpoints {
            readings.push(within(by, self.heartbeats.gauges(admission, endpoint, now), Into::into));
        }
        let readings: Vec<Result<EngineReading, Cause>> =
            stream::iter(readings).buffered(ENDPOINTS_AT_ONCE).collect().await;
        let unread: Vec<_> = readings.iter().filter_map(|reading| reading.as_ref().err()).collect();
        if let Some(cause) = unread.first() {
            tracing::warn!(request_id = %id, endpoints = unread.len(), cause = chain(cause.as_ref()), "heartbeats not read");
        }
        log.malformed_heartbeats(readings.iter().flatten().map(|reading| reading.malformed).sum());
        readings.into_iter().map(|reading| reading.ok().map(|reading| reading.gauges)).collect()
    }
}

impl Deadlines {
    fn new(request: &HttpRequest, clock: Clock) -> Self {
        let answer = clock.started() + time_to_answer(&request.headers) - RESPONSE_MARGIN;
        Self { answer, heartbeats: answer - HEARTBEAT_MARGIN }
    }
}
