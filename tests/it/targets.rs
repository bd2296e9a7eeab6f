//! Discovery: the targets that a key may scrape, and scrapes of all its endpoints.

use serde_json::Value;
use testing::proxy::Proxy;

use crate::fixture::*;

fn targets() -> Event {
    Event::scrape().path("/v1/endpoints/metrics/targets").query("")
}

async fn key_of(client: &aws_sdk_dynamodb::Client, key: &str, endpoints: usize) {
    let hosts: Vec<_> = (0..endpoints).rev().map(|number| format!("h{number:02}.example")).collect();
    put_key(client, key, "metrics", &hosts.iter().map(String::as_str).collect::<Vec<_>>(), &[]).await;
}

#[tokio::test]
async fn a_key_finds_its_endpoints_in_groups_of_twenty() {
    let client = client(dynamodb().await);
    key_of(&client, "key-of-forty-two", 42).await;
    let reply = call(&scrape(&client), &targets().key("key-of-forty-two").query("view=counters,window"), now()).await;
    insta::assert_snapshot!(reply.shown().replace("},{", "},\n{"), @r#"
    200
    cache-control: no-store
    content-type: application/json
    ratelimit: "per-key";r=5;t=59
    ratelimit-policy: "per-key";q=6;w=60
    x-request-id: req_<id>

    [{"targets":["metrics.demo.example"],"labels":{"__scheme__":"https","__metrics_path__":"/v1/endpoints/metrics/prometheus","__param_endpoint":"h00.example,h01.example,h02.example,h03.example,h04.example,h05.example,h06.example,h07.example,h08.example,h09.example,h10.example,h11.example,h12.example,h13.example,h14.example,h15.example,h16.example,h17.example,h18.example,h19.example","__param_view":"window,counters","instance":"metrics.demo.example/1"}},
    {"targets":["metrics.demo.example"],"labels":{"__scheme__":"https","__metrics_path__":"/v1/endpoints/metrics/prometheus","__param_endpoint":"h20.example,h21.example,h22.example,h23.example,h24.example,h25.example,h26.example,h27.example,h28.example,h29.example,h30.example,h31.example,h32.example,h33.example,h34.example,h35.example,h36.example,h37.example,h38.example,h39.example","__param_view":"window,counters","instance":"metrics.demo.example/2"}},
    {"targets":["metrics.demo.example"],"labels":{"__scheme__":"https","__metrics_path__":"/v1/endpoints/metrics/prometheus","__param_endpoint":"h40.example,h41.example","__param_view":"window,counters","instance":"metrics.demo.example/3"}}]
    "#);
}

#[tokio::test]
async fn a_key_of_no_endpoint_finds_none_and_may_scrape_none() {
    let client = client(dynamodb().await);
    key_of(&client, "key-of-none", 0).await;
    let scrape = scrape(&client);
    let reply = call(&scrape, &targets().key("key-of-none"), now()).await;
    assert_eq!((reply.status, reply.header("content-type"), reply.body.as_str()), (200, "application/json", "[]"));
    let reply = call(&scrape, &Event::scrape().key("key-of-none").query("endpoint=*"), now()).await;
    assert_eq!((reply.status, reply.code().as_str()), (403, "endpoint_forbidden"));
}

#[tokio::test]
async fn what_a_group_names_is_scraped_as_it_is() {
    let client = client(dynamodb().await);
    key_of(&client, "key-of-twenty-one", 21).await;
    let scrape = scrape(&client);
    let reply = call(&scrape, &targets().key("key-of-twenty-one").query("view=counters"), now()).await;
    let groups: Value = serde_json::from_str(&reply.body).unwrap();
    assert_eq!(groups[0]["targets"][0], "metrics.demo.example", "the name that API Gateway knows");
    let mut endpoints = Vec::new();
    for group in groups.as_array().unwrap() {
        let labels = &group["labels"];
        let [path, hosts, view] =
            ["__metrics_path__", "__param_endpoint", "__param_view"].map(|label| labels[label].as_str().unwrap());
        let event = Event::scrape().path(path).key("key-of-twenty-one");
        let reply = call(&scrape, &event.query(&format!("endpoint={hosts}&view={view}")), now()).await;
        assert_eq!(reply.status, 200);
        let lines = reply.body.lines().filter(|line| line.starts_with("wafer_input_tokens_total{"));
        endpoints.extend(lines.map(|line| line.split('"').nth(1).unwrap().to_owned()));
    }
    assert_eq!(endpoints, (0..21).map(|number| format!("h{number:02}.example")).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_header_of_the_caller_does_not_name_the_targets() {
    let client = client(dynamodb().await);
    let event = targets().header("host", "evil.example").header("x-forwarded-host", "evil.example");
    let reply = call(&scrape(&client), &event, now()).await;
    assert!(reply.body.contains("metrics.demo.example") && !reply.body.contains("evil"), "{}", reply.body);
}

#[tokio::test]
async fn a_scrape_of_all_has_the_keys_endpoints_by_name_up_to_the_twentieth() {
    let proxy = Proxy::to(dynamodb().await).await;
    let client = client(proxy.address);
    let scrape = scrape(&client);
    let all = |key| Event::scrape().key(key).query("endpoint=*");
    key_of(&client, "key-of-twenty", 20).await;
    let reply = call(&scrape, &all("key-of-twenty"), now()).await;
    let lines = reply.body.lines().filter(|line| line.starts_with("wafer_input_tokens_last_24h{"));
    let endpoints: Vec<_> = lines.map(|line| line.split('"').nth(1).unwrap()).collect();
    assert_eq!(endpoints, (0..20).map(|number| format!("h{number:02}.example")).collect::<Vec<_>>());

    key_of(&client, "key-of-twenty-one", 21).await;
    proxy.calls();
    let reply = call(&scrape, &all("key-of-twenty-one"), now()).await;
    assert_eq!((reply.status, reply.code().as_str()), (422, "too_many_endpoints"));
    let error: Value = serde_json::from_str(&reply.body).unwrap();
    assert_eq!(error["error"]["param"], "endpoint");
    assert!(error["error"]["message"].as_str().unwrap().contains("/v1/endpoints/metrics/targets"));
    assert_eq!(proxy.calls(), ["GetItem api_keys"], "one read, no slot");
}

#[tokio::test]
async fn endpoints_may_be_named_in_one_value() {
    let client = client(dynamodb().await);
    let query = "endpoint=code.demo.example,CHAT.demo.example,code.demo.example";
    let reply = call(&scrape(&client), &Event::scrape().query(query), now()).await;
    let lines = reply.body.lines().filter(|line| line.starts_with("wafer_input_tokens_last_24h{"));
    let endpoints: Vec<_> = lines.map(|line| line.split('"').nth(1).unwrap()).collect();
    assert_eq!(endpoints, [CODE, CHAT]);
}

#[tokio::test]
async fn each_refusal_of_discovery_is_that_of_a_scrape() {
    let client = client(dynamodb().await);
    let scrape = scrape(&client);
    for (event, status, code) in [
        (targets().method("POST"), 405, "method_not_allowed"),
        (targets().without_header("authorization"), 401, "invalid_api_key"),
        (targets().key(UNKNOWN_KEY), 401, "invalid_api_key"),
        (targets().key(SERVERLESS_KEY), 403, "dedicated_only"),
        (targets().query("view=nonsense"), 422, "invalid_view"),
        // Parameters of the other routes are ignored.
        (targets().query("endpoint=_&range_minutes=7"), 200, "ok"),
    ] {
        let reply = call(&scrape, &event, now()).await;
        assert_eq!((reply.status, reply.code().as_str()), (status, code));
    }
}
