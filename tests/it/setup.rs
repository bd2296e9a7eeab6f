//! What the tests stand on: a DynamoDB endpoint with the tables and keys, events, replies, and the log.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::{SignedDuration, Timestamp};
use lambda_runtime::{Config, Context, LambdaEvent};
use serde_json::Value;
use testing::sdk_config;
use wafer_metrics::answer::Service;
use wafer_metrics::http::event;
use wafer_metrics::model::api_key::KeyHash;
use wafer_metrics::model::host::Host;
use wafer_metrics::model::summary::{StatusCounts, Summary};
use wafer_metrics::model::watermark::{Stride, Watermark};
use wafer_metrics::model::window::{Hour, Minute};
use wafer_metrics::settings::ScrapeSettings;
use wafer_metrics::stores::aws;
use wafer_metrics::stores::rollups::{MinuteChange, RollupWriter, Transaction};

use crate::captured_log;

pub const CHAT: &str = "chat.demo.example";
pub const CODE: &str = "code.demo.example";
/// May scrape [`CHAT`] and [`CODE`].
pub const DEDICATED_KEY: &str = "demo-dedicated-key";
/// May scrape [`CHAT`].
pub const METRICS_KEY: &str = "demo-metrics-key";
pub const SERVERLESS_KEY: &str = "demo-serverless-key";
pub const REVOKED_KEY: &str = "demo-revoked-key";
pub const EXPIRED_KEY: &str = "demo-expired-key";
pub const MALFORMED_KEY: &str = "demo-malformed-record-key";
pub const UNKNOWN_KEY: &str = "demo-unknown-key";

/// The time at which tests take place, [`after`] some milliseconds.
pub fn now() -> Timestamp {
    "2026-11-24T20:15:30Z".parse().unwrap()
}

pub fn after(milliseconds: i64) -> Timestamp {
    now() + SignedDuration::from_millis(milliseconds)
}

/// The end of the window that [`dynamodb`] holds.
pub fn window_end() -> Minute {
    Minute::floor("2026-11-24T20:14:00Z".parse().unwrap())
}

pub fn hash(key: &str) -> String {
    KeyHash::from_authorization(format!("Bearer {key}").as_bytes()).unwrap().as_str().to_owned()
}

/// A client as the scrape has it.
pub fn client(address: SocketAddr) -> Client {
    aws::dynamodb_for_scrape(&sdk_config(address))
}

/// A DynamoDB endpoint with the four tables, a key of each kind, and a day of [`CHAT`].
pub async fn dynamodb() -> SocketAddr {
    captured_log::start();
    let address = testing::dynamodb::start().await;
    let client = client(address);
    put_key(&client, DEDICATED_KEY, "dedicated", &[CHAT, "Code.Demo.Example"], &[]).await;
    put_key(&client, METRICS_KEY, "metrics", &[CHAT], &[]).await;
    put_key(&client, SERVERLESS_KEY, "serverless", &[], &[]).await;
    put_key(&client, REVOKED_KEY, "dedicated", &[CHAT], &[("revoked", AttributeValue::Bool(true))]).await;
    let expired = AttributeValue::N(now().as_second().to_string());
    put_key(&client, EXPIRED_KEY, "dedicated", &[CHAT], &[("expires_at", expired)]).await;
    put_key(&client, MALFORMED_KEY, "dedicated", &[CHAT], &[("revoked", AttributeValue::S("yes".to_owned()))]).await;
    put_day(&client).await;
    put_heartbeat(&client, CHAT, "worker-0", &[("running_requests", AttributeValue::N("3".to_owned()))]).await;
    address
}

pub async fn put_key(client: &Client, key: &str, kind: &str, endpoints: &[&str], further: &[(&str, AttributeValue)]) {
    let put = client.put_item().table_name("api_keys").item("key_hash", AttributeValue::S(hash(key)));
    let mut put = put.item("kind", AttributeValue::S(kind.to_owned()));
    if !endpoints.is_empty() {
        put = put.item("endpoints", AttributeValue::Ss(endpoints.iter().map(ToString::to_string).collect()));
    }
    for (name, value) in further {
        put = put.item(*name, value.clone());
    }
    put.send().await.unwrap();
}

/// Seven requests in the window's last minute.
async fn put_day(client: &Client) {
    let summary = Summary { input_tokens: 700, ..requests(&[(200, 6), (500, 1)]) };
    put_minute(client, window_end().plus(-1), &summary).await;
    put_watermark(client, &watermark(window_end(), window_end().plus(-10).hour())).await;
}

pub fn requests(codes: &[(u16, u64)]) -> Summary {
    let mut statuses = StatusCounts::default();
    for (code, count) in codes {
        statuses.add(*code, *count);
    }
    Summary { statuses, ..Summary::default() }
}

/// Puts a minute of [`CHAT`] that is not there yet.
pub async fn put_minute(client: &Client, minute: Minute, summary: &Summary) {
    let change = MinuteChange { period: minute, summary: summary.clone(), replaces: None };
    let transaction = Transaction { minutes: vec![change], hour: None, total: None, as_of: now() };
    let rollups = RollupWriter::new(client.clone(), "rollups".to_owned());
    rollups.write(&Host::parse(CHAT).unwrap(), &transaction).await.unwrap();
}

/// A watermark of minutes that are all settled.
pub fn watermark(through: Minute, sealed: Hour) -> Watermark {
    let stride = Stride::LONGEST;
    Watermark { through, settled: through, sealed, sealing: None, stride, last_row: None, caught_up_at: None }
}

/// Puts a watermark in the place of the one there is.
pub async fn put_watermark(client: &Client, mark: &Watermark) {
    let rollups = RollupWriter::new(client.clone(), "rollups".to_owned());
    let there = rollups.watermark().await.unwrap().map(|there| there.version);
    rollups.put_watermark(mark, there).await.unwrap().unwrap();
}

/// A heartbeat reported now, with these fields.
pub async fn put_heartbeat(client: &Client, endpoint: &str, worker: &str, fields: &[(&str, AttributeValue)]) {
    let put = client.put_item().table_name("heartbeats").item("endpoint", AttributeValue::S(endpoint.to_owned()));
    let mut put = put
        .item("worker_id", AttributeValue::S(worker.to_owned()))
        .item("reported_at_ms", AttributeValue::N(now().as_millisecond().to_string()));
    for (name, value) in fields {
        put = put.item(*name, value.clone());
    }
    put.send().await.unwrap();
}

/// The scrape function over the four tables.
pub fn scrape(client: &Client) -> Service {
    let settings = ScrapeSettings::from_lookup(|name| name.strip_suffix("_TABLE").map(str::to_lowercase));
    Service::new(settings.unwrap(), client)
}

/// An event of API Gateway.
#[derive(Clone)]
pub struct Event(Value);

impl Event {
    /// A good scrape of [`CHAT`], in text and not compressed.
    pub fn scrape() -> Self {
        let event = include_str!("../../events/scrape-text.json");
        Self(serde_json::from_str(event).unwrap()).key(DEDICATED_KEY).query(&format!("endpoint={CHAT}"))
    }

    pub fn of(text: &str) -> Self {
        Self(serde_json::from_str(text).unwrap())
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.0["headers"][name] = value.into();
        self
    }

    pub fn without_header(mut self, name: &str) -> Self {
        self.0["headers"].as_object_mut().unwrap().remove(name);
        self
    }

    pub fn key(self, key: &str) -> Self {
        self.header("authorization", &format!("Bearer {key}"))
    }

    pub fn query(mut self, raw: &str) -> Self {
        self.0["rawQueryString"] = raw.into();
        self
    }

    pub fn path(mut self, path: &str) -> Self {
        self.0["rawPath"] = path.into();
        self
    }

    pub fn method(mut self, method: &str) -> Self {
        self.0["requestContext"]["http"]["method"] = method.into();
        self
    }
}

/// What the caller gets.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    pub status: i64,
    pub headers: BTreeMap<String, String>,
    /// As it stands in the answer to API Gateway: base64 where it is binary.
    pub body: String,
    /// As the caller gets it.
    pub bytes: Vec<u8>,
}

impl Reply {
    pub fn code(&self) -> String {
        let body: Value = serde_json::from_str(&self.body).unwrap_or_default();
        body["error"]["code"].as_str().unwrap_or("ok").to_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// The value of the first line of a series.
    pub fn value(&self, series: &str) -> Option<&str> {
        self.body.lines().find(|line| line.starts_with(&format!("{series}{{"))).and_then(|line| line.rsplit(' ').next())
    }

    /// Everything but the request id, which no two replies share.
    pub fn shown(&self) -> String {
        let id = self.header("x-request-id");
        assert!(id.starts_with("req_") && id.len() == 16, "{id}");
        let headers: Vec<_> = self.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        format!("{}\n{}\n\n{}", self.status, headers.join("\n"), self.body).replace(id, "req_<id>")
    }
}

static INVOCATIONS: AtomicU64 = AtomicU64::new(0);

/// Invokes the function.
pub async fn call(scrape: &Service, event: &Event, now: Timestamp) -> Reply {
    try_call(scrape, event, now).await.unwrap()
}

pub async fn try_call(scrape: &Service, event: &Event, now: Timestamp) -> Result<Reply, event::NotHttp> {
    let mut context = Context::default();
    context.env_config = Arc::new(Config { function_name: "wafer-metrics-scrape".to_owned(), ..Config::default() });
    context.request_id = format!("invocation-{}", INVOCATIONS.fetch_add(1, Ordering::Relaxed));
    let payload = serde_json::value::to_raw_value(&event.0).unwrap();
    let response = scrape.handle(LambdaEvent::new(payload, context), now).await?;
    let bytes = response.body.as_deref().unwrap_or_default().to_vec();
    let response = serde_json::to_value(response).unwrap();
    let headers = response["headers"].as_object().unwrap().iter();
    Ok(Reply {
        status: response["statusCode"].as_i64().unwrap(),
        headers: headers.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect(),
        body: response["body"].as_str().unwrap_or_default().to_owned(),
        bytes,
    })
}

/// Every key that a test uses.
pub const KEYS: [&str; 7] =
    [DEDICATED_KEY, METRICS_KEY, SERVERLESS_KEY, REVOKED_KEY, EXPIRED_KEY, MALFORMED_KEY, UNKNOWN_KEY];
