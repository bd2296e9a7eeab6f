//! What the stack is told to do.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use crate::listen::ListenAddress;

/// Runs the wafer-metrics endpoint on loopback: a DynamoDB and an Athena endpoint, both functions, demo keys, traffic
/// and heartbeats.
#[derive(Clone, Debug, Parser)]
#[command(version, after_help = "RUST_LOG=info shows the functions' own log lines, one JSON object each.")]
pub struct Options {
    /// Where the HTTP front listens: host:port, or :port on loopback
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9000")]
    pub listen: ListenAddress,
    /// Where DynamoDB listens; any AWS SDK or CLI may put keys and heartbeats there
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8000")]
    pub dynamodb: ListenAddress,
    /// Where Athena listens
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8001")]
    pub athena: ListenAddress,
    /// Read request logs from this folder of hour=… folders, and make no demo traffic
    #[arg(long, value_name = "DIR")]
    pub logs: Option<PathBuf>,
    /// Replay this Azure LLM inference trace as the traffic of chat.demo.example [default: the one shipped]
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
    /// Use this DynamoDB, and start none; empty counts as not given
    #[arg(long, value_name = "URL", env = "AWS_ENDPOINT_URL_DYNAMODB")]
    pub dynamodb_url: Option<String>,
    /// Use this Athena, and start none; empty counts as not given
    #[arg(long, value_name = "URL", env = "AWS_ENDPOINT_URL_ATHENA")]
    pub athena_url: Option<String>,
    /// From one refresh to the next
    #[arg(skip = Duration::from_mins(1))]
    pub refresh_every: Duration,
}
