//! The JSON route: the figures of an endpoint over a range.

use std::collections::BTreeMap;
use std::ops::Range;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::Value;
use testing::proxy::{Fault, Proxy};
use wafer_metrics::model::host::Host;
use wafer_metrics::model::sketch::{FINE, Sketch, ZERO_BUCKET};
use wafer_metrics::model::summary::{Distribution, Summary};
use wafer_metrics::model::window::Minute;
use wafer_metrics::stores::rollups::{HourChange, MinuteChange, RollupWriter, Transaction};

use crate::fixture::*;

const PATH: &str = "/v1/endpoints/metrics";

fn json() -> Event {
    Event::scrape().path(PATH)
}

fn range(minutes: i64) -> Event {
    json().query(&format!("endpoint={CHAT}&range_minutes={minutes}"))
}

fn number(value: i64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// A call with a key of its own, so that no limit ends the test.
async fn ask(client: &Client, event: Event, now: jiff::Timestamp) -> Value {
    let key = format!("json-key-{}", KEY.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
    put_key(client, &key, "metrics", &[CHAT, CODE], &[]).await;
    let reply = call(&scrape(client), &event.key(&key), now).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    serde_json::from_str(&reply.body).unwrap()
}

static KEY: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a whole answer")]
async fn an_answer_is_whole_and_its_fields_are_in_order() {
    let client = client(dynamodb().await);
    RollupWriter::new(client.clone(), "rollups".to_owned()).put_since(window_end().plus(-7)).await.unwrap();
    let reply = call(&scrape(&client), &range(15), now()).await;
    insta::assert_snapshot!(reply.shown().replace(",\"", ",\n\"").replace("},{", "},\n{"), @r#"
    200
    cache-control: no-store
    content-type: application/json
    ratelimit: "per-key";r=5;t=59
    ratelimit-policy: "per-key";q=6;w=60
    x-request-id: req_<id>

    {"endpoint":"chat.demo.example",
    "range_minutes":15,
    "queried_at":"2026-11-24T20:15:30+00:00",
    "summary":{"total_requests":7,
    "rps":0.02,
    "ttft_p50_ms":null,
    "ttft_p90_ms":null,
    "ttft_p95_ms":null,
    "ttft_p99_ms":null,
    "tps_p10":null,
    "tps_p50":null,
    "tps_p90":null,
    "tps_p99":null,
    "latency_p50_ms":null,
    "latency_p90_ms":null,
    "latency_p99_ms":null,
    "cache_hit_pct":0.0,
    "total_input_tokens":700,
    "total_output_tokens":0,
    "total_cache_read_tokens":0,
    "count_2xx":6,
    "count_4xx":0,
    "count_5xx":1,
    "error_rate_pct":14.3,
    "concurrent_requests":7,
    "active_accounts":null,
    "engine_running_requests":3.0,
    "engine_queue_depth":null,
    "engine_kv_cache_hit_rate_pct":null,
    "engine_kv_cache_usage_pct":null,
    "engine_preemptions_in_range":null},
    "backends":[{"backend_id":"worker-0",
    "active_requests":null,
    "engine_running_requests":3.0,
    "engine_queue_depth":null,
    "is_healthy":true}],
    "timeseries":[{"time":"2026-11-24T20:07:00Z",
    "requests":0,
    "tps_p10":null,
    "tps_p50":null,
    "tps_p90":null,
    "tps_p99":null,
    "ttft_p50_ms":null,
    "ttft_p90_ms":null,
    "ttft_p95_ms":null,
    "ttft_p99_ms":null,
    "latency_p50_ms":null,
    "latency_p90_ms":null,
    "latency_p99_ms":null,
    "input_tokens":0,
    "cache_read_tokens":0,
    "error_count":0},
    {"time":"2026-11-24T20:08:00Z",
    "requests":0,
    "tps_p10":null,
    "tps_p50":null,
    "tps_p90":null,
    "tps_p99":null,
    "ttft_p50_ms":null,
    "ttft_p90_ms":null,
    "ttft_p95_ms":null,
    "ttft_p99_ms":null,
    "latency_p50_ms":null,
    "latency_p90_ms":null,
    "latency_p99_ms":null,
    "input_tokens":0,
    "cache_read_tokens":0,
    "error_count":0},
    {"time":"2026-11-24T20:09:00Z",
    "requests":0,
    "tps_p10":null,
    "tps_p50":null,
    "tps_p90":null,
    "tps_p99":null,
    "ttft_p50_ms":null,
    "ttft_p90_ms":null,
    "ttft_p95_ms":null,
    "ttft_p99_ms":null,
    "latency_p50_ms":null,
    "latency_p90_ms":null,
    "latency_p99_ms":null,
    "input_tokens":0,
    "cache_read_tokens":0,
    "error_count":0},
    {"time":"2026-11-24T20:10:00Z",
    "requests":0,
    "tps_p10":null,
    "tps_p50":null,
    "tps_p90":null,
    "tps_p99":null,
    "ttft_p50_ms":null,
    "ttft_p90_ms":null,
    "ttft_p95_ms":null,
    "ttft_p99_ms":null,
    "latency_p50_ms":null,
    "latency_p90_ms":null,
    "latency_p99_ms":null,
    "input_tokens":0,
    "cache_read_tokens":0,
    "error_count":0},
    {"time":"2026-11-24T20:11:00Z",
    "requests":0,
    "tps_p10":null,
    "tps_p50":null,
    "tps_p90":null,
    "tps_p99":null,
    "ttft_p50_ms":null,
    "ttft_p90_ms":null,
    "ttft_p95_ms":null,
    "ttft_p99_ms":null,
    "latency_p50_ms":null,
    "latency_p90_ms":null,
    "latency_p99_ms":null,
    "input_tokens":0,
    "cache_read_tokens":0,
    "error_count":0},
    {"time":"2026-11-24T20:12:00Z",
    "requests":0,
    "tps_p10":null,
    "tps_p50":null,
    "tps_p90":null,
    "tps_p99":null,
    "ttft_p50_ms":null,
    "ttft_p90_ms":null,
    "ttft_p95_ms":null,
    "ttft_p99_ms":null,
    "latency_p50_ms":null,
    "latency_p90_ms":null,
    "latency_p99_ms":null,
    "input_tokens":0,
    "cache_read_tokens":0,
    "error_count":0},
    {"time":"2026-11-24T20:13:00Z",
    "requests":7,
    "tps_p10":null,
    "tps_p50":null,
    "tps_p90":null,
    "tps_p99":null,
    "ttft_p50_ms":null,
    "ttft_p90_ms":null,
    "ttft_p95_ms":null,
    "ttft_p99_ms":null,
    "latency_p50_ms":null,
    "latency_p90_ms":null,
    "latency_p99_ms":null,
    "input_tokens":700,
    "cache_read_tokens":0,
    "error_count":1}],
    "window_start":"2026-11-24T20:07:00Z",
    "window_end":"2026-11-24T20:14:00Z",
    "data_age_seconds":90}
    "#);
}

#[tokio::test]
async fn an_idle_endpoint_has_zeros_and_nulls_and_no_worker() {
    let client = client(dynamodb().await);
    let answer = ask(&client, json().query(&format!("endpoint={CODE}&range_minutes=5")), now()).await;
    let summary = answer["summary"].as_object().unwrap();
    let zeros = ["total_requests", "rps", "total_input_tokens", "total_output_tokens", "total_cache_read_tokens"];
    let zeros = zeros.into_iter().chain(["count_2xx", "count_4xx", "count_5xx", "concurrent_requests"]);
    let zeros: Vec<_> = zeros.collect();
    for (name, value) in summary {
        let zero = value.as_f64() == Some(0.0);
        assert!(if zeros.contains(&name.as_str()) { zero } else { value.is_null() }, "{name}: {value}");
    }
    assert_eq!(answer["backends"], Value::Array(Vec::new()));
    assert_eq!(answer["timeseries"].as_array().unwrap().len(), 5);
}

#[tokio::test]
async fn workers_are_listed_for_a_day_and_healthy_for_ten_minutes() {
    let client = client(dynamodb().await);
    let minutes_ago = |minutes: i64| ("reported_at_ms", number(now().as_millisecond() - minutes * 60_000));
    let running = || ("running_requests", number(2));
    put_heartbeat(&client, CODE, "b", &[minutes_ago(10), running()]).await;
    put_heartbeat(&client, CODE, "a", &[minutes_ago(11), running()]).await;
    put_heartbeat(&client, CODE, "c", &[minutes_ago(24 * 60), running()]).await;
    put_heartbeat(&client, CODE, "d", &[minutes_ago(24 * 60 + 1), running()]).await;
    put_heartbeat(&client, CODE, "e", &[("queue_depth", number(1)), ("kv_cache_usage_ratio", number(1))]).await;
    let answer = ask(&client, json().query(&format!("endpoint={CODE}")), now()).await;
    insta::assert_snapshot!(answer["backends"].to_string().replace("},", "},\n"), @r#"
    [{"active_requests":null,"backend_id":"a","engine_queue_depth":null,"engine_running_requests":null,"is_healthy":false},
    {"active_requests":null,"backend_id":"b","engine_queue_depth":null,"engine_running_requests":2.0,"is_healthy":true},
    {"active_requests":null,"backend_id":"c","engine_queue_depth":null,"engine_running_requests":null,"is_healthy":false},
    {"active_requests":null,"backend_id":"e","engine_queue_depth":1.0,"engine_running_requests":null,"is_healthy":true}]
    "#);
    let summary = &answer["summary"];
    let engine = ["running_requests", "queue_depth", "kv_cache_hit_rate_pct", "kv_cache_usage_pct"];
    let engine = engine.map(|name| summary[format!("engine_{name}")].to_string());
    assert_eq!(engine, ["2.0", "1.0", "null", "100.0"]);
}

#[tokio::test]
async fn heartbeats_that_cannot_be_read_cost_the_engine_fields_and_nothing_else() {
    let database = dynamodb().await;
    let proxy = Proxy::to(database).await;
    proxy.breaks("Query heartbeats", Fault::server_error());
    let reply = call(&scrape(&client(proxy.address)), &range(5), now()).await;
    assert_eq!(reply.status, 200);
    let answer: Value = serde_json::from_str(&reply.body).unwrap();
    assert_eq!(answer["backends"], Value::Null);
    assert_eq!(answer["summary"]["engine_running_requests"], Value::Null);
    assert_eq!(answer["summary"]["total_requests"], 7);
}

#[tokio::test]
async fn what_is_not_a_range_or_not_one_host_is_refused_without_any_call() {
    let proxy = Proxy::to(dynamodb().await).await;
    let scrape = scrape(&client(proxy.address));
    for (query, code, param) in [
        ("endpoint=_&range_minutes=7", "invalid_endpoint", "endpoint"),
        ("range_minutes=5", "invalid_endpoint", "endpoint"),
        ("endpoint=*", "invalid_endpoint", "endpoint"),
        ("endpoint=a.example,b.example", "invalid_endpoint", "endpoint"),
        ("endpoint=a.example&range_minutes=7", "invalid_range", "range_minutes"),
        ("endpoint=a.example&range_minutes=", "invalid_range", "range_minutes"),
        ("endpoint=a.example&range_minutes=5&range_minutes=5", "invalid_range", "range_minutes"),
        ("endpoint=a.example&view=nonsense&range_minutes=05", "invalid_range", "range_minutes"),
    ] {
        let reply = call(&scrape, &json().query(query), now()).await;
        let body: Value = serde_json::from_str(&reply.body).unwrap();
        assert_eq!((reply.status, reply.code().as_str()), (422, code), "{query}");
        assert_eq!(body["error"]["param"], param, "{query}");
    }
    assert!(proxy.calls().is_empty());
}

#[tokio::test]
async fn json_and_scrapes_have_a_limit_each() {
    let client = client(dynamodb().await);
    let scrape = scrape(&client);
    let targets = Event::scrape().path("/v1/endpoints/metrics/targets");
    for event in [json(), targets, Event::scrape()] {
        let mut statuses = Vec::new();
        for _ in 0..7 {
            statuses.push(call(&scrape, &event, now()).await.status);
        }
        assert_eq!(statuses, [200, 200, 200, 200, 200, 200, 429]);
        // A refusal is remembered for the route that it was of, and for no other.
        assert_eq!(call(&scrape, &event, after(30_000)).await.status, 429);
        assert_eq!(call(&scrape, &event, after(59_000)).await.status, 200);
    }
}

/// A request as the logs have it, in milliseconds and tokens.
#[derive(Clone, Debug)]
struct Request {
    minute: i64,
    status: u16,
    is_streaming: bool,
    ttft_ms: f64,
    latency_ms: f64,
    tokens: [u64; 3],
}

fn request(minutes: i64) -> impl Strategy<Value = Request> {
    let status = prop_oneof![8 => Just(200_u16), 1 => Just(429), 1 => Just(503), 1 => Just(302)];
    let milliseconds = || (0.0..5.0_f64).prop_map(|exponent| 10_f64.powf(exponent));
    let tokens = (0..5_000_u64, 0..500_u64, 0..100_u64);
    (0..minutes, status, any::<bool>(), milliseconds(), milliseconds(), tokens).prop_map(
        |(minute, status, is_streaming, ttft_ms, latency_ms, (input, output, cached))| Request {
            minute,
            status,
            is_streaming,
            ttft_ms,
            latency_ms,
            tokens: [input, output, cached.min(input)],
        },
    )
}

impl Request {
    fn is_good(&self) -> bool {
        (200..300).contains(&self.status)
    }

    fn ttft_seconds(&self) -> Option<f64> {
        (self.is_good() && self.is_streaming).then_some(self.ttft_ms / 1000.0)
    }

    fn latency_seconds(&self) -> Option<f64> {
        self.is_good().then_some(self.latency_ms / 1000.0)
    }

    #[expect(clippy::cast_precision_loss, reason = "few tokens")]
    fn speed(&self) -> Option<f64> {
        (self.is_good() && self.tokens[1] > 0).then(|| self.tokens[1] as f64 / (self.latency_ms / 1000.0))
    }
}

/// What the refresh would store of these requests.
fn summary(requests: &[&Request]) -> Summary {
    let mut summary = Summary::default();
    for request in requests {
        summary.statuses.add(request.status, 1);
        summary.input_tokens += u128::from(request.tokens[0]);
        summary.output_tokens += u128::from(request.tokens[1]);
        summary.cache_read_tokens += u128::from(request.tokens[2]);
        count(&mut summary.ttft, request.ttft_seconds());
        count(&mut summary.duration, request.latency_seconds());
        count(&mut summary.speed, request.speed());
    }
    summary
}

/// Four requests, one of which failed, as the refresh would store them.
pub fn minute_of_traffic() -> Summary {
    let request = |status, ttft_ms, latency_ms, tokens| Request {
        minute: 0,
        status,
        is_streaming: true,
        ttft_ms,
        latency_ms,
        tokens,
    };
    let requests = [
        request(200, 212.0, 2_400.0, [900, 120, 600]),
        request(200, 180.0, 1_900.0, [400, 90, 0]),
        request(200, 640.0, 6_200.0, [2_100, 310, 1_500]),
        request(429, 0.0, 3.0, [0, 0, 0]),
    ];
    summary(&requests.iter().collect::<Vec<_>>())
}

#[expect(clippy::cast_possible_truncation, reason = "bucket numbers are small")]
fn count(distribution: &mut Distribution<Sketch<FINE>>, value: Option<f64>) {
    if let Some(value) = value {
        let bucket = if value < 1e-6 { ZERO_BUCKET } else { (value.log2() * 64.0).ceil() as i32 };
        distribution.sketch.add(bucket, 1).unwrap();
    }
}

/// The requests of 31 days, by minutes from their start: most of them in the last hours.
fn traffic() -> Vec<Request> {
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let mut some = |minutes, count: usize| {
        proptest::collection::vec(request(minutes), count..=count).new_tree(&mut runner).unwrap().current()
    };
    let before_end = [some(31 * 1440, 1_500), some(1_600, 1_500), some(70, 400)].concat();
    before_end.into_iter().map(|request| Request { minute: 31 * 1440 - 1 - request.minute, ..request }).collect()
}

/// Puts minutes of the last days and hours of the month, as the refresh would have: `start` is minute 0 of the
/// requests.
async fn put_traffic(client: &Client, requests: &[Request], start: Minute, sealed: Minute) {
    let rollups = RollupWriter::new(client.clone(), "rollups".to_owned());
    let host = Host::parse(CHAT).unwrap();
    let mut minutes: BTreeMap<Minute, Vec<&Request>> = BTreeMap::new();
    for request in requests {
        minutes.entry(start.plus(request.minute)).or_default().push(request);
    }
    let mut hours: BTreeMap<_, Vec<&Request>> = BTreeMap::new();
    for (minute, requests) in &minutes {
        hours.entry(minute.hour()).or_default().extend(requests);
    }
    let transaction = Transaction { minutes: Vec::new(), hour: None, total: None, as_of: now() };
    let recent = minutes.iter().filter(|(minute, _)| **minute >= sealed.plus(-2 * 1440)).collect::<Vec<_>>();
    for some in recent.chunks(90) {
        let change = |(period, requests): &(&Minute, &Vec<&Request>)| MinuteChange {
            period: **period,
            summary: summary(requests),
            replaces: None,
        };
        let minutes = some.iter().map(change).collect();
        rollups.write(&host, &Transaction { minutes, ..transaction.clone() }).await.unwrap();
    }
    for (hour, requests) in hours.iter().filter(|(hour, _)| hour.end() <= sealed) {
        let hour = HourChange { period: *hour, summary: summary(requests), replaces: None };
        rollups.write(&host, &Transaction { hour: Some(hour), ..transaction.clone() }).await.unwrap();
    }
}

fn assert_near(shown: &Value, mut values: Vec<f64>, percent: usize, scale: f64, what: &str) {
    values.sort_by(f64::total_cmp);
    if values.is_empty() {
        assert!(shown.is_null(), "{what}: {shown}");
        return;
    }
    let exact = values[(values.len() * percent).div_ceil(100) - 1] * scale;
    let shown = shown.as_f64().unwrap();
    assert!((shown - exact).abs() <= 0.006 * exact + 0.05, "{what}: {shown} for {exact}");
}

/// Checks the quantiles of a summary or a bin.
fn assert_quantiles(shown: &Value, requests: &[&Request], what: &str) {
    let values = |value: fn(&Request) -> Option<f64>| requests.iter().filter_map(|request| value(request)).collect();
    for percent in [50, 90, 95, 99] {
        assert_near(&shown[format!("ttft_p{percent}_ms")], values(Request::ttft_seconds), percent, 1000.0, what);
    }
    for percent in [50, 90, 99] {
        assert_near(&shown[format!("latency_p{percent}_ms")], values(Request::latency_seconds), percent, 1000.0, what);
    }
    for percent in [10, 50, 90, 99] {
        assert_near(&shown[format!("tps_p{percent}")], values(Request::speed), percent, 1.0, what);
    }
}

/// Checks an answer against the requests that ended in its window.
fn assert_follows(answer: &Value, requests: &[Request], start: Minute, window: &Range<Minute>, bin_minutes: i64) {
    let what = format!("{} minutes until {}", answer["range_minutes"], window.end);
    let within = |range: Range<Minute>| -> Vec<&Request> {
        requests.iter().filter(|request| range.contains(&start.plus(request.minute))).collect()
    };
    let time = |minute: Minute| Value::from(format!("{minute}:00Z"));
    assert_eq!(answer["window_start"], time(window.start), "{what}");
    assert_eq!(answer["window_end"], time(window.end), "{what}");

    let ended = within(window.clone());
    let summary = &answer["summary"];
    let class = |class: u16| ended.iter().filter(|request| request.status / 100 == class).count();
    let tokens = |which: usize| ended.iter().map(|request| request.tokens[which]).sum::<u64>();
    assert_eq!(summary["total_requests"], ended.len(), "{what}");
    for (name, count) in [("count_2xx", class(2)), ("count_4xx", class(4)), ("count_5xx", class(5))] {
        assert_eq!(summary[name], count, "{what} {name}");
    }
    for (name, which) in [("input", 0), ("output", 1), ("cache_read", 2)] {
        assert_eq!(summary[format!("total_{name}_tokens")], tokens(which), "{what} {name}");
    }
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let rps = ended.len() as f64 / (window.end.since(window.start) * 60) as f64;
    assert!((summary["rps"].as_f64().unwrap() - rps).abs() <= 0.005 + 1e-9, "{what}");
    let concurrent = within(window.end.plus(-2)..window.end).len();
    assert_eq!(summary["concurrent_requests"], concurrent, "{what}");
    assert_quantiles(summary, &ended, &what);

    let bins = answer["timeseries"].as_array().unwrap();
    let length = window.end.since(window.start);
    assert_eq!(i64::try_from(bins.len()).unwrap(), (length + bin_minutes - 1) / bin_minutes, "{what}");
    for (number, bin) in (0..).zip(bins) {
        let first = window.start.plus(number * bin_minutes);
        let ended = within(first..first.plus(bin_minutes).min(window.end));
        assert_eq!(bin["time"], time(first), "{what}");
        assert_eq!(bin["requests"], ended.len(), "{what} at {first}");
        let errors = ended.iter().filter(|request| matches!(request.status / 100, 4 | 5)).count();
        assert_eq!(bin["error_count"], errors, "{what} at {first}");
        assert_eq!(
            bin["input_tokens"],
            ended.iter().map(|request| request.tokens[0]).sum::<u64>(),
            "{what} at {first}"
        );
        assert_quantiles(bin, &ended, &what);
    }
    let sum = |name: &str| bins.iter().map(|bin| bin[name].as_u64().unwrap()).sum::<u64>();
    assert_eq!(sum("requests"), summary["total_requests"], "{what}");
    assert_eq!(sum("input_tokens"), summary["total_input_tokens"], "{what}");
    assert_eq!(sum("cache_read_tokens"), summary["total_cache_read_tokens"], "{what}");
}

const BINS: [(i64, i64); 8] = [(5, 1), (15, 1), (30, 1), (60, 5), (360, 15), (1440, 30), (10_080, 180), (43_200, 1440)];

#[tokio::test]
async fn every_range_follows_the_requests_at_window_ends_in_each_minute_of_an_hour() {
    let client = client(dynamodb().await);
    let requests = traffic();
    let noon = Minute::floor("2026-11-24T12:00:00Z".parse().unwrap());
    // The newest request ends 70 minutes past noon; an hour is sealed 10 minutes after its end.
    let start = noon.plus(70 - 31 * 1440);
    let sealed = noon.plus(-60);
    put_traffic(&client, &requests, start, sealed.plus(60)).await;
    for past in 0..60 {
        let end = noon.plus(past);
        let sealed = if past < 10 { noon.plus(-60) } else { noon };
        put_watermark(&client, &watermark(end, sealed.hour())).await;
        for (minutes, bin_minutes) in BINS {
            let now = end.start() + jiff::SignedDuration::from_secs(90);
            let answer = ask(&client, range(minutes), now).await;
            let first = end.plus(-minutes);
            let first = if minutes > 1440 { first.hour_ceil().start() } else { first };
            assert_follows(&answer, &requests, start, &(first..end), bin_minutes);
            assert_eq!(answer["data_age_seconds"], 90);
        }
    }
}

#[tokio::test]
async fn five_minutes_take_fewer_calls_than_a_scrape() {
    let proxy = Proxy::to(dynamodb().await).await;
    let client = client(proxy.address);
    // Whatever part of an hour is sealed.
    for past in [0, 1, 4, 9, 10, 13, 30, 59] {
        let end = Minute::floor("2026-11-24T12:00:00Z".parse().unwrap()).plus(past);
        put_watermark(&client, &watermark(end, end.plus(-10).hour())).await;
        let scrape = scrape(&client);
        proxy.calls();
        assert_eq!(call(&scrape, &Event::scrape(), end.start()).await.status, 200);
        let of_scrape = proxy.calls().len();
        assert_eq!(call(&scrape, &range(5).key(METRICS_KEY), end.start()).await.status, 200);
        let of_json = proxy.calls().len();
        assert!(of_json < of_scrape, "{past} minutes past the hour: {of_json}, a scrape {of_scrape}");
    }
}

#[tokio::test]
async fn a_window_starts_no_earlier_than_anything_was_read() {
    let client = client(dynamodb().await);
    let requests = traffic();
    let end = Minute::floor("2026-11-24T12:34:00Z".parse().unwrap());
    let start = end.plus(-31 * 1440);
    put_traffic(&client, &requests, start, end.plus(-34)).await;
    put_watermark(&client, &watermark(end, end.hour())).await;
    let since = end.hour().plus(-26).start();
    let rollups = RollupWriter::new(client.clone(), "rollups".to_owned());
    rollups.put_since(since).await.unwrap();
    for (minutes, bin_minutes) in BINS.into_iter().filter(|(minutes, _)| *minutes >= 1440) {
        let answer = ask(&client, range(minutes), end.start()).await;
        let first = since.max(end.plus(-minutes));
        assert_follows(&answer, &requests, start, &(first..end), bin_minutes);
    }
}

#[tokio::test]
async fn the_hour_in_which_reading_began_counts_whole() {
    let client = client(dynamodb().await);
    let end = Minute::floor("2026-11-24T12:34:00Z".parse().unwrap());
    let (start, since) = (end.plus(-31 * 1440), end.hour().plus(-26).start().plus(25));
    let read = |request: &Request| start.plus(request.minute) >= since;
    let requests: Vec<_> = traffic().into_iter().filter(read).collect();
    put_traffic(&client, &requests, start, end.plus(-34)).await;
    put_watermark(&client, &watermark(end, end.hour())).await;
    RollupWriter::new(client.clone(), "rollups".to_owned()).put_since(since).await.unwrap();
    for minutes in [10_080, 43_200] {
        let answer = ask(&client, range(minutes), end.start()).await;
        assert_eq!(answer["window_start"], "2026-11-23T10:25:00Z");
        assert_eq!(answer["summary"]["total_requests"], requests.len(), "{minutes} minutes");
        let bins = answer["timeseries"].as_array().unwrap().iter();
        assert_eq!(bins.map(|bin| bin["requests"].as_u64().unwrap()).sum::<u64>(), requests.len() as u64);
    }
}

#[tokio::test]
async fn a_day_of_json_is_the_scrape_of_the_same_window_rounded() {
    let client = client(dynamodb().await);
    let requests = traffic();
    let end = Minute::floor("2026-11-24T12:34:00Z".parse().unwrap());
    put_traffic(&client, &requests, end.plus(-31 * 1440), end.plus(-34)).await;
    put_watermark(&client, &watermark(end, end.hour())).await;
    let fresh = ("reported_at_ms", number(end.start().as_millisecond()));
    let ratio = |ratio: &str| AttributeValue::N(ratio.to_owned());
    let fields = [("running_requests", number(3)), ("queue_depth", number(7)), ("kv_cache_hit_ratio", ratio("0.6789"))];
    let fields: Vec<_> = fields.into_iter().chain([fresh, ("kv_cache_usage_ratio", ratio("0.25"))]).collect();
    put_heartbeat(&client, CHAT, "worker-0", &fields).await;
    for endpoint in [CHAT, CODE] {
        let query = format!("endpoint={endpoint}");
        let answer = ask(&client, json().query(&format!("{query}&range_minutes=1440")), end.start()).await;
        let scraped = call(&scrape(&client), &Event::scrape().query(&query), end.start()).await;
        let scraped: BTreeMap<_, f64> = scraped
            .body
            .lines()
            .filter_map(|line| line.rsplit_once(' ').filter(|_| !line.starts_with('#')))
            .map(|(series, value)| (series.replace(&format!("endpoint=\"{endpoint}\""), ""), value.parse().unwrap()))
            .collect();
        let quantiles = |field: &str, unit: &str, series: &str, scale: f64, shares: &[&str]| -> Vec<_> {
            let field = |share: &&str| {
                let percent: f64 = share.parse::<f64>().unwrap() * 100.0;
                (format!("{field}_p{percent:.0}{unit}"), format!("{series}{{,quantile=\"{share}\"}}"), scale)
            };
            shares.iter().map(field).collect()
        };
        let class = |class: &str| {
            (format!("count_{class}"), format!("wafer_requests_last_24h{{,status_class=\"{class}\"}}"), 1.0)
        };
        let plain = |field: &str, series: &str, scale: f64| (field.to_owned(), format!("{series}{{}}"), scale);
        let fields = [
            vec![class("2xx"), class("4xx"), class("5xx")],
            vec![
                plain("total_input_tokens", "wafer_input_tokens_last_24h", 1.0),
                plain("total_output_tokens", "wafer_output_tokens_last_24h", 1.0),
                plain("total_cache_read_tokens", "wafer_cache_read_tokens_last_24h", 1.0),
                plain("cache_hit_pct", "wafer_cache_hit_ratio_last_24h", 100.0),
                plain("concurrent_requests", "wafer_concurrent_requests", 1.0),
                plain("engine_running_requests", "wafer_engine_running_requests", 1.0),
                plain("engine_queue_depth", "wafer_engine_queue_depth", 1.0),
                plain("engine_kv_cache_hit_rate_pct", "wafer_engine_kv_cache_hit_ratio", 100.0),
                plain("engine_kv_cache_usage_pct", "wafer_engine_kv_cache_usage_ratio", 100.0),
            ],
            quantiles("ttft", "_ms", "wafer_ttft_seconds", 1000.0, &["0.5", "0.9", "0.95", "0.99"]),
            quantiles("latency", "_ms", "wafer_request_duration_seconds", 1000.0, &["0.5", "0.9", "0.99"]),
            quantiles("tps", "", "wafer_output_tokens_per_second", 1.0, &["0.1", "0.5", "0.9", "0.99"]),
        ]
        .concat();
        for (field, series, scale) in fields {
            let expected = scraped.get(&series).map(|value| (value * scale * 10.0).round() / 10.0);
            assert_eq!(answer["summary"][&field].as_f64(), expected, "{endpoint} {field}");
        }
        let window_end: jiff::Timestamp = answer["window_end"].as_str().unwrap().parse().unwrap();
        let shown = scraped["wafer_metrics_window_end_timestamp_seconds{}"].to_string();
        assert_eq!(window_end.as_second().to_string(), shown);
    }
}
