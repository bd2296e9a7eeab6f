//! The one line that each call leaves in the log, and its metrics.

use lambda_runtime::Context;
use tokio::time::Instant;

use super::{AnswerError, Route};
use crate::clock::Clock;
use crate::error::chain;
use crate::http::event::HttpRequest;
use crate::http::problem::{Problem, Wording};
use crate::model::api_key::KeyHash;
use crate::model::host::Host;
use crate::model::request_id::RequestId;
use crate::model::watermark::Watermark;
use crate::stores::api_keys::Grant;
use crate::telemetry::emf::EmfLine;
use crate::telemetry::metrics;

/// Hosts are named until their names are so long; a name has at most 253 bytes.
const HOSTS_LENGTH: usize = 300;

#[derive(Clone, Copy)]
pub enum Step {
    Key,
    Limit,
    Read,
    Render,
}

/// Collects the line's fields. Nothing that a stranger chooses is among them.
pub struct AccessLog<'a> {
    request_id: &'a RequestId,
    invocation: &'a str,
    function: &'a str,
    clock: Clock,
    /// Other paths have none.
    route: Option<Route>,
    /// The first digits of the key's hash.
    key: Option<String>,
    user_agent: Option<String>,
    endpoints: Option<String>,
    age_seconds: Option<i64>,
    /// Whether those of an endpoint were not read, once that is known.
    without_heartbeats: Option<bool>,
    malformed_heartbeats: u64,
    /// Milliseconds of each step.
    steps: [Option<u64>; 4],
    last_step: Instant,
}

impl<'a> AccessLog<'a> {
    pub fn new(request_id: &'a RequestId, context: &'a Context, clock: Clock) -> Self {
        Self {
            request_id,
            invocation: &context.request_id,
            function: &context.env_config.function_name,
            clock,
            route: None,
            key: None,
            user_agent: None,
            endpoints: None,
            age_seconds: None,
            without_heartbeats: None,
            malformed_heartbeats: 0,
            steps: [None; 4],
            last_step: clock.started(),
        }
    }

    pub fn route(&mut self, route: Route) {
        self.route = Some(route);
    }

    /// With which key, whether it is good or not.
    pub fn asked(&mut self, key: &KeyHash) {
        self.key = Some(key.prefix().to_owned());
    }

    /// Who asks, and for what: the key is good.
    pub fn granted(&mut self, grant: &Grant, request: &HttpRequest) {
        self.user_agent = Some(request.programs());
        self.endpoints = Some(names(grant.endpoints()));
    }

    /// How old the data is.
    pub fn window(&mut self, watermark: &Watermark) {
        self.age_seconds = Some(self.clock.started_at().as_second() - watermark.through.as_second());
    }

    /// For how many endpoints heartbeats were not read, and how many of the others' were left out.
    pub fn heartbeats(&mut self, unread: usize, malformed: u64) {
        self.without_heartbeats = Some(unread > 0);
        self.malformed_heartbeats = malformed;
    }

    pub fn step(&mut self, step: Step) {
        self.steps[step as usize] = Some(milliseconds_since(self.last_step));
        self.last_step = Instant::now();
    }

    /// 200.
    pub fn answered(self) {
        self.write(200, "ok", None, false);
    }

    /// Any other status. Its cause is logged here and nowhere else; a fault on our side, or in a key's record, is an
    /// error.
    pub fn failed(self, error: &AnswerError, problem: &Problem) {
        let Wording { status, code, .. } = problem.wording();
        let ours = status.is_server_error() || error.is_malformed_key_record();
        self.write(status.as_u16(), code, Some(&chain(error)), ours);
    }

    fn write(self, status: u16, code: &str, cause: Option<&str>, ours: bool) {
        let route = self.route.map_or("other", Route::name);
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
                    "{route}"
                )
            };
        }
        if ours {
            line!(error);
        } else {
            line!(info);
        }
        // Junk is answered fast and never 5xx: it would hide scrapes that are slow or fail.
        let counted = status == 200 || status >= 500;
        let is_scrape = counted && self.route == Some(Route::Scrape);
        let without_heartbeats = self.without_heartbeats.filter(|_| status == 200);
        EmfLine::new(self.function, self.clock.started_at())
            .with(&[
                (metrics::SCRAPE_MILLISECONDS, is_scrape.then(|| milliseconds_since(self.clock.started()))),
                (metrics::DATA_AGE_SECONDS, self.age_seconds.map(|age| u64::try_from(age).unwrap_or_default())),
                (metrics::SERVER_ERRORS, counted.then_some(u64::from(status >= 500))),
                (metrics::SCRAPES_WITHOUT_HEARTBEATS, without_heartbeats.map(u64::from)),
                (metrics::MALFORMED_KEYS, Some(u64::from(ours && status < 500))),
                (metrics::MALFORMED_HEARTBEATS, Some(self.malformed_heartbeats)),
            ])
            .with_by(metrics::SCRAPES, code, 1)
            .with_by(metrics::CALLS, route, 1)
            .emit();
    }
}

/// The names of the first hosts, and how many more there are.
fn names(hosts: &[Host]) -> String {
    let mut names = String::new();
    for (number, host) in hosts.iter().enumerate() {
        if names.len() > HOSTS_LENGTH {
            return format!("{names} and {} more", hosts.len() - number);
        }
        if number > 0 {
            names.push(',');
        }
        names.push_str(host.as_str());
    }
    names
}

fn milliseconds_since(earlier: Instant) -> u64 {
    u64::try_from(earlier.elapsed().as_millis()).unwrap_or(u64::MAX)
}
