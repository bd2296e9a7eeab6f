//! The refresh function.

use std::process::ExitCode;

use jiff::Timestamp;
use lambda_runtime::{LambdaEvent, run, service_fn};
use wafer_metrics::refresh::Refresh;
use wafer_metrics::request_logs::Polling;
use wafer_metrics::settings::RefreshSettings;
use wafer_metrics::{aws, logging};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let lookup = |name: &str| std::env::var(name).ok();
    let settings = match RefreshSettings::read(lookup) {
        Ok(settings) => settings,
        Err(faults) => return logging::refuse_to_start(&faults),
    };
    logging::start(lookup("RUST_LOG").as_deref());
    let config = aws::config().await;
    let refresh = Refresh::new(settings, aws::athena(&config), Polling::default(), aws::dynamodb_for_refresh(&config));
    let handler = service_fn(|event: LambdaEvent<_>| refresh.handle(event, Timestamp::now()));
    logging::exit(run(handler).await)
}
