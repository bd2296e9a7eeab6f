//! What a scrape reads: the watermark first, and only then the items it says count. No item means no traffic, so an item read
//! before a watermark that already counts on it would be a silent zero.

use std::ops::Range;

use aws_sdk_dynamodb::Client;
use futures_util::future;
use jiff::{SignedDuration, Timestamp};

use super::{Period, decode_figures};
use crate::error::Cause;
use crate::model::host::Host;
use crate::model::range::BinnedRange;
use crate::model::summary::{Summary, Total};
use crate::model::watermark::Watermark;
use crate::model::window::{CONCURRENT_MINUTES, Hour, Minute, WindowParts};
use crate::stores::api_keys::Grant;
use crate::stores::dynamodb::item::{Item, required, s, string};
use crate::stores::dynamodb::query;
use crate::stores::rate_limits::Admission;

/// How long after a catch-up every read is strongly consistent: items far in the past have just been written.
const CATCH_UP_SETTLES: SignedDuration = SignedDuration::from_mins(1);
/// How many minutes one query reads of a range that is read by minutes: one query answers page after page, several do so side
/// by side.
const SLICE_MINUTES: i64 = 6 * 60;
/// The same of hours.
const SLICE_HOURS: i64 = 7 * 24;

/// Reads the rollups table.
#[derive(Clone, Debug)]
pub struct RollupReader {
    client: Client,
    table: String,
}

/// What ended in one endpoint's window.
#[derive(Debug, Default)]
pub struct WindowSummary {
    pub summary: Summary,
    /// Requests that ended in its last two minutes.
    pub concurrent_requests: u64,
}

/// What ended in the bins of a range, one after the other.
#[derive(Debug)]
pub struct BinSummaries {
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

    /// How far the refresh has come; strongly consistent, since a window must never move back. `None` before the first refresh.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn watermark(&self, _: &Grant) -> Result<Option<Watermark>, Cause> {
        Ok(super::watermark(&self.client, &self.table).await?.map(|mark| mark.value))
    }

    /// The first minute that was ever read; it never changes. `None` before the first refresh.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn since(&self, _: &Admission) -> Result<Option<Minute>, Cause> {
        super::since(&self.client, &self.table).await
    }

    /// Everything that was ever counted of an endpoint; strongly consistent, since no counter may fall.
    ///
    /// # Errors
    /// When the item cannot be read or does not decode.
    pub async fn total(&self, _: &Admission, endpoint: &Host) -> Result<Total, Cause> {
        let get = self.client.get_item().table_name(&self.table).consistent_read(true);
        let get = get.key("endpoint", s(endpoint.as_str())).key("period", s(Period::Total.key()));
        Ok(get.send().await?.item.as_ref().map(decode_figures).transpose()?.unwrap_or_default())
    }

    /// Requests of an endpoint that ended in the last two minutes before the watermark.
    ///
    /// # Errors
    /// When an item cannot be read or does not decode.
    pub async fn concurrent_requests(
        &self,
        _: &Admission,
        endpoint: &Host,
        watermark: &Watermark,
    ) -> Result<u64, Cause> {
        let range = watermark.through.plus(-CONCURRENT_MINUTES)..watermark.through;
        let items = self.read(endpoint, minutes(&range, true).into_iter().collect()).await?;
        Ok(items.iter().fold(0, |requests, (_, summary)| summary.requests().saturating_add(requests)))
    }

    /// A window of an endpoint that ends where the watermark says.
    ///
    /// Reads are strongly consistent only where something may just have been written: after the last sealed hour, that hour
    /// itself, and everything right after a catch-up.
    ///
    /// # Errors
    /// When an item cannot be read or does not decode.
    pub async fn window(
        &self,
        _: &Admission,
        endpoint: &Host,
        minutes: i64,
        watermark: &Watermark,
        now: Timestamp,
    ) -> Result<WindowSummary, Cause> {
        let range = watermark.through.plus(-minutes)..watermark.through;
        let mut window = WindowSummary::default();
        for (period, summary) in self.read(endpoint, by_hours(&range, watermark, now)).await? {
            if is_concurrent(period, range.end) {
                window.concurrent_requests = window.concurrent_requests.saturating_add(summary.requests());
            }
            window.summary.merge(&summary);
        }
        Ok(window)
    }

    /// The bins of a range of an endpoint that starts no earlier than anything was read. Up to a day it is read by minutes, since
    /// bins cut across hours; a longer one by hours as far as they are sealed.
    ///
    /// # Errors
    /// When an item cannot be read or does not decode.
    pub async fn bins(
        &self,
        _: &Admission,
        endpoint: &Host,
        range: BinnedRange,
        window: &Range<Minute>,
        watermark: &Watermark,
        now: Timestamp,
    ) -> Result<BinSummaries, Cause> {
        let pieces = if range.is_of_hours() {
            by_hours(&(window.start.hour().start()..window.end), watermark, now)
        } else {
            by_minutes(window, watermark, now)
        };
        let bin_of = |start: Minute| usize::try_from(start.since(window.start) / range.bin_minutes).unwrap_or_default();
        let mut bins = vec![Summary::default(); range.bins_of(window)];
        let mut concurrent_requests: u64 = 0;
        for (period, summary) in self.read(endpoint, pieces).await? {
            if is_concurrent(period, window.end) {
                concurrent_requests = concurrent_requests.saturating_add(summary.requests());
            }
            if let Some(bin) = period.start().and_then(|start| bins.get_mut(bin_of(start))) {
                bin.merge(&summary);
            }
        }
        Ok(BinSummaries { bins, concurrent_requests })
    }

    /// The summaries of all pieces, read side by side.
    async fn read(&self, endpoint: &Host, pieces: Vec<Piece>) -> Result<Vec<(Period, Summary)>, Cause> {
        let pieces = future::try_join_all(pieces.into_iter().map(|piece| self.items(endpoint, piece))).await?;
        let mut summaries = Vec::new();
        for item in pieces.iter().flatten() {
            let period = required("period", string(item, "period")?.and_then(Period::from_key))?;
            summaries.push((period, decode_figures(item)?));
        }
        Ok(summaries)
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
    let mut pieces: Vec<_> = minutes(&head, caught_up).into_iter().collect();
    let mut from = sealed.start;
    while from < newest {
        let to = from.plus(SLICE_HOURS).min(newest);
        pieces.extend(hours(&(from..to), caught_up));
        from = to;
    }
    pieces.extend(hours(&(newest..sealed.end), true));
    pieces.extend(minutes(&tail, true));
    pieces
}

/// All minutes.
fn by_minutes(range: &Range<Minute>, watermark: &Watermark, now: Timestamp) -> Vec<Piece> {
    let caught_up = has_just_caught_up(watermark, now);
    let recent = watermark.sealed.start().clamp(range.start, range.end);
    let mut pieces = Vec::new();
    let mut from = range.start;
    while from < recent {
        let to = from.plus(SLICE_MINUTES).min(recent);
        pieces.extend(minutes(&(from..to), caught_up));
        from = to;
    }
    pieces.extend(minutes(&(recent..range.end), true));
    pieces
}

fn has_just_caught_up(watermark: &Watermark, now: Timestamp) -> bool {
    watermark.caught_up_at.is_some_and(|at| now.duration_since(at) < CATCH_UP_SETTLES)
}

fn is_concurrent(period: Period, end: Minute) -> bool {
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
