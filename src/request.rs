//! The caller's request, judged as far as it goes without any I/O (rows 1 to 4 of the contract).

use std::time::Duration;

use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use lambda_http::http::{HeaderMap, Method, header};

use crate::api_key::KeyHash;
use crate::error::{InvalidApiKey, ScrapeError};
use crate::host::Host;
use crate::negotiation::{Encoding, TextFormat};

/// The one path there is.
pub const PATH: &str = "/v1/endpoints/metrics/prometheus";
/// How many different endpoints one call may name.
pub const MAX_ENDPOINTS: usize = 20;

const SCRAPE_TIMEOUT: &str = "x-prometheus-scrape-timeout-seconds";
/// Kept back from the caller's timeout for the way there and back.
const TRAVEL: f64 = 0.5;
const SHORTEST: f64 = 0.25;
const LONGEST: f64 = 25.0;
/// For clients that state no timeout: Telegraf and Datadog give up after 5 to 10 s.
const UNSTATED: f64 = 4.5;

/// A well-formed request.
#[derive(Debug)]
pub struct Request {
    /// Who asks.
    pub key: KeyHash,
    /// What is asked for: 1 to [`MAX_ENDPOINTS`] different hosts in the order given.
    pub endpoints: Vec<Host>,
    /// The text format to answer in.
    pub format: TextFormat,
    /// The encoding to answer in.
    pub encoding: Encoding,
}

impl Request {
    /// Judges a request; the first fault in the contract's order is the answer.
    ///
    /// # Errors
    /// `NotFound`, `MethodNotAllowed`, `InvalidApiKey` or `InvalidEndpoint`.
    pub fn parse(event: &ApiGatewayV2httpRequest) -> Result<Self, ScrapeError> {
        if event.raw_path.as_deref() != Some(PATH) {
            return Err(ScrapeError::NotFound);
        }
        if event.request_context.http.method != Method::GET {
            return Err(ScrapeError::MethodNotAllowed);
        }
        let key = authorization(&event.headers)?;
        let endpoints = endpoints(event.raw_query_string.as_deref().unwrap_or_default())?;
        Ok(Self {
            key,
            endpoints,
            format: TextFormat::negotiate(header_lines(&event.headers, header::ACCEPT)),
            encoding: Encoding::negotiate(header_lines(&event.headers, header::ACCEPT_ENCODING)),
        })
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
    let seconds = seconds.filter(|seconds| seconds.is_finite() && *seconds > 0.0).map_or(UNSTATED, |seconds| seconds - TRAVEL);
    Duration::from_secs_f64(seconds.clamp(SHORTEST, LONGEST))
}

fn authorization(headers: &HeaderMap) -> Result<KeyHash, InvalidApiKey> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    match (values.next(), values.next()) {
        (None, _) => Err(InvalidApiKey::Missing),
        (Some(value), None) => KeyHash::of_authorization(value.as_bytes()).ok_or(InvalidApiKey::Malformed),
        (Some(_), Some(_)) => Err(InvalidApiKey::Malformed),
    }
}

/// The different hosts that the raw query string names.
fn endpoints(query: &str) -> Result<Vec<Host>, ScrapeError> {
    let mut hosts = Vec::new();
    for (_, value) in form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "endpoint") {
        let host = Host::parse(&value).ok_or(ScrapeError::InvalidEndpoint)?;
        if !hosts.contains(&host) {
            if hosts.len() == MAX_ENDPOINTS {
                return Err(ScrapeError::InvalidEndpoint);
            }
            hosts.push(host);
        }
    }
    if hosts.is_empty() { Err(ScrapeError::InvalidEndpoint) } else { Ok(hosts) }
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

    #[test]
    fn endpoints_come_in_the_order_asked_and_each_once() {
        let named = |query: &str| endpoints(query).map(|hosts| hosts.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")).ok();
        assert_eq!(named("endpoint=b.example&x=1&endpoint=A.example&endpoint=B.EXAMPLE").unwrap(), "b.example a.example");
        assert_eq!(named("%65ndpoint=%61.example").unwrap(), "a.example");
        let twenty: Vec<_> = (0..20).map(|n| format!("endpoint=h{n}.example")).collect();
        assert!(named(&twenty.join("&")).is_some());
        assert!(named(&format!("{}&endpoint=H0.example", twenty.join("&"))).is_some());
        assert!(named(&format!("{}&endpoint=h20.example", twenty.join("&"))).is_none());
        for query in ["", "endpoint", "endpoint=", "Endpoint=a", "endpoint=a&endpoint=", "endpoint=a+b", "endpoint=%zz", "endpoint=%ff"] {
            assert_eq!(named(query), None, "{query}");
        }
    }
}
