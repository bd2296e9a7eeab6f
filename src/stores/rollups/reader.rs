//! What a scrape reads: the watermark first, and only then the items it says count. No item means no traffic, so an item read
//! before a watermark that already counts on it would be a silent zero.

use std::ops::Range;

use aws_sdk_dynamodb::Client;
use futures_util::future;
use jiff::{SignedDuration, Timestamp};

use super::{Period, decode_figures};
use crate::error::Cause;
use crate::model::host::Host;
use crate::model::summary::{Summary, Total};
use crate::model::watermark::Watermark;
use crate::model::window::{CONCURRENT_MINUTES, Hour, Minute, WindowParts};
use crate::stores::api_keys::Grant;
use crate::stores::dynamodb::item::{Item, s, string};
use crate::stores::dynamodb::query;
use crate::stores::rate_limits::Admission;

/// How long after a catch-up every read is strongly consistent: items far in the past have just been written.
const CATCH_UP_SETTLES: SignedDuration = SignedDuration::from_mins(1);

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
        let mut requests: u64 = 0;
        for item in self.minutes(endpoint, &range, true).await? {
            let summary: Summary = decode_figures(&item)?;
            requests = requests.saturating_add(summary.requests());
        }
        Ok(requests)
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
        let WindowParts { head, hours, tail } = WindowParts::new(&range, watermark.sealed);
        let caught_up = watermark.caught_up_at.is_some_and(|at| now.duration_since(at) < CATCH_UP_SETTLES);
        let settled = hours.start..hours.end.previous().max(hours.start);
        let newest = settled.end..hours.end;
        let (head, settled, newest, tail_items) = future::try_join4(
            self.minutes(endpoint, &head, caught_up),
            self.hours(endpoint, &settled, caught_up),
            self.hours(endpoint, &newest, true),
            self.minutes(endpoint, &tail, true),
        )
        .await?;
        let mut window = WindowSummary::default();
        let concurrent = tail.end.plus(-CONCURRENT_MINUTES);
        for item in head.iter().chain(&settled).chain(&newest).chain(&tail_items) {
            let summary: Summary = decode_figures(item)?;
            let minute = string(item, "period")?.and_then(Period::minute_of);
            if minute.is_some_and(|minute| minute >= concurrent) {
                window.concurrent_requests = window.concurrent_requests.saturating_add(summary.requests());
            }
            window.summary.merge(&summary);
        }
        Ok(window)
    }

    async fn minutes(&self, endpoint: &Host, range: &Range<Minute>, consistent: bool) -> Result<Vec<Item>, Cause> {
        if range.is_empty() {
            return Ok(Vec::new());
        }
        self.items(endpoint, Period::Minute(range.start), Period::Minute(range.end.plus(-1)), consistent).await
    }

    async fn hours(&self, endpoint: &Host, range: &Range<Hour>, consistent: bool) -> Result<Vec<Item>, Cause> {
        if range.is_empty() {
            return Ok(Vec::new());
        }
        self.items(endpoint, Period::Hour(range.start), Period::Hour(range.end.previous()), consistent).await
    }

    /// The items of an endpoint from one period to another, both included; a query costs by the bytes of all items together,
    /// where a batch of gets would round each up to 4 KB.
    async fn items(&self, endpoint: &Host, first: Period, last: Period, consistent: bool) -> Result<Vec<Item>, Cause> {
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .consistent_read(consistent)
            .key_condition_expression("endpoint = :endpoint AND period BETWEEN :first AND :last")
            .expression_attribute_values(":endpoint", s(endpoint.as_str()))
            .expression_attribute_values(":first", s(first.key()))
            .expression_attribute_values(":last", s(last.key()));
        query::items(query).await
    }
}
