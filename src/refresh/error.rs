//! Why a run failed.

use std::fmt;
use std::ops::Range;

use lambda_runtime::Diagnostic;
use thiserror::Error;

use super::CommandError;
use crate::error::{Cause, chain};
use crate::model::window::{Hour, Minute};
use crate::stores::request_logs::QueryError;

/// Why a run ended early. The watermark stands where the last whole step left it.
#[derive(Debug, Error)]
pub enum RefreshError {
    #[error("watermark not read")]
    ReadWatermark(#[source] Cause),
    #[error("watermark not written")]
    PutWatermark(#[source] Cause),
    #[error("request logs not read")]
    Query(#[from] QueryError),
    #[error("rollups not read or written")]
    Rollups(#[source] Cause),
    /// The time given ran out before anything was achieved.
    #[error("no time left")]
    OutOfTime,
    #[error("Athena's clock and this function's are {0} s apart: nothing was moved")]
    ClocksApart(i64),
    #[error("the watermark, {0}Z, is ahead of the clock: nothing was read")]
    WatermarkAhead(Minute),
    #[error("the outage was longer than 7 days: minutes from {}Z to {}Z were not read", .0.start, .0.end)]
    GivenUp(Range<Minute>),
    #[error("hour {hour} not sealed")]
    Seal {
        hour: Hour,
        #[source]
        cause: Box<RefreshError>,
    },
    #[error("nothing was recomputed: the refresh must catch up first; invoke it again in a minute")]
    NotCaughtUp,
    #[error("nothing was recomputed: the range is outside of what has been read in the last 30 days")]
    NothingToRecompute,
    #[error("recomputed up to {0}Z only: invoke it again from there")]
    RecomputeUnfinished(Minute),
    #[error("recomputed up to {0}Z only, where another refresh was writing: invoke it again from there")]
    RecomputeOvertaken(Minute),
}

impl RefreshError {
    /// Whether nothing is wrong but that there was more to do than time.
    pub(super) fn is_out_of_time(&self) -> bool {
        match self {
            Self::OutOfTime | Self::Query(QueryError::OutOfTime { .. } | QueryError::NotStarted) => true,
            Self::Seal { cause, .. } => cause.is_out_of_time(),
            _ => false,
        }
    }

    /// A word for metrics.
    pub(super) fn cause(&self) -> &'static str {
        match self {
            error if error.is_out_of_time() => "out_of_time",
            Self::ReadWatermark(_) | Self::PutWatermark(_) => "watermark",
            Self::Query(_) => "query",
            Self::Rollups(_) => "rollups",
            Self::ClocksApart(_) | Self::WatermarkAhead(_) => "clock",
            Self::Seal { cause, .. } => cause.cause(),
            _ => "other",
        }
    }
}

/// Why an invocation failed. `Debug`, which is what the Lambda runtime writes to the log, is the error and its causes
/// in a line.
#[derive(Error)]
pub enum HandleError {
    #[error(transparent)]
    Command(#[from] CommandError),
    #[error(transparent)]
    Refresh(#[from] RefreshError),
}

impl fmt::Debug for HandleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "refresh failed: {}", chain(self))
    }
}

/// What Lambda reports of a failed invocation.
impl From<HandleError> for Diagnostic {
    fn from(error: HandleError) -> Self {
        let error_type = match error {
            HandleError::Command(_) => "InvalidCommand",
            HandleError::Refresh(_) => "RefreshFailed",
        };
        Self { error_type: error_type.to_owned(), error_message: chain(&error) }
    }
}
