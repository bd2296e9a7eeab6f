//! The refresh function.

use std::process::ExitCode;

use jiff::Timestamp;
use lambda_runtime::{LambdaEvent, run, service_fn};
use wafer_metrics::refresh::Refresh;
use wafer_metrics::settings::RefreshSettings;
use wafer_metrics::stores::aws;
use wafer_metrics::stores::request_logs::Polling;
use wafer_metrics::telemetry::log;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let lookup = |name: &str| std::env::var(name).ok();
    let settings = match RefreshSettings::from_lookup(lookup) {
        Ok(settings) => settings,
        Err(faults) => return log::refuse_to_start(&faults),
    };
    log::start(lookup("RUST_LOG").as_deref());
    let config = aws::config(lookup).await;
    let refresh = Refresh::new(settings, aws::athena(&config), Polling::default(), aws::dynamodb_for_refresh(&config));
    let handler = service_fn(|event: LambdaEvent<_>| refresh.handle(event, Timestamp::now()));
    log::exit(run(handler).await)
}
