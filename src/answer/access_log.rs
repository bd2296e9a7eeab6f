//! The one line that each call leaves in the log, and its metrics.

use lambda_runtime::Context;
use tokio::time::Instant;

use super::AnswerError;
use crate::clock::Clock;
use crate::error::chain;
use crate::http::problem::{Problem, Wording};
use crate::model::api_key::KeyHash;
use crate::model::host::{Asked, Host};
use crate::model::request_id::RequestId;
use crate::model::watermark::Watermark;
use crate::telemetry::emf::EmfLine;
use crate::telemetry::metrics;

/// A longer user agent is cut.
const USER_AGENT_LENGTH: usize = 200;

/// The steps that are timed.
#[derive(Clone, Copy)]
pub enum Step {
    Key,
    Limit,
    Read,
    Render,
}

/// Collects the line's fields.
pub struct AccessLog<'a> {
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
    /// Milliseconds of each step.
    steps: [Option<u64>; 4],
    last_step: Instant,
}

impl<'a> AccessLog<'a> {
    /// Starts with what every event has.
    pub fn new(request_id: &'a RequestId, context: &'a Context, user_agent: &str, clock: Clock) -> Self {
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
            steps: [None; 4],
            last_step: clock.started(),
        }
    }

    /// Who asks, and for what.
    pub fn asked(&mut self, key: &KeyHash, asked: &Asked) {
        self.key = Some(key.prefix().to_owned());
        self.endpoints = Some(match asked {
            Asked::Named(hosts) => hosts.iter().map(Host::as_str).collect::<Vec<_>>().join(","),
            Asked::AllUpTo(_) | Asked::All => "*".to_owned(),
        });
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
    pub fn step(&mut self, step: Step) {
        self.steps[step as usize] = Some(milliseconds_since(self.last_step));
        self.last_step = Instant::now();
    }

    /// 200.
    pub fn answered(self) {
        self.write(200, "ok", None, false);
    }

    /// Any other status. Its cause is logged here and nowhere else; a fault on our side, or in a key's record, is an error.
    pub fn failed(self, error: &AnswerError, problem: &Problem) {
        let Wording { status, code, .. } = problem.wording();
        let ours = status.is_server_error() || error.is_malformed_key_record();
        self.write(status.as_u16(), code, Some(&chain(error)), ours);
    }

    fn write(self, status: u16, code: &str, cause: Option<&str>, ours: bool) {
        let step = |step: Step| self.steps[step as usize];
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
                    key_ms = step(Step::Key),
                    limit_ms = step(Step::Limit),
                    read_ms = step(Step::Read),
                    render_ms = step(Step::Render),
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
        EmfLine::new(self.function, self.clock.started_at())
            .with(&[
                (metrics::SCRAPE_MILLISECONDS, Some(milliseconds_since(self.clock.started()))),
                (metrics::DATA_AGE_SECONDS, self.age_seconds.map(|age| u64::try_from(age).unwrap_or_default())),
                (metrics::SERVER_ERRORS, Some(u64::from(status >= 500))),
                (metrics::MALFORMED_KEYS, Some(u64::from(ours && status < 500))),
                (metrics::MALFORMED_HEARTBEATS, Some(self.malformed_heartbeats)),
            ])
            .with_by(metrics::SCRAPES, code, 1)
            .emit();
    }
}

fn milliseconds_since(earlier: Instant) -> u64 {
    u64::try_from(earlier.elapsed().as_millis()).unwrap_or(u64::MAX)
}
