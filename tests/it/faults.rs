//! A store that fails: the row the contract names, inside the deadline.

use std::time::Instant;

use aws_sdk_dynamodb::types::AttributeValue;
use testing::captured_log;
use testing::proxy::{Fault, Proxy};

use crate::fixture::*;

/// Every way in which a call can fail but by hanging.
fn failures() -> Vec<Fault> {
    let malformed = Fault::Answer(200, "{\"Item\":[]}".to_owned());
    let html = Fault::Answer(200, "<html>".to_owned());
    vec![Fault::Closed, Fault::server_error(), Fault::throttled(), Fault::Truncated, malformed, html]
}

/// A call with a caller's timeout of so many seconds, answered before it.
async fn answered_within(seconds: f64, proxy: &Proxy, event: Event) -> Reply {
    let scrape = scrape(&client(proxy.address));
    let started = Instant::now();
    let reply = call(&scrape, &event.waiting(&seconds.to_string()), now()).await;
    assert!(started.elapsed().as_secs_f64() < seconds, "{:?}", started.elapsed());
    reply
}

#[tokio::test]
async fn a_key_store_that_fails_is_503_and_nothing_is_charged() {
    let proxy = Proxy::to(dynamodb().await).await;
    for fault in failures() {
        proxy.breaks("GetItem api_keys", fault.clone());
        let reply = answered_within(25.0, &proxy, Event::scrape()).await;
        assert_eq!(
            (reply.status, reply.code().as_str(), reply.header("retry-after")),
            (503, "unavailable", "5"),
            "{fault:?}"
        );
        assert_eq!(reply.header("ratelimit"), "");
        assert!(proxy.calls().iter().all(|call| call == "GetItem api_keys"), "{fault:?}");
    }
}

#[tokio::test]
async fn a_limiter_that_fails_is_503_and_lets_nobody_through() {
    let proxy = Proxy::to(dynamodb().await).await;
    let no_item = Fault::Answer(200, "{}".to_owned());
    let wrong_type = Fault::Answer(200, r#"{"Attributes":{"t0":{"S":"x"}}}"#.to_owned());
    for fault in failures().into_iter().chain([no_item, wrong_type]) {
        proxy.breaks("UpdateItem rate_limits", fault.clone());
        let reply = answered_within(25.0, &proxy, Event::scrape()).await;
        assert_eq!(
            (reply.status, reply.code().as_str(), reply.header("retry-after")),
            (503, "unavailable", "5"),
            "{fault:?}"
        );
        assert!(!proxy.calls().iter().any(|call| call.starts_with("Query")), "{fault:?}");
    }
}

#[tokio::test]
async fn a_rollup_that_cannot_be_read_is_502_never_a_misleading_200() {
    let proxy = Proxy::to(dynamodb().await).await;
    let no_sketch = r#"{"Items":[{"period":{"S":"m2#2026-11-24T20:13"},"summary":{"N":"1"}}],"Count":1}"#;
    for call in ["GetItem rollups", "Query rollups"] {
        let wrong_item = Fault::Answer(200, no_sketch.replace("Items\":[", "Item\":").replace("],\"Count", ",\"Count"));
        let wrong_item = if call == "GetItem rollups" { wrong_item } else { Fault::Answer(200, no_sketch.to_owned()) };
        for fault in failures().into_iter().chain([wrong_item]) {
            proxy.breaks(call, fault.clone());
            for key in [DEDICATED_KEY, METRICS_KEY] {
                reset_limits(&proxy, key).await;
            }
            let reply = answered_within(25.0, &proxy, Event::scrape()).await;
            assert_eq!(
                (reply.status, reply.code().as_str()),
                (502, "summary_failed"),
                "{call} {fault:?} {}",
                reply.body
            );
            assert_eq!(reply.header("ratelimit"), "\"per-key\";r=5;t=59", "{call} {fault:?}");
        }
        proxy.breaks(call, Fault::Drips);
        reset_limits(&proxy, DEDICATED_KEY).await;
        assert_eq!(answered_within(3.0, &proxy, Event::scrape()).await.status, 504, "a slow drip of {call}");
        proxy.mends(call);
    }
}

async fn reset_limits(proxy: &Proxy, key: &str) {
    let key = AttributeValue::S(hash(key));
    client(proxy.address).delete_item().table_name("rate_limits").key("key_hash", key).send().await.unwrap();
}

#[tokio::test]
async fn heartbeats_that_cannot_be_read_cost_the_engine_gauges_and_nothing_else() {
    let proxy = Proxy::to(dynamodb().await).await;
    let whole = answered_within(25.0, &proxy, Event::scrape()).await;
    assert_eq!(whole.value("wafer_engine_running_requests"), Some("3"));
    assert_eq!(whole.value("wafer_engine_scrape_success"), Some("1"));
    for fault in failures().into_iter().chain([Fault::Hangs, Fault::Drips]) {
        let seconds = if matches!(fault, Fault::Hangs | Fault::Drips) { 3.0 } else { 25.0 };
        proxy.breaks("Query heartbeats", fault.clone());
        reset_limits(&proxy, DEDICATED_KEY).await;
        let reply = answered_within(seconds, &proxy, Event::scrape()).await;
        assert_eq!(reply.status, 200, "{fault:?}");
        let without_engine = whole.body.lines().filter(|line| !line.contains("wafer_engine_"));
        assert!(reply.body.lines().filter(|line| !line.contains("wafer_engine_")).eq(without_engine), "{fault:?}");
        let engine: Vec<_> = reply.body.lines().filter(|line| line.starts_with("wafer_engine_")).collect();
        assert_eq!(engine, ["wafer_engine_scrape_success{endpoint=\"chat.demo.example\"} 0"], "{fault:?}");
    }
}

/// The engine's lines, and how many pages of heartbeats were read, with so many workers more whose items are 390 KB
/// large.
async fn engine_beside_large_heartbeats(workers: usize) -> (Vec<String>, usize) {
    let database = dynamodb().await;
    let ballast = [("ballast", AttributeValue::S("x".repeat(390 * 1024)))];
    for worker in 0..workers {
        put_heartbeat(&client(database), CHAT, &format!("large-{worker}"), &ballast).await;
    }
    let proxy = Proxy::to(database).await;
    let reply = answered_within(25.0, &proxy, Event::scrape()).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.value("wafer_requests_last_24h"), Some("6"));
    let pages = proxy.calls().iter().filter(|call| *call == "Query heartbeats").count();
    let engine = reply.body.lines().filter(|line| line.starts_with("wafer_engine_"));
    (engine.map(|line| line.replace("{endpoint=\"chat.demo.example\"}", "")).collect(), pages)
}

#[tokio::test]
async fn heartbeats_of_up_to_8_mb_are_read_and_more_are_not_read_on() {
    let (engine, pages) = engine_beside_large_heartbeats(20).await;
    assert_eq!(
        engine,
        ["wafer_engine_running_requests 3", "wafer_engine_replicas_reporting 21", "wafer_engine_scrape_success 1"]
    );
    assert!(pages > 7, "{pages}");
    let (engine, pages_of_more) = engine_beside_large_heartbeats(40).await;
    assert_eq!(engine, ["wafer_engine_scrape_success 0"]);
    assert!(pages_of_more <= pages + 1, "{pages_of_more} pages were read");
}

#[tokio::test]
async fn a_field_of_a_heartbeat_that_does_not_fit_is_left_out_and_spoils_nothing_else() {
    let database = dynamodb().await;
    let client = client(database);
    let number = |value: &str| AttributeValue::N(value.to_owned());
    let reported = |offset_ms: i64| number(&after(offset_ms).as_millisecond().to_string());
    for (worker, field, value) in [
        ("text", "running_requests", AttributeValue::S("3".to_owned())),
        ("negative", "queue_depth", number("-1")),
        ("half", "queue_depth", number("0.5")),
        ("huge", "running_requests", number("1000000001")),
        ("percent", "kv_cache_usage_ratio", number("87.6")),
        // These are left out whole.
        ("too far ahead", "reported_at_ms", reported(30_001)),
        ("not a time", "reported_at_ms", AttributeValue::Bool(true)),
        ("seconds", "reported_at_ms", number(&now().as_second().to_string())),
    ] {
        let mut fields = vec![("running_requests", number("100")), ("kv_cache_hit_ratio", number("0.25"))];
        fields.retain(|(name, _)| *name != field);
        fields.push((field, value));
        put_heartbeat(&client, CHAT, worker, &fields).await;
    }
    let ahead = [("reported_at_ms", reported(30_000)), ("kv_cache_hit_ratio", number("0.5"))];
    put_heartbeat(&client, CHAT, "ahead", &ahead).await;
    put_heartbeat(&client, CHAT, "old", &[("reported_at_ms", reported(-600_000)), ("queue_depth", number("1e9"))])
        .await;
    put_heartbeat(&client, CHAT, "gone", &[("reported_at_ms", reported(-600_001)), ("queue_depth", number("5"))]).await;
    put_heartbeat(&client, CHAT, "silent", &[]).await;
    let reply = call(&scrape(&client), &Event::scrape(), now()).await;
    assert_eq!(reply.status, 200);
    // worker-0, which reports 3 running requests, five that are right but for one field, and ahead, old and silent.
    assert_eq!(reply.value("wafer_engine_replicas_reporting"), Some("9"));
    assert_eq!(reply.value("wafer_engine_running_requests"), Some("303"));
    assert_eq!(reply.value("wafer_engine_queue_depth"), Some("1000000000"));
    assert_eq!(reply.value("wafer_engine_kv_cache_usage_ratio"), None);
    let hit_ratio: f64 = reply.value("wafer_engine_kv_cache_hit_ratio").unwrap().parse().unwrap();
    assert!((hit_ratio - (5.0 * 0.25 + 0.5) / 6.0).abs() < 1e-12, "{hit_ratio}");
}

#[tokio::test]
async fn no_fresh_worker_is_a_0_and_no_gauge() {
    let scrape = scrape(&client(dynamodb().await));
    let reply = call(&scrape, &Event::scrape().query(&format!("endpoint={CODE}")), now()).await;
    let engine: Vec<_> = reply.body.lines().filter(|line| line.starts_with("wafer_engine_")).collect();
    assert_eq!(
        engine,
        [
            "wafer_engine_replicas_reporting{endpoint=\"code.demo.example\"} 0",
            "wafer_engine_scrape_success{endpoint=\"code.demo.example\"} 1"
        ]
    );
}

#[tokio::test]
async fn a_database_that_refuses_connections_is_503() {
    captured_log::start();
    // Nobody listens there, and nobody else gets the port.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let reply = call(&scrape(&client(socket.local_addr().unwrap())), &Event::scrape(), now()).await;
    assert_eq!((reply.status, reply.header("retry-after")), (503, "5"));
}

#[tokio::test]
async fn one_failure_of_each_call_is_tried_again_and_harms_no_scrape() {
    let proxy = Proxy::to(dynamodb().await).await;
    for call in ["GetItem api_keys", "UpdateItem rate_limits", "GetItem rollups", "Query rollups", "Query heartbeats"] {
        proxy.breaks_times(1, call, Fault::AnswerLost);
        reset_limits(&proxy, DEDICATED_KEY).await;
        let reply = answered_within(25.0, &proxy, Event::scrape()).await;
        assert_eq!((reply.status, reply.value("wafer_engine_scrape_success")), (200, Some("1")), "{call}");
        assert_eq!(reply.value("wafer_requests_last_24h"), Some("6"), "{call}");
    }
}

#[tokio::test]
async fn stale_data_is_502_from_the_second_past_the_limit() {
    let scrape = scrape(&client(dynamodb().await));
    // The window ends 90 s before now.
    assert_eq!(call(&scrape, &Event::scrape(), after(510_000)).await.status, 200);
    assert_eq!(call(&scrape, &Event::scrape(), after(510_001)).await.code(), "summary_failed");
}

#[tokio::test]
async fn figures_that_end_over_a_minute_in_the_future_are_502() {
    let scrape = scrape(&client(dynamodb().await));
    assert_eq!(call(&scrape, &Event::scrape(), after(-150_000)).await.status, 200);
    assert_eq!(call(&scrape, &Event::scrape(), after(-150_001)).await.code(), "summary_failed");
}

#[tokio::test]
async fn a_key_record_that_would_never_expire_or_names_no_host_is_an_invalid_key_and_an_operators_fault() {
    let client = client(dynamodb().await);
    let scrape = scrape(&client);
    let milliseconds = AttributeValue::N(now().as_millisecond().to_string());
    let last_second = AttributeValue::N("253402300799".to_owned());
    for (endpoints, expires_at, status) in [
        (&[CHAT][..], &milliseconds, 401),
        (&[CHAT], &last_second, 200),
        (&[CHAT, "https://code.demo.example"], &last_second, 401),
        (&[CHAT, "Code.Demo.Example"], &last_second, 200),
    ] {
        put_key(&client, METRICS_KEY, "metrics", endpoints, &[("expires_at", expires_at.clone())]).await;
        let reply = call(&scrape, &Event::scrape().key(METRICS_KEY), now()).await;
        assert_eq!(reply.status, status, "{endpoints:?} {expires_at:?}: {}", reply.body);
        let line = captured_log::lines_with(reply.header("x-request-id")).remove(0);
        let level = if status == 401 { "ERROR" } else { "INFO" };
        assert_eq!(line["level"], level, "{line}");
    }
}
