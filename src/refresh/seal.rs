//! Sealing steps: an hour whose rows have all come is summed up from its stored minutes, endpoint by endpoint, and can
//! go on from any of them. What has come too late for the minutes is counted and reported.

use std::ops::Range;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use jiff::Timestamp;
use tokio::time::{Instant, sleep, timeout_at};

use super::plan;
use super::read::ENDPOINTS_AT_ONCE;
use super::run::{NotAdvanced, Run, check_clock, milliseconds};
use super::store::{FIRST_PAUSE, LONGEST_PAUSE, hour_change};
use super::{Refresh, RefreshError};
use crate::error::Cause;
use crate::model::host::Host;
use crate::model::watermark::{Sealing, TooLateRows, Watermark};
use crate::model::window::{Hour, Minute};
use crate::stores::request_logs::{HourCount, query};
use crate::stores::rollups::PutOutcome;

/// How often progress within an hour is put.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);

impl Run<'_> {
    /// Seals the hours that are due, oldest first. Reading has moved on already: a failure here holds back no minute.
    pub(super) async fn seal_due(&mut self) -> Result<(), NotAdvanced> {
        let mut sealed = 0;
        while let Some(hour) = plan::due_seal(&self.mark) {
            let result = self.seal(hour, sealed > 0).await;
            result.map_err(|error| match error {
                NotAdvanced::Failed(cause) => RefreshError::Seal { hour, cause: cause.into() }.into(),
                NotAdvanced::Overtaken => NotAdvanced::Overtaken,
            })?;
            sealed += 1;
        }
        Ok(())
    }

    async fn seal(&mut self, hour: Hour, not_the_first: bool) -> Result<(), NotAdvanced> {
        let mut progress = self.mark.sealing.clone();
        let done = self.seal_endpoints(hour, &mut progress).await;
        if let Err(NotAdvanced::Failed(_)) = done
            && progress != self.mark.sealing
        {
            self.advance(Watermark { sealing: progress, ..self.mark.clone() }).await?;
            return done;
        }
        done?;
        let too_late = progress.map(|progress| progress.too_late).unwrap_or_default();
        let mut after = plan::after_seal(&self.mark);
        if not_the_first {
            // Scrapes take only the newest hour for one that has just been written.
            after.caught_up_at = Some(self.clock.now());
        }
        self.advance(after).await?;
        self.report.hours_sealed += 1;
        self.report.too_late_rows += too_late.hour + too_late.day_before;
        for (hour, rows) in [(hour, too_late.hour), (hour.plus(-24), too_late.day_before)] {
            if rows > 0 {
                tracing::warn!(%hour, rows, "rows came too late to be counted: recompute the hour");
            }
        }
        Ok(())
    }

    /// Seals the endpoints after those that are done, in the order of their names.
    async fn seal_endpoints(&mut self, hour: Hour, progress: &mut Option<Sealing>) -> Result<(), NotAdvanced> {
        let (refresh, deadline) = (self.refresh, self.deadline);
        let (started, asked_at) = (Instant::now(), self.clock.now());
        if started >= deadline {
            return Err(RefreshError::OutOfTime.into());
        }
        let since = timeout_at(deadline, refresh.rollups.since()).await.map_err(|_| RefreshError::OutOfTime)?;
        let since = since.map_err(RefreshError::Rollups)?;
        let day_before = hour.plus(-24);
        let compares_day_before = since.is_some_and(|since| since <= day_before.start());
        let last_folder = Minute::floor(asked_at).hour();
        self.report.queries += 1;
        let text = query::hour(&refresh.logs_table, hour, compares_day_before, last_folder);
        let answer = refresh.logs.hour(text, deadline).await;
        self.report.query_ms += milliseconds(started.elapsed());
        let mut answer = answer.map_err(RefreshError::Query)?;
        self.report.scanned_bytes += answer.scanned_bytes;
        check_clock(asked_at, answer.submitted_at)?;
        let as_of = answer.submitted_at;
        let after = self.mark.sealing.as_ref().map(|sealing| sealing.endpoint.clone());
        let mut progress_put = Instant::now();
        while let Some(page) = answer.page(deadline).await.map_err(RefreshError::Query)? {
            let due =
                page.into_iter().flatten().filter(|count| after.as_ref().is_none_or(|after| count.endpoint > *after));
            let mut due = due.map(|count| seal_endpoint(refresh, hour, count, as_of));
            // In order, so that progress is a name.
            let mut sealing: FuturesOrdered<_> = due.by_ref().take(ENDPOINTS_AT_ONCE).collect();
            while let Some(sealed) = timeout_at(deadline, sealing.next()).await.map_err(|_| RefreshError::OutOfTime)? {
                let Sealed { endpoint, written, too_late } = sealed.map_err(RefreshError::Rollups)?;
                sealing.extend(due.next());
                self.report.items_written += u64::from(written);
                let so_far = progress.as_ref().map(|progress| progress.too_late).unwrap_or_default();
                let too_late = TooLateRows {
                    hour: so_far.hour + too_late.hour,
                    day_before: so_far.day_before + too_late.day_before,
                };
                *progress = Some(Sealing { endpoint, too_late });
                if progress_put.elapsed() > PROGRESS_INTERVAL {
                    self.advance(Watermark { sealing: progress.clone(), ..self.mark.clone() }).await?;
                    progress_put = Instant::now();
                }
            }
        }
        Ok(())
    }
}

struct Sealed {
    endpoint: Host,
    written: bool,
    too_late: TooLateRows,
}

/// Makes the hour's item the sum of its minutes.
async fn seal_endpoint(refresh: &Refresh, hour: Hour, found: HourCount, as_of: Timestamp) -> Result<Sealed, Cause> {
    let HourCount { endpoint, requests, day_before } = found;
    let rollups = &refresh.rollups;
    let minutes: Range<Minute> = hour.start()..hour.end();
    let mut pause = FIRST_PAUSE;
    let (counted, written) = loop {
        // The hour is read before its minutes: where one of them is recomputed meanwhile, the hour's version has
        // changed.
        let item = rollups.hour(&endpoint, hour).await?;
        let stored = rollups.minutes(&endpoint, &minutes).await?;
        let counted: u64 = stored.values().map(|stored| stored.summary.requests()).sum();
        let Some(change) = hour_change(hour, item.as_ref(), &stored, &[]) else { break (counted, false) };
        if rollups.put_hour(&endpoint, &change, as_of).await? == PutOutcome::Stored {
            break (counted, true);
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    };
    let counted_day_before = match day_before {
        0 => 0,
        _ => rollups.hour(&endpoint, hour.plus(-24)).await?.map_or(0, |item| item.summary.requests()),
    };
    let too_late = TooLateRows {
        hour: requests.saturating_sub(counted),
        day_before: day_before.saturating_sub(counted_day_before),
    };
    Ok(Sealed { endpoint, written, too_late })
}
