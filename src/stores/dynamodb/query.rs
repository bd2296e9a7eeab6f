//! Every item of a DynamoDB query, page by page.

use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use thiserror::Error;

use crate::error::Cause;
use crate::stores::dynamodb::item::Item;

/// DynamoDB sends an empty list when nothing matches. A page without the list is not a DynamoDB answer.
#[derive(Clone, Copy, Debug, Error)]
#[error("a page without items")]
struct NoItems;

/// The items of all pages, in order.
/// Taking a page that is not one as empty would be a silent zero.
pub async fn items(query: QueryFluentBuilder) -> Result<Vec<Item>, Cause> {
    let mut items = Vec::new();
    let mut pages = query.into_paginator().send();
    while let Some(page) = pages.next().await {
        items.append(&mut page?.items.ok_or(NoItems)?);
    }
    Ok(items)
}
