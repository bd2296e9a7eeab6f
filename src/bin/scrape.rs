//! The function that answers.

use std::process::ExitCode;

use jiff::Timestamp;
use lambda_runtime::{LambdaEvent, run, service_fn};
use wafer_metrics::answer::Service;
use wafer_metrics::settings::ScrapeSettings;
use wafer_metrics::stores::aws;
use wafer_metrics::telemetry::log;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let lookup = |name: &str| std::env::var(name).ok();
    let settings = match ScrapeSettings::from_lookup(lookup) {
        Ok(settings) => settings,
        Err(faults) => return log::refuse_to_start(&faults),
    };
    log::start(lookup("RUST_LOG").as_deref());
    let service = Service::new(settings, &aws::dynamodb_for_scrape(&aws::config(lookup).await));
    let handler = service_fn(|event: LambdaEvent<_>| service.handle(event, Timestamp::now()));
    log::exit(run(handler).await)
}
