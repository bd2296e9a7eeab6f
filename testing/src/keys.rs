//! API keys and the endpoints that they may scrape.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use dynamodb_endpoint::tables::API_KEYS;
use wafer_metrics::model::api_key::KeyHash;

pub const CHAT: &str = "chat.demo.example";
pub const CODE: &str = "code.demo.example";
/// May scrape [`CHAT`] and [`CODE`].
pub const DEDICATED_KEY: &str = "demo-dedicated-key";
/// May scrape [`CHAT`].
pub const METRICS_KEY: &str = "demo-metrics-key";
pub const SERVERLESS_KEY: &str = "demo-serverless-key";
pub const REVOKED_KEY: &str = "demo-revoked-key";
pub const EXPIRED_KEY: &str = "demo-expired-key";
pub const MALFORMED_KEY: &str = "demo-malformed-record-key";
pub const UNKNOWN_KEY: &str = "demo-unknown-key";

/// Every key of these.
pub const KEYS: [&str; 7] =
    [DEDICATED_KEY, METRICS_KEY, SERVERLESS_KEY, REVOKED_KEY, EXPIRED_KEY, MALFORMED_KEY, UNKNOWN_KEY];

pub fn hash(key: &str) -> String {
    KeyHash::from_authorization(format!("Bearer {key}").as_bytes()).unwrap().as_str().to_owned()
}

/// Puts a key's record, with these attributes besides.
pub async fn put_key(client: &Client, key: &str, kind: &str, endpoints: &[&str], further: &[(&str, AttributeValue)]) {
    let put = client.put_item().table_name(API_KEYS).item("key_hash", AttributeValue::S(hash(key)));
    let mut put = put.item("kind", AttributeValue::S(kind.to_owned()));
    if !endpoints.is_empty() {
        put = put.item("endpoints", AttributeValue::Ss(endpoints.iter().map(ToString::to_string).collect()));
    }
    for (name, value) in further {
        put = put.item(*name, value.clone());
    }
    put.send().await.unwrap();
}
