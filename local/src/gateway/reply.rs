//! From the function's response of payload format 2.0 to an HTTP response.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::header::{CONNECTION, CONTENT_LENGTH, SET_COOKIE, TRANSFER_ENCODING};
use axum::http::response::Builder;
use axum::http::{self, HeaderName, HeaderValue};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde_json::Value;

/// The server's to say: it knows how long the body is.
const FRAMING: [HeaderName; 3] = [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING];

/// What payload format 2.0 reads of a response. It has no use for `multiValueHeaders`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FunctionResponse {
    status_code: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: bool,
    #[serde(default)]
    cookies: Vec<String>,
}

/// Why a function's response is not one.
#[derive(Debug, thiserror::Error)]
pub(super) enum MalformedResponse {
    #[error("the function's response does not fit payload format 2.0: {0}")]
    Shape(#[from] serde_json::Error),
    #[error("the function's response has the status {0}, which is not from 200 to 599")]
    Status(u16),
    #[error("the function's response has a body that is not base64: {0}")]
    Body(#[from] base64::DecodeError),
    #[error("the function's response has a header that HTTP does not allow: {0}")]
    Header(#[from] http::Error),
}

pub(super) fn response(answer: Value) -> Result<Response, MalformedResponse> {
    let answer: FunctionResponse = serde_json::from_value(answer)?;
    if !(200..600).contains(&answer.status_code) {
        return Err(MalformedResponse::Status(answer.status_code));
    }
    let mut response = Response::builder().status(answer.status_code);
    for (name, value) in &answer.headers {
        response = header(response, name, value)?;
    }
    for cookie in &answer.cookies {
        response = header(response, SET_COOKIE.as_str(), cookie)?;
    }
    let body = match answer.body {
        Some(body) if answer.is_base64_encoded => Body::from(BASE64.decode(body)?),
        Some(body) => Body::from(body),
        None => Body::empty(),
    };
    Ok(response.body(body)?)
}

fn header(response: Builder, name: &str, value: &str) -> Result<Builder, http::Error> {
    let name = HeaderName::try_from(name)?;
    let value = HeaderValue::try_from(value)?;
    Ok(if FRAMING.contains(&name) { response } else { response.header(name, value) })
}
