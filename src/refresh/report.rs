//! What a run did: its answer, its log line and its metrics.

use jiff::Timestamp;
use serde::Serialize;

use super::RefreshError;
use crate::telemetry::emf::{EmfLine, Unit};

/// What a run did.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Unix seconds of the window's end once the run was done; `None` where nothing has been read yet.
    pub through: Option<i64>,
    /// Seconds from there to the run's end.
    pub lag_seconds: Option<i64>,
    /// Minutes that were due and have not been read.
    pub minutes_behind: Option<u64>,
    /// Whether everything due was done; else the next run goes on.
    pub complete: bool,
    pub queries: u64,
    /// Milliseconds that these took together.
    pub query_ms: u64,
    /// Milliseconds of the whole run.
    pub total_ms: u64,
    pub scanned_bytes: u64,
    /// Requests counted in all the minutes read.
    pub rows: u64,
    /// Of these, requests that a minute already stored did not have before.
    pub late_rows: u64,
    /// Log rows that no endpoint's figures have.
    pub skipped_rows: u64,
    /// Rows found in sealed hours that came too late to be counted.
    pub too_late_rows: u64,
    /// Minutes and hours written.
    pub items_written: u64,
    /// Minutes that were stored as they were read.
    pub items_unchanged: u64,
    /// Minutes that a younger query had written already.
    pub items_superseded: u64,
    /// Hours sealed or recomputed.
    pub hours_sealed: u64,
    /// Hours that could be sealed and are not.
    pub hours_unsealed: Option<u64>,
    /// Whether a quarter of an hour had no row at all that had many a day before.
    pub logs_silent: bool,
}

impl Report {
    /// The run's metrics; a failed run says why the figures are behind, if they are.
    pub(super) fn metrics(&self, function: &str, at: Timestamp, error: Option<&RefreshError>) -> EmfLine {
        let lag = self.lag_seconds.map(|lag| u64::try_from(lag).unwrap_or_default());
        let metrics = EmfLine::new(function, at).with(&[
            ("RefreshLagSeconds", Unit::Seconds, lag),
            ("RefreshRows", Unit::Count, Some(self.rows)),
            ("LateRows", Unit::Count, Some(self.late_rows)),
            ("SkippedRows", Unit::Count, Some(self.skipped_rows)),
            ("TooLateRows", Unit::Count, Some(self.too_late_rows)),
            ("ScannedBytes", Unit::Bytes, Some(self.scanned_bytes)),
            ("ItemsWritten", Unit::Count, Some(self.items_written)),
            ("HoursUnsealed", Unit::Count, self.hours_unsealed),
            ("LogsSilent", Unit::Count, Some(self.logs_silent.into())),
            ("MinutesBehind", Unit::Count, self.minutes_behind),
            ("QueryMilliseconds", Unit::Milliseconds, Some(self.query_ms)),
            ("RefreshMilliseconds", Unit::Milliseconds, Some(self.total_ms)),
            ("RefreshErrors", Unit::Count, Some(error.is_some().into())),
        ]);
        match self.minutes_behind {
            None | Some(0) => metrics,
            Some(minutes) => {
                metrics.with_by_cause("MinutesBehind", error.map_or("out_of_time", RefreshError::cause), minutes)
            }
        }
    }

    pub(super) fn log(&self) {
        tracing::info!(
            through = self.through,
            lag_seconds = self.lag_seconds,
            minutes_behind = self.minutes_behind,
            complete = self.complete,
            queries = self.queries,
            query_ms = self.query_ms,
            total_ms = self.total_ms,
            scanned_bytes = self.scanned_bytes,
            rows = self.rows,
            late_rows = self.late_rows,
            skipped_rows = self.skipped_rows,
            too_late_rows = self.too_late_rows,
            items_written = self.items_written,
            items_unchanged = self.items_unchanged,
            items_superseded = self.items_superseded,
            hours_sealed = self.hours_sealed,
            hours_unsealed = self.hours_unsealed,
            logs_silent = self.logs_silent,
            "refresh"
        );
    }
}
