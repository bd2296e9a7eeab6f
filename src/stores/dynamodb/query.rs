//! The items of a DynamoDB query, page by page.

use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use futures_util::{Stream, TryStreamExt, stream};
use thiserror::Error;

use crate::error::Cause;
use crate::stores::dynamodb::item::Item;

/// DynamoDB sends an empty list when nothing matches. A page without the list is not a DynamoDB answer.
#[derive(Clone, Copy, Debug, Error)]
#[error("a page without items")]
struct NoItems;

/// Each page's items, of at most 1 MB. The next page is asked for when the one before it has been taken.
/// Taking a page that is not one as empty would be a silent zero.
pub fn pages(query: QueryFluentBuilder) -> impl Stream<Item = Result<Vec<Item>, Cause>> {
    stream::try_unfold(query.into_paginator().send(), async |mut pages| match pages.next().await {
        Some(page) => Ok(Some((page?.items.ok_or(NoItems)?, pages))),
        None => Ok(None),
    })
}

/// The items of all pages, in order.
pub async fn items(query: QueryFluentBuilder) -> Result<Vec<Item>, Cause> {
    pages(query).try_concat().await
}
