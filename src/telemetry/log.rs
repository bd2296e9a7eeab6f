//! What a function's process says: log lines on standard output, one JSON object each, and its exit code.

use std::panic::{self, PanicHookInfo};
use std::process::ExitCode;

use lambda_runtime::tracing::subscriber::filter::{FilterExt, Targets, filter_fn};
use lambda_runtime::tracing::subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use lambda_runtime::tracing::subscriber::fmt::{self, FmtContext, MakeWriter};
use lambda_runtime::tracing::subscriber::layer::SubscriberExt;
use lambda_runtime::tracing::subscriber::registry::LookupSpan;
use lambda_runtime::tracing::subscriber::{Layer, registry};
use tracing::{Event, Level, Subscriber};

use crate::error::chain;
use crate::settings::SettingsError;
use crate::telemetry::emf;

/// A subscriber that writes the lines a filter lets through, `info` where it is empty or cannot be read.
///
/// Of other crates' lines, those below `info` are never let through: there the Lambda runtime and the AWS SDK write
/// whole events and requests, with keys and their hashes.
pub fn subscriber<W>(filter: Option<&str>, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'writer> MakeWriter<'writer> + Clone + Send + Sync + 'static,
{
    let filter = filter.filter(|filter| !filter.trim().is_empty()).and_then(|filter| filter.parse().ok());
    // Not `EnvFilter`, which would bring regular expressions with it.
    let filter: Targets = filter.unwrap_or_else(|| Targets::new().with_default(Level::INFO));
    let lines = fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_target(false)
        .with_writer(writer.clone())
        .with_filter(filter.and(filter_fn(|line| {
            line.target() != emf::TARGET
                && (line.target().starts_with(env!("CARGO_CRATE_NAME")) || *line.level() <= Level::INFO)
        })));
    // Alarms depend on these lines, so RUST_LOG does not filter them.
    let metrics = fmt::layer()
        .event_format(MessageOnly)
        .with_writer(writer)
        .with_filter(filter_fn(|line| line.target() == emf::TARGET));
    registry().with(lines).with(metrics)
}

/// Writes an event's message, and nothing else, on a line.
struct MessageOnly;

impl<S, N> FormatEvent<S, N> for MessageOnly
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> std::fmt::Result {
        context.format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}

/// Sends all log lines of the process to standard output, a panic's among them.
pub fn start(filter: Option<&str>) {
    // It fails only where a subscriber is set already, which then does the same.
    let _ = tracing::subscriber::set_global_default(subscriber(filter, std::io::stdout));
    panic::set_hook(Box::new(log_panic));
}

/// Where a function does not unwind, this is the last that it says.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string);
    tracing::error!(cause = panic.payload_as_str(), place, "panicked");
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

#[cfg(test)]
mod tests {
    use std::io;
    use std::process::Command;
    use std::sync::{Arc, Mutex, PoisonError};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn written(filter: Option<&str>) -> [bool; 2] {
        let lines = Lines::default();
        let writer = lines.clone();
        tracing::subscriber::with_default(subscriber(filter, move || writer.clone()), || {
            tracing::info!("a line of info");
            tracing::debug!("a line of debug");
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        ["info", "debug"].map(|level| text.contains(&format!("a line of {level}")))
    }

    /// A process of its own: this test again, told to panic.
    #[test]
    fn a_panic_is_a_line_of_its_own_on_standard_output() {
        if std::env::var_os("TO_PANIC").is_some() {
            start(None);
            panic!("a bug");
        }
        let arguments = ["a_panic_is_a_line_of_its_own_on_standard_output", "--nocapture"];
        let program = std::env::current_exe().unwrap();
        let output = Command::new(program).args(arguments).env("TO_PANIC", "1").output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let line = text.lines().find_map(|line| line.find('{').map(|start| &line[start..]));
        let line: serde_json::Value = serde_json::from_str(line.unwrap_or_else(|| panic!("{text}"))).unwrap();
        assert_eq!([&line["level"], &line["message"], &line["cause"]], ["ERROR", "panicked", "a bug"]);
        assert!(line["place"].as_str().is_some_and(|place| place.starts_with("src/telemetry/log.rs:")), "{text}");
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    #[test]
    fn without_a_filter_or_with_an_empty_one_lines_of_info_are_written() {
        assert_eq!([None, Some(""), Some(" "), Some("no=filter")].map(written), [[true, false]; 4]);
        assert_eq!(written(Some("debug")), [true, true]);
        assert_eq!(written(Some("warn")), [false, false]);
    }
}
