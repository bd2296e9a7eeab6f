//! The keys of the demo.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use dynamodb_endpoint::tables::API_KEYS;
use wafer_metrics::error::Cause;
use wafer_metrics::model::api_key::KeyHash;

/// Puts all three.
pub async fn put(client: &Client) -> Result<(), Cause> {
    let all = ["chat.demo.example", "code.demo.example", "idle.demo.example"];
    for (key, kind, endpoints) in [
        ("demo-dedicated-key", "dedicated", &all[..]),
        ("demo-metrics-key", "metrics", &all[..1]),
        ("demo-serverless-key", "serverless", &[]),
    ] {
        let Some(hash) = KeyHash::from_authorization(format!("Bearer {key}").as_bytes()) else { continue };
        let mut put = client
            .put_item()
            .table_name(API_KEYS)
            .item("key_hash", AttributeValue::S(hash.as_str().to_owned()))
            .item("kind", AttributeValue::S(kind.to_owned()));
        if !endpoints.is_empty() {
            put = put.item("endpoints", AttributeValue::Ss(endpoints.iter().map(ToString::to_string).collect()));
        }
        put.send().await?;
    }
    Ok(())
}
