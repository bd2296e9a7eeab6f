//! A client that is answered from memory, so that a profiler sees a call's own work and nothing of a wire.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::http::{HttpRequest, HttpResponse};
use aws_sdk_dynamodb::config::interceptors::{
    AfterDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextRef,
};
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::{Storable, StoreReplace};

/// What was answered, by what was asked.
#[derive(Clone, Debug, Default)]
pub struct Answers(Arc<Mutex<HashMap<String, Vec<u8>>>>);

impl Answers {
    /// A client whose calls are answered by a table, and kept. Under a profiler they may take long.
    pub fn record(&self, client: &Client) -> Client {
        let config = client.config().to_builder().timeout_config(TimeoutConfig::disabled());
        Client::from_conf(config.interceptor(self.clone()).build())
    }

    /// A client whose calls are answered from what was kept.
    pub fn replay(&self, client: &Client) -> Client {
        let connector = SharedHttpConnector::new(self.clone());
        let http_client = http_client_fn(move |_, _| connector.clone());
        Client::from_conf(client.config().to_builder().http_client(http_client).build())
    }
}

/// What a call asks.
#[derive(Debug)]
struct Question(String);

impl Storable for Question {
    type Storer = StoreReplace<Self>;
}

/// A write names its invocation and its time, which are others each time: there is one of them in a call.
fn question(request: &HttpRequest) -> String {
    let target = request.headers().get("x-amz-target").unwrap();
    // The SDK writes names in an order that is drawn, serde_json in theirs.
    let body = (!target.ends_with("UpdateItem"))
        .then(|| serde_json::from_slice::<serde_json::Value>(request.body().bytes().unwrap()).unwrap());
    format!("{target} {}", body.unwrap_or_default())
}

impl Intercept for Answers {
    fn name(&self) -> &'static str {
        "answers"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        bag.interceptor_state().store_put(Question(question(context.request())));
        Ok(())
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let Question(question) = bag.load::<Question>().unwrap();
        let body = context.response().body().bytes().unwrap().to_vec();
        self.0.lock().unwrap().insert(question.clone(), body);
        Ok(())
    }
}

impl HttpConnector for Answers {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let question = question(&request);
        let body = self.0.lock().unwrap().get(&question).unwrap_or_else(|| panic!("not recorded: {question}")).clone();
        HttpConnectorFuture::ready(Ok(HttpResponse::new(200.try_into().unwrap(), SdkBody::from(body))))
    }
}
