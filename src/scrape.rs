//! A scrape, from top to bottom.

mod log;

use futures_util::future::{join, try_join};
use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use lambda_http::aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use lambda_runtime::LambdaEvent;
use serde_json::value::RawValue;
use thiserror::Error;
use tokio::time::{Instant, timeout_at};

use crate::clock::Clock;
use crate::engine::Engine;
use crate::error::{Cause, DeadlinePassed, ScrapeError, chain};
use crate::event::{self, NotHttp};
use crate::exposition::{self, EndpointMetrics};
use crate::heartbeats::Heartbeats;
use crate::host::Host;
use crate::keys::Keys;
use crate::limiter::{Admission, Limiter};
use crate::rate_limit::RateLimit;
use crate::request::{Request, time_to_answer};
use crate::response::{self, RequestId};
use crate::rollups::{Day, RollupReader};
use crate::settings::ScrapeSettings;
use crate::watermark::Watermark;
use log::Log;

/// Kept back from the deadline for writing the answer.
const TO_WRITE: std::time::Duration = std::time::Duration::from_millis(50);
/// Kept back from the reads' time for what is left of them when heartbeats hang.
const TO_DEGRADE: std::time::Duration = std::time::Duration::from_millis(50);
/// Figures that end further in the future were read by a clock that was wrong.
const MAX_AHEAD: SignedDuration = SignedDuration::from_secs(60);
/// Endpoints read side by side: enough to hide the way there and back, few enough not to open a hundred connections at once.
const ENDPOINTS_AT_ONCE: usize = 8;

/// The scrape function.
#[derive(Debug)]
pub struct Scrape {
    keys: Keys,
    limiter: Limiter,
    rollups: RollupReader,
    heartbeats: Heartbeats,
    max_staleness: SignedDuration,
}

/// A scrape that got no exposition, and the key's rate limit where it is known.
struct Failure {
    error: ScrapeError,
    limit: Option<RateLimit>,
}

/// The times by which steps must be done.
#[derive(Clone, Copy)]
struct Deadlines {
    answer: Instant,
    heartbeats: Instant,
}

/// The window cannot be answered from.
#[derive(Debug, Error)]
enum NoWindow {
    #[error("nothing has been read yet")]
    NoWatermark,
    #[error("window ended {0} s ago")]
    Stale(i64),
    #[error("window ends {0} s in the future")]
    Ahead(i64),
}

impl Scrape {
    /// Over the tables that the settings name.
    #[must_use]
    pub fn new(settings: ScrapeSettings, client: &aws_sdk_dynamodb::Client) -> Self {
        Self {
            keys: Keys::new(client.clone(), settings.api_keys_table),
            limiter: Limiter::new(client.clone(), settings.rate_limits_table),
            rollups: RollupReader::new(client.clone(), settings.rollups_table),
            heartbeats: Heartbeats::new(client.clone(), settings.heartbeats_table),
            max_staleness: settings.max_staleness,
        }
    }

    /// Answers one invocation.
    ///
    /// # Errors
    /// When the event is no HTTP request.
    pub async fn handle(&self, event: LambdaEvent<Box<RawValue>>, now: Timestamp) -> Result<ApiGatewayV2httpResponse, NotHttp> {
        let clock = Clock::start(now);
        let request = event::read(&event.payload)?;
        let id = RequestId::of_invocation(&event.context.request_id);
        let mut log = Log::start(&id, &event.context, &request, clock);
        let response = match self.exposition(&request, &id, clock, &mut log).await {
            Ok(response) => {
                log.answered();
                response
            }
            Err(Failure { error, limit }) => {
                let response = response::failure(&id, limit, &error);
                log.failed(&error, response.status_code);
                response
            }
        };
        Ok(response)
    }

    /// The contract's table, top to bottom. The first row that applies answers.
    async fn exposition(
        &self,
        event: &ApiGatewayV2httpRequest,
        id: &RequestId,
        clock: Clock,
        log: &mut Log<'_>,
    ) -> Result<ApiGatewayV2httpResponse, Failure> {
        let (now, deadlines) = (clock.started_at(), Deadlines::of(event, clock));

        // Rows 1 to 4: not found, method not allowed, no or malformed key, invalid endpoint. No I/O.
        let request = Request::parse(event)?;
        log.asked(&request);

        // Rows 5 to 8: key store unavailable, key invalid, serverless, not the key's endpoint.
        let authorized = timeout_at(deadlines.answer, self.keys.authorize(&request, now)).await;
        let grant = authorized.unwrap_or_else(|_| Err(hung("key store")))?;
        log.step("key_ms");

        // Rows 9 and 10: over the limit, limiter unavailable. The watermark is read beside, and waits for no one.
        let admit =
            async { timeout_at(deadlines.answer, self.limiter.admit(&grant, id, now)).await.unwrap_or_else(|_| Err(hung("limiter"))) };
        let watermark = async { Ok(timeout_at(deadlines.answer, self.rollups.watermark(&grant)).await) };
        let (admission, watermark) = try_join(admit, watermark).await?;
        let charged = |error| Failure { error, limit: Some(admission.limit()) };
        log.step("limit_ms");

        // Rows 11 and 12: no summary, or none in time.
        let watermark = watermark.map_err(|_| charged(ScrapeError::SummaryTimeout))?;
        let watermark = watermark.and_then(|found| self.window(found, now)).map_err(|cause| charged(ScrapeError::SummaryFailed(cause)))?;
        log.window(&watermark);
        let days = timeout_at(deadlines.answer, self.days(&admission, grant.endpoints(), &watermark, now));
        let (days, (engines, malformed)) = join(days, self.engines(&admission, grant.endpoints(), now, deadlines.heartbeats, id)).await;
        log.malformed_heartbeats(malformed);
        let days = days.map_err(|_| charged(ScrapeError::SummaryTimeout))?.map_err(|cause| charged(ScrapeError::SummaryFailed(cause)))?;
        log.step("read_ms");

        // Row 13: the exposition.
        let endpoints = request.endpoints.into_iter().zip(days).zip(engines).map(|((endpoint, day), engine)| EndpointMetrics {
            endpoint,
            day: day.summary,
            concurrent_requests: day.concurrent_requests,
            engine,
        });
        let scrape = exposition::Scrape {
            endpoints: endpoints.collect(),
            window_end: watermark.through,
            budget_remaining: admission.limit().remaining,
        };
        let text = exposition::render(&scrape, request.format);
        let response = response::exposition(id, admission.limit(), text, request.format, request.encoding);
        log.step("render_ms");
        Ok(response)
    }

    /// The watermark, where a window may be answered from it.
    fn window(&self, watermark: Option<Watermark>, now: Timestamp) -> Result<Watermark, Cause> {
        let watermark = watermark.ok_or(NoWindow::NoWatermark)?;
        let age = now.duration_since(watermark.through.start());
        match age {
            _ if age > self.max_staleness => Err(NoWindow::Stale(age.as_secs()).into()),
            _ if -age > MAX_AHEAD => Err(NoWindow::Ahead(-age.as_secs()).into()),
            _ => Ok(watermark),
        }
    }

    async fn days(&self, admission: &Admission, endpoints: &[Host], watermark: &Watermark, now: Timestamp) -> Result<Vec<Day>, Cause> {
        let mut days = Vec::with_capacity(endpoints.len());
        for endpoint in endpoints {
            days.push(self.rollups.day(admission, endpoint, watermark, now));
        }
        stream::iter(days).buffered(ENDPOINTS_AT_ONCE).try_collect().await
    }

    /// The engine gauges of each endpoint, `None` where heartbeats could not be read in time: that fails no scrape. And how
    /// many heartbeats did not fit.
    async fn engines(
        &self,
        admission: &Admission,
        endpoints: &[Host],
        now: Timestamp,
        by: Instant,
        id: &RequestId,
    ) -> (Vec<Option<Engine>>, u64) {
        let mut engines = Vec::with_capacity(endpoints.len());
        for endpoint in endpoints {
            engines.push(async move {
                let read = timeout_at(by, self.heartbeats.engine(admission, endpoint, now)).await;
                read.unwrap_or_else(|_| Err(DeadlinePassed.into()))
            });
        }
        let engines: Vec<Result<(Engine, u64), Cause>> = stream::iter(engines).buffered(ENDPOINTS_AT_ONCE).collect().await;
        let unread: Vec<_> = engines.iter().filter_map(|engine| engine.as_ref().err()).collect();
        if let Some(cause) = unread.first() {
            tracing::warn!(request_id = %id, endpoints = unread.len(), cause = chain(cause.as_ref()), "heartbeats not read");
        }
        let malformed = engines.iter().flatten().map(|(_, malformed)| malformed).sum();
        (engines.into_iter().map(|read| read.ok().map(|(engine, _)| engine)).collect(), malformed)
    }
}

impl Deadlines {
    fn of(event: &ApiGatewayV2httpRequest, clock: Clock) -> Self {
        let answer = clock.started() + time_to_answer(&event.headers) - TO_WRITE;
        Self { answer, heartbeats: answer - TO_DEGRADE }
    }
}

fn hung(store: &'static str) -> ScrapeError {
    ScrapeError::Unavailable { store, cause: DeadlinePassed.into() }
}

impl From<ScrapeError> for Failure {
    fn from(error: ScrapeError) -> Self {
        let limit = match error {
            ScrapeError::RateLimited(limit) => Some(limit),
            _ => None,
        };
        Self { error, limit }
    }
}
