//! Both functions, invoked as Lambda would: an event and a context in, a response out.

use std::net::IpAddr;
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use axum::http::Uri;
use dynamodb_endpoint::tables;
use jiff::Timestamp;
use lambda_runtime::{Context, LambdaEvent};
use serde_json::Value;
use wafer_metrics::answer::Service;
use wafer_metrics::error::chain;
use wafer_metrics::refresh::{HandleError, Refresh, Report};
use wafer_metrics::settings::{RefreshSettings, ScrapeSettings, SettingsError};
use wafer_metrics::stores::aws;
use wafer_metrics::stores::request_logs::Polling;

pub const DATABASE: &str = "wafer";
pub const REQUEST_LOGS: &str = "request_logs";

const SCHEDULE: &str = include_str!("../../events/schedule.json");
/// Timeouts of the two functions, as deployed.
const SCRAPE_TIMEOUT: Duration = Duration::from_secs(28);
const REFRESH_TIMEOUT: Duration = Duration::from_secs(55);
/// The first fill has dozens of queries, each of which takes far less time here than on AWS.
const POLLING: Polling = Polling { first: Duration::from_millis(5), longest: Duration::from_millis(50) };

/// The scrape and the refresh function, over one DynamoDB and one Athena endpoint.
#[derive(Debug)]
pub struct Lambdas {
    scrape: Service,
    refresh: Refresh,
}

impl Lambdas {
    /// Over the endpoints at these URLs.
    pub fn new(dynamodb_url: &str, athena_url: &str) -> Result<Self, SettingsError> {
        let (dynamodb, athena) = (sdk_config(dynamodb_url), sdk_config(athena_url));
        Ok(Self {
            scrape: Service::new(ScrapeSettings::from_lookup(setting)?, &aws::dynamodb_for_scrape(&dynamodb)),
            refresh: Refresh::new(
                RefreshSettings::from_lookup(setting)?,
                aws::athena(&athena),
                POLLING,
                aws::dynamodb_for_refresh(&dynamodb),
            ),
        })
    }

    /// Invokes the scrape function with an event of API Gateway.
    pub async fn scrape(&self, event: &Value, now: Timestamp) -> Result<Value, String> {
        let payload = serde_json::value::to_raw_value(event).map_err(|error| error.to_string())?;
        let response = self.scrape.handle(LambdaEvent::new(payload, invocation(now, SCRAPE_TIMEOUT)), now).await;
        serde_json::to_value(response.map_err(|error| chain(&error))?).map_err(|error| error.to_string())
    }

    /// Invokes the refresh function with the schedule's event.
    pub async fn refresh(&self, now: Timestamp) -> Result<Report, HandleError> {
        let mut event: Value = serde_json::from_str(SCHEDULE).unwrap_or_default();
        event["time"] = now.to_string().into();
        self.refresh.handle(LambdaEvent::new(event, invocation(now, REFRESH_TIMEOUT)), now).await
    }
}

/// How to reach an endpoint of the stack; any credentials do.
#[must_use]
pub fn sdk_config(url: &str) -> SdkConfig {
    let credentials = Credentials::new("local", "local", None, None, "local-stack");
    let mut config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url(url);
    if is_loopback(url) {
        // The SDK's own client would go through HTTP_PROXY; this one knows of no proxy.
        config.set_http_client(Some(aws_smithy_http_client::Builder::new().build_http()));
    }
    config.build()
}

/// Whether a URL, of plain HTTP, stays on this machine.
fn is_loopback(url: &str) -> bool {
    let Ok(url) = url.parse::<Uri>() else { return false };
    let host = url.host().unwrap_or_default().trim_matches(['[', ']']);
    let ip = host.parse::<IpAddr>();
    url.scheme_str() == Some("http")
        && ip.map_or_else(|_| host.eq_ignore_ascii_case("localhost"), |ip| ip.is_loopback())
}

/// What the functions' environment holds here; a lookup for their settings.
#[must_use]
pub fn setting(name: &str) -> Option<String> {
    let value = match name {
        "API_KEYS_TABLE" => tables::API_KEYS,
        "RATE_LIMITS_TABLE" => tables::RATE_LIMITS,
        "HEARTBEATS_TABLE" => tables::HEARTBEATS,
        "ROLLUPS_TABLE" => tables::ROLLUPS,
        "ATHENA_DATABASE" => DATABASE,
        "ATHENA_WORKGROUP" => "wafer-metrics",
        "REQUEST_LOGS_TABLE" => REQUEST_LOGS,
        _ => return None,
    };
    Some(value.to_owned())
}

/// What Lambda says of an invocation.
fn invocation(now: Timestamp, timeout: Duration) -> Context {
    let mut context = Context::default();
    context.request_id = uuid::Uuid::new_v4().to_string();
    let deadline = now.as_millisecond() + i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX);
    context.deadline = u64::try_from(deadline).unwrap_or_default();
    context
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_http_to_this_machine_goes_past_proxies() {
        for url in ["http://127.0.0.1:8000", "http://localhost:8000/", "http://[::1]:8000", "http://127.1.2.3"] {
            assert!(is_loopback(url), "{url}");
        }
        for url in ["https://127.0.0.1:8000", "http://192.0.2.1:8000", "http://localhost.example", "127.0.0.1:8000", ""]
        {
            assert!(!is_loopback(url), "{url}");
        }
    }
}
