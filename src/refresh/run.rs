//! One run, from top to bottom: read what is due, then seal what is due.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, timeout_at};

use super::plan::{self, Start};
use super::report::Report;
use super::{Refresh, RefreshError};
use crate::clock::Clock;
use crate::error::DeadlinePassed;
use crate::model::watermark::Watermark;
use crate::model::window::Minute;
use crate::stores::request_logs::query;
use crate::stores::rollups::Versioned;

/// How far past the deadline the watermark may be put: what it records is stored already.
const PUT_GRACE: Duration = Duration::from_secs(2);
/// How far Athena's clock and a watermark may be from our own clock.
pub(super) const MAX_SKEW_SECONDS: i64 = 60;
/// Fewer rows a day before do not make a quarter of an hour without any suspicious.
const SILENCE_ROWS: u64 = 100;

pub struct Run<'a> {
    pub(super) refresh: &'a Refresh,
    pub(super) clock: Clock,
    pub(super) deadline: Instant,
    pub(super) report: Report,
    pub(super) target: Minute,
    /// Where the watermark stands; where a first fill starts, until it has been read.
    pub(super) mark: Watermark,
    /// The version that the next put replaces; `None` before the first.
    version: Option<u64>,
    /// Whether the write cache may be believed about what is stored beyond the watermark.
    pub(super) trusts_cache: bool,
}

pub(super) enum NotAdvanced {
    /// Another run has moved it.
    Overtaken,
    Failed(RefreshError),
}

impl<'a> Run<'a> {
    pub fn new(refresh: &'a Refresh, clock: Clock, deadline: Instant) -> Self {
        let target = refresh.lateness.target(clock.started_at());
        let mark = plan::start(None, None, target).watermark;
        Self { refresh, clock, deadline, report: Report::default(), target, mark, version: None, trusts_cache: true }
    }

    pub fn into_report(mut self) -> Report {
        if self.version.is_some() {
            let through = self.mark.through.as_second();
            self.report.through = Some(through);
            self.report.lag_seconds = Some(self.clock.now().as_second() - through);
            self.report.minutes_behind = Some(u64::try_from(self.target.since(self.mark.through)).unwrap_or_default());
            self.report.hours_unsealed = Some(u64::try_from(plan::hours_unsealed(&self.mark)).unwrap_or_default());
        }
        self.report.total_ms = milliseconds(self.clock.started().elapsed());
        self.report
    }

    /// Reads what is new or may still change, and seals the hours that have become final.
    pub async fn catch_up(&mut self) -> Result<(), RefreshError> {
        let given_up = self.start().await?;
        let before = self.mark.clone();
        let done = match self.read_due().await {
            Ok(everything) => self.seal_due().await.map(|()| everything),
            Err(error) => Err(error),
        };
        match done {
            Ok(everything) => self.report.complete = everything,
            // Another run goes on from here.
            Err(NotAdvanced::Overtaken) => self.report.complete = self.follow().await?,
            Err(NotAdvanced::Failed(error)) if error.is_out_of_time() => {}
            Err(NotAdvanced::Failed(error)) => return Err(error),
        }
        if !self.report.complete && !self.has_moved_since(&before) {
            return Err(RefreshError::OutOfTime);
        }
        self.check_for_silence(before.through).await;
        given_up.map_or(Ok(()), Err)
    }

    /// Reads the watermark, or makes the first one; what is given up is an error for the end of the run.
    async fn start(&mut self) -> Result<Option<RefreshError>, RefreshError> {
        let found = self.refresh.rollups.watermark().await.map_err(RefreshError::ReadWatermark)?;
        self.version = found.as_ref().map(|found| found.version);
        self.refresh.cache().observe_watermark(self.version);
        let mut since = None;
        if let Some(Versioned { value, .. }) = &found {
            if value.through.as_second() - self.clock.started_at().as_second() > MAX_SKEW_SECONDS {
                self.mark = value.clone();
                return Err(RefreshError::WatermarkAhead(value.through));
            }
        } else {
            since = Some(self.first_minute().await?);
        }
        let Start { watermark, given_up } = plan::start(found.map(|found| found.value), since, self.target);
        self.mark = watermark;
        Ok(given_up.map(|minutes| {
            tracing::error!(from = %minutes.start, to = %minutes.end, "minutes given up");
            RefreshError::GivenUp(minutes)
        }))
    }

    /// The first minute ever read; now where there was none.
    async fn first_minute(&mut self) -> Result<Minute, RefreshError> {
        let rollups = &self.refresh.rollups;
        if let Some(since) = rollups.since().await.map_err(RefreshError::ReadWatermark)? {
            // Somebody took the watermark away; minutes may be stored that the cache knows nothing of.
            self.trusts_cache = false;
            return Ok(since);
        }
        let first = plan::start(None, None, self.target).watermark.through;
        rollups.put_since(first).await.map_err(RefreshError::PutWatermark)?;
        // Another run may have put its own.
        let since = rollups.since().await.map_err(RefreshError::ReadWatermark)?;
        Ok(since.unwrap_or(first))
    }

    /// Puts the watermark, possibly slightly past the deadline.
    pub(super) async fn advance(&mut self, to: Watermark) -> Result<(), NotAdvanced> {
        let put = timeout_at(self.deadline + PUT_GRACE, self.refresh.rollups.put_watermark(&to, self.version)).await;
        let put = put.unwrap_or_else(|_| Err(DeadlinePassed.into())).map_err(RefreshError::PutWatermark)?;
        match put {
            Some(version) => {
                self.refresh.cache().advance(version, to.settled);
                (self.mark, self.version) = (to, Some(version));
                Ok(())
            }
            None => Err(NotAdvanced::Overtaken),
        }
    }

    /// Looks where the run stands that has overtaken this one, and whether it has left nothing to do.
    pub(super) async fn follow(&mut self) -> Result<bool, RefreshError> {
        self.refresh.cache().clear();
        let Some(found) = self.refresh.rollups.watermark().await.map_err(RefreshError::ReadWatermark)? else {
            return Ok(false);
        };
        (self.mark, self.version) = (found.value, Some(found.version));
        Ok(self.mark.through >= self.target && plan::due_seal(&self.mark).is_none())
    }

    fn has_moved_since(&self, before: &Watermark) -> bool {
        let moved = |mark: &Watermark| (mark.through, mark.settled, mark.sealed, mark.sealing.clone());
        moved(&self.mark) != moved(before)
    }

    /// Where a quarter of an hour had no row at all, looks whether that is usual. It fails no run.
    async fn check_for_silence(&mut self, before: Minute) {
        let Some(quarter) = plan::silent_quarter(before, &self.mark) else { return };
        let day_before = quarter.start.plus(-24 * 60)..quarter.end.plus(-24 * 60);
        let folders = self.refresh.lateness.folders(&day_before);
        let text = query::count(&self.refresh.logs_table, &day_before, &folders);
        self.report.queries += 1;
        match self.refresh.logs.count(text, self.deadline).await {
            Ok(rows) if rows > SILENCE_ROWS => {
                let (from, to) = (quarter.start, quarter.end);
                tracing::error!(%from, %to, rows_day_before = rows, "request logs have stopped");
                self.report.logs_silent = true;
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(cause = crate::error::chain(&error), "day before not counted"),
        }
    }
}

impl From<RefreshError> for NotAdvanced {
    fn from(error: RefreshError) -> Self {
        Self::Failed(error)
    }
}

pub(super) fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// An error where Athena's time is far from ours: what it has settled might still be changing, or is long over.
pub(super) fn check_clock(asked_at: Timestamp, submitted_at: Timestamp) -> Result<(), RefreshError> {
    let apart = submitted_at.duration_since(asked_at).as_secs();
    if apart.abs() > MAX_SKEW_SECONDS { Err(RefreshError::ClocksApart(apart)) } else { Ok(()) }
}
