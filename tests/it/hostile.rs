//! Requests that were made to harm: what they leave in the log is short, and holds no secret.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use wafer_metrics::answer::Service;

use crate::fixture::*;
use testing::captured_log::{LONGEST_LINE, lines_with};

/// Owns [`long_hosts`].
const WIDE_KEY: &str = "hostile-wide-key";

/// As many hosts as a call may name, each as long as a host may be.
fn long_hosts() -> Vec<String> {
    (10..30)
        .map(|number| {
            format!("{number}.{}", ["a".repeat(61), "b".repeat(63), "c".repeat(63), "d".repeat(60)].join("."))
        })
        .collect()
}

/// What nobody should find in a log: keys as this project makes them and as others do.
fn secrets() -> impl Strategy<Value = String> {
    prop_oneof![
        "wafer_[A-Za-z0-9_-]{43}",
        "sk-[A-Za-z0-9]{48}",
        "[A-Za-z0-9+/]{43}=",
        "[0-9a-f]{32}",
        "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    ]
}

/// A text with a secret in it; `…` stands for it.
fn around(secret: &str, texts: &'static [&'static str]) -> impl Strategy<Value = String> + use<> {
    let secret = secret.to_owned();
    let padding = prop_oneof![3 => Just(0_usize), 1 => 0_usize..9_000];
    (prop::sample::select(texts), padding, "[ -~]").prop_map(move |(text, padding, character)| {
        format!("{}{}", text.replace('…', &secret), character.repeat(padding))
    })
}

/// A secret, whether it is a good key, and a request that holds it in every place.
fn requests() -> impl Strategy<Value = (String, bool, Event)> {
    secrets().prop_flat_map(|secret| {
        let user_agents =
            &["…", "Bearer …", "scraper/1.0 (key …)", "…/1.0", "scraper/…", "Prometheus/3.5.0 … \"\"", ""];
        let paths = &[
            "/v1/endpoints/metrics/prometheus",
            "/v1/endpoints/metrics",
            "/v1/endpoints/metrics/targets",
            "/…",
            "/v1/endpoints/metrics/prometheus/…",
            "/v1/endpoints/…/x",
        ];
        let queries = &[
            "endpoint=…",
            "key=…&endpoint=chat.demo.example",
            "endpoint=chat.demo.example",
            "endpoint=*",
            "…",
            "WIDE",
        ];
        let authorizations =
            &["Bearer …", "Bearer demo-dedicated-key", "Bearer hostile-wide-key", "… ", "Basic …", "Bearer …, …"];
        let request = (
            prop_oneof![4 => Just("GET".to_owned()), 1 => around(&secret, &["POST"]).prop_map(|_| "POST".to_owned())],
            around(&secret, paths),
            around(&secret, queries),
            around(&secret, user_agents),
            prop::sample::select(&authorizations[..]),
            any::<bool>(),
        );
        request.prop_map(move |(method, path, query, user_agent, authorization, is_key)| {
            let wide: Vec<_> = long_hosts().iter().map(|host| format!("endpoint={host}")).collect();
            let event = Event::scrape()
                .method(&method)
                .path(&path)
                .query(&query.replace("WIDE", &wide.join("&")))
                .header("user-agent", &user_agent)
                .header("cookie", &format!("key={secret}"))
                .header("authorization", &authorization.replace('…', &secret));
            (secret.clone(), is_key, event)
        })
    })
}

async fn fixture() -> (Service, Client) {
    let client = client(dynamodb().await);
    let hosts = long_hosts();
    put_key(&client, WIDE_KEY, "dedicated", &hosts.iter().map(String::as_str).collect::<Vec<_>>(), &[]).await;
    (scrape(&client), client)
}

#[test]
fn whatever_is_asked_a_line_is_short_and_holds_no_secret() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (scrape, client) = runtime.block_on(fixture());
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(256) });
    let result = runner.run(&requests(), |(secret, is_key, event)| {
        runtime.block_on(async {
            if is_key {
                put_key(&client, &secret, "metrics", &[CHAT], &[]).await;
            }
            let reply = call(&scrape, &event, now()).await;
            let lines = lines_with(reply.header("x-request-id"));
            prop_assert!(!lines.is_empty());
            for line in &lines {
                prop_assert!(line.to_string().len() < LONGEST_LINE, "{}", line);
            }
            for unseen in [&secret, &hash(&secret)] {
                prop_assert_eq!(lines_with(unseen), Vec::<serde_json::Value>::new());
            }
            Ok(())
        })
    });
    result.unwrap();
}

#[tokio::test]
async fn hosts_and_user_agent_are_logged_only_once_the_key_is_known() {
    let (scrape, _) = fixture().await;
    let good = || Event::scrape().header("user-agent", "Prometheus/3.5.0");
    for refused in [
        good().path("/"),
        good().method("POST"),
        good().without_header("authorization"),
        good().query(&format!("endpoint={CHAT}&endpoint=_")),
        good().key(UNKNOWN_KEY),
        good().key(REVOKED_KEY),
        good().key(SERVERLESS_KEY),
        good().query(&format!("endpoint={CHAT}&endpoint=other.example")),
    ] {
        let reply = call(&scrape, &refused, now()).await;
        assert!(matches!(reply.status, 401 | 403 | 404 | 405 | 422), "{reply:?}");
        let lines = lines_with(reply.header("x-request-id"));
        let [line] = &lines[..] else { panic!("{lines:?}") };
        assert!(line["endpoints"].is_null() && line["user_agent"].is_null(), "{line}");
    }
}

#[tokio::test]
async fn of_many_hosts_the_first_are_named_and_the_rest_counted() {
    let (scrape, _) = fixture().await;
    let hosts = long_hosts();
    let query: Vec<_> = hosts.iter().map(|host| format!("endpoint={host}")).collect();
    let reply = call(&scrape, &Event::scrape().key(WIDE_KEY).query(&query.join("&")), now()).await;
    assert_eq!(reply.status, 200);
    let lines = lines_with(reply.header("x-request-id"));
    assert_eq!(lines[0]["endpoints"], format!("{},{} and 18 more", hosts[0], hosts[1]));
}

#[tokio::test]
async fn a_worker_writes_no_longer_line_than_a_caller() {
    let (scrape, client) = fixture().await;
    // The first by name is logged.
    for character in ["x", "\"", "\u{1f}"] {
        let worker = format!("{}hostile-worker", character.repeat(1_000));
        put_heartbeat(&client, CHAT, &worker, &[("queue_depth", AttributeValue::Bool(true))]).await;
        assert_eq!(call(&scrape, &Event::scrape(), now()).await.status, 200);
    }
    // Of whatever is longer the log itself fails the test.
    assert_eq!(lines_with("xxxxx").len(), 1);
}
