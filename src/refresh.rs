//! The refresh: brings the rollups up to the last complete minute.
//!
//! What is to be done is planned by [`plan`] from the watermark, the time and the settings; each step ends with the
//! watermark moved. Whatever a run leaves undone the next one does, with the same result.

mod changes;
mod command;
mod error;
pub mod plan;
mod read;
mod recompute;
mod report;
mod run;
mod seal;
mod store;
mod write_cache;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use lambda_runtime::LambdaEvent;
use serde_json::Value;
use tokio::time::Instant;

use crate::clock::Clock;
use crate::settings::RefreshSettings;
use crate::stores::request_logs::{Polling, RequestLogs};
use crate::stores::rollups::RollupWriter;

pub use command::{Command, CommandError};
pub use error::{HandleError, RefreshError};
use plan::Lateness;
pub use report::Report;
use run::Run;
use write_cache::WriteCache;

/// Kept back from the invocation's time for stopping a query, putting the watermark and ending the run.
const SHUTDOWN_MARGIN: Duration = Duration::from_secs(5);

/// Reads the request logs and writes the rollups.
#[derive(Debug)]
pub struct Refresh {
    logs: RequestLogs,
    logs_table: String,
    rollups: RollupWriter,
    lateness: Lateness,
    cache: Mutex<WriteCache>,
}

impl Refresh {
    /// Over the logs and the rollups that the settings name.
    #[must_use]
    pub fn new(
        settings: RefreshSettings,
        athena: aws_sdk_athena::Client,
        polling: Polling,
        dynamodb: aws_sdk_dynamodb::Client,
    ) -> Self {
        let lateness = Lateness { settle: settings.log_settle, late: settings.late_arrival };
        Self {
            logs: RequestLogs::new(athena, settings.athena_database, settings.athena_workgroup, polling),
            logs_table: settings.request_logs_table,
            rollups: RollupWriter::new(dynamodb, settings.rollups_table),
            lateness,
            cache: Mutex::default(),
        }
    }

    /// Answers one invocation with what was done. It is done, or its query stopped, before Lambda would end it.
    ///
    /// # Errors
    /// When the event is not a valid command, or as [`Refresh::run`].
    pub async fn handle(&self, event: LambdaEvent<Value>, now: Timestamp) -> Result<Report, HandleError> {
        let clock = Clock::start(now);
        let command = Command::from_event(&event.payload)?;
        let left = event.context.deadline.saturating_sub(u64::try_from(now.as_millisecond()).unwrap_or_default());
        let deadline = clock.started() + Duration::from_millis(left).saturating_sub(SHUTDOWN_MARGIN);
        let (report, result) = self.run(command, clock, deadline).await;
        report.log();
        // The Lambda runtime logs the error.
        report.metrics(&event.context.env_config.function_name, now, result.as_ref().err()).emit();
        result?;
        Ok(report)
    }

    /// Does what is asked until done, or until the deadline. The report says what was done also where the run failed.
    pub async fn run(&self, command: Command, clock: Clock, deadline: Instant) -> (Report, Result<(), RefreshError>) {
        let mut run = Run::new(self, clock, deadline);
        let result = match command {
            Command::CatchUp => run.catch_up().await,
            Command::Recompute { from, to } => run.recompute(from..to).await,
        };
        (run.into_report(), result)
    }

    fn cache(&self) -> MutexGuard<'_, WriteCache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
