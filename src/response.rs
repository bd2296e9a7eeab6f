//! The reply to a scrape: the only place that knows statuses, headers and messages.

use std::fmt::{self, Write as _};
use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use lambda_http::Body;
use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpResponse;
use lambda_http::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::error::ScrapeError;
use crate::negotiation::{Encoding, TextFormat};
use crate::rate_limit::{POLICY_WINDOW_SECONDS, RateLimit, SLOTS};

/// Seconds after which to try again where a store was not to be had.
const RETRY_UNAVAILABLE: u64 = 5;

/// The name of one call, `req_` and 12 hex digits; also the limiter's proof of who took a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(String);

impl RequestId {
    /// Derives it from the invocation's own id, so that either is found by the other.
    #[must_use]
    pub fn of_invocation(id: &str) -> Self {
        let mut text = String::from("req_");
        for byte in Sha256::digest(id.as_bytes()).iter().take(6) {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        Self(text)
    }

    /// The text of `x-request-id`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What an error says to the caller. `message` is one fixed sentence a code: it tells what to do, and no cause.
struct Words {
    status: StatusCode,
    kind: &'static str,
    code: &'static str,
    message: &'static str,
    param: Option<&'static str>,
}

fn words(error: &ScrapeError) -> Words {
    let (status, kind, code, message) = match error {
        ScrapeError::NotFound => (
            StatusCode::NOT_FOUND,
            "invalid_request_error",
            "not_found",
            "Nothing is served at this path; scrape /v1/endpoints/metrics/prometheus?endpoint=<ENDPOINT_HOST>.",
        ),
        ScrapeError::MethodNotAllowed => {
            (StatusCode::METHOD_NOT_ALLOWED, "invalid_request_error", "method_not_allowed", "Use GET; no other method is served here.")
        }
        ScrapeError::InvalidApiKey(_) => (
            StatusCode::UNAUTHORIZED,
            "authentication_error",
            "invalid_api_key",
            "Send a valid API key as 'Authorization: Bearer <API_KEY>', with one space and no line break after the key.",
        ),
        ScrapeError::InvalidEndpoint => (
            StatusCode::UNPROCESSABLE_ENTITY,
            "invalid_request_error",
            "invalid_endpoint",
            "Name 1 to 20 endpoints as endpoint=<ENDPOINT_HOST>, each a host name without scheme, port, path or trailing dot.",
        ),
        ScrapeError::Unavailable { .. } => (
            StatusCode::SERVICE_UNAVAILABLE,
            "api_error",
            "unavailable",
            "The service cannot check this call at the moment; try again in 5 seconds.",
        ),
        ScrapeError::DedicatedOnly => (
            StatusCode::FORBIDDEN,
            "permission_error",
            "dedicated_only",
            "Serverless keys have no endpoint metrics; use a dedicated endpoint's key here, and the Billing API for serverless usage.",
        ),
        ScrapeError::EndpointForbidden => (
            StatusCode::FORBIDDEN,
            "permission_error",
            "endpoint_forbidden",
            "This key does not own every endpoint asked for; ask only for endpoints of this key, or use the key of their owner.",
        ),
        ScrapeError::RateLimited(_) => (
            StatusCode::TOO_MANY_REQUESTS,
            "rate_limit_error",
            "rate_limited",
            "Over 6 requests a minute for this key; wait for the seconds in Retry-After, and scrape every 60 seconds.",
        ),
        ScrapeError::SummaryFailed(_) => (
            StatusCode::BAD_GATEWAY,
            "api_error",
            "summary_failed",
            "The 24 h summary cannot be had at the moment; keep scraping at your interval, and contact support if this lasts.",
        ),
        ScrapeError::SummaryTimeout => (
            StatusCode::GATEWAY_TIMEOUT,
            "api_error",
            "summary_timeout",
            "The 24 h summary did not come in time; keep scraping at your interval, or raise the scrape timeout.",
        ),
    };
    let param = matches!(error, ScrapeError::InvalidEndpoint).then_some("endpoint");
    Words { status, kind, code, message, param }
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    error: ErrorDetail<'a>,
}

#[derive(Serialize)]
struct ErrorDetail<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    code: &'a str,
    message: &'a str,
    param: Option<&'a str>,
    request_id: &'a str,
}

/// The contract's code of an error, for the log.
#[must_use]
pub fn code(error: &ScrapeError) -> &'static str {
    words(error).code
}

/// 200 with the exposition.
#[must_use]
pub fn exposition(id: &RequestId, limit: RateLimit, text: String, format: TextFormat, encoding: Encoding) -> ApiGatewayV2httpResponse {
    let mut headers = common_headers(id, HeaderValue::from_static(format.content_type()));
    headers.insert(header::VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
    rate_limit_headers(&mut headers, limit);
    let compressed = match encoding {
        Encoding::Gzip => gzip(text.as_bytes()),
        Encoding::Identity => None,
    };
    let body = if let Some(bytes) = compressed {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        Body::Binary(bytes)
    } else {
        Body::Text(text)
    };
    reply(StatusCode::OK, headers, body)
}

/// The reply to a call that got no exposition; `limit` is the key's state where the limiter told it.
#[must_use]
pub fn failure(id: &RequestId, limit: Option<RateLimit>, error: &ScrapeError) -> ApiGatewayV2httpResponse {
    let Words { status, kind, code, message, param } = words(error);
    let mut headers = common_headers(id, HeaderValue::from_static("application/json"));
    match error {
        ScrapeError::MethodNotAllowed => {
            headers.insert(header::ALLOW, HeaderValue::from_static("GET"));
        }
        ScrapeError::InvalidApiKey(_) => {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        ScrapeError::Unavailable { .. } => {
            headers.insert(header::RETRY_AFTER, RETRY_UNAVAILABLE.into());
        }
        ScrapeError::RateLimited(limit) => {
            headers.insert(header::RETRY_AFTER, limit.frees_in_seconds.into());
        }
        _ => {}
    }
    if let Some(limit) = limit {
        rate_limit_headers(&mut headers, limit);
    }
    let body = ErrorBody { error: ErrorDetail { kind, code, message, param, request_id: id.as_str() } };
    // A struct of strings always has a JSON form.
    reply(status, headers, Body::Text(serde_json::to_string(&body).unwrap_or_default()))
}

fn common_headers(id: &RequestId, content_type: HeaderValue) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, content_type);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    insert(&mut headers, HeaderName::from_static("x-request-id"), id.as_str());
    headers
}

/// draft-ietf-httpapi-ratelimit-headers.
fn rate_limit_headers(headers: &mut HeaderMap, limit: RateLimit) {
    let policy = format!("\"per-key\";q={SLOTS};w={POLICY_WINDOW_SECONDS}");
    let state = format!("\"per-key\";r={};t={}", limit.remaining, limit.frees_in_seconds);
    insert(headers, HeaderName::from_static("ratelimit-policy"), &policy);
    insert(headers, HeaderName::from_static("ratelimit"), &state);
}

/// Inserts a value that is made of digits, letters and punctuation only, which every header may hold.
fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// `None` if compressing failed, which writing to memory does not.
fn gzip(text: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).ok()?;
    encoder.finish().ok()
}

fn reply(status: StatusCode, headers: HeaderMap, body: Body) -> ApiGatewayV2httpResponse {
    let mut response = ApiGatewayV2httpResponse::default();
    response.status_code = status.as_u16().into();
    response.headers = headers;
    response.is_base64_encoded = matches!(body, Body::Binary(_));
    response.body = Some(body);
    response
}
