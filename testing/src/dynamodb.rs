//! DynamoDB on loopback, with the four tables.

use std::net::SocketAddr;
use std::sync::Arc;

use aws_sdk_dynamodb::Client;
use dynamodb_endpoint::Clock;
use jiff::Timestamp;

pub use dynamodb_endpoint::{DynamoDb, tables};

use crate::{clock, listen, sdk_config};

/// An endpoint with empty tables, for as long as the test's runtime lives.
pub async fn start() -> SocketAddr {
    serve(Arc::new(Timestamp::now)).await.1
}

/// The same at the times of `clock`, and the database behind it, from which a test deletes what has expired.
pub async fn start_at(clock: &clock::Clock) -> (DynamoDb, SocketAddr) {
    serve(clock.shared()).await
}

async fn serve(clock: Clock) -> (DynamoDb, SocketAddr) {
    let (listener, address) = listen().await;
    let database = DynamoDb::new(clock).unwrap();
    tokio::spawn(database.clone().serve(listener));
    tables::create(&Client::new(&sdk_config(address))).await.unwrap();
    (database, address)
}
