//! Counters and histograms: what a call that asks for them reads and gets, in each format.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::join;
use testing::proxy::{Fault, Proxy};
use testing::rollups;
use wafer_metrics::model::host::Host;
use wafer_metrics::model::sketch::ZERO_BUCKET;
use wafer_metrics::model::summary::{NO_STATUS, Summary, Total};
use wafer_metrics::stores::rollups::{MinuteChange, PutOutcome, Transaction};

use crate::fixture::*;

const PROTOBUF: &str =
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,text/plain;q=0.3";

fn counters() -> Event {
    Event::scrape().query(&format!("endpoint={CHAT}&view=counters"))
}

/// Puts what was ever counted of [`CHAT`].
async fn put_total(client: &aws_sdk_dynamodb::Client) {
    let mut total = Total { input_tokens: 12_000, output_tokens: 3_400, cache_read_tokens: 500, ..Total::default() };
    for (code, count) in [(NO_STATUS, 1), (200, 9), (302, 1), (404, 2), (503, 3)] {
        total.statuses.add(code, count);
    }
    // 0 s, then up to 0.25 s, 0.26 s, 1 s and 2^10 s.
    for (bucket, count) in [(ZERO_BUCKET, 1), (-32, 2), (-31, 3), (0, 1), (160, 1)] {
        total.duration.sketch.add(bucket, count).unwrap();
    }
    total.duration.sum = 1_026_280_001;
    total.speed.sketch.add(96, 9).unwrap();
    total.speed.sum = 560_125;
    let rollups = rollups::writer(client);
    let transaction = Transaction { minutes: Vec::new(), hour: None, total: Some((total, None)), as_of: now() };
    rollups.write(&Host::parse(CHAT).unwrap(), &transaction).await.unwrap();
    rollups.put_since(window_end().plus(-3_000)).await.unwrap();
}

#[tokio::test]
async fn a_call_for_counters_gets_them_and_what_is_in_both_views() {
    let client = client(dynamodb().await);
    put_total(&client).await;
    let reply = call(&scrape(&client), &counters(), now()).await;
    assert_eq!(reply.status, 200);
    let lines = reply.body.lines().filter(|line| !line.starts_with("# HELP"));
    insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"), @r#"
    # TYPE wafer_requests_total counter
    wafer_requests_total{endpoint="chat.demo.example",status_class="2xx"} 9
    wafer_requests_total{endpoint="chat.demo.example",status_class="4xx"} 2
    wafer_requests_total{endpoint="chat.demo.example",status_class="5xx"} 3
    # TYPE wafer_requests_by_status_code_total counter
    wafer_requests_by_status_code_total{endpoint="chat.demo.example",status_code="200"} 9
    wafer_requests_by_status_code_total{endpoint="chat.demo.example",status_code="302"} 1
    wafer_requests_by_status_code_total{endpoint="chat.demo.example",status_code="404"} 2
    wafer_requests_by_status_code_total{endpoint="chat.demo.example",status_code="503"} 3
    # TYPE wafer_input_tokens_total counter
    wafer_input_tokens_total{endpoint="chat.demo.example"} 12000
    # TYPE wafer_output_tokens_total counter
    wafer_output_tokens_total{endpoint="chat.demo.example"} 3400
    # TYPE wafer_cache_read_tokens_total counter
    wafer_cache_read_tokens_total{endpoint="chat.demo.example"} 500
    # TYPE wafer_time_to_first_token_seconds histogram
    wafer_time_to_first_token_seconds_bucket{endpoint="chat.demo.example",le="0.0078125"} 0
    wafer_time_to_first_token_seconds_bucket{endpoint="chat.demo.example",le="0.015625"} 0
    wafer_time_to_first_token_seconds_bucket{endpoint="chat.demo.example",le="0.03125"} 0
    wafer_time_to_first_token_seconds_bucket{endpoint="chat.demo.example",le="0.0625"} 0
    wafer_time_to_first_token_seconds_bucket{endpoint="chat.demo.example",le="0.125"} 0
    wafer_time_to_first_token_seconds_bucket{endpoint="chat.demo.example",le="0.25"} 0
    wafer_time_to_first_token_seconds_bucket{endpoint="chat.demo.example",le="0.5"} 0
    wafer_time_to_first_token_seconds_bucket{endpoint="chat.demo.example",le="1.0"} 0
    wafer_time_to_first_token_seconds_bucket{endpoint="chat.demo.example",le="2.0"} 0
    wafer_time_to_first_token_seconds_bucket{endpoint="chat.demo.example",le="4.0"} 0
    wafer_time_to_first_token_seconds_bucket{endpoint="chat.demo.example",le="8.0"} 0
    wafer_time_to_first_token_seconds_bucket{endpoint="chat.demo.example",le="16.0"} 0
    wafer_time_to_first_token_seconds_bucket{endpoint="chat.demo.example",le="32.0"} 0
    wafer_time_to_first_token_seconds_bucket{endpoint="chat.demo.example",le="64.0"} 0
    wafer_time_to_first_token_seconds_bucket{endpoint="chat.demo.example",le="128.0"} 0
    wafer_time_to_first_token_seconds_bucket{endpoint="chat.demo.example",le="256.0"} 0
    wafer_time_to_first_token_seconds_bucket{endpoint="chat.demo.example",le="512.0"} 0
    wafer_time_to_first_token_seconds_bucket{endpoint="chat.demo.example",le="+Inf"} 0
    wafer_time_to_first_token_seconds_sum{endpoint="chat.demo.example"} 0
    wafer_time_to_first_token_seconds_count{endpoint="chat.demo.example"} 0
    # TYPE wafer_e2e_request_latency_seconds histogram
    wafer_e2e_request_latency_seconds_bucket{endpoint="chat.demo.example",le="0.0078125"} 1
    wafer_e2e_request_latency_seconds_bucket{endpoint="chat.demo.example",le="0.015625"} 1
    wafer_e2e_request_latency_seconds_bucket{endpoint="chat.demo.example",le="0.03125"} 1
    wafer_e2e_request_latency_seconds_bucket{endpoint="chat.demo.example",le="0.0625"} 1
    wafer_e2e_request_latency_seconds_bucket{endpoint="chat.demo.example",le="0.125"} 1
    wafer_e2e_request_latency_seconds_bucket{endpoint="chat.demo.example",le="0.25"} 3
    wafer_e2e_request_latency_seconds_bucket{endpoint="chat.demo.example",le="0.5"} 6
    wafer_e2e_request_latency_seconds_bucket{endpoint="chat.demo.example",le="1.0"} 7
    wafer_e2e_request_latency_seconds_bucket{endpoint="chat.demo.example",le="2.0"} 7
    wafer_e2e_request_latency_seconds_bucket{endpoint="chat.demo.example",le="4.0"} 7
    wafer_e2e_request_latency_seconds_bucket{endpoint="chat.demo.example",le="8.0"} 7
    wafer_e2e_request_latency_seconds_bucket{endpoint="chat.demo.example",le="16.0"} 7
    wafer_e2e_request_latency_seconds_bucket{endpoint="chat.demo.example",le="32.0"} 7
    wafer_e2e_request_latency_seconds_bucket{endpoint="chat.demo.example",le="64.0"} 7
    wafer_e2e_request_latency_seconds_bucket{endpoint="chat.demo.example",le="128.0"} 7
    wafer_e2e_request_latency_seconds_bucket{endpoint="chat.demo.example",le="256.0"} 7
    wafer_e2e_request_latency_seconds_bucket{endpoint="chat.demo.example",le="512.0"} 7
    wafer_e2e_request_latency_seconds_bucket{endpoint="chat.demo.example",le="+Inf"} 8
    wafer_e2e_request_latency_seconds_sum{endpoint="chat.demo.example"} 1026.280001
    wafer_e2e_request_latency_seconds_count{endpoint="chat.demo.example"} 8
    # TYPE wafer_output_speed_tokens_per_second histogram
    wafer_output_speed_tokens_per_second_bucket{endpoint="chat.demo.example",le="1.0"} 0
    wafer_output_speed_tokens_per_second_bucket{endpoint="chat.demo.example",le="2.0"} 0
    wafer_output_speed_tokens_per_second_bucket{endpoint="chat.demo.example",le="4.0"} 0
    wafer_output_speed_tokens_per_second_bucket{endpoint="chat.demo.example",le="8.0"} 0
    wafer_output_speed_tokens_per_second_bucket{endpoint="chat.demo.example",le="16.0"} 0
    wafer_output_speed_tokens_per_second_bucket{endpoint="chat.demo.example",le="32.0"} 0
    wafer_output_speed_tokens_per_second_bucket{endpoint="chat.demo.example",le="64.0"} 9
    wafer_output_speed_tokens_per_second_bucket{endpoint="chat.demo.example",le="128.0"} 9
    wafer_output_speed_tokens_per_second_bucket{endpoint="chat.demo.example",le="256.0"} 9
    wafer_output_speed_tokens_per_second_bucket{endpoint="chat.demo.example",le="512.0"} 9
    wafer_output_speed_tokens_per_second_bucket{endpoint="chat.demo.example",le="1024.0"} 9
    wafer_output_speed_tokens_per_second_bucket{endpoint="chat.demo.example",le="+Inf"} 9
    wafer_output_speed_tokens_per_second_sum{endpoint="chat.demo.example"} 560.125
    wafer_output_speed_tokens_per_second_count{endpoint="chat.demo.example"} 9
    # TYPE wafer_engine_running_requests gauge
    wafer_engine_running_requests{endpoint="chat.demo.example"} 3
    # TYPE wafer_concurrent_requests gauge
    wafer_concurrent_requests{endpoint="chat.demo.example"} 7
    # TYPE wafer_metrics_window_end_timestamp_seconds gauge
    wafer_metrics_window_end_timestamp_seconds{endpoint="chat.demo.example"} 1795551240
    # TYPE wafer_engine_replicas_reporting gauge
    wafer_engine_replicas_reporting{endpoint="chat.demo.example"} 1
    # TYPE wafer_engine_scrape_success gauge
    wafer_engine_scrape_success{endpoint="chat.demo.example"} 1
    # TYPE wafer_scrape_budget_remaining gauge
    wafer_scrape_budget_remaining{endpoint="chat.demo.example"} 5
    "#);
}

#[tokio::test]
async fn an_endpoint_without_a_request_has_every_line_but_status_codes_at_zero() {
    let client = client(dynamodb().await);
    let reply = call(&scrape(&client), &Event::scrape().query("endpoint=code.demo.example&view=counters"), now()).await;
    let counted = |line: &&str| line.contains("_total{") || line.contains("_seconds_") || line.contains("_second_");
    let lines: Vec<_> = reply.body.lines().filter(counted).collect();
    // Three classes, three sums of tokens; 17, 17 and 11 bounds, infinity, sum and count.
    assert_eq!(lines.len(), 3 + 3 + 20 + 20 + 14);
    assert!(lines.iter().all(|line| line.ends_with(" 0")), "{lines:#?}");
}

#[tokio::test]
async fn open_metrics_names_the_family_of_a_counter_without_total() {
    let client = client(dynamodb().await);
    put_total(&client).await;
    let event = counters().header("accept", "application/openmetrics-text;version=1.0.0");
    let reply = call(&scrape(&client), &event, now()).await;
    let lines = reply.body.lines().filter(|line| line.contains("wafer_input_tokens") || line.contains("le=\"1"));
    insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"), @r#"
    # HELP wafer_input_tokens Input tokens billed.
    # TYPE wafer_input_tokens counter
    wafer_input_tokens_total{endpoint="chat.demo.example"} 12000
    wafer_time_to_first_token_seconds_bucket{endpoint="chat.demo.example",le="1.0"} 0
    wafer_time_to_first_token_seconds_bucket{endpoint="chat.demo.example",le="16.0"} 0
    wafer_time_to_first_token_seconds_bucket{endpoint="chat.demo.example",le="128.0"} 0
    wafer_e2e_request_latency_seconds_bucket{endpoint="chat.demo.example",le="1.0"} 7
    wafer_e2e_request_latency_seconds_bucket{endpoint="chat.demo.example",le="16.0"} 7
    wafer_e2e_request_latency_seconds_bucket{endpoint="chat.demo.example",le="128.0"} 7
    wafer_output_speed_tokens_per_second_bucket{endpoint="chat.demo.example",le="1.0"} 0
    wafer_output_speed_tokens_per_second_bucket{endpoint="chat.demo.example",le="16.0"} 0
    wafer_output_speed_tokens_per_second_bucket{endpoint="chat.demo.example",le="128.0"} 9
    wafer_output_speed_tokens_per_second_bucket{endpoint="chat.demo.example",le="1024.0"} 9
    "#);
}

#[tokio::test]
async fn both_views_are_the_lines_of_each() {
    let client = client(dynamodb().await);
    put_total(&client).await;
    let scrape = scrape(&client);
    let mut replies = Vec::new();
    for (number, view) in ["", "&view=window", "&view=counters", "&view=window,counters", "&view=counters&view=window"]
        .into_iter()
        .enumerate()
    {
        // A key each, so that the calls left are the same.
        let key = format!("viewing-key-{number}");
        put_key(&client, &key, "metrics", &[CHAT], &[]).await;
        let event = Event::scrape().key(&key).query(&format!("endpoint={CHAT}{view}"));
        replies.push(call(&scrape, &event, now()).await.body);
    }
    assert_eq!(replies[0], replies[1]);
    assert_eq!(replies[3], replies[4]);
    let lines = |reply: &str| reply.lines().map(str::to_owned).collect::<std::collections::BTreeSet<_>>();
    assert_eq!(lines(&replies[3]), &lines(&replies[1]) | &lines(&replies[2]));
}

#[tokio::test]
async fn counters_are_read_consistently_and_after_the_watermark() {
    let database = dynamodb().await;
    put_total(&client(database)).await;
    let proxy = Proxy::to(database).await;
    let reply = call(&scrape(&client(proxy.address)), &counters(), now()).await;
    assert_eq!(reply.status, 200);
    let requests = proxy.requests().into_iter().filter(|request| request["TableName"] == "rollups");
    let shown = requests.map(|request| {
        let period = &request["Key"]["period"]["S"];
        let range = ["first", "last"].map(|name| &request["ExpressionAttributeValues"][format!(":{name}")]["S"]);
        format!("{period} {range:?} consistent: {}", request["ConsistentRead"])
    });
    let mut shown: Vec<_> = shown.collect();
    shown[1..].sort();
    insta::assert_snapshot!(shown.join("\n"), @r#"
    "watermark2" [Null, Null] consistent: true
    "total2" [Null, Null] consistent: true
    null [String("m2#2026-11-24T20:12"), String("m2#2026-11-24T20:13")] consistent: true
    "#);
}

#[tokio::test]
async fn what_is_written_while_both_views_are_read_is_in_the_counters_where_it_is_in_the_window() {
    let database = dynamodb().await;
    let client = client(database);
    let proxy = Proxy::to(database).await;
    // The minutes are read late, and changed meanwhile, together with the total.
    proxy.breaks("Query rollups", Fault::Slow(Duration::from_millis(500)));
    let scrape = scrape(&self::client(proxy.address));
    let late = async {
        while !proxy.calls().iter().any(|call| call == "Query rollups") {
            tokio::task::yield_now().await;
        }
        let minute =
            MinuteChange { period: window_end().plus(-1), summary: requests(&[(200, 7), (500, 1)]), replaces: Some(1) };
        let mut total = Total::default();
        total.raise(&minute.summary, &Summary::default());
        let transaction = Transaction { minutes: vec![minute], hour: None, total: Some((total, None)), as_of: now() };
        rollups::writer(&client).write(&Host::parse(CHAT).unwrap(), &transaction).await.unwrap()
    };
    let event = Event::scrape().query(&format!("endpoint={CHAT}&view=window,counters"));
    let (reply, written) = join(call(&scrape, &event, now()), late).await;
    assert_eq!((reply.status, written), (200, PutOutcome::Stored));
    assert_eq!(reply.value("wafer_requests_last_24h"), Some("7"));
    assert_eq!(reply.value("wafer_requests_total"), Some("7"));
}

#[tokio::test]
async fn a_total_that_cannot_be_read_fails_the_call() {
    let database = dynamodb().await;
    let client = client(database);
    put_total(&client).await;
    let key = |name: &str, value: &str| (name.to_owned(), AttributeValue::S(value.to_owned()));
    let damage = client.put_item().table_name("rollups").set_item(Some(
        [
            key("endpoint", CHAT),
            key("period", "total2"),
            ("summary".to_owned(), AttributeValue::B(aws_sdk_dynamodb::primitives::Blob::new(vec![2, 4, 1]))),
        ]
        .into(),
    ));
    damage.send().await.unwrap();
    let scrape = scrape(&client);
    let reply = call(&scrape, &counters(), now()).await;
    assert_eq!((reply.status, reply.code().as_str()), (502, "summary_failed"));
    let window = call(&scrape, &Event::scrape(), now()).await;
    assert_eq!(window.status, 200, "a call for the window does not read it");
}

#[tokio::test]
async fn a_key_that_expires_says_when() {
    let client = client(dynamodb().await);
    let expiry = AttributeValue::N("1798761600".to_owned());
    put_key(&client, "expiring-key", "metrics", &[CHAT], &[("expires_at", expiry)]).await;
    let scrape = scrape(&client);
    let name = "wafer_api_key_expiry_timestamp_seconds";
    let expiring = call(&scrape, &counters().key("expiring-key"), now()).await;
    assert_eq!(expiring.value(name), Some("1798761600"));
    assert_eq!(call(&scrape, &counters(), now()).await.value(name), None, "a key that does not expire");
    let window = Event::scrape().key("expiring-key");
    assert_eq!(call(&scrape, &window, now()).await.value(name), None, "a call for the window alone");
}

#[tokio::test]
async fn protobuf_is_for_callers_that_prefer_it_and_ask_for_counters() {
    let client = client(dynamodb().await);
    put_total(&client).await;
    let scrape = scrape(&client);
    let content_type = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";
    let reply = call(&scrape, &counters().header("accept", PROTOBUF), now()).await;
    assert_eq!((reply.status, reply.header("content-type")), (200, content_type));
    assert_eq!(reply.header("vary"), "Accept, Accept-Encoding");
    let window = call(&scrape, &Event::scrape().header("accept", PROTOBUF), now()).await;
    assert_eq!(window.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    let gzipped = counters().header("accept", PROTOBUF).header("accept-encoding", "gzip");
    let gzipped = call(&scrape, &gzipped, now()).await;
    assert_eq!((gzipped.header("content-type"), gzipped.header("content-encoding")), (content_type, "gzip"));
}
