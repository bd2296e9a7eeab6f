//! Calls of the function that answers, as API Gateway makes them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use jiff::Timestamp;
use lambda_runtime::{Config, Context, LambdaEvent};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};
use wafer_metrics::answer::Service;
use wafer_metrics::http::event::NotHttp;
use wafer_metrics::settings::ScrapeSettings;
use wafer_metrics::stores::aws;

use crate::keys::{CHAT, DEDICATED_KEY};
use crate::sdk_config;

/// A client as the answering function has it, but one that waits as long as a call takes: so a busy machine changes
/// nothing.
pub fn client(address: SocketAddr) -> Client {
    patient(&aws::dynamodb_for_scrape(&sdk_config(address)))
}

/// The same as the refresh has it.
pub fn refresh_client(address: SocketAddr) -> Client {
    patient(&aws::dynamodb_for_refresh(&sdk_config(address)))
}

/// The refresh's client of Athena, just as patient.
pub fn athena_client(address: SocketAddr) -> aws_sdk_athena::Client {
    let config = aws::athena(&sdk_config(address)).config().to_builder();
    aws_sdk_athena::Client::from_conf(config.timeout_config(TimeoutConfig::disabled()).build())
}

fn patient(client: &Client) -> Client {
    Client::from_conf(client.config().to_builder().timeout_config(TimeoutConfig::disabled()).build())
}

/// A client as the answering function has it, with its time limits.
pub fn impatient_client(address: SocketAddr) -> Client {
    aws::dynamodb_for_scrape(&sdk_config(address))
}

/// The function over the four tables.
pub fn scrape(client: &Client) -> Service {
    let settings = ScrapeSettings::from_lookup(|name| name.strip_suffix("_TABLE").map(str::to_lowercase));
    Service::new(settings.unwrap(), client)
}

const SCRAPE_TIMEOUT: &str = "x-prometheus-scrape-timeout-seconds";

/// An event of API Gateway.
#[derive(Clone, Debug)]
pub struct Event(Value);

impl Event {
    /// A good scrape of [`CHAT`], in text and not compressed, by a caller that waits as long as any may.
    pub fn scrape() -> Self {
        let event = include_str!("../../events/scrape-text.json");
        let event = Self(serde_json::from_str(event).unwrap()).key(DEDICATED_KEY).query(&format!("endpoint={CHAT}"));
        event.waiting("25.5")
    }

    /// Of a caller with this timeout, in seconds.
    pub fn waiting(self, timeout: &str) -> Self {
        self.header(SCRAPE_TIMEOUT, timeout)
    }

    pub fn without_timeout(self) -> Self {
        self.without_header(SCRAPE_TIMEOUT)
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

    pub fn endpoints(self, hosts: &[&str]) -> Self {
        let query: Vec<_> = hosts.iter().map(|host| format!("endpoint={host}")).collect();
        self.query(&query.join("&"))
    }

    pub fn path(mut self, path: &str) -> Self {
        self.0["rawPath"] = path.into();
        self
    }

    pub fn method(mut self, method: &str) -> Self {
        self.0["requestContext"]["http"]["method"] = method.into();
        self
    }

    /// As the function gets it.
    pub fn payload(&self) -> Box<RawValue> {
        to_raw_value(&self.0).unwrap()
    }
}

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
        value(&self.body, series)
    }

    /// Everything but the request id, which no two replies share.
    pub fn shown(&self) -> String {
        let id = self.header("x-request-id");
        assert!(id.starts_with("req_") && id.len() == 16, "{id}");
        let headers: Vec<_> = self.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        format!("{}\n{}\n\n{}", self.status, headers.join("\n"), self.body).replace(id, "req_<id>")
    }
}

/// The value of a text's first line of a series.
pub fn value<'a>(text: &'a str, series: &str) -> Option<&'a str> {
    let line = text.lines().find(|line| line.starts_with(&format!("{series}{{")))?;
    line.rsplit(' ').next()
}

static INVOCATIONS: AtomicU64 = AtomicU64::new(0);

/// What Lambda says of an invocation of that function.
pub fn invocation(function: &str) -> Context {
    let mut context = Context::default();
    context.env_config = Arc::new(Config { function_name: function.to_owned(), ..Config::default() });
    context.request_id = format!("invocation-{}", INVOCATIONS.fetch_add(1, Ordering::Relaxed));
    context
}

pub async fn call(scrape: &Service, event: &Event, now: Timestamp) -> Reply {
    try_call(scrape, event, now).await.unwrap()
}

pub async fn try_call(scrape: &Service, event: &Event, now: Timestamp) -> Result<Reply, NotHttp> {
    let response = scrape.handle(LambdaEvent::new(event.payload(), invocation("wafer-metrics-scrape")), now).await?;
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
