//! From an HTTP request to the event of payload format 2.0.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use axum::http::header::{COOKIE, HOST, HeaderName, USER_AGENT};
use axum::http::request::Parts;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

/// About the connection and not the request: the gateway keeps them to itself.
const HOP_BY_HOP: [&str; 4] = ["connection", "keep-alive", "transfer-encoding", "upgrade"];

/// What the gateway knows of a request besides its bytes.
pub(super) struct Arrival {
    pub(super) at: Timestamp,
    pub(super) peer: SocketAddr,
    /// The gateway's own port.
    pub(super) port: u16,
    /// Counts requests, so that no two have the same identifier.
    pub(super) number: u64,
}

impl Arrival {
    pub(super) fn request_id(&self) -> String {
        format!("{:012x}-{:08x}", self.at.as_millisecond(), self.number)
    }

    fn trace_id(&self) -> String {
        format!("Root=1-{:08x}-{:024x}", self.at.as_second(), self.number)
    }
}

/// The event that an HTTP API with the `$default` route and stage would send.
pub(super) fn event(parts: &Parts, body: &[u8], arrival: &Arrival) -> Value {
    let raw_path = percent_decode_str(parts.uri.path()).decode_utf8().unwrap_or(parts.uri.path().into());
    let raw_query = parts.uri.query().unwrap_or_default();
    let host = header(parts, &HOST).unwrap_or_default();
    let domain_name = host.rsplit_once(':').map_or(host.as_str(), |(name, _port)| name);
    let domain_prefix = domain_name.split('.').next();
    let mut event = json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": raw_path,
        "rawQueryString": raw_query,
        "headers": headers(parts, body, arrival),
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "local",
            "domainName": domain_name,
            "domainPrefix": domain_prefix,
            "http": {
                "method": parts.method.as_str(),
                "path": raw_path,
                "protocol": format!("{:?}", parts.version),
                "sourceIp": arrival.peer.ip().to_string(),
                "userAgent": header(parts, &USER_AGENT).unwrap_or_default(),
            },
            "requestId": arrival.request_id(),
            "routeKey": "$default",
            "stage": "$default",
            "time": arrival.at.strftime("%d/%b/%Y:%H:%M:%S +0000").to_string(),
            "timeEpoch": arrival.at.as_millisecond(),
        },
        "isBase64Encoded": !body.is_empty(),
    });
    // Absent, not empty, where a request has none.
    let cookies = cookies(parts);
    if !cookies.is_empty() {
        event["cookies"] = json!(cookies);
    }
    if !raw_query.is_empty() {
        event["queryStringParameters"] = json!(parameters(raw_query));
    }
    if !body.is_empty() {
        event["body"] = json!(BASE64.encode(body));
    }
    event
}

fn headers(parts: &Parts, body: &[u8], arrival: &Arrival) -> BTreeMap<String, String> {
    let passed_on = parts.headers.keys().filter(|name| **name != COOKIE && !HOP_BY_HOP.contains(&name.as_str()));
    let mut headers: BTreeMap<String, String> =
        passed_on.filter_map(|name| Some((name.to_string(), header(parts, name)?))).collect();

    let peer = arrival.peer.ip().to_string();
    headers.entry("x-forwarded-for".to_owned()).and_modify(|hops| *hops = format!("{hops}, {peer}")).or_insert(peer);
    headers.insert("x-forwarded-port".to_owned(), arrival.port.to_string());
    headers.insert("x-forwarded-proto".to_owned(), "http".to_owned());
    headers.entry("x-amzn-trace-id".to_owned()).or_insert_with(|| arrival.trace_id());
    headers.insert("content-length".to_owned(), body.len().to_string());
    headers
}

/// A header's values, joined by a comma.
fn header(parts: &Parts, name: &HeaderName) -> Option<String> {
    let values = parts.headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
    values.map(String::from).reduce(|joined, value| format!("{joined},{value}"))
}

fn cookies(parts: &Parts) -> Vec<String> {
    let lines = parts.headers.get_all(COOKIE).iter().map(|line| String::from_utf8_lossy(line.as_bytes()));
    lines
        .flat_map(|line| line.split(';').map(|cookie| cookie.trim().to_owned()).collect::<Vec<_>>())
        .filter(|cookie| !cookie.is_empty())
        .collect()
}

/// The decoded parameters, a repeated one joined by a comma.
fn parameters(raw_query: &str) -> BTreeMap<String, String> {
    let mut parameters = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(raw_query.as_bytes()) {
        parameters
            .entry(name.into_owned())
            .and_modify(|joined: &mut String| *joined = format!("{joined},{value}"))
            .or_insert_with(|| value.to_string());
    }
    parameters
}
