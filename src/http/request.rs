//! The caller's request, checked as far as it goes without any I/O.

use std::borrow::Cow;
use std::time::Duration;

use lambda_http::http::{HeaderMap, Method, header};
use thiserror::Error;

use crate::exposition::{Format, View};
use crate::http::event::HttpRequest;
use crate::http::negotiation::Encoding;
use crate::model::api_key::KeyHash;
use crate::model::host::Host;

/// How many different endpoints one call may name.
pub const MAX_ENDPOINTS: usize = 20;

const SCRAPE_TIMEOUT: &str = "x-prometheus-scrape-timeout-seconds";
/// Seconds kept back from the caller's timeout for the round trip.
const NETWORK_MARGIN: f64 = 0.5;
const SHORTEST_TIMEOUT: f64 = 0.25;
const LONGEST_TIMEOUT: f64 = 25.0;
/// For clients that state no timeout: Telegraf and Datadog give up after 5 to 10 s.
const DEFAULT_TIMEOUT: f64 = 4.5;

/// A well-formed scrape.
#[derive(Debug)]
pub struct ScrapeRequest {
    pub key: KeyHash,
    /// 1 to [`MAX_ENDPOINTS`] different hosts in the order given.
    pub endpoints: Vec<Host>,
    pub view: View,
    pub format: Format,
    pub encoding: Encoding,
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
}

impl ScrapeRequest {
    /// Checks a request; the first fault in the contract's order is the answer.
    ///
    /// # Errors
    /// When the method, the key, the endpoints or the view are not valid.
    pub fn parse(request: &HttpRequest) -> Result<Self, RequestError> {
        if request.method != Method::GET {
            return Err(RequestError::MethodNotAllowed);
        }
        let key = authorization(&request.headers)?;
        let endpoints = endpoints(&request.query)?;
        let view = view(&request.query)?;
        Ok(Self {
            key,
            endpoints,
            view,
            format: Format::negotiate(header_lines(&request.headers, header::ACCEPT), view),
            encoding: Encoding::negotiate(header_lines(&request.headers, header::ACCEPT_ENCODING)),
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
    let seconds = seconds
        .filter(|seconds| seconds.is_finite() && *seconds > 0.0)
        .map_or(DEFAULT_TIMEOUT, |seconds| seconds - NETWORK_MARGIN);
    Duration::from_secs_f64(seconds.clamp(SHORTEST_TIMEOUT, LONGEST_TIMEOUT))
}

fn authorization(headers: &HeaderMap) -> Result<KeyHash, RequestError> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    match (values.next(), values.next()) {
        (None, _) => Err(RequestError::MissingKey),
        (Some(value), None) => KeyHash::from_authorization(value.as_bytes()).ok_or(RequestError::MalformedKey),
        (Some(_), Some(_)) => Err(RequestError::MalformedKey),
    }
}

/// The different hosts that the raw query string names.
fn endpoints(query: &str) -> Result<Vec<Host>, RequestError> {
    let mut hosts = Vec::new();
    for value in values(query, "endpoint") {
        let host = Host::parse(&value).ok_or(RequestError::InvalidEndpoint)?;
        if !hosts.contains(&host) {
            if hosts.len() == MAX_ENDPOINTS {
                return Err(RequestError::InvalidEndpoint);
            }
            hosts.push(host);
        }
    }
    if hosts.is_empty() { Err(RequestError::InvalidEndpoint) } else { Ok(hosts) }
}

/// What the raw query string asks for; the window where it does not say.
fn view(query: &str) -> Result<View, RequestError> {
    let mut view: Option<View> = None;
    for value in values(query, "view") {
        for name in value.split(',') {
            let named = match name {
                "window" => View::Window,
                "counters" => View::Counters,
                _ => return Err(RequestError::InvalidView),
            };
            view = Some(view.map_or(named, |view| view.or(named)));
        }
    }
    Ok(view.unwrap_or(View::Window))
}

/// A parameter's values, in order.
fn values<'a>(query: &'a str, name: &str) -> impl Iterator<Item = Cow<'a, str>> {
    form_urlencoded::parse(query.as_bytes()).filter(move |(key, _)| key == name).map(|(_, value)| value)
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
    fn a_view_is_the_window_the_counters_or_both() {
        for (query, named) in [
            ("", View::Window),
            ("View=counters", View::Window),
            ("view=window", View::Window),
            ("view=counters", View::Counters),
            ("view=counters&view=counters", View::Counters),
            ("view=window,counters", View::Both),
            ("view=counters&view=window", View::Both),
            ("view=counters%2Cwindow", View::Both),
        ] {
            assert_eq!(view(query), Ok(named), "{query}");
        }
        for query in ["view", "view=", "view=both", "view=Window", "view=window,", "view=window&view=", "view=+window"]
        {
            assert_eq!(view(query), Err(RequestError::InvalidView), "{query}");
        }
    }

    #[test]
    fn endpoints_come_in_the_order_asked_and_each_once() {
        let named = |query: &str| {
            endpoints(query).map(|hosts| hosts.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")).ok()
        };
        assert_eq!(
            named("endpoint=b.example&x=1&endpoint=A.example&endpoint=B.EXAMPLE").unwrap(),
            "b.example a.example"
        );
        assert_eq!(named("%65ndpoint=%61.example").unwrap(), "a.example");
        let twenty: Vec<_> = (0..20).map(|n| format!("endpoint=h{n}.example")).collect();
        assert!(named(&twenty.join("&")).is_some());
        assert!(named(&format!("{}&endpoint=H0.example", twenty.join("&"))).is_some());
        assert!(named(&format!("{}&endpoint=h20.example", twenty.join("&"))).is_none());
        for query in [
            "",
            "endpoint",
            "endpoint=",
            "Endpoint=a",
            "endpoint=a&endpoint=",
            "endpoint=a+b",
            "endpoint=%zz",
            "endpoint=%ff",
        ] {
            assert_eq!(named(query), None, "{query}");
        }
    }
}
