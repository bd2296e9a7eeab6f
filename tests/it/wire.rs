//! The contract, spoken to over a real DynamoDB wire.

use std::sync::Arc;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use aws_sdk_dynamodb::types::{AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType};
use jiff::Timestamp;
use lambda_runtime::{Context, LambdaEvent};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use wafer_metrics::api_key::KeyHash;
use wafer_metrics::aws;
use wafer_metrics::scrape::Scrape;
use wafer_metrics::settings::ScrapeSettings;

const KEY: &str = "Bearer demo-dedicated-key";

/// A DynamoDB endpoint with the tables and the demo's keys.
async fn dynamodb() -> Client {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(dynoxide::server::serve_on(listener, dynoxide::Database::memory().unwrap()));
    let credentials = SharedCredentialsProvider::new(Credentials::new("test", "test", None, None, "test"));
    let config = SdkConfig::builder().behavior_version(BehaviorVersion::latest()).region(Region::new("us-east-1"));
    let client = aws::dynamodb_for_scrape(&config.credentials_provider(credentials).endpoint_url(endpoint).build());
    for (table, keys) in [
        ("api_keys", &["key_hash"][..]),
        ("rate_limits", &["key_hash"]),
        ("heartbeats", &["endpoint", "worker_id"]),
        ("rollups", &["endpoint", "period"]),
    ] {
        let mut create = client.create_table().table_name(table).billing_mode(BillingMode::PayPerRequest);
        for (name, kind) in keys.iter().zip([KeyType::Hash, KeyType::Range]) {
            let definition = AttributeDefinition::builder().attribute_name(*name).attribute_type(ScalarAttributeType::S);
            let element = KeySchemaElement::builder().attribute_name(*name).key_type(kind);
            create = create.attribute_definitions(definition.build().unwrap()).key_schema(element.build().unwrap());
        }
        create.send().await.unwrap();
    }
    for (key, kind) in [(KEY, "dedicated"), ("Bearer demo-serverless-key", "serverless")] {
        let put = client.put_item().table_name("api_keys").item("kind", AttributeValue::S(kind.to_owned()));
        let hash = KeyHash::of_authorization(key.as_bytes()).unwrap().as_str().to_owned();
        let endpoints = AttributeValue::Ss(vec!["chat.demo.example".to_owned()]);
        put.item("key_hash", AttributeValue::S(hash)).item("endpoints", endpoints).send().await.unwrap();
    }
    client
}

fn scrape(client: &Client) -> Scrape {
    let settings = ScrapeSettings::read(|name| name.strip_suffix("_TABLE").map(str::to_lowercase));
    Scrape::new(settings.unwrap(), client)
}

async fn call(scrape: &Scrape, event: &str, invocation: &str, now: Timestamp) -> Value {
    let mut context = Context::default();
    invocation.clone_into(&mut context.request_id);
    let payload = serde_json::from_str(event).unwrap();
    let response = scrape.handle(LambdaEvent::new(payload, context), now).await.unwrap();
    let mut response = serde_json::to_value(response).unwrap();
    let body = response["body"].as_str().unwrap_or_default().to_owned();
    response["body"] = serde_json::from_str(&body).unwrap_or(Value::String(body));
    response
}

fn now() -> Timestamp {
    "2026-11-24T20:15:00Z".parse().unwrap()
}

#[tokio::test]
async fn each_refusal_has_the_status_and_code_of_its_row() {
    let scrape = scrape(&dynamodb().await);
    for (event, status, code) in [
        (include_str!("../../events/wrong-path.json"), 404, "not_found"),
        (include_str!("../../events/wrong-method.json"), 405, "method_not_allowed"),
        (include_str!("../../events/missing-key.json"), 401, "invalid_api_key"),
        (include_str!("../../events/invalid-endpoint.json"), 422, "invalid_endpoint"),
        (include_str!("../../events/unknown-key.json"), 401, "invalid_api_key"),
        (include_str!("../../events/serverless-key.json"), 403, "dedicated_only"),
        (include_str!("../../events/other-endpoint.json"), 403, "endpoint_forbidden"),
        // Nothing has been read from the logs yet.
        (include_str!("../../events/scrape.json"), 502, "summary_failed"),
    ] {
        let response = call(&scrape, event, "one", now()).await;
        assert_eq!(response["statusCode"], json!(status), "{response}");
        assert_eq!(response["body"]["error"]["code"], json!(code), "{response}");
        assert_eq!(response["headers"]["cache-control"], json!("no-store"));
        assert_eq!(response["headers"]["x-request-id"], response["body"]["error"]["request_id"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_eighty_calls_at_once_over_two_instances_exactly_six_are_admitted() {
    let client = dynamodb().await;
    let instances = [Arc::new(scrape(&client)), Arc::new(scrape(&client))];
    let mut calls = JoinSet::new();
    for number in 0..80 {
        let scrape = Arc::clone(&instances[number % 2]);
        calls.spawn(async move { call(&scrape, include_str!("../../events/scrape.json"), &number.to_string(), now()).await });
    }
    let answers = calls.join_all().await;
    let refused: Vec<_> = answers.iter().filter(|answer| answer["statusCode"] == 429).collect();
    assert_eq!(answers.len() - refused.len(), 6);
    for answer in refused {
        assert_eq!(answer["headers"]["retry-after"], "59");
        assert_eq!(answer["headers"]["ratelimit"], "\"per-key\";r=0;t=59");
    }
}

#[tokio::test]
async fn a_slot_frees_59_seconds_after_it_was_taken() {
    let scrape = scrape(&dynamodb().await);
    let event = include_str!("../../events/scrape.json");
    let after = |milliseconds| Timestamp::from_millisecond(now().as_millisecond() + milliseconds).unwrap();
    for number in 0..6 {
        assert_eq!(call(&scrape, event, &number.to_string(), after(0)).await["statusCode"], 502);
    }
    assert_eq!(call(&scrape, event, "early", after(58_999)).await["statusCode"], 429);
    assert_eq!(call(&scrape, event, "in time", after(59_000)).await["statusCode"], 502);
}
