//! Items and queries of DynamoDB.

pub mod item;
pub mod query;
