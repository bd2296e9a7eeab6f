//! What the refresh writes: items by put, never by increment, so that doing it again gives the same.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::put_item::{PutItemError, PutItemOutput};
use jiff::Timestamp;

use super::{Period, Watermark, decimal, text, watermark_key};
use crate::error::Cause;
use crate::host::Host;
use crate::summary::Summary;

/// Writes the rollups table.
#[derive(Clone, Debug)]
pub struct RollupWriter {
    client: Client,
    table: String,
}

/// What became of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It is stored.
    Stored,
    /// A younger query's item is there already, and stays.
    Superseded,
}

/// What became of the watermark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advance {
    /// It stands where it was asked to.
    Advanced,
    /// Another run is further, and it stays there.
    Overtaken,
}

impl RollupWriter {
    /// Over the table of that name.
    #[must_use]
    pub const fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }

    /// How far the refresh has come; `None` before the first one.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn watermark(&self) -> Result<Option<Watermark>, Cause> {
        super::watermark(&self.client, &self.table).await
    }

    /// Puts what a query that started at `as_of` says of an endpoint and period, unless a younger query's answer is there.
    ///
    /// # Errors
    /// When the item cannot be written.
    pub async fn put(&self, endpoint: &Host, period: Period, summary: &Summary, as_of: Timestamp) -> Result<Put, Cause> {
        let mut put = self
            .client
            .put_item()
            .table_name(&self.table)
            .item("endpoint", text(endpoint.as_str()))
            .item("period", text(period.key()))
            .item("as_of", decimal(as_of.as_millisecond()))
            .item("expires_at", decimal(period.expires_at()))
            .condition_expression("attribute_not_exists(as_of) OR as_of <= :as_of")
            .expression_attribute_values(":as_of", decimal(as_of.as_millisecond()));
        for (name, value) in summary.attributes() {
            put = put.item(name, value);
        }
        Ok(if condition_held(put.send().await)? { Put::Stored } else { Put::Superseded })
    }

    /// Moves the watermark, which only goes forward.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn advance(&self, to: &Watermark) -> Result<Advance, Cause> {
        let sealed = to.sealed.start().as_second();
        let mut put = self
            .client
            .put_item()
            .table_name(&self.table)
            .item("through", decimal(to.through.as_second()))
            .item("sealed", decimal(sealed))
            .condition_expression("attribute_not_exists(through) OR (through <= :through AND sealed <= :sealed)")
            .expression_attribute_values(":through", decimal(to.through.as_second()))
            .expression_attribute_values(":sealed", decimal(sealed));
        for (name, value) in watermark_key() {
            put = put.item(name, value);
        }
        if let Some(at) = to.caught_up_at {
            put = put.item("caught_up_at", decimal(at.as_millisecond()));
        }
        Ok(if condition_held(put.send().await)? { Advance::Advanced } else { Advance::Overtaken })
    }
}

fn condition_held(answer: Result<PutItemOutput, SdkError<PutItemError>>) -> Result<bool, Cause> {
    match answer {
        Ok(_) => Ok(true),
        Err(error) if error.as_service_error().is_some_and(PutItemError::is_conditional_check_failed_exception) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
