//! What is timed.

use std::time::{Duration, Instant};

use testing::calls::{self, Event};
use wafer_metrics::answer::Service;

use crate::database::Database;
use crate::distance;
use crate::floor::Recorder;
use crate::processor;
use crate::tables::{self, Case, NOW};

pub const SCRAPE: &str = "/v1/endpoints/metrics/prometheus";
const JSON: &str = "/v1/endpoints/metrics";

#[tokio::main(flavor = "current_thread")]
pub async fn measure_all() {
    let calls: usize = std::env::var("CALLS").map_or(300, |calls| calls.parse().unwrap());
    let database = Database::start(calls);
    let plain = calls::impatient_client(database.address);
    let cases = tables::cases();

    println!(
        "| endpoint | call | ratio | p50 ms | floor ms | p99 ms | own CPU ms | CPU ms \
         | calls to DynamoDB | bytes read |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    let mut rows = Vec::new();
    for case in &cases {
        for view in ["window", "counters", "window,counters"] {
            let query = format!("endpoint={}&view={view}", case.hosts.join(","));
            rows.push(measure(case, view, SCRAPE, &query, &plain, calls).await);
        }
        if case.hosts.len() == 1 {
            for minutes in [5, 60, 1440, 10_080, 43_200] {
                let query = format!("endpoint={}&range_minutes={minutes}", case.hosts[0]);
                rows.push(measure(case, &format!("JSON {minutes}"), JSON, &query, &plain, calls).await);
            }
        }
    }
    let far = distance::client(&plain);
    for case in cases.iter().filter(|case| case.name.ends_with("demo")) {
        let call = format!("window, {} ms away", distance::MILLISECONDS);
        let query = format!("endpoint={}", case.hosts.join(","));
        rows.push(measure(case, &call, SCRAPE, &query, &far, calls).await);
    }
    for row in &rows {
        assert!(
            row.call != "counters"
                || rows.iter().any(|window| {
                    (window.endpoint, window.call.as_str()) == (row.endpoint, "window")
                        && row.bytes < window.bytes
                        && row.p50 < window.p50
                })
                || row.endpoint == "idle",
            "counters of {} are dearer than its window",
            row.endpoint
        );
        assert!(
            row.call != "JSON 5"
                || rows.iter().any(|window| {
                    (window.endpoint, window.call.as_str()) == (row.endpoint, "window") && row.bytes <= window.bytes
                })
                || row.endpoint == "idle",
            "five minutes of {} are dearer than a scrape",
            row.endpoint
        );
    }
}

struct Row {
    endpoint: &'static str,
    call: String,
    bytes: usize,
    p50: Duration,
}

async fn measure(
    case: &Case,
    call: &str,
    path: &str,
    query: &str,
    plain: &aws_sdk_dynamodb::Client,
    calls: usize,
) -> Row {
    let recorder = Recorder::default();
    let event = |number: usize| Event::scrape().path(path).query(query).key(&tables::key(number));
    let repeated = {
        let service = calls::scrape(&recorder.client(plain));
        let reply = calls::call(&service, &event(calls), NOW.parse().unwrap()).await;
        assert_eq!(reply.status, 200, "{call}: {}", reply.body);
        recorder.take()
    };
    let service: Service = calls::scrape(plain);
    let (mut ours, mut floors) = (Vec::with_capacity(calls), Vec::with_capacity(calls));
    let (mut worked, mut floors_work) = (Duration::ZERO, Duration::ZERO);
    // By turns, so that whatever else the machine does falls on both.
    for number in 0..calls {
        let event = event(number);
        let before = processor::time();
        let started = Instant::now();
        let reply = calls::call(&service, &event, NOW.parse().unwrap()).await;
        ours.push(started.elapsed());
        let between = processor::time();
        worked += between.saturating_sub(before);
        assert_eq!(reply.status, 200, "{call}: {}", reply.body);

        let started = Instant::now();
        repeated.repeat(plain, number).await;
        floors.push(started.elapsed());
        floors_work += processor::time().saturating_sub(between);
    }
    tables::free_slots(plain, calls).await;
    ours.sort();
    floors.sort();
    let (p50, floor, p99) = (ours[calls / 2], floors[calls / 2], ours[calls * 99 / 100]);
    let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
    let each = |work: Duration| milliseconds(work / u32::try_from(calls).unwrap());
    println!(
        "| {} | {call} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {} | {} |",
        case.name,
        p50.as_secs_f64() / floor.as_secs_f64(),
        milliseconds(p50),
        milliseconds(floor),
        milliseconds(p99),
        each(worked.saturating_sub(floors_work)),
        each(worked),
        repeated.calls(),
        repeated.bytes,
    );
    Row { endpoint: case.name, call: call.to_owned(), bytes: repeated.bytes, p50 }
}
