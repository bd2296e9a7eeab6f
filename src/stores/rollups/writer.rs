//! What the refresh reads and writes. An item is written only on condition of the version that was read, so that
//! whatever is repeated, killed or run side by side, nothing is counted twice.

use std::collections::BTreeMap;
use std::ops::Range;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::put_item::builders::PutItemFluentBuilder;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::error::TransactionCanceledException;
use aws_sdk_dynamodb::types::{AttributeValue, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem};
use jiff::Timestamp;

use super::{
    Period, RollupError, SINCE, Stored, Versioned, decode_figures, decode_stored, decode_watermark, encode, item_of,
    refresh_key, watermark_item,
};
use crate::error::Cause;
use crate::model::host::Host;
use crate::model::summary::{Summary, Total};
use crate::model::watermark::Watermark;
use crate::model::window::{Hour, Minute};
use crate::stores::dynamodb::item::{AttributeError, Item, n, number, required, s, string};
use crate::stores::dynamodb::query;

const IS_NEW: &str = "attribute_not_exists(version)";
const IS_AS_READ: &str = "version = :version";

#[derive(Clone, Debug)]
pub struct RollupWriter {
    client: Client,
    table: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutOutcome {
    Stored,
    /// Nothing was changed: somebody else has written since the item was read, or is writing, or the table is
    /// throttled. What was read is to be read again.
    Overtaken,
}

/// A minute's or an hour's new summary, and the version of the item it replaces.
#[derive(Clone, Debug)]
pub struct Change<P> {
    pub period: P,
    pub summary: Summary,
    pub replaces: Option<u64>,
}

pub type MinuteChange = Change<Minute>;
pub type HourChange = Change<Hour>;

/// What is written together for an endpoint, or not at all.
#[derive(Clone, Debug)]
pub struct Transaction {
    pub minutes: Vec<MinuteChange>,
    pub hour: Option<HourChange>,
    /// The total, where it changes, and the version of the item it replaces.
    pub total: Option<(Total, Option<u64>)>,
    /// When the query behind it was submitted.
    pub as_of: Timestamp,
}

impl RollupWriter {
    #[must_use]
    pub const fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }

    /// How far the refresh has come; `None` before the first one.
    pub async fn watermark(&self) -> Result<Option<Versioned<Watermark>>, Cause> {
        super::watermark(&self.client, &self.table).await
    }

    /// The first minute that was ever read.
    pub async fn since(&self) -> Result<Option<Minute>, Cause> {
        super::since(&self.client, &self.table).await
    }

    /// Notes the first minute ever read, once; a note that is there already stays.
    pub async fn put_since(&self, since: Minute) -> Result<PutOutcome, Cause> {
        let mut item = Item::from(refresh_key(SINCE));
        item.insert("since".to_owned(), n(since.as_second()));
        let put = self.client.put_item().table_name(&self.table).set_item(Some(item));
        send(put.condition_expression("attribute_not_exists(since)")).await
    }

    /// Puts the watermark in the place of the version that was read, and returns its version; `None` where another has
    /// been put meanwhile. An answer that was lost is recognised when the SDK repeats the call: what is refused but
    /// stands there already is stored.
    pub async fn put_watermark(&self, mark: &Watermark, replaces: Option<u64>) -> Result<Option<u64>, Cause> {
        let next = Versioned { value: mark.clone(), version: next_version(replaces) };
        let put = self.client.put_item().table_name(&self.table).set_item(Some(watermark_item(mark, next.version)));
        let put = put.return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match on_condition(put, replaces).send().await {
            Ok(_) => Ok(Some(next.version)),
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(refusal)) => {
                    let there = refusal.item.as_ref().map(decode_watermark).transpose()?;
                    Ok((there.as_ref() == Some(&next)).then_some(next.version))
                }
                _ => Err(error.into()),
            },
        }
    }

    /// The stored minutes of an endpoint in a range; strongly consistent.
    pub async fn minutes(&self, endpoint: &Host, range: &Range<Minute>) -> Result<BTreeMap<Minute, Stored>, Cause> {
        if range.is_empty() {
            return Ok(BTreeMap::new());
        }
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .key_condition_expression("endpoint = :endpoint AND period BETWEEN :first AND :last")
            .expression_attribute_values(":endpoint", s(endpoint.as_str()))
            .expression_attribute_values(":first", s(Period::Minute(range.start).key()))
            .expression_attribute_values(":last", s(Period::Minute(range.end.plus(-1)).key()));
        let mut minutes = BTreeMap::new();
        for item in query::items(query).await? {
            let key = required("period", string(&item, "period")?)?;
            let minute = Period::minute_of(key).ok_or(AttributeError::out_of_range("period"))?;
            minutes.insert(minute, decode_stored(&item)?);
        }
        Ok(minutes)
    }

    /// The item of an endpoint's hour; strongly consistent.
    pub async fn hour(&self, endpoint: &Host, hour: Hour) -> Result<Option<Stored>, Cause> {
        let item = self.item(endpoint, Period::Hour(hour)).await?;
        Ok(item.as_ref().map(decode_stored).transpose()?)
    }

    /// What was ever counted for an endpoint; strongly consistent.
    pub async fn total(&self, endpoint: &Host) -> Result<Option<Versioned<Total>>, Cause> {
        let item = self.item(endpoint, Period::Total).await?;
        let read = |item: &Item| -> Result<_, RollupError> {
            Ok(Versioned { value: decode_figures(item)?, version: required("version", number(item, "version")?)? })
        };
        Ok(item.as_ref().map(read).transpose()?)
    }

    async fn item(&self, endpoint: &Host, period: Period) -> Result<Option<Item>, Cause> {
        let get = self.client.get_item().table_name(&self.table).consistent_read(true);
        let get = get.key("endpoint", s(endpoint.as_str())).key("period", s(period.key()));
        Ok(get.send().await?.item)
    }

    /// Writes an endpoint's minutes, its hour and its total together. The SDK makes the `ClientRequestToken` and keeps
    /// it over its own retries, so a lost answer writes nothing twice.
    ///
    /// # Errors
    /// When it cannot be written; whether it was is then unknown.
    pub async fn write(&self, endpoint: &Host, transaction: &Transaction) -> Result<PutOutcome, Cause> {
        let as_of = transaction.as_of;
        let put = |period, summary, replaces| {
            let item = item_of(endpoint, period, summary, next_version(replaces), as_of);
            let mut put = Put::builder().table_name(&self.table).set_item(Some(item));
            put = match replaces {
                None => put.condition_expression(IS_NEW),
                Some(version) => {
                    put.condition_expression(IS_AS_READ).expression_attribute_values(":version", n(version))
                }
            };
            Ok::<_, Cause>(TransactWriteItem::builder().put(put.build()?).build())
        };
        let minutes = transaction.minutes.iter();
        let minutes =
            minutes.map(|change| put(Period::Minute(change.period), encode(&change.summary), change.replaces));
        let hour = transaction.hour.iter();
        let hour = hour.map(|change| put(Period::Hour(change.period), encode(&change.summary), change.replaces));
        let total = transaction.total.iter().map(|(total, replaces)| put(Period::Total, encode(total), *replaces));
        let items = minutes.chain(hour).chain(total).collect::<Result<Vec<_>, _>>()?;
        match self.client.transact_write_items().set_transact_items(Some(items)).send().await {
            Ok(_) => Ok(PutOutcome::Stored),
            Err(error) => match error.as_service_error() {
                Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) if is_overtaken(cancelled) => {
                    Ok(PutOutcome::Overtaken)
                }
                _ => Err(error.into()),
            },
        }
    }

    /// Puts the item of an endpoint's hour in the place of the version that was read.
    pub async fn put_hour(&self, endpoint: &Host, change: &HourChange, as_of: Timestamp) -> Result<PutOutcome, Cause> {
        let period = Period::Hour(change.period);
        let item = item_of(endpoint, period, encode(&change.summary), next_version(change.replaces), as_of);
        let put = self.client.put_item().table_name(&self.table).set_item(Some(item));
        send(on_condition(put, change.replaces)).await
    }
}

/// Cancelled by nothing that would last. A cancelled transaction is not repeated by the SDK.
fn is_overtaken(cancelled: &TransactionCanceledException) -> bool {
    let passing =
        ["None", "ConditionalCheckFailed", "TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"];
    let mut codes = cancelled.cancellation_reasons().iter().filter_map(|reason| reason.code());
    codes.all(|code| passing.contains(&code))
}

const fn next_version(replaces: Option<u64>) -> u64 {
    match replaces {
        None => 1,
        Some(version) => version.saturating_add(1),
    }
}

fn on_condition(put: PutItemFluentBuilder, replaces: Option<u64>) -> PutItemFluentBuilder {
    match replaces {
        None => put.condition_expression(IS_NEW),
        Some(version) => {
            let version: AttributeValue = n(version);
            put.condition_expression(IS_AS_READ).expression_attribute_values(":version", version)
        }
    }
}

async fn send(put: PutItemFluentBuilder) -> Result<PutOutcome, Cause> {
    match put.send().await {
        Ok(_) => Ok(PutOutcome::Stored),
        Err(error) if error.as_service_error().is_some_and(PutItemError::is_conditional_check_failed_exception) => {
            Ok(PutOutcome::Overtaken)
        }
        Err(error) => Err(error.into()),
    }
}
