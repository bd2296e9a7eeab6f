//! The HTTP front: an API Gateway HTTP API with one Lambda integration, as far as a function and a client can tell.
//!
//! Each request becomes an event of payload format 2.0, the handler's answer becomes the response. Limits and the
//! gateway's own answers are those of AWS: 431 over 10,240 bytes of request line and headers, 413 over 10 MB of body,
//! 503 when the function takes over 30 s, 500 when it fails or its answer cannot be read. Characters that no request
//! target may hold (a space, `"`, `<`, `>`) are refused earlier, with a bare 400.

mod event;
mod reply;
#[cfg(test)]
mod tests;

use std::fmt::Display;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use jiff::Timestamp;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::time::timeout;

use event::Arrival;

const MAX_HEAD_BYTES: usize = 10_240;
const MAX_BODY_BYTES: usize = 10 * 1024 * 1024;
const INTEGRATION_TIMEOUT: Duration = Duration::from_secs(30);

/// Serves the front on `listener` until the future is dropped. `handler` is the function: an event in, a response of
/// payload format 2.0 out. `clock` says when a request came.
///
/// A client that goes away does not stop the handler, as it would not stop a Lambda function.
pub async fn serve<Clock, Handler, Answer, Failure>(
    listener: TcpListener,
    clock: Clock,
    handler: Handler,
) -> io::Result<()>
where
    Clock: Fn() -> Timestamp + Clone + Send + Sync + 'static,
    Handler: Fn(Value) -> Answer + Clone + Send + Sync + 'static,
    Answer: Future<Output = Result<Value, Failure>> + Send + 'static,
    Failure: Display + Send + 'static,
{
    let port = listener.local_addr()?.port();
    let requests = Arc::new(AtomicU64::new(0));
    let answer = async move |ConnectInfo(peer): ConnectInfo<SocketAddr>, request: Request| {
        let arrival = Arrival { at: clock(), peer, port, number: requests.fetch_add(1, Ordering::Relaxed) };
        let mut response = respond(&arrival, request, handler).await;
        if let Ok(id) = HeaderValue::try_from(arrival.request_id()) {
            response.headers_mut().insert("apigw-requestid", id);
        }
        response
    };
    let service = Router::new().fallback(answer).into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service).await
}

async fn respond<Handler, Answer, Failure>(arrival: &Arrival, request: Request, handler: Handler) -> Response
where
    Handler: Fn(Value) -> Answer,
    Answer: Future<Output = Result<Value, Failure>> + Send + 'static,
    Failure: Display + Send + 'static,
{
    let (parts, body) = request.into_parts();
    if head_bytes(&parts) > MAX_HEAD_BYTES {
        return refusal(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "Request Header Fields Too Large");
    }
    // A body that breaks off is answered as one too large: its client is gone.
    let Ok(body) = to_bytes(body, MAX_BODY_BYTES).await else {
        return refusal(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large");
    };
    invoke(handler(event::event(&parts, &body, arrival)), INTEGRATION_TIMEOUT).await
}

/// Runs the function in a task of its own, which outlives the caller, and waits for it at most `limit`.
async fn invoke<Answer, Failure>(answer: Answer, limit: Duration) -> Response
where
    Answer: Future<Output = Result<Value, Failure>> + Send + 'static,
    Failure: Display + Send + 'static,
{
    let Ok(finished) = timeout(limit, tokio::spawn(answer)).await else {
        return refusal(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable");
    };
    let response = match finished {
        Ok(Ok(answer)) => reply::response(answer).map_err(|error| error.to_string()),
        Ok(Err(failure)) => Err(failure.to_string()),
        Err(panic) => Err(panic.to_string()),
    };
    response.unwrap_or_else(|cause| {
        tracing::error!(cause, "the function failed");
        refusal(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
    })
}

/// Bytes of the request line and the header lines.
fn head_bytes(parts: &Parts) -> usize {
    let line = format!("{} {} {:?}\r\n", parts.method, parts.uri, parts.version);
    let headers = parts.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len());
    line.len() + headers.sum::<usize>()
}

/// An answer of the gateway's own.
fn refusal(status: StatusCode, message: &str) -> Response {
    let mut response = Response::new(Body::from(serde_json::json!({ "message": message }).to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
    response
}
