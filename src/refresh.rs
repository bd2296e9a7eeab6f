//! The refresh: brings the rollups up to the last complete minute. What it does is a function of the logs and the watermark
//! alone, so whatever is left undone the next run does, with the same result.

mod order;
mod stored;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use jiff::{SignedDuration, Timestamp};
use lambda_runtime::{Diagnostic, LambdaEvent};
use serde::Serialize;
use serde_json::Value;
use thiserror::Error;
use tokio::time::{Instant, timeout_at};

use crate::clock::Clock;
use crate::error::{Cause, DeadlinePassed, chain};
use crate::host::Host;
use crate::metrics::{Metrics, Unit};
use crate::request_logs::{MinuteSummary, QueryError, RequestLogs};
use crate::rollups::{Advance, Period, Put, RollupWriter, Watermark};
use crate::settings::RefreshSettings;
use crate::summary::Summary;
use crate::window::{Hour, Minute, hourly_chunks, window_start};

pub use order::{Order, OrderError};
use stored::Stored;

/// Kept back from the invocation's time for stopping a query and ending the run.
const TO_END: Duration = Duration::from_secs(5);
/// Of that, for moving the watermark.
const TO_ADVANCE: Duration = Duration::from_secs(2);
/// Puts under way at once.
const PUTS_IN_FLIGHT: usize = 32;

/// Reads the request logs and writes the rollups.
#[derive(Debug)]
pub struct Refresh {
    logs: RequestLogs,
    rollups: RollupWriter,
    /// How long after a minute's end its logs are taken to have arrived.
    log_settle: SignedDuration,
    /// How long after a request's end its log row may arrive.
    late_arrival: SignedDuration,
    /// What this instance knows to be stored, so that it is not written again.
    stored: Mutex<Stored>,
}

/// What a run did.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Unix seconds of the window's end, once the run was done; `None` where nothing has been read yet.
    pub through: Option<i64>,
    /// Seconds from there to the run's end.
    pub lag_seconds: Option<i64>,
    /// Whether everything due was done; else the next run goes on.
    pub complete: bool,
    /// Athena queries.
    pub queries: u64,
    /// Milliseconds that these took together.
    pub query_ms: u64,
    /// Milliseconds of the whole run.
    pub total_ms: u64,
    /// Bytes they scanned.
    pub scanned_bytes: u64,
    /// Requests counted, of all the minutes read.
    pub rows: u64,
    /// Of these, requests that a minute already stored did not have before.
    pub late_rows: u64,
    /// Log rows without `ended_at`, or whose endpoint is no host name.
    pub skipped_rows: u64,
    /// Items written.
    pub items_written: u64,
    /// Items that were known to be stored as they are.
    pub items_unchanged: u64,
    /// Items that a younger run had written already.
    pub items_superseded: u64,
    /// Hours sealed or recomputed.
    pub hours_sealed: u64,
}

/// Why a run ended early. The watermark stands where the last whole chunk left it.
#[derive(Debug, Error)]
pub enum RefreshError {
    /// The watermark could not be read.
    #[error("watermark not read")]
    ReadWatermark(#[source] Cause),
    /// The logs could not be read.
    #[error("request logs not read")]
    Query(#[from] QueryError),
    /// An item could not be written.
    #[error("rollup not written")]
    Put(#[source] Cause),
    /// The watermark could not be moved.
    #[error("watermark not written")]
    Advance(#[source] Cause),
    /// The time given ran out before or between calls.
    #[error("no time left")]
    OutOfTime,
    /// Nothing of the range is shown.
    #[error("the range lies outside the last 24 h, and nothing older is shown")]
    RecomputeNothing,
    /// A recomputation ran out of time.
    #[error("recomputed up to {0}:00Z only; order the rest again")]
    RecomputeUnfinished(Minute),
}

impl RefreshError {
    /// Whether nothing is wrong but that there was more to do than time.
    const fn is_out_of_time(&self) -> bool {
        matches!(self, Self::OutOfTime | Self::Query(QueryError::OutOfTime { .. }))
    }
}

/// Why an invocation failed. `Debug`, which is what the Lambda runtime writes to the log, is the error and its causes in a line.
#[derive(Error)]
pub enum HandleError {
    /// The event asks for nothing that can be done.
    #[error(transparent)]
    Order(#[from] OrderError),
    /// The run ended early.
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
            HandleError::Order(_) => "InvalidOrder",
            HandleError::Refresh(_) => "RefreshFailed",
        };
        Self { error_type: error_type.to_owned(), error_message: chain(&error) }
    }
}

impl Report {
    fn metrics(&self, function: &str, at: Timestamp) -> Metrics {
        let lag = self.lag_seconds.map(|lag| u64::try_from(lag).unwrap_or_default());
        Metrics::of(function, at).with(&[
            ("RefreshLagSeconds", Unit::Seconds, lag),
            ("RefreshRows", Unit::Count, Some(self.rows)),
            ("LateRows", Unit::Count, Some(self.late_rows)),
            ("SkippedRows", Unit::Count, Some(self.skipped_rows)),
            ("ScannedBytes", Unit::Bytes, Some(self.scanned_bytes)),
            ("ItemsWritten", Unit::Count, Some(self.items_written)),
            ("QueryMilliseconds", Unit::Milliseconds, Some(self.query_ms)),
            ("RefreshMilliseconds", Unit::Milliseconds, Some(self.total_ms)),
            ("RefreshErrors", Unit::Count, Some(0)),
        ])
    }

    fn log(&self) {
        tracing::info!(
            through = self.through,
            lag_seconds = self.lag_seconds,
            complete = self.complete,
            queries = self.queries,
            query_ms = self.query_ms,
            total_ms = self.total_ms,
            scanned_bytes = self.scanned_bytes,
            rows = self.rows,
            late_rows = self.late_rows,
            skipped_rows = self.skipped_rows,
            items_written = self.items_written,
            items_unchanged = self.items_unchanged,
            items_superseded = self.items_superseded,
            hours_sealed = self.hours_sealed,
            "refresh"
        );
    }
}

/// One run.
struct Run<'a> {
    refresh: &'a Refresh,
    clock: Clock,
    deadline: Instant,
    report: Report,
}

impl Refresh {
    /// Over the logs and the rollups that the settings name.
    #[must_use]
    pub fn new(settings: RefreshSettings, athena: aws_sdk_athena::Client, dynamodb: aws_sdk_dynamodb::Client) -> Self {
        let RefreshSettings { rollups_table, athena_database, athena_workgroup, request_logs_table, log_settle, late_arrival } = settings;
        Self {
            logs: RequestLogs::new(athena, athena_database, athena_workgroup, request_logs_table),
            rollups: RollupWriter::new(dynamodb, rollups_table),
            log_settle,
            late_arrival,
            stored: Mutex::default(),
        }
    }

    /// Answers one invocation with what was done. It is done, or its query stopped, before Lambda would end it.
    ///
    /// # Errors
    /// When the order is none, or as [`Refresh::run`].
    pub async fn handle(&self, event: LambdaEvent<Value>, now: Timestamp) -> Result<Report, HandleError> {
        let order = Order::of_event(&event.payload)?;
        let left = event.context.deadline.saturating_sub(u64::try_from(now.as_millisecond()).unwrap_or_default());
        let deadline = Instant::now() + Duration::from_millis(left).saturating_sub(TO_END);
        let done = self.run(order, now, deadline).await;
        match &done {
            Ok(report) => {
                report.log();
                report.metrics(&event.context.env_config.function_name, now).emit();
            }
            // The Lambda runtime logs the error.
            Err(_) => {
                Metrics::of(&event.context.env_config.function_name, now).with(&[("RefreshErrors", Unit::Count, Some(1))]).emit();
            }
        }
        Ok(done?)
    }

    /// Does what is ordered until done, or until the deadline.
    ///
    /// # Errors
    /// When a call failed, or time ran out before anything was achieved.
    pub async fn run(&self, order: Order, now: Timestamp, deadline: Instant) -> Result<Report, RefreshError> {
        let mut run = Run { refresh: self, clock: Clock::start(now), deadline, report: Report::default() };
        match order {
            Order::CatchUp => run.catch_up().await?,
            Order::Recompute { from, to } => run.recompute(from..to).await?,
        }
        run.report.total_ms = milliseconds(run.clock.started().elapsed());
        run.report.lag_seconds = run.report.through.map(|through| run.clock.now().as_second() - through);
        Ok(run.report)
    }

    /// The end of the last minute whose logs are taken to have arrived.
    fn target(&self, now: Timestamp) -> Minute {
        Minute::floor(now.saturating_sub(self.log_settle).unwrap_or(Timestamp::MIN))
    }

    /// For how many minutes rows may come late, a broken one taken whole.
    const fn late_minutes(&self) -> i64 {
        (self.late_arrival.as_secs() + 59) / 60
    }

    /// The hour in which the last row of a minute before `end` arrives.
    const fn last_arrival(&self, end: Minute) -> Hour {
        end.plus(self.late_minutes()).hour()
    }

    /// The first minute that may still change once everything up to `through` has been read.
    const fn settled_before(&self, through: Minute) -> Minute {
        through.plus(-self.late_minutes())
    }
}

impl Run<'_> {
    /// Reads what is new or may still change, oldest first, an hour at most at a time.
    async fn catch_up(&mut self) -> Result<(), RefreshError> {
        let before = self.watermark().await?;
        self.report.through = before.map(|mark| mark.through.as_second());
        self.stored().see_watermark(before.is_some());
        let target = self.refresh.target(self.clock.started_at());
        // From the hour's start: a scrape may answer from the last hour that ended before the target, whose window starts earlier.
        let mut from = window_start(target).hour().start();
        let mut mark = Watermark { through: from, sealed: from.hour(), caught_up_at: None };
        if let Some(before) = before {
            if before.through >= target {
                self.report.complete = true;
                return Ok(());
            }
            from = from.max(self.refresh.settled_before(before.through)).max(before.sealed.start());
            mark = Watermark { sealed: before.sealed.max(mark.sealed), ..before };
        }
        let usual = target.since(mark.through) <= 1;
        for chunk in hourly_chunks(from..target) {
            match self.chunk(&chunk, target, &mut mark).await {
                Ok(()) => {}
                Err(error) if error.is_out_of_time() && (chunk.start > from || self.report.items_written > 0) => return Ok(()),
                Err(error) => return Err(error),
            }
            // The first chunk may lie before the watermark: it is read for rows that came late.
            mark.through = mark.through.max(chunk.end);
            if !usual {
                mark.caught_up_at = Some(self.clock.now());
            }
            match self.advance(&mark).await? {
                Advance::Advanced => {
                    self.report.through = Some(mark.through.as_second());
                    self.stored().see_watermark(true);
                }
                Advance::Overtaken => {
                    let further = self.watermark().await?;
                    self.report.through = further.map(|mark| mark.through.as_second());
                    self.report.complete = further.is_some_and(|mark| mark.through >= target);
                    return Ok(());
                }
            }
            self.stored().forget_before(mark.sealed.start());
        }
        self.report.complete = true;
        Ok(())
    }

    /// Stores a chunk's minutes, and seals the hours that have become final with it.
    async fn chunk(&mut self, chunk: &Range<Minute>, target: Minute, mark: &mut Watermark) -> Result<(), RefreshError> {
        let (minutes, as_of) = self.read(chunk, self.refresh.last_arrival(chunk.end)).await?;
        let final_before = chunk.end.min(self.refresh.settled_before(target));
        while mark.sealed.end() <= final_before {
            let hour = mark.sealed;
            if chunk.start <= hour.start() {
                self.put_hour(hour, &minutes, as_of).await?;
            } else {
                self.seal_by_query(hour, self.refresh.last_arrival(hour.end())).await?;
            }
            mark.sealed = hour.next();
        }
        Ok(())
    }

    /// Reads a range again, for logs that came later still or were corrected: its minutes, and each sealed hour whole. Whatever has
    /// arrived by now counts.
    async fn recompute(&mut self, range: Range<Minute>) -> Result<(), RefreshError> {
        let Some(before) = self.watermark().await? else { return Ok(()) };
        self.report.through = Some(before.through.as_second());
        self.stored().forget();
        let range = range.start.max(window_start(before.through).hour().start())..range.end.min(before.through);
        if range.is_empty() {
            return Err(RefreshError::RecomputeNothing);
        }
        let mut hour = range.start.hour();
        while hour.start() < range.end {
            let minutes = hour.start().max(range.start)..hour.end().min(range.end);
            let now = Minute::floor(self.clock.now()).hour();
            let done = if hour < before.sealed { self.seal_by_query(hour, now).await } else { self.read(&minutes, now).await.map(|_| ()) };
            match done {
                Err(error) if error.is_out_of_time() => return Err(RefreshError::RecomputeUnfinished(hour.start())),
                other => other?,
            }
            let now = self.watermark().await?.unwrap_or(before);
            let mark = Watermark { caught_up_at: Some(self.clock.now()), ..now };
            self.advance(&mark).await?;
            hour = hour.next();
        }
        self.report.complete = true;
        Ok(())
    }

    /// Reads a whole hour once more, and stores it and its minutes, so that the two agree.
    async fn seal_by_query(&mut self, hour: Hour, last_arrival: Hour) -> Result<(), RefreshError> {
        let (minutes, as_of) = self.read(&(hour.start()..hour.end()), last_arrival).await?;
        self.put_hour(hour, &minutes, as_of).await
    }

    /// Queries a range and stores its minutes.
    async fn read(&mut self, range: &Range<Minute>, last_arrival: Hour) -> Result<(Vec<MinuteSummary>, Timestamp), RefreshError> {
        let as_of = self.clock.now();
        let started = Instant::now();
        if started >= self.deadline {
            return Err(RefreshError::OutOfTime);
        }
        let answer = self.refresh.logs.summaries(range, last_arrival, self.deadline).await?;
        self.report.query_ms += milliseconds(started.elapsed());
        self.report.queries += 1;
        self.report.scanned_bytes += answer.scanned_bytes;
        self.report.skipped_rows += answer.skipped_rows;
        self.report.rows += answer.minutes.iter().map(|minute| minute.summary.requests).sum::<u64>();
        let items = answer.minutes.iter().map(|minute| (&minute.endpoint, Period::Minute(minute.minute), &minute.summary));
        self.put(items, as_of).await?;
        Ok((answer.minutes, as_of))
    }

    async fn put_hour(&mut self, hour: Hour, minutes: &[MinuteSummary], as_of: Timestamp) -> Result<(), RefreshError> {
        let mut endpoints: BTreeMap<&Host, Summary> = BTreeMap::new();
        for minute in minutes.iter().filter(|minute| minute.minute.hour() == hour) {
            endpoints.entry(&minute.endpoint).or_default().merge(&minute.summary);
        }
        self.report.hours_sealed += 1;
        let items = endpoints.iter().map(|(endpoint, summary)| (*endpoint, Period::Hour(hour), summary));
        self.put(items, as_of).await
    }

    /// Puts the items that are not known to be stored as they are, many at once.
    async fn put<'s>(
        &mut self,
        mut items: impl Iterator<Item = (&'s Host, Period, &'s Summary)>,
        as_of: Timestamp,
    ) -> Result<(), RefreshError> {
        let (refresh, deadline) = (self.refresh, self.deadline);
        let mut puts = FuturesUnordered::new();
        loop {
            while puts.len() < PUTS_IN_FLIGHT
                && let Some((endpoint, period, summary)) = items.next()
            {
                let difference = self.stored().difference(endpoint, period, summary);
                let Some(late_rows) = difference else {
                    self.report.items_unchanged += 1;
                    continue;
                };
                self.report.late_rows += late_rows;
                puts.push(async move {
                    let put = timeout_at(deadline, refresh.rollups.put(endpoint, period, summary, as_of)).await;
                    (put, endpoint, period, summary)
                });
            }
            let Some((put, endpoint, period, summary)) = puts.next().await else { return Ok(()) };
            match put.map_err(|_| RefreshError::OutOfTime)?.map_err(RefreshError::Put)? {
                Put::Stored => {
                    self.report.items_written += 1;
                    self.stored().remember(endpoint, period, summary);
                }
                Put::Superseded => self.report.items_superseded += 1,
            }
        }
    }

    /// Moves the watermark, if need be a little past the deadline: what it tells of is done.
    async fn advance(&self, to: &Watermark) -> Result<Advance, RefreshError> {
        let advance = timeout_at(self.deadline + TO_ADVANCE, self.refresh.rollups.advance(to)).await;
        advance.unwrap_or_else(|_| Err(DeadlinePassed.into())).map_err(RefreshError::Advance)
    }

    async fn watermark(&self) -> Result<Option<Watermark>, RefreshError> {
        self.refresh.rollups.watermark().await.map_err(RefreshError::ReadWatermark)
    }

    fn stored(&self) -> std::sync::MutexGuard<'_, Stored> {
        self.refresh.stored.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
