//! The scrape function.

use std::process::ExitCode;

use jiff::Timestamp;
use lambda_runtime::{LambdaEvent, run, service_fn};
use wafer_metrics::scrape::Scrape;
use wafer_metrics::settings::ScrapeSettings;
use wafer_metrics::{aws, logging};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let lookup = |name: &str| std::env::var(name).ok();
    let settings = match ScrapeSettings::read(lookup) {
        Ok(settings) => settings,
        Err(faults) => return logging::refuse_to_start(&faults),
    };
    logging::start(lookup("RUST_LOG").as_deref());
    let scrape = Scrape::new(settings, &aws::dynamodb_for_scrape(&aws::config().await));
    let handler = service_fn(|event: LambdaEvent<_>| scrape.handle(event, Timestamp::now()));
    logging::exit(run(handler).await)
}
