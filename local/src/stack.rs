//! The local stack: DynamoDB, Athena, both functions, the HTTP front, and demo data that keeps moving.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use clap::Parser;
use indicatif::ProgressBar;
use jiff::{SignedDuration, Timestamp};
use lambda_runtime::{Context, LambdaEvent};
use serde_json::{Value, json};
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::time::{interval, sleep};
use wafer_metrics::aws;
use wafer_metrics::error::chain;
use wafer_metrics::refresh::Refresh;
use wafer_metrics::scrape::Scrape;
use wafer_metrics::settings::{RefreshSettings, ScrapeSettings};

use crate::athena::{Athena, AthenaError};
use crate::log_writer::{self, LogWriteError};
use crate::trace::{Trace, TraceError};
use crate::traffic::{CHAT, CODE, Traffic};
use crate::{front, heartbeats, tables};

const DATABASE: &str = "wafer";
const REQUEST_LOGS: &str = "request_logs";
/// Written before the first refresh: the window, its broken first hour, and some.
const FILLED: SignedDuration = SignedDuration::from_hours(26);
/// How often new log files appear.
const LOGS_EVERY: Duration = Duration::from_secs(10);
const HEARTBEATS_EVERY: Duration = Duration::from_secs(10);

/// Runs the wafer-metrics endpoint on loopback: a DynamoDB and an Athena endpoint, both functions, demo keys, traffic and heartbeats.
#[derive(Debug, Parser)]
pub struct Options {
    /// Where the HTTP front listens.
    #[arg(long, default_value = "127.0.0.1:9000")]
    pub listen: SocketAddr,
    /// Where DynamoDB listens, unless `AWS_ENDPOINT_URL_DYNAMODB` names another.
    #[arg(long, default_value = "127.0.0.1:8000")]
    pub dynamodb: SocketAddr,
    /// Where Athena listens, unless `AWS_ENDPOINT_URL_ATHENA` names another.
    #[arg(long, default_value = "127.0.0.1:8001")]
    pub athena: SocketAddr,
    /// Read request logs from this folder of `hour=…` folders, and make no demo traffic.
    #[arg(long, value_name = "DIR")]
    pub logs: Option<PathBuf>,
    /// An Azure LLM inference trace to replay as the traffic of chat.demo.example.
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
}

/// Why the stack did not start.
#[derive(Debug, Error)]
pub enum StackError {
    /// A port is in use, or not to be had.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, io::Error),
    /// The folder of `--logs` is not there.
    #[error("no such folder of request logs: {0}")]
    NoLogs(PathBuf),
    /// No place for the demo's request logs.
    #[error("no folder for the demo's request logs: {0}")]
    Folder(io::Error),
    /// The trace cannot be replayed.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// Athena did not start.
    #[error(transparent)]
    Athena(#[from] AthenaError),
    /// The demo's logs could not be written.
    #[error(transparent)]
    Write(#[from] LogWriteError),
    /// DynamoDB did not start.
    #[error("DynamoDB did not start: {0}")]
    DynamoDb(String),
    /// DynamoDB refused a table or an item.
    #[error("DynamoDB refused: {0}")]
    Refused(String),
    /// A setting of the functions does not fit.
    #[error(transparent)]
    Settings(#[from] wafer_metrics::settings::SettingsError),
}

/// Starts everything and serves until dropped.
///
/// # Errors
/// When a part does not start.
pub async fn run(options: Options) -> Result<(), StackError> {
    let demo = tempfile::tempdir().map_err(StackError::Folder)?;
    let folder = match &options.logs {
        Some(folder) if folder.is_dir() => folder.clone(),
        Some(folder) => return Err(StackError::NoLogs(folder.clone())),
        None => demo.path().to_owned(),
    };
    let chat = options.trace.as_deref().map_or_else(Trace::chat, Trace::read)?;
    let traffic = if options.logs.is_some() { Vec::new() } else { vec![Traffic::new(CHAT, chat), Traffic::new(CODE, Trace::code()?)] };
    let listener = listen(options.listen).await?;
    let dynamodb_url = match std::env::var("AWS_ENDPOINT_URL_DYNAMODB") {
        Ok(url) => url,
        Err(_) => {
            let listener = listen(options.dynamodb).await?;
            let database = dynoxide::Database::memory().map_err(|error| StackError::DynamoDb(error.to_string()))?;
            tokio::spawn(dynoxide::server::serve_on(listener, database));
            format!("http://{}", options.dynamodb)
        }
    };
    let athena_url = match std::env::var("AWS_ENDPOINT_URL_ATHENA") {
        Ok(url) => url,
        Err(_) => {
            let listener = listen(options.athena).await?;
            tokio::spawn(Athena::new(&folder, DATABASE, REQUEST_LOGS)?.serve(listener));
            format!("http://{}", options.athena)
        }
    };
    let dynamodb = aws::dynamodb_for_refresh(&config(&dynamodb_url));
    tables::create(&dynamodb).await?;
    tables::put_demo_keys(&dynamodb).await?;

    let filled_to = Timestamp::now();
    fill(&traffic, &folder, filled_to)?;
    tokio::spawn(write_logs(traffic, folder, filled_to));
    tokio::spawn(beat(dynamodb.clone()));
    let refresh = Refresh::new(RefreshSettings::read(setting)?, aws::athena(&config(&athena_url)), dynamodb);
    let scrape = Arc::new(Scrape::new(ScrapeSettings::read(setting)?, &aws::dynamodb_for_scrape(&config(&dynamodb_url))));
    tokio::spawn(refresh_each_minute(refresh, options.listen));
    let handler = move |event: Value| {
        let scrape = Arc::clone(&scrape);
        async move {
            let payload = serde_json::value::to_raw_value(&event).map_err(|error| error.to_string())?;
            let event = LambdaEvent::new(payload, invocation(Duration::from_secs(29)));
            let response = scrape.handle(event, Timestamp::now()).await.map_err(|error| error.to_string())?;
            serde_json::to_value(response).map_err(|error| error.to_string())
        }
    };
    front::serve(listener, Timestamp::now, handler).await.map_err(|error| StackError::Listen(options.listen, error))
}

async fn listen(address: SocketAddr) -> Result<TcpListener, StackError> {
    TcpListener::bind(address).await.map_err(|error| StackError::Listen(address, error))
}

/// What the functions' environment holds here.
fn setting(name: &str) -> Option<String> {
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

fn config(endpoint: &str) -> SdkConfig {
    let credentials = Credentials::new("local", "local", None, None, "local-stack");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url(endpoint)
        .build()
}

/// What Lambda says of an invocation.
fn invocation(timeout: Duration) -> Context {
    let mut context = Context::default();
    context.request_id = uuid::Uuid::new_v4().to_string();
    let deadline = Timestamp::now().as_millisecond() + i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX);
    context.deadline = u64::try_from(deadline).unwrap_or_default();
    context
}

/// Writes the logs of the time before the start.
fn fill(traffic: &[Traffic], folder: &std::path::Path, now: Timestamp) -> Result<(), StackError> {
    let hours = FILLED.as_hours();
    let progress = ProgressBar::new(hours.unsigned_abs()).with_message("request logs");
    for ago in (0..hours).rev() {
        let (from, to) = (now - SignedDuration::from_hours(ago + 1), now - SignedDuration::from_hours(ago));
        for source in traffic {
            write(source, folder, from, to)?;
        }
        progress.inc(1);
    }
    progress.finish();
    Ok(())
}

async fn write_logs(traffic: Vec<Traffic>, folder: PathBuf, mut from: Timestamp) {
    loop {
        sleep(LOGS_EVERY).await;
        let to = Timestamp::now();
        for source in &traffic {
            if let Err(error) = write(source, &folder, from, to) {
                eprintln!("request logs not written: {error}");
            }
        }
        from = to;
    }
}

fn write(traffic: &Traffic, folder: &std::path::Path, from: Timestamp, to: Timestamp) -> Result<(), LogWriteError> {
    let name = format!("{}-{}", traffic.endpoint(), to.as_millisecond());
    log_writer::write(folder, &name, traffic.rows_delivered_between(from, to)).map(|_| ())
}

async fn beat(dynamodb: aws_sdk_dynamodb::Client) {
    let mut every = interval(HEARTBEATS_EVERY);
    loop {
        every.tick().await;
        if let Err(error) = heartbeats::report(&dynamodb, tables::HEARTBEATS, Timestamp::now()).await {
            eprintln!("heartbeats not written: {}", chain(&error));
        }
    }
}

/// Sends the refresh the schedule's event, at once until it has caught up and then each minute.
async fn refresh_each_minute(refresh: Refresh, front: SocketAddr) {
    let mut ready = false;
    loop {
        let event = json!({"source": "aws.scheduler", "detail-type": "Scheduled Event", "time": Timestamp::now().to_string()});
        match refresh.handle(LambdaEvent::new(event, invocation(Duration::from_secs(55))), Timestamp::now()).await {
            Ok(report) if !report.complete => continue,
            Ok(_) if !ready => {
                ready = true;
                println!(
                    "ready\n\n  curl -H 'Authorization: Bearer demo-dedicated-key' 'http://{front}/v1/endpoints/metrics/prometheus?endpoint=chat.demo.example'"
                );
            }
            Ok(_) => {}
            Err(error) => eprintln!("refresh failed: {}", chain(&error)),
        }
        sleep(Duration::from_secs(60)).await;
    }
}
