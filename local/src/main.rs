//! Runs the whole product on loopback, without AWS.

use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use jiff::Timestamp;
use local_stack::stack::{Options, Stack, StackError};
use tokio::signal::ctrl_c;
use tokio::signal::unix::{SignalKind, signal};
use wafer_metrics::telemetry::log;

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    if let Ok(filter) = std::env::var("RUST_LOG") {
        log::start(Some(&filter));
    }
    tokio::select! {
        ended = run(&options) => match ended {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        },
        () = interrupted() => ExitCode::SUCCESS,
    }
}

async fn run(options: &Options) -> Result<(), StackError> {
    let stack = Stack::start(options, Arc::new(Timestamp::now)).await?;
    println!("{}", ready(&stack));
    stack.run().await
}

/// The commands that try it.
fn ready(stack: &Stack) -> String {
    let (front, dynamodb) = (stack.front(), stack.dynamodb_url());
    format!(
        "ready

Scrape it:

  curl -H 'Authorization: Bearer demo-dedicated-key' 'http://{front}/v1/endpoints/metrics/prometheus?endpoint=chat.demo.example'

Have Prometheus scrape it, in prometheus.yml:

  scrape_configs:
    - job_name: wafer
      scrape_interval: 60s
      metrics_path: /v1/endpoints/metrics/prometheus
      params: {{ endpoint: [chat.demo.example, code.demo.example] }}
      authorization: {{ credentials: demo-dedicated-key }}
      static_configs: [{{ targets: ['{front}'] }}]

Look into its tables, or put a key or a heartbeat:

  AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local aws dynamodb scan --table-name api_keys --region us-east-1 --endpoint-url {dynamodb}
"
    )
}

/// Ctrl-C, or a polite kill.
async fn interrupted() {
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return };
    tokio::select! {
        _ = ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}
