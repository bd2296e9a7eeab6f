//! Reading steps: one query each, its answer stored endpoint by endpoint as it comes, so that memory does not grow with
//! the fleet.

use std::ops::{Range, RangeInclusive};

use futures_util::future::{BoxFuture, join};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use jiff::Timestamp;
use tokio::time::Instant;

use super::RefreshError;
use super::plan::{self, Reading};
use super::run::{NotAdvanced, Run, check_clock, milliseconds};
use super::store::{Hours, Store, StoreReport};
use crate::model::host::Host;
use crate::model::summary::Summary;
use crate::model::watermark::{Stride, Watermark};
use crate::model::window::{Hour, Minute};
use crate::stores::request_logs::{MinuteRow, query};

/// A fifth of the run is kept back for sealing from every reading step but the first, while an hour is due.
const SEAL_SHARE: u32 = 5;
/// Endpoints that are stored side by side.
pub(super) const ENDPOINTS_AT_ONCE: usize = 32;

/// What a step found.
#[derive(Debug)]
pub(super) struct Piece {
    /// When its query was submitted, by Athena's clock.
    pub submitted_at: Timestamp,
    /// The newest minute that had a row.
    pub last_row: Option<Minute>,
    pub superseded: u64,
}

impl Run<'_> {
    /// Reads what is due, piece by piece; each that is stored moves the watermark. Whether everything was read.
    pub(super) async fn read_due(&mut self) -> Result<bool, NotAdvanced> {
        let lateness = &self.refresh.lateness;
        let run_time = self.deadline.saturating_duration_since(self.clock.started());
        let mut reading = Reading::new(&self.mark, self.clock.started_at(), lateness, run_time);
        let catching_up = plan::is_catching_up(&self.mark, self.target, lateness);
        let mut is_first = true;
        loop {
            let stride = self.mark.stride;
            let by = self.deadline - plan::seal_reserve(&self.mark, is_first, run_time / SEAL_SHARE);
            let Some(piece) = reading.next(stride, by.saturating_duration_since(Instant::now())) else { break };
            if catching_up && piece.end.since(piece.start) > 1 {
                // A run that dies leaves a smaller step behind.
                self.advance(Watermark { stride: stride.halved(), ..self.mark.clone() }).await?;
            }
            let started = Instant::now();
            match self.read_piece(&piece, &lateness.folders(&piece), Hours::Leave, by).await {
                Ok(read) => {
                    let mut after = plan::after_read(&self.mark, &piece, read.submitted_at, lateness);
                    after.stride = reading.done(&piece, stride, started.elapsed());
                    after.last_row = after.last_row.max(read.last_row);
                    if catching_up {
                        after.caught_up_at = Some(self.clock.now());
                    }
                    if after != self.mark {
                        self.advance(after).await?;
                    }
                }
                Err(error) if error.is_out_of_time() => {
                    if is_first && self.mark.stride == stride && stride > Stride::SHORTEST {
                        self.advance(Watermark { stride: stride.halved(), ..self.mark.clone() }).await?;
                    }
                    break;
                }
                Err(error) => return Err(error.into()),
            }
            is_first = false;
        }
        Ok(reading.is_done())
    }

    /// Queries a range of minutes and stores what comes.
    pub(super) async fn read_piece(
        &mut self,
        piece: &Range<Minute>,
        folders: &RangeInclusive<Hour>,
        hours: Hours,
        by: Instant,
    ) -> Result<Piece, RefreshError> {
        let (started, asked_at) = (Instant::now(), self.clock.now());
        if started >= by {
            return Err(RefreshError::OutOfTime);
        }
        self.report.queries += 1;
        let text = query::minutes(&self.refresh.logs_table, piece, folders);
        let answer = self.refresh.logs.minutes(text, by).await;
        self.report.query_ms += milliseconds(started.elapsed());
        let mut answer = answer?;
        self.report.scanned_bytes += answer.scanned_bytes;
        check_clock(asked_at, answer.submitted_at)?;
        let submitted_at = answer.submitted_at;
        let cached_through = self.trusts_cache.then_some(self.mark.through);
        let store = Store { refresh: self.refresh, range: piece, as_of: submitted_at, cached_through, hours, by };
        let mut endpoints = Endpoints::new(store);
        let (mut skipped, mut rows, mut last_row) = (0, 0, None);
        let mut page = answer.page(by).await?;
        while let Some(found) = page {
            let take = async {
                for row in found {
                    match row {
                        MinuteRow::Skipped(count) => skipped += count,
                        MinuteRow::Summary(row) => {
                            rows += row.summary.requests();
                            last_row = last_row.max(Some(row.minute));
                            endpoints.take(row.endpoint, row.minute, row.summary).await?;
                        }
                    }
                }
                Ok::<_, RefreshError>(())
            };
            let (next, taken) = join(answer.page(by), take).await;
            taken?;
            page = next?;
        }
        let done = endpoints.finish().await?;
        self.report.rows += rows;
        self.report.skipped_rows += skipped;
        self.report.late_rows += done.late_rows;
        self.report.items_written += done.written;
        self.report.items_unchanged += done.unchanged;
        self.report.items_superseded += done.superseded;
        Ok(Piece { submitted_at, last_row, superseded: done.superseded })
    }
}

/// Collects the minutes of an endpoint, which come together, and stores many endpoints side by side.
struct Endpoints<'s> {
    store: Store<'s>,
    current: Option<(Host, Vec<(Minute, Summary)>)>,
    in_flight: FuturesUnordered<BoxFuture<'s, Result<StoreReport, RefreshError>>>,
    done: StoreReport,
}

impl<'s> Endpoints<'s> {
    fn new(store: Store<'s>) -> Self {
        Self { store, current: None, in_flight: FuturesUnordered::new(), done: StoreReport::default() }
    }

    async fn take(&mut self, endpoint: Host, minute: Minute, summary: Summary) -> Result<(), RefreshError> {
        match &mut self.current {
            Some((current, minutes)) if *current == endpoint => minutes.push((minute, summary)),
            _ => {
                if let Some((endpoint, minutes)) = self.current.replace((endpoint, vec![(minute, summary)])) {
                    self.store(endpoint, minutes).await?;
                }
            }
        }
        Ok(())
    }

    async fn store(&mut self, endpoint: Host, minutes: Vec<(Minute, Summary)>) -> Result<(), RefreshError> {
        self.in_flight.push(self.store.endpoint(endpoint, minutes).boxed());
        self.wait_for_fewer_than(ENDPOINTS_AT_ONCE).await
    }

    async fn wait_for_fewer_than(&mut self, endpoints: usize) -> Result<(), RefreshError> {
        while self.in_flight.len() >= endpoints
            && let Some(stored) = self.in_flight.next().await
        {
            self.done.add(stored?);
        }
        Ok(())
    }

    async fn finish(mut self) -> Result<StoreReport, RefreshError> {
        if let Some((endpoint, minutes)) = self.current.take() {
            self.store(endpoint, minutes).await?;
        }
        self.wait_for_fewer_than(1).await?;
        Ok(self.done)
    }
}
