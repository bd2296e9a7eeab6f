//! The DynamoDB tables and the demo keys.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType, TableStatus, TimeToLiveSpecification,
};
use wafer_metrics::api_key::KeyHash;
use wafer_metrics::error::chain;

use crate::stack::StackError;

/// API keys.
pub const API_KEYS: &str = "api_keys";
/// Rate limits.
pub const RATE_LIMITS: &str = "rate_limits";
/// Heartbeats.
pub const HEARTBEATS: &str = "heartbeats";
/// Rollups.
pub const ROLLUPS: &str = "rollups";

const TABLES: [(&str, &str, Option<&str>); 4] = [
    (API_KEYS, "key_hash", None),
    (RATE_LIMITS, "key_hash", None),
    (HEARTBEATS, "endpoint", Some("worker_id")),
    (ROLLUPS, "endpoint", Some("period")),
];

/// Makes the tables that are missing.
///
/// # Errors
/// When a table cannot be made.
pub async fn create(client: &Client) -> Result<(), StackError> {
    for (table, partition, sort) in TABLES {
        let described = client.describe_table().table_name(table).send().await;
        let status = described.ok().and_then(|answer| answer.table).and_then(|table| table.table_status);
        if status.is_some_and(|status| status != TableStatus::Deleting) {
            continue;
        }
        let keys = [(partition, KeyType::Hash)].into_iter().chain(sort.map(|sort| (sort, KeyType::Range)));
        let mut create = client.create_table().table_name(table).billing_mode(BillingMode::PayPerRequest);
        for (name, kind) in keys {
            let definition = AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S).build();
            let element = KeySchemaElement::builder().attribute_name(name).key_type(kind).build();
            create = create.attribute_definitions(definition.map_err(refused)?).key_schema(element.map_err(refused)?);
        }
        create.send().await.map_err(refused)?;
        // A key's `expires_at` says when it stops working, not when its record may go.
        if table != API_KEYS {
            let expiry = TimeToLiveSpecification::builder().attribute_name("expires_at").enabled(true).build().map_err(refused)?;
            client.update_time_to_live().table_name(table).time_to_live_specification(expiry).send().await.map_err(refused)?;
        }
    }
    Ok(())
}

/// Puts the three demo keys.
///
/// # Errors
/// When one cannot be put.
pub async fn put_demo_keys(client: &Client) -> Result<(), StackError> {
    let all = ["chat.demo.example", "code.demo.example", "idle.demo.example"];
    for (key, kind, endpoints) in [
        ("demo-dedicated-key", "dedicated", &all[..]),
        ("demo-metrics-key", "metrics", &all[..1]),
        ("demo-serverless-key", "serverless", &[]),
    ] {
        let Some(hash) = KeyHash::of_authorization(format!("Bearer {key}").as_bytes()) else { continue };
        let mut put = client
            .put_item()
            .table_name(API_KEYS)
            .item("key_hash", AttributeValue::S(hash.as_str().to_owned()))
            .item("kind", AttributeValue::S(kind.to_owned()));
        if !endpoints.is_empty() {
            put = put.item("endpoints", AttributeValue::Ss(endpoints.iter().map(ToString::to_string).collect()));
        }
        put.send().await.map_err(refused)?;
    }
    Ok(())
}

fn refused(error: impl std::error::Error + 'static) -> StackError {
    StackError::Refused(chain(&error))
}
