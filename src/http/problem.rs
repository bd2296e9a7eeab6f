//! The errors a caller may get: status, code and message of each, in one place. A message is a fixed sentence that says
//! what to do, and no cause.

use std::borrow::Cow;

use lambda_http::http::StatusCode;

use crate::model::quota::RateLimit;

/// What a caller did wrong, or we could not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    NotFound,
    MethodNotAllowed,
    InvalidApiKey,
    InvalidEndpoint,
    InvalidView,
    InvalidRange,
    /// The key store or the limiter failed or hung.
    Unavailable,
    DedicatedOnly,
    EndpointForbidden,
    TooManyEndpoints,
    RateLimited(RateLimit),
    SummaryFailed,
    SummaryTimeout,
}

pub struct Wording {
    pub status: StatusCode,
    /// The `type` of the error.
    pub kind: &'static str,
    pub code: &'static str,
    pub message: Cow<'static, str>,
    pub param: Option<&'static str>,
}

impl Problem {
    pub fn wording(&self) -> Wording {
        let (status, kind, code, message) = match self {
            Self::NotFound => (
                StatusCode::NOT_FOUND,
                "invalid_request_error",
                "not_found",
                "Nothing is served at this path; \
                 scrape /v1/endpoints/metrics/prometheus?endpoint=<ENDPOINT_HOST>."
                    .into(),
            ),
            Self::MethodNotAllowed => (
                StatusCode::METHOD_NOT_ALLOWED,
                "invalid_request_error",
                "method_not_allowed",
                "Use GET; no other method is served here.".into(),
            ),
            Self::InvalidApiKey => (
                StatusCode::UNAUTHORIZED,
                "authentication_error",
                "invalid_api_key",
                "Send a valid API key as 'Authorization: Bearer <API_KEY>', \
                 with one space and no line break after the key."
                    .into(),
            ),
            Self::InvalidEndpoint => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "invalid_request_error",
                "invalid_endpoint",
                "Name 1 to 20 endpoints as endpoint=<ENDPOINT_HOST>, each a host name without scheme, port, \
                 path or trailing dot, or all of the key's as endpoint=*; JSON takes exactly one."
                    .into(),
            ),
            Self::InvalidView => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "invalid_request_error",
                "invalid_view",
                "Ask for view=window, view=counters or view=window,counters; without view you get the window.".into(),
            ),
            Self::InvalidRange => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "invalid_request_error",
                "invalid_range",
                "Name one range as range_minutes=5, 15, 30, 60, 360, 1440, 10080 or 43200; \
                 without it you get 60."
                    .into(),
            ),
            Self::Unavailable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "api_error",
                "unavailable",
                "The service cannot check this call at the moment; try again in 5 seconds.".into(),
            ),
            Self::DedicatedOnly => (
                StatusCode::FORBIDDEN,
                "permission_error",
                "dedicated_only",
                "Serverless keys have no endpoint metrics; \
                 use a dedicated endpoint's key here, and the Billing API for serverless usage."
                    .into(),
            ),
            Self::EndpointForbidden => (
                StatusCode::FORBIDDEN,
                "permission_error",
                "endpoint_forbidden",
                "This key does not own every endpoint asked for; \
                 ask only for endpoints of this key, or use the key of their owner."
                    .into(),
            ),
            Self::TooManyEndpoints => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "invalid_request_error",
                "too_many_endpoints",
                "This key owns over 20 endpoints; \
                 name up to 20, or let Prometheus find all of them at /v1/endpoints/metrics/targets."
                    .into(),
            ),
            Self::RateLimited(limit) => {
                (StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", "rate_limited", rate_limited(limit).into())
            }
            Self::SummaryFailed => (
                StatusCode::BAD_GATEWAY,
                "api_error",
                "summary_failed",
                "The figures are unavailable at the moment; \
                 keep calling at your interval, and contact support if this lasts."
                    .into(),
            ),
            Self::SummaryTimeout => (
                StatusCode::GATEWAY_TIMEOUT,
                "api_error",
                "summary_timeout",
                "The figures did not come in time; \
                 keep calling at your interval, or raise the timeout of your scraper."
                    .into(),
            ),
        };
        Wording { status, kind, code, message, param: self.param() }
    }

    fn param(&self) -> Option<&'static str> {
        match self {
            Self::InvalidEndpoint | Self::TooManyEndpoints => Some("endpoint"),
            Self::InvalidView => Some("view"),
            Self::InvalidRange => Some("range_minutes"),
            _ => None,
        }
    }
}

/// The limit in words, such as "Over 6 requests a minute".
fn rate_limited(limit: &RateLimit) -> String {
    let slots = limit.quota.slots;
    let period = match limit.quota.window_seconds {
        60 => "a minute".to_owned(),
        seconds => format!("in {seconds} seconds"),
    };
    format!(
        "Over {slots} requests {period} for this key; wait for the seconds in Retry-After, and call every 60 seconds."
    )
}
