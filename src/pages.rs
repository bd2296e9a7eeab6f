//! Every item of a DynamoDB query, page by page.

use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use thiserror::Error;

use crate::attributes::Item;
use crate::error::Cause;

/// A page without a list of items: DynamoDB sends an empty one where nothing was found, so this is no answer of its.
#[derive(Clone, Copy, Debug, Error)]
#[error("a page without items")]
struct NoItems;

/// The items of all pages, in order.
///
/// # Errors
/// When a page cannot be had, or is none. Taking it as empty would be a silent zero.
pub async fn items(query: QueryFluentBuilder) -> Result<Vec<Item>, Cause> {
    let mut items = Vec::new();
    let mut pages = query.into_paginator().send();
    while let Some(page) = pages.next().await {
        items.append(&mut page?.items.ok_or(NoItems)?);
    }
    Ok(items)
}
