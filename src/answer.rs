//! The function that answers: from an event to a reply. Each route is a workflow in a file of its own.

mod access_log;
mod admit;
mod call;
mod error;
mod heartbeats;
mod json;
mod scrape;
mod targets;

use jiff::{SignedDuration, Timestamp};
use lambda_runtime::LambdaEvent;
use serde_json::value::RawValue;

use crate::clock::Clock;
use crate::http::event::{self, NotHttp};
use crate::http::reply::{self, ResponseEvent};
use crate::http::request::RequestError;
use crate::model::quota::{self, RateLimit};
use crate::model::request_id::RequestId;
use crate::settings::ScrapeSettings;
use crate::stores::api_keys::ApiKeys;
use crate::stores::heartbeats::Heartbeats;
use crate::stores::rate_limits::RateLimits;
use crate::stores::rollups::RollupReader;
use access_log::AccessLog;
use call::Call;
pub use error::AnswerError;

/// Answers calls from what the stores hold.
#[derive(Debug)]
pub struct Service {
    keys: ApiKeys,
    limits: Limits,
    rollups: RollupReader,
    heartbeats: Heartbeats,
    max_staleness: SignedDuration,
}

/// A key's limit of each route by itself, so that a dashboard never costs a scrape.
#[derive(Debug)]
struct Limits {
    scrape: RateLimits,
    json: RateLimits,
    targets: RateLimits,
}

const SCRAPE_PATH: &str = "/v1/endpoints/metrics/prometheus";

/// The routes, by path. All answer GET.
pub const ROUTES: [(&str, Route); 3] = [
    (SCRAPE_PATH, Route::Scrape),
    ("/v1/endpoints/metrics", Route::Json),
    ("/v1/endpoints/metrics/targets", Route::Targets),
];

/// Endpoints read side by side: enough to hide the round trips, few enough not to open a hundred connections at once.
const ENDPOINTS_AT_ONCE: usize = 8;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Route {
    Scrape,
    Json,
    Targets,
}

impl Route {
    /// As the log and the metrics name it.
    const fn name(self) -> &'static str {
        match self {
            Self::Scrape => "scrape",
            Self::Json => "json",
            Self::Targets => "targets",
        }
    }
}

/// An answer, or why there is none, and the key's rate limit where it is known.
struct Outcome {
    limit: Option<RateLimit>,
    result: Result<ResponseEvent, AnswerError>,
}

impl Service {
    /// Over the tables that the settings name.
    pub fn new(settings: ScrapeSettings, client: &aws_sdk_dynamodb::Client) -> Self {
        let limits =
            |suffix| RateLimits::new(client.clone(), settings.rate_limits_table.clone(), quota::PER_KEY, suffix);
        Self {
            limits: Limits { scrape: limits(""), json: limits("#json"), targets: limits("#targets") },
            keys: ApiKeys::new(client.clone(), settings.api_keys_table),
            rollups: RollupReader::new(client.clone(), settings.rollups_table),
            heartbeats: Heartbeats::new(client.clone(), settings.heartbeats_table),
            max_staleness: settings.max_staleness,
        }
    }

    /// Answers one invocation.
    pub async fn handle(&self, event: LambdaEvent<Box<RawValue>>, now: Timestamp) -> Result<ResponseEvent, NotHttp> {
        let clock = Clock::start(now);
        let request = event::parse(&event.payload)?;
        let id = RequestId::from_invocation(&event.context.request_id);
        let mut log = AccessLog::new(&id, &event.context, clock);
        let Outcome { limit, result } = self.route(Call::new(&request, &id, clock), &mut log).await;
        Ok(match result {
            Ok(response) => {
                log.answered();
                response
            }
            Err(error) => {
                let problem = error.problem();
                log.failed(&error, &problem);
                reply::problem(&id, limit, &problem)
            }
        })
    }

    async fn route(&self, call: Call<'_>, log: &mut AccessLog<'_>) -> Outcome {
        let Some((_, route)) = ROUTES.into_iter().find(|(path, _)| *path == call.request.path) else {
            return AnswerError::from(RequestError::NotFound).into();
        };
        log.route(route);
        // Boxed: the futures of the routes are large, and nest deeper than the compiler follows.
        let outcome = match route {
            Route::Scrape => Box::pin(self.scrape(call, log)).await,
            Route::Json => Box::pin(self.json(call, log)).await,
            Route::Targets => Box::pin(self.targets(call, log)).await,
        };
        outcome.unwrap_or_else(Outcome::from)
    }
}

impl From<AnswerError> for Outcome {
    fn from(error: AnswerError) -> Self {
        Self { limit: error.limit(), result: Err(error) }
    }
}
