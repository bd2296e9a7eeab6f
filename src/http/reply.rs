//! Replies: status, headers and body, as API Gateway takes them.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use lambda_http::Body;
use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpResponse;
use lambda_http::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;

use crate::exposition::{Format, Written};
use crate::http::negotiation::Encoding;
use crate::http::problem::{Problem, Wording};
use crate::model::quota::RateLimit;
use crate::model::request_id::RequestId;

/// Seconds after which to try again where a store was unavailable.
const RETRY_UNAVAILABLE: u64 = 5;

/// What API Gateway is answered with.
pub type ResponseEvent = ApiGatewayV2httpResponse;

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

/// 200 with an exposition.
pub fn exposition(
    id: &RequestId,
    limit: RateLimit,
    exposition: Written,
    format: Format,
    encoding: Encoding,
) -> ResponseEvent {
    let mut headers = common_headers(id, HeaderValue::from_static(format.content_type()));
    headers.insert(header::VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
    rate_limit_headers(&mut headers, limit);
    let compressed = match (encoding, &exposition) {
        (Encoding::Gzip, Written::Text(text)) => gzip(text.as_bytes()),
        (Encoding::Gzip, Written::Binary(bytes)) => gzip(bytes),
        (Encoding::Identity, _) => None,
    };
    let body = match (compressed, exposition) {
        (Some(bytes), _) => {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            Body::Binary(bytes)
        }
        (None, Written::Text(text)) => Body::Text(text),
        (None, Written::Binary(bytes)) => Body::Binary(bytes),
    };
    reply(StatusCode::OK, headers, body)
}

/// 200 with JSON.
pub fn json(id: &RequestId, limit: RateLimit, document: &impl Serialize) -> ResponseEvent {
    let mut headers = common_headers(id, HeaderValue::from_static("application/json"));
    rate_limit_headers(&mut headers, limit);
    // Documents are structs, lists, strings and numbers, which always have a JSON form.
    reply(StatusCode::OK, headers, Body::Text(serde_json::to_string(document).unwrap_or_default()))
}

/// The reply to a call that failed; `limit` is the key's state where the limiter gave it.
pub fn problem(id: &RequestId, limit: Option<RateLimit>, problem: &Problem) -> ResponseEvent {
    let Wording { status, kind, code, message, param } = problem.wording();
    let mut headers = common_headers(id, HeaderValue::from_static("application/json"));
    match problem {
        Problem::MethodNotAllowed => {
            headers.insert(header::ALLOW, HeaderValue::from_static("GET"));
        }
        Problem::InvalidApiKey => {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        Problem::Unavailable => {
            headers.insert(header::RETRY_AFTER, RETRY_UNAVAILABLE.into());
        }
        Problem::RateLimited(limit) => {
            headers.insert(header::RETRY_AFTER, limit.frees_in_seconds.into());
        }
        _ => {}
    }
    if let Some(limit) = limit {
        rate_limit_headers(&mut headers, limit);
    }
    let body = ErrorBody { error: ErrorDetail { kind, code, message: &message, param, request_id: id.as_str() } };
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
    let policy = format!("\"per-key\";q={};w={}", limit.quota.slots, limit.quota.window_seconds);
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
fn gzip(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).ok()?;
    encoder.finish().ok()
}

fn reply(status: StatusCode, headers: HeaderMap, body: Body) -> ResponseEvent {
    let mut response = ResponseEvent::default();
    response.status_code = status.as_u16().into();
    response.headers = headers;
    response.is_base64_encoded = matches!(body, Body::Binary(_));
    response.body = Some(body);
    response
}
