//! Reading a range again, for rows that came too late to be counted or were corrected.

use std::ops::Range;
use std::time::Duration;

use super::RefreshError;
use super::plan::REACH_MINUTES;
use super::run::{NotAdvanced, Run};
use super::store::Hours;
use crate::model::watermark::Watermark;
use crate::model::window::Minute;

/// A recomputation ends this long after its start, so that the schedule's next event, which waits meanwhile, is not
/// dropped.
const RECOMPUTE_TIME: Duration = Duration::from_secs(25);
/// Hours are shown for so long.
const SHOWN_MINUTES: i64 = 30 * 24 * 60;

impl Run<'_> {
    /// Catches up, then reads the range once more, with whatever has arrived by now. Up to 7 days back its minutes and
    /// hours are set right, and what is found more raises the totals; further back whole hours are set right from the
    /// logs, and no more.
    pub async fn recompute(&mut self, range: Range<Minute>) -> Result<(), RefreshError> {
        self.deadline = self.deadline.min(self.clock.started() + RECOMPUTE_TIME);
        self.catch_up().await?;
        if !std::mem::take(&mut self.report.complete) {
            return Err(RefreshError::NotCaughtUp);
        }
        self.trusts_cache = false;
        self.refresh.cache().clear();
        let now = Minute::floor(self.clock.now());
        let since = self.refresh.rollups.since().await.map_err(RefreshError::Rollups)?;
        let oldest = now.plus(-SHOWN_MINUTES).hour_ceil().start();
        let mut from = range.start.max(since.map_or(oldest, |since| since.max(oldest)));
        let end = range.end.min(self.mark.through);
        if from >= end {
            return Err(RefreshError::NothingToRecompute);
        }
        let reach = now.plus(-REACH_MINUTES).hour_ceil().start();
        while from < end {
            let hour = from.hour();
            let (piece, hours) = if from < reach {
                (hour.start()..hour.end(), Hours::FromLogs(hour))
            } else {
                (from..from.plus(self.mark.stride.minutes()).min(hour.end()).min(end), Hours::Keep(hour))
            };
            let folders = *self.refresh.lateness.folders(&piece).start()..=Minute::floor(self.clock.now()).hour();
            match self.read_piece(&piece, &folders, hours, self.deadline).await {
                Ok(read) if read.superseded > 0 => return Err(RefreshError::RecomputeOvertaken(from)),
                Ok(_) => {}
                Err(error) if error.is_out_of_time() => return Err(RefreshError::RecomputeUnfinished(from)),
                Err(error) => return Err(error),
            }
            self.report.hours_sealed += u64::from(piece.end == hour.end());
            self.note_rewritten().await?;
            from = piece.end;
        }
        self.report.complete = true;
        Ok(())
    }

    /// Has scrapes read everything strongly consistent for a while.
    async fn note_rewritten(&mut self) -> Result<(), RefreshError> {
        loop {
            let mark = Watermark { caught_up_at: Some(self.clock.now()), ..self.mark.clone() };
            match self.advance(mark).await {
                Ok(()) => return Ok(()),
                Err(NotAdvanced::Overtaken) => {
                    self.follow().await?;
                }
                Err(NotAdvanced::Failed(error)) => return Err(error),
            }
        }
    }
}
