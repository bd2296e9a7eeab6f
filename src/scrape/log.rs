//! The one line that each scrape leaves in the log, and its metrics.

use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use lambda_http::http::header::USER_AGENT;
use lambda_runtime::Context;
use tokio::time::Instant;

use crate::clock::Clock;
use crate::error::{InvalidApiKey, ScrapeError, chain};
use crate::metrics::{Metrics, Unit};
use crate::request::Request;
use crate::response::{self, RequestId};
use crate::watermark::Watermark;

/// A longer user agent is cut.
const USER_AGENT_LENGTH: usize = 200;

/// Collects the line's fields.
pub struct Log<'a> {
    request_id: &'a RequestId,
    invocation: &'a str,
    function: &'a str,
    user_agent: String,
    clock: Clock,
    /// The first digits of the key's hash.
    key: Option<String>,
    endpoints: Option<String>,
    age_seconds: Option<i64>,
    malformed_heartbeats: u64,
    steps: Vec<(&'static str, u64)>,
    last_step: Instant,
}

impl<'a> Log<'a> {
    /// Starts with what every event has.
    pub fn start(request_id: &'a RequestId, context: &'a Context, event: &ApiGatewayV2httpRequest, clock: Clock) -> Self {
        let user_agent = event.headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        Self {
            request_id,
            invocation: &context.request_id,
            function: &context.env_config.function_name,
            user_agent: user_agent.chars().take(USER_AGENT_LENGTH).collect(),
            clock,
            key: None,
            endpoints: None,
            age_seconds: None,
            malformed_heartbeats: 0,
            steps: Vec::new(),
            last_step: clock.started(),
        }
    }

    /// Who asks, and for what.
    pub fn asked(&mut self, request: &Request) {
        self.key = Some(request.key.prefix().to_owned());
        let endpoints: Vec<_> = request.endpoints.iter().map(ToString::to_string).collect();
        self.endpoints = Some(endpoints.join(","));
    }

    /// How old the data is.
    pub fn window(&mut self, watermark: &Watermark) {
        self.age_seconds = Some(self.clock.started_at().as_second() - watermark.through.as_second());
    }

    /// How many heartbeats were left out.
    pub fn malformed_heartbeats(&mut self, count: u64) {
        self.malformed_heartbeats = count;
    }

    /// A step is done.
    pub fn step(&mut self, name: &'static str) {
        self.steps.push((name, milliseconds_since(self.last_step)));
        self.last_step = Instant::now();
    }

    /// 200.
    pub fn answered(self) {
        self.write(200, "ok", None, false);
    }

    /// Any other status. Its cause is told here and nowhere else; a fault on our side, or in a key's record, is an error.
    pub fn failed(self, error: &ScrapeError, status: i64) {
        let ours = status >= 500 || matches!(error, ScrapeError::InvalidApiKey(InvalidApiKey::Record(_)));
        self.write(status, response::code(error), Some(&chain(error)), ours);
    }

    fn write(self, status: i64, code: &str, cause: Option<&str>, ours: bool) {
        let step = |name| self.steps.iter().find(|(step, _)| *step == name).map(|(_, milliseconds)| *milliseconds);
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    request_id = %self.request_id,
                    invocation = self.invocation,
                    status,
                    code,
                    key = self.key,
                    user_agent = self.user_agent,
                    endpoints = self.endpoints,
                    age_seconds = self.age_seconds,
                    key_ms = step("key_ms"),
                    limit_ms = step("limit_ms"),
                    read_ms = step("read_ms"),
                    render_ms = step("render_ms"),
                    total_ms = milliseconds_since(self.clock.started()),
                    cause,
                    "scrape"
                )
            };
        }
        if ours {
            line!(error);
        } else {
            line!(info);
        }
        Metrics::of(self.function, self.clock.started_at())
            .with(&[
                ("ScrapeMilliseconds", Unit::Milliseconds, Some(milliseconds_since(self.clock.started()))),
                ("DataAgeSeconds", Unit::Seconds, self.age_seconds.map(|age| u64::try_from(age).unwrap_or_default())),
                ("ServerErrors", Unit::Count, Some(u64::from(status >= 500))),
                ("MalformedKeys", Unit::Count, Some(u64::from(ours && status < 500))),
                ("MalformedHeartbeats", Unit::Count, Some(self.malformed_heartbeats)),
            ])
            .with_one_by_code("Scrapes", code)
            .emit();
    }
}

fn milliseconds_since(earlier: Instant) -> u64 {
    u64::try_from(earlier.elapsed().as_millis()).unwrap_or(u64::MAX)
}
