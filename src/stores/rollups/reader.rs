//! What a scrape reads: the watermark first, and only then the items it says count. No item means no traffic, so an
//! item read before a watermark that already counts on it would be a silent zero.

use std::iter;
use std::ops::Range;

use aws_sdk_dynamodb::Client;
use futures_util::future;
use jiff::{SignedDuration, Timestamp};

use super::{Period, RollupError, decode_figures, decode_onto, encoded};
use crate::error::Cause;
use crate::model::host::Host;
use crate::model::range::BinnedRange;
use crate::model::summary::{DenseSummary, Summary, Total};
use crate::model::watermark::Watermark;
use crate::model::window::{CONCURRENT_MINUTES, Hour, Minute, WindowParts};
use crate::stores::api_keys::Grant;
use crate::stores::dynamodb::item::{AttributeError, Item, required, s, string};
use crate::stores::dynamodb::query;
use crate::stores::rate_limits::Admission;

/// How long after a catch-up every read is strongly consistent: items far in the past have just been written.
const CATCH_UP_SETTLES: SignedDuration = SignedDuration::from_mins(1);
/// How many minutes one query reads of a range that is read by minutes: one query answers page after page, several do
/// so side by side.
const SLICE_MINUTES: i64 = 6 * 60;
/// The same of hours.
const SLICE_HOURS: i64 = 7 * 24;

#[derive(Clone, Debug)]
pub struct RollupReader {
    client: Client,
    table: String,
}

/// What ended in one endpoint's window.
#[derive(Debug)]
pub struct WindowSummary {
    pub summary: Summary,
    /// Requests that ended in its last two minutes.
    pub concurrent_requests: u64,
}

/// What ended in the bins of a range, one after the other.
#[derive(Debug)]
pub struct BinSummaries {
    /// What the bins cover together.
    pub window: Range<Minute>,
    pub bins: Vec<Summary>,
    /// Requests that ended in its last two minutes.
    pub concurrent_requests: u64,
}

/// Items that follow each other, from the first to the last.
struct Piece {
    first: Period,
    last: Period,
    consistent: bool,
}

impl RollupReader {
    pub const fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }

    /// How far the refresh has come; strongly consistent, since a window must never move back. `None` before the first
    /// refresh.
    pub async fn watermark(&self, _: &Grant) -> Result<Option<Watermark>, Cause> {
        Ok(super::watermark(&self.client, &self.table).await?.map(|mark| mark.value))
    }

    /// The first minute that was ever read; it never changes. `None` before the first refresh.
    pub async fn since(&self, _: &Admission) -> Result<Option<Minute>, Cause> {
        super::since(&self.client, &self.table).await
    }

    /// Everything that was ever counted of an endpoint; strongly consistent, since no counter may fall.
    pub async fn total(&self, _: &Admission, endpoint: &Host) -> Result<Total, Cause> {
        let get = self.client.get_item().table_name(&self.table).consistent_read(true);
        let get = get.key("endpoint", s(endpoint.as_str())).key("period", s(Period::Total.key()));
        Ok(get.send().await?.item.as_ref().map(decode_figures).transpose()?.unwrap_or_default())
    }

    /// Requests of an endpoint that ended in the last two minutes before the watermark.
    pub async fn concurrent_requests(
        &self,
        _: &Admission,
        endpoint: &Host,
        watermark: &Watermark,
    ) -> Result<u64, Cause> {
        let range = watermark.through.plus(-CONCURRENT_MINUTES)..watermark.through;
        let mut requests: u64 = 0;
        for item in self.read(endpoint, minutes(&range, true).into_iter().collect()).await? {
            let minute: Summary = decode_figures(&item)?;
            requests = requests.saturating_add(minute.requests());
        }
        Ok(requests)
    }

    /// A window of an endpoint that ends where the watermark says.
    ///
    /// Reads are strongly consistent only where something may just have been written: after the last sealed hour, that
    /// hour itself, and everything right after a catch-up.
    pub async fn window(
        &self,
        _: &Admission,
        endpoint: &Host,
        minutes: i64,
        watermark: &Watermark,
        now: Timestamp,
    ) -> Result<WindowSummary, Cause> {
        let range = watermark.through.plus(-minutes)..watermark.through;
        let mut sum = DenseSummary::default();
        let mut concurrent_requests: u64 = 0;
        for item in self.read(endpoint, by_hours(&range, watermark, now)).await? {
            let requests = count(&mut sum, &item)?;
            if is_recent(period(&item)?, range.end) {
                concurrent_requests = concurrent_requests.saturating_add(requests);
            }
        }
        Ok(WindowSummary { summary: sum.take(), concurrent_requests })
    }

    /// The bins of a range of an endpoint. Up to a day it is read by minutes, since bins cut across hours; a longer one
    /// by hours as far as they are sealed.
    pub async fn bins(
        &self,
        admission: &Admission,
        endpoint: &Host,
        range: BinnedRange,
        watermark: &Watermark,
        now: Timestamp,
    ) -> Result<BinSummaries, Cause> {
        // Before the first minute ever read there is no item, so the reads need not wait for it.
        let longest = range.window(watermark.through, None);
        let pieces = if range.is_of_hours() { by_hours } else { by_minutes }(&longest, watermark, now);
        let (since, items) = future::try_join(self.since(admission), self.read(endpoint, pieces)).await?;
        let window = range.window(watermark.through, since);
        let bin_at = |minutes: i64| usize::try_from(minutes / range.bin_minutes).ok();
        let bin_of = |period| match period {
            Period::Minute(minute) if minute >= window.start => bin_at(minute.since(window.start)),
            // The hour in which reading began has nothing from before.
            Period::Hour(hour) if hour.end() > window.start => bin_at(hour.start().since(window.start).max(0)),
            _ => None,
        };
        let placed = items.iter().map(|item| period(item).map(|period| (bin_of(period), period, item)));
        let placed: Vec<_> = placed.collect::<Result<_, _>>()?;
        let mut bins = vec![Summary::default(); range.bins_of(&window)];
        let mut concurrent_requests: u64 = 0;
        // Items are in the order of time: one bin is counted after the other, by the same counters.
        let mut sum = DenseSummary::default();
        for of_bin in placed.chunk_by(|(bin, ..), (next, ..)| bin == next) {
            let [(Some(bin), ..), ..] = of_bin else { continue };
            let Some(bin) = bins.get_mut(*bin) else { continue };
            for (_, period, item) in of_bin {
                let requests = count(&mut sum, item)?;
                if is_recent(*period, window.end) {
                    concurrent_requests = concurrent_requests.saturating_add(requests);
                }
            }
            bin.merge(&sum.take());
        }
        Ok(BinSummaries { window, bins, concurrent_requests })
    }

    /// The items of all pieces, read side by side. They are decoded one by one: many summaries take far more memory.
    async fn read(&self, endpoint: &Host, pieces: Vec<Piece>) -> Result<Vec<Item>, Cause> {
        Ok(future::try_join_all(pieces.into_iter().map(|piece| self.items(endpoint, piece)))
            .await?
            .into_iter()
            .flatten()
            .collect())
    }

    /// A query costs by the bytes of all items together, where a batch of gets would round each up to 4 KB.
    async fn items(&self, endpoint: &Host, piece: Piece) -> Result<Vec<Item>, Cause> {
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .consistent_read(piece.consistent)
            .key_condition_expression("endpoint = :endpoint AND period BETWEEN :first AND :last")
            .expression_attribute_values(":endpoint", s(endpoint.as_str()))
            .expression_attribute_values(":first", s(piece.first.key()))
            .expression_attribute_values(":last", s(piece.last.key()));
        query::items(query).await
    }
}

/// The minutes of the first, partial hour, the sealed hours, and the minutes since.
fn by_hours(range: &Range<Minute>, watermark: &Watermark, now: Timestamp) -> Vec<Piece> {
    let WindowParts { head, hours: sealed, tail } = WindowParts::new(range, watermark.sealed);
    let caught_up = has_just_caught_up(watermark, now);
    let newest = sealed.end.previous().max(sealed.start);
    let settled = slices(sealed.start..newest, |hour| hour.plus(SLICE_HOURS));
    let mut pieces: Vec<_> = minutes(&head, caught_up).into_iter().collect();
    pieces.extend(settled.filter_map(|slice| hours(&slice, caught_up)));
    pieces.extend(hours(&(newest..sealed.end), true));
    pieces.extend(minutes(&tail, true));
    pieces
}

/// All minutes.
fn by_minutes(range: &Range<Minute>, watermark: &Watermark, now: Timestamp) -> Vec<Piece> {
    let caught_up = has_just_caught_up(watermark, now);
    let recent = watermark.sealed.start().clamp(range.start, range.end);
    let settled = slices(range.start..recent, |minute| minute.plus(SLICE_MINUTES));
    let mut pieces: Vec<_> = settled.filter_map(|slice| minutes(&slice, caught_up)).collect();
    pieces.extend(minutes(&(recent..range.end), true));
    pieces
}

/// A range in slices, each of which ends where `next` says; the last may be shorter.
fn slices<T: Copy + Ord>(range: Range<T>, next: impl Fn(T) -> T) -> impl Iterator<Item = Range<T>> {
    let slice = move |start: T| (start < range.end).then(|| start..next(start).min(range.end));
    iter::successors(slice(range.start), move |last| slice(last.end))
}

fn has_just_caught_up(watermark: &Watermark, now: Timestamp) -> bool {
    watermark.caught_up_at.is_some_and(|at| now.duration_since(at) < CATCH_UP_SETTLES)
}

fn period(item: &Item) -> Result<Period, AttributeError> {
    required("period", string(item, "period")?.and_then(Period::from_key))
}

/// Adds an item's figures, and returns its requests.
fn count(sum: &mut DenseSummary, item: &Item) -> Result<u64, RollupError> {
    let before = sum.requests();
    decode_onto(sum, encoded(item)?)?;
    Ok(sum.requests() - before)
}

/// Whether it is one of the last minutes before `end`.
fn is_recent(period: Period, end: Minute) -> bool {
    matches!(period, Period::Minute(minute) if minute >= end.plus(-CONCURRENT_MINUTES))
}

fn minutes(range: &Range<Minute>, consistent: bool) -> Option<Piece> {
    let (first, last) = (Period::Minute(range.start), Period::Minute(range.end.plus(-1)));
    (!range.is_empty()).then_some(Piece { first, last, consistent })
}

fn hours(range: &Range<Hour>, consistent: bool) -> Option<Piece> {
    let (first, last) = (Period::Hour(range.start), Period::Hour(range.end.previous()));
    (!range.is_empty()).then_some(Piece { first, last, consistent })
}
