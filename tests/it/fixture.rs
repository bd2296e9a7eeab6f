//! What the tests start from: keys of each kind and a day of one endpoint, in a DynamoDB endpoint.

use std::net::SocketAddr;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::{SignedDuration, Timestamp};
pub use testing::calls::*;
use testing::captured_log;
pub use testing::keys::*;
pub use testing::rollups::{self, watermark};
use wafer_metrics::model::host::Host;
use wafer_metrics::model::summary::{StatusCounts, Summary};
use wafer_metrics::model::watermark::Watermark;
use wafer_metrics::model::window::Minute;
use wafer_metrics::stores::rollups::{MinuteChange, Transaction};

/// The time at which tests take place, [`after`] some milliseconds.
pub fn now() -> Timestamp {
    "2026-11-24T20:15:30Z".parse().unwrap()
}

pub fn after(milliseconds: i64) -> Timestamp {
    now() + SignedDuration::from_millis(milliseconds)
}

/// The end of the window that [`dynamodb`] holds.
pub fn window_end() -> Minute {
    Minute::floor("2026-11-24T20:14:00Z".parse().unwrap())
}

/// A DynamoDB endpoint with the four tables, a key of each kind, and a day of [`CHAT`].
pub async fn dynamodb() -> SocketAddr {
    captured_log::start();
    let address = testing::dynamodb::start().await;
    let client = client(address);
    put_key(&client, DEDICATED_KEY, "dedicated", &[CHAT, "Code.Demo.Example"], &[]).await;
    put_key(&client, METRICS_KEY, "metrics", &[CHAT], &[]).await;
    put_key(&client, SERVERLESS_KEY, "serverless", &[], &[]).await;
    put_key(&client, REVOKED_KEY, "dedicated", &[CHAT], &[("revoked", AttributeValue::Bool(true))]).await;
    let expired = AttributeValue::N(now().as_second().to_string());
    put_key(&client, EXPIRED_KEY, "dedicated", &[CHAT], &[("expires_at", expired)]).await;
    put_key(&client, MALFORMED_KEY, "dedicated", &[CHAT], &[("revoked", AttributeValue::S("yes".to_owned()))]).await;
    put_day(&client).await;
    put_heartbeat(&client, CHAT, "worker-0", &[("running_requests", AttributeValue::N("3".to_owned()))]).await;
    address
}

/// Seven requests in the window's last minute.
async fn put_day(client: &Client) {
    let summary = Summary { input_tokens: 700, ..requests(&[(200, 6), (500, 1)]) };
    put_minute(client, window_end().plus(-1), &summary).await;
    put_watermark(client, &watermark(window_end(), window_end().plus(-10).hour())).await;
}

pub fn requests(codes: &[(u16, u64)]) -> Summary {
    let mut statuses = StatusCounts::default();
    for (code, count) in codes {
        statuses.add(*code, *count);
    }
    Summary { statuses, ..Summary::default() }
}

/// Puts a minute of [`CHAT`] that is not there yet.
pub async fn put_minute(client: &Client, minute: Minute, summary: &Summary) {
    let change = MinuteChange { period: minute, summary: summary.clone(), replaces: None };
    let transaction = Transaction { minutes: vec![change], hour: None, total: None, as_of: now() };
    rollups::writer(client).write(&Host::parse(CHAT).unwrap(), &transaction).await.unwrap();
}

/// Puts a watermark in the place of the one there is.
pub async fn put_watermark(client: &Client, mark: &Watermark) {
    let rollups = rollups::writer(client);
    let there = rollups.watermark().await.unwrap().map(|there| there.version);
    rollups.put_watermark(mark, there).await.unwrap().unwrap();
}

/// A heartbeat reported now, with these fields.
pub async fn put_heartbeat(client: &Client, endpoint: &str, worker: &str, fields: &[(&str, AttributeValue)]) {
    let put = client.put_item().table_name("heartbeats").item("endpoint", AttributeValue::S(endpoint.to_owned()));
    let mut put = put
        .item("worker_id", AttributeValue::S(worker.to_owned()))
        .item("reported_at_ms", AttributeValue::N(now().as_millisecond().to_string()));
    for (name, value) in fields {
        put = put.item(*name, value.clone());
    }
    put.send().await.unwrap();
}
