//! What the tests of every crate stand on: endpoints on loopback that a test fills, and disturbs.

pub mod athena;
pub mod calls;
pub mod captured_log;
pub mod clock;
pub mod dynamodb;
pub mod keys;
pub mod logs;
pub mod proxy;
pub mod replica;
pub mod rollups;

use std::net::SocketAddr;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use tokio::net::TcpListener;

/// A port of its own on loopback.
pub async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// How to reach an endpoint of a test, through no proxy.
pub fn sdk_config(address: SocketAddr) -> SdkConfig {
    let credentials = SharedCredentialsProvider::new(Credentials::new("test", "test", None, None, "test"));
    let config = SdkConfig::builder().behavior_version(BehaviorVersion::latest()).region(Region::new("us-east-1"));
    let config = config.http_client(aws_smithy_http_client::Builder::new().build_http());
    config.credentials_provider(credentials).endpoint_url(format!("http://{address}")).build()
}
