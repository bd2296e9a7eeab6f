//! What a run did: its answer, its log line and its metrics.

use jiff::Timestamp;
use serde::Serialize;

use super::RefreshError;
use crate::telemetry::emf::EmfLine;
use crate::telemetry::metrics;

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
    pub hours_unsealed: Option<u64>,
    /// Whether a quarter of an hour had no row at all that had many a day before.
    pub logs_silent: bool,
}

impl Report {
    /// The run's metrics; a failed run says why the figures are behind, if they are.
    pub(super) fn metrics(&self, function: &str, at: Timestamp, error: Option<&RefreshError>) -> EmfLine {
        let lag = self.lag_seconds.map(|lag| u64::try_from(lag).unwrap_or_default());
        let line = EmfLine::new(function, at).with(&[
            (metrics::REFRESH_LAG_SECONDS, lag),
            (metrics::REFRESH_ROWS, Some(self.rows)),
            (metrics::LATE_ROWS, Some(self.late_rows)),
            (metrics::SKIPPED_ROWS, Some(self.skipped_rows)),
            (metrics::TOO_LATE_ROWS, Some(self.too_late_rows)),
            (metrics::SCANNED_BYTES, Some(self.scanned_bytes)),
            (metrics::ITEMS_WRITTEN, Some(self.items_written)),
            (metrics::HOURS_UNSEALED, self.hours_unsealed),
            (metrics::LOGS_SILENT, Some(self.logs_silent.into())),
            (metrics::MINUTES_BEHIND, self.minutes_behind),
            (metrics::QUERY_MILLISECONDS, Some(self.query_ms)),
            (metrics::REFRESH_MILLISECONDS, Some(self.total_ms)),
            (metrics::REFRESH_ERRORS, Some(error.is_some().into())),
        ]);
        match self.minutes_behind {
            None | Some(0) => line,
            Some(minutes) => {
                let cause = error.map_or("out_of_time", RefreshError::cause);
                line.with_by(metrics::MINUTES_BEHIND_BY_CAUSE, cause, minutes)
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
