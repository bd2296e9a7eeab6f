//! What a function's process says: log lines on standard output, one JSON object each, and its exit code.

use std::process::ExitCode;

use lambda_runtime::tracing::subscriber::filter::filter_fn;
use lambda_runtime::tracing::subscriber::fmt::{self, MakeWriter};
use lambda_runtime::tracing::subscriber::layer::SubscriberExt;
use lambda_runtime::tracing::subscriber::{EnvFilter, Layer, registry};
use tracing::{Level, Subscriber};

use crate::error::chain;
use crate::settings::SettingsError;

/// A subscriber that writes the lines a filter lets through, `info` where there is none or it cannot be read.
///
/// Of other crates' lines, those below `info` are never let through: there the Lambda runtime and the AWS SDK write whole events
/// and requests, with keys and their hashes.
pub fn subscriber<W>(filter: Option<&str>, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let filter = filter.and_then(|filter| EnvFilter::try_new(filter).ok()).unwrap_or_else(|| EnvFilter::new("info"));
    let lines = fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_target(false)
        .with_writer(writer)
        .with_filter(filter_fn(|line| line.target().starts_with(env!("CARGO_CRATE_NAME")) || *line.level() <= Level::INFO));
    registry().with(filter).with(lines)
}

/// Sends all log lines of the process to standard output.
pub fn start(filter: Option<&str>) {
    // It fails only where a subscriber is set already, which then does the same.
    let _ = tracing::subscriber::set_global_default(subscriber(filter, std::io::stdout));
}

/// Names every fault of the settings; the exit code is 1.
pub fn refuse_to_start(faults: &SettingsError) -> ExitCode {
    start(None);
    tracing::error!(cause = %faults, "settings refused");
    ExitCode::FAILURE
}

/// How the runtime ended: it does so only when it cannot go on.
pub fn exit(ended: Result<(), lambda_runtime::Error>) -> ExitCode {
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(cause = chain(error.as_ref()), "runtime ended");
            ExitCode::FAILURE
        }
    }
}
