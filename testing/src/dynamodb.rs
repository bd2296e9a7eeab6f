//! DynamoDB on loopback, with the four tables.

use std::net::SocketAddr;
use std::sync::Arc;

use aws_sdk_dynamodb::Client;
use dynamodb_endpoint::DynamoDb;
use jiff::Timestamp;

pub use dynamodb_endpoint::tables;

use crate::{listen, sdk_config};

/// An endpoint with empty tables, for as long as the test's runtime lives.
pub async fn start() -> SocketAddr {
    let (listener, address) = listen().await;
    tokio::spawn(DynamoDb::new(Arc::new(Timestamp::now)).unwrap().serve(listener));
    tables::create(&Client::new(&sdk_config(address))).await.unwrap();
    address
}
