//! The event that API Gateway sends for an HTTP request: HTTP API, payload format 2.0.

use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use lambda_http::http::{HeaderMap, HeaderName, HeaderValue, Method};
use lambda_http::request::LambdaRequest;
use lambda_runtime::Diagnostic;
use serde_json::Value;
use serde_json::value::RawValue;
use thiserror::Error;

#[derive(Debug, Error)]
#[error("not an HTTP request of API Gateway's payload format 2.0")]
pub struct NotHttp;

/// What Lambda reports of the invocation.
impl From<NotHttp> for Diagnostic {
    fn from(error: NotHttp) -> Self {
        Self { error_type: "NotHttp".to_owned(), error_message: error.to_string() }
    }
}

/// The request as the caller sent it, not yet checked.
#[derive(Debug, Default)]
pub struct HttpRequest {
    pub method: Method,
    pub path: String,
    /// The raw query string.
    pub query: String,
    pub headers: HeaderMap,
    /// The name that the caller reached, as API Gateway knows it.
    pub domain_name: String,
}

impl HttpRequest {
    fn from_event(event: ApiGatewayV2httpRequest) -> Self {
        Self {
            method: event.request_context.http.method,
            path: event.raw_path.unwrap_or_default(),
            query: event.raw_query_string.unwrap_or_default(),
            headers: event.headers,
            domain_name: event.request_context.domain_name.unwrap_or_default(),
        }
    }
}

/// Reads the event, without making a URI of it: `lambda_http` panics where the raw query string makes none
/// (<https://github.com/aws/aws-lambda-rust-runtime/issues/461>).
///
/// A header that HTTP does not allow, such as a value with a line break, counts as not sent.
pub fn parse(event: &RawValue) -> Result<HttpRequest, NotHttp> {
    parse_strictly(event.get()).or_else(|_| {
        let mut event: Value = serde_json::from_str(event.get()).map_err(|_| NotHttp)?;
        let headers = event.get_mut("headers").and_then(Value::as_object_mut).ok_or(NotHttp)?;
        headers.retain(|name, value| {
            let value_allowed = value.as_str().is_some_and(|value| HeaderValue::from_str(value).is_ok());
            HeaderName::from_bytes(name.as_bytes()).is_ok() && value_allowed
        });
        parse_strictly(&event.to_string())
    })
}

fn parse_strictly(event: &str) -> Result<HttpRequest, NotHttp> {
    match serde_json::from_str(event) {
        Ok(LambdaRequest::ApiGatewayV2(request)) => Ok(HttpRequest::from_event(request)),
        _ => Err(NotHttp),
    }
}
