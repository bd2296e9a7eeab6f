//! The caller's request, checked as far as it goes without any I/O.

use std::time::Duration;

use lambda_http::http::{HeaderMap, Method, header};
use thiserror::Error;

use crate::exposition::{Format, View};
use crate::http::event::HttpRequest;
use crate::http::negotiation::Encoding;
use crate::http::parameters;
use crate::model::api_key::KeyHash;
use crate::model::host::{Asked, Host};
use crate::model::range::BinnedRange;

const SCRAPE_TIMEOUT: &str = "x-prometheus-scrape-timeout-seconds";
/// Seconds kept back from the caller's timeout for the round trip.
const NETWORK_MARGIN: f64 = 0.5;
const SHORTEST_TIMEOUT: f64 = 0.25;
const LONGEST_TIMEOUT: f64 = 25.0;
/// For clients that state no timeout: Telegraf and Datadog give up after 5 to 10 s.
const DEFAULT_TIMEOUT: f64 = 4.5;

#[derive(Debug)]
pub struct ScrapeRequest {
    pub key: KeyHash,
    pub endpoints: Asked,
    pub view: View,
    pub format: Format,
    pub encoding: Encoding,
}

#[derive(Debug)]
pub struct JsonRequest {
    pub key: KeyHash,
    pub endpoint: Host,
    pub range: BinnedRange,
}

#[derive(Debug)]
pub struct TargetsRequest {
    pub key: KeyHash,
    /// Where the call names one.
    pub view: Option<View>,
}

/// Why a request is refused without any I/O.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RequestError {
    #[error("no such path")]
    NotFound,
    #[error("no such method")]
    MethodNotAllowed,
    #[error("no authorization header")]
    MissingKey,
    #[error("malformed authorization header")]
    MalformedKey,
    #[error("invalid endpoint parameter")]
    InvalidEndpoint,
    #[error("invalid view parameter")]
    InvalidView,
    #[error("invalid range_minutes parameter")]
    InvalidRange,
}

/// Each checks a request; the first fault in the contract's order is the answer.
impl ScrapeRequest {
    pub fn parse(request: &HttpRequest) -> Result<Self, RequestError> {
        let key = key(request)?;
        let endpoints = parameters::endpoints(&request.query)?;
        let view = parameters::view(&request.query)?.unwrap_or(View::Window);
        Ok(Self {
            key,
            endpoints,
            view,
            format: Format::negotiate(header_lines(&request.headers, header::ACCEPT), view),
            encoding: Encoding::negotiate(header_lines(&request.headers, header::ACCEPT_ENCODING)),
        })
    }
}

impl JsonRequest {
    pub fn parse(request: &HttpRequest) -> Result<Self, RequestError> {
        let key = key(request)?;
        let endpoint = parameters::endpoint(&request.query)?;
        Ok(Self { key, endpoint, range: parameters::range(&request.query)? })
    }
}

impl TargetsRequest {
    pub fn parse(request: &HttpRequest) -> Result<Self, RequestError> {
        Ok(Self { key: key(request)?, view: parameters::view(&request.query)? })
    }
}

/// How long after the function's start on a request its answer must be sent.
#[must_use]
pub fn time_to_answer(headers: &HeaderMap) -> Duration {
    let mut stated = headers.get_all(SCRAPE_TIMEOUT).iter();
    let seconds = match (stated.next(), stated.next()) {
        (Some(value), None) => value.to_str().ok().and_then(|text| text.parse::<f64>().ok()),
        _ => None,
    };
    let seconds = seconds
        .filter(|seconds| seconds.is_finite() && *seconds > 0.0)
        .map_or(DEFAULT_TIMEOUT, |seconds| seconds - NETWORK_MARGIN);
    Duration::from_secs_f64(seconds.clamp(SHORTEST_TIMEOUT, LONGEST_TIMEOUT))
}

/// The key of a GET.
fn key(request: &HttpRequest) -> Result<KeyHash, RequestError> {
    if request.method == Method::GET { authorization(&request.headers) } else { Err(RequestError::MethodNotAllowed) }
}

fn authorization(headers: &HeaderMap) -> Result<KeyHash, RequestError> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    match (values.next(), values.next()) {
        (None, _) => Err(RequestError::MissingKey),
        (Some(value), None) => KeyHash::from_authorization(value.as_bytes()).ok_or(RequestError::MalformedKey),
        (Some(_), Some(_)) => Err(RequestError::MalformedKey),
    }
}

/// The lines of a header that are text.
fn header_lines(headers: &HeaderMap, name: header::HeaderName) -> impl Iterator<Item = &str> {
    headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_to_answer_follows_the_callers_timeout() {
        for (header, seconds) in [
            ("10", 9.5),
            ("10.000", 9.5),
            ("0.4", 0.25),
            ("0", 4.5),
            ("-1", 4.5),
            ("nan", 4.5),
            ("inf", 4.5),
            ("1e9", 25.0),
            ("", 4.5),
            ("10,10", 4.5),
            ("soon", 4.5),
        ] {
            let headers = HeaderMap::from_iter([(SCRAPE_TIMEOUT.parse().unwrap(), header.parse().unwrap())]);
            assert_eq!(time_to_answer(&headers), Duration::from_secs_f64(seconds), "{header:?}");
        }
        assert_eq!(time_to_answer(&HeaderMap::new()), Duration::from_secs_f64(4.5));
    }
}
