//! AWS clients with explicit timeouts; the SDK has none by default.

mod https;

use std::time::Duration;

use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};

/// The SDK's own configuration: environment variables as everywhere. One of a service, such as
/// `AWS_ENDPOINT_URL_DYNAMODB`, counts as not set where it is empty; the SDK would take it for a URL.
///
/// What Lambda sets is all that a function needs. Where it is there, what the SDK builds to look elsewhere is left out:
/// it is most of a start. `lookup` is `std::env::var` in production.
pub async fn config(lookup: impl Fn(&str) -> Option<String>) -> SdkConfig {
    let mut loader = aws_config::defaults(BehaviorVersion::latest());
    let lookup = |name: &str| lookup(name).filter(|value| !value.trim().is_empty());
    if ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"].iter().all(|name| lookup(name).is_some()) {
        loader = loader.credentials_provider(EnvironmentVariableCredentialsProvider::new());
    }
    if let Some(region) = lookup("AWS_REGION") {
        loader = loader.region(Region::new(region));
    }
    if let Some(client) = https::amazon_only(lookup) {
        loader = loader.http_client(client);
    }
    let config = loader.load().await;
    config.clone().into_builder().service_config(WithoutEmpty(config)).build()
}

#[derive(Debug)]
struct WithoutEmpty(SdkConfig);

impl LoadServiceConfig for WithoutEmpty {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        self.0.service_config()?.load_config(key).filter(|value| !value.trim().is_empty())
    }
}

/// A client for the scrape. A healthy call takes milliseconds; one that hangs, as on a connection that a freeze left
/// stale, is tried again early enough that two attempts fit the usual scrape timeout of 10 s.
#[must_use]
pub fn dynamodb_for_scrape(config: &SdkConfig) -> aws_sdk_dynamodb::Client {
    dynamodb(config, Duration::from_millis(1_500), Duration::from_millis(3_500))
}

/// A client for the refresh, which has a minute.
#[must_use]
pub fn dynamodb_for_refresh(config: &SdkConfig) -> aws_sdk_dynamodb::Client {
    dynamodb(config, Duration::from_secs(5), Duration::from_secs(20))
}

/// A client for the refresh's queries; each call only starts, asks or reads.
#[must_use]
pub fn athena(config: &SdkConfig) -> aws_sdk_athena::Client {
    let settings = aws_sdk_athena::config::Builder::from(config)
        .timeout_config(timeouts(Duration::from_secs(5), Duration::from_secs(20)))
        .retry_config(retries());
    aws_sdk_athena::Client::from_conf(settings.build())
}

fn dynamodb(config: &SdkConfig, attempt: Duration, operation: Duration) -> aws_sdk_dynamodb::Client {
    let settings = aws_sdk_dynamodb::config::Builder::from(config)
        .timeout_config(timeouts(attempt, operation))
        .retry_config(retries());
    aws_sdk_dynamodb::Client::from_conf(settings.build())
}

fn timeouts(attempt: Duration, operation: Duration) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(1))
        .operation_attempt_timeout(attempt)
        .operation_timeout(operation)
        .build()
}

/// Three attempts, the first repeat soon: most failures are a connection that had gone stale.
fn retries() -> RetryConfig {
    RetryConfig::standard()
        .with_max_attempts(3)
        .with_initial_backoff(Duration::from_millis(50))
        .with_max_backoff(Duration::from_millis(500))
}
