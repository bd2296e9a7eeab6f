//! The tables that both functions use.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType, TableStatus,
    TimeToLiveSpecification,
};
use thiserror::Error;

pub const API_KEYS: &str = "api_keys";
pub const RATE_LIMITS: &str = "rate_limits";
pub const HEARTBEATS: &str = "heartbeats";
pub const ROLLUPS: &str = "rollups";

/// Each table with its partition key and, where it has one, its sort key.
const TABLES: [(&str, &str, Option<&str>); 4] = [
    (API_KEYS, "key_hash", None),
    (RATE_LIMITS, "key_hash", None),
    (HEARTBEATS, "endpoint", Some("worker_id")),
    (ROLLUPS, "endpoint", Some("period")),
];

#[derive(Debug, Error)]
#[error("table {table} was refused")]
pub struct TableError {
    table: &'static str,
    source: Box<dyn std::error::Error + Send + Sync>,
}

/// Makes the tables that are missing.
pub async fn create(client: &Client) -> Result<(), TableError> {
    for (table, partition, sort) in TABLES {
        create_one(client, table, partition, sort).await.map_err(|source| TableError { table, source })?;
    }
    Ok(())
}

async fn create_one(
    client: &Client,
    table: &str,
    partition: &str,
    sort: Option<&str>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let described = client.describe_table().table_name(table).send().await;
    let status = described.ok().and_then(|answer| answer.table).and_then(|table| table.table_status);
    if status.is_some_and(|status| status != TableStatus::Deleting) {
        return Ok(());
    }
    let keys = [(partition, KeyType::Hash)].into_iter().chain(sort.map(|sort| (sort, KeyType::Range)));
    let mut create = client.create_table().table_name(table).billing_mode(BillingMode::PayPerRequest);
    for (name, kind) in keys {
        let definition =
            AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S).build()?;
        let element = KeySchemaElement::builder().attribute_name(name).key_type(kind).build()?;
        create = create.attribute_definitions(definition).key_schema(element);
    }
    create.send().await?;
    // A key's `expires_at` says when it stops working, not when its record may go.
    if table != API_KEYS {
        let expiry = TimeToLiveSpecification::builder().attribute_name("expires_at").enabled(true).build()?;
        client.update_time_to_live().table_name(table).time_to_live_specification(expiry).send().await?;
    }
    Ok(())
}
