//! A DynamoDB elsewhere in the region: each call takes some milliseconds more. On loopback round trips are free, so
//! sharing them gains nothing.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::http::HttpRequest;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};

/// About what a small read takes within a region.
pub const MILLISECONDS: u64 = 4;

pub fn client(near: &Client) -> Client {
    let inner = near.config().http_client().unwrap();
    let far = http_client_fn(move |settings, components| {
        SharedHttpConnector::new(Far(inner.http_connector(settings, components)))
    });
    Client::from_conf(near.config().to_builder().http_client(far).build())
}

#[derive(Debug)]
struct Far(SharedHttpConnector);

impl HttpConnector for Far {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let answer = self.0.call(request);
        HttpConnectorFuture::new(async {
            tokio::time::sleep(Duration::from_millis(MILLISECONDS)).await;
            answer.await
        })
    }
}
