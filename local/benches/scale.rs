//! What a refresh and a scrape cost as traffic, endpoints and the day grow. Figures for docs/numbers.md.
//!
//! `ROWS` holds the rows a day to try, in millions, separated by commas.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on ends")]

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use athena_endpoint::Athena;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::{SignedDuration, Timestamp};
use local_athena::DataFusion;
use local_stack::demo::log_writer;
use local_stack::demo::traffic::Row;
use local_stack::lambdas;
use testing::calls::{Event, call};
use testing::dynamodb::{self, tables};
use testing::keys::put_key;
use testing::rollups::{self, watermark};
use testing::{listen, sdk_config};
use wafer_metrics::answer::Service;
use wafer_metrics::clock::Clock;
use wafer_metrics::model::host::Host;
use wafer_metrics::model::summary::{Distribution, StatusCounts, Summary};
use wafer_metrics::model::window::Minute;
use wafer_metrics::refresh::{Command, Refresh, Report};
use wafer_metrics::settings::{RefreshSettings, ScrapeSettings};
use wafer_metrics::stores::aws;
use wafer_metrics::stores::request_logs::Polling;
use wafer_metrics::stores::rollups::{HourChange, MinuteChange, Transaction};

const MINUTES: i64 = 24 * 60;
/// Runs of which the median is reported.
const RUNS: usize = 5;

/// In the middle of an hour: none is sealed while it is measured.
fn now() -> Timestamp {
    "2026-11-24T20:30:30Z".parse().unwrap()
}

#[tokio::main]
async fn main() {
    let millions = std::env::var("ROWS").unwrap_or_else(|_| "1,10".to_owned());
    println!(
        "| rows a day | endpoints | hours of logs | refresh | Athena | bytes scanned | rows returned \
         | items written cold | warm |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for millions in millions.split(',') {
        let rows_a_day = millions.trim().parse::<u64>().unwrap() * 1_000_000;
        for endpoints in [1, 100, 2_000] {
            refreshes(rows_a_day, endpoints).await;
        }
    }
    println!("\n| requests in the window | endpoints asked | scrape | bytes of their items |\n|---|---|---|---|");
    for requests_a_minute in [10, 1_000, 100_000] {
        for endpoints in [1, 20] {
            scrapes(requests_a_minute, endpoints).await;
        }
    }
}

/// Refreshes of one more minute, over logs of 2 and of 24 h.
async fn refreshes(rows_a_day: u64, endpoints: usize) {
    let folder = tempfile::tempdir().unwrap();
    let hosts: Vec<&'static str> =
        (0..endpoints).map(|number| -> &'static str { format!("h{number}.example").leak() }).collect();
    let gap_us = 86_400_000_000 / i64::try_from(rows_a_day).unwrap();
    let hour_before = |ago: i64| now() - SignedDuration::from_hours(ago);
    for hours in [2, 24] {
        let written = if hours == 2 { 0..2 } else { 2..24 };
        for ago in written {
            write(folder.path(), &hosts, hour_before(ago + 1), hour_before(ago), gap_us);
        }
        let database = dynamodb::start().await;
        let (listener, athena) = listen().await;
        let athena_clock = testing::clock::Clock::new(now());
        let engine = DataFusion::new(folder.path(), lambdas::DATABASE, lambdas::REQUEST_LOGS).unwrap();
        tokio::spawn(Athena::new(engine, athena_clock.shared()).serve(listener));
        let rollups = rollups::writer(&client(database));
        let through = Minute::floor(now()).plus(-3 - i64::try_from(RUNS).unwrap());
        rollups.put_watermark(&watermark(through, through.hour()), None).await.unwrap();
        let refresh = refresher(database, athena);
        let run = async |ago: usize| -> (Duration, Report) {
            let (started, now) = (Instant::now(), now() - SignedDuration::from_mins(i64::try_from(ago).unwrap()));
            let deadline = tokio::time::Instant::now() + Duration::from_mins(10);
            athena_clock.set(now);
            let (report, result) = refresh.run(Command::CatchUp, Clock::start(now), deadline).await;
            result.unwrap();
            (started.elapsed(), report)
        };
        let (cold_time, cold) = run(RUNS).await;
        let mut warm = Vec::new();
        for ago in (0..RUNS).rev() {
            warm.push(run(ago).await);
        }
        warm.sort_by_key(|(time, _)| *time);
        let (time, report) = &warm[RUNS / 2];
        let returned = report.items_written + report.items_unchanged;
        println!(
            "| {rows_a_day} | {endpoints} | {hours} | {} ms (cold {} ms) | {} ms | {} | {returned} | {} | {} |",
            time.as_millis(),
            cold_time.as_millis(),
            report.query_ms,
            report.scanned_bytes,
            cold.items_written,
            report.items_written,
        );
    }
}

/// Scrapes of endpoints whose day holds so many requests a minute.
async fn scrapes(requests_a_minute: u64, endpoints: usize) {
    let database = dynamodb::start().await;
    let dynamodb = client(database);
    let rollups = rollups::writer(&dynamodb);
    let through = Minute::floor(now()).plus(-2);
    let sealed = through.plus(-10).hour();
    let hosts: Vec<String> = (0..endpoints).map(|number| format!("h{number}.example")).collect();
    for host in hosts.iter().map(|host| Host::parse(host).unwrap()) {
        for ago in 1..=MINUTES + 60 {
            let minute = through.plus(-ago);
            let summary = summary(requests_a_minute);
            if minute >= sealed.start() || ago > MINUTES - 60 {
                let minutes = vec![MinuteChange { period: minute, summary: summary.clone(), replaces: None }];
                let transaction = Transaction { minutes, hour: None, total: None, as_of: now() };
                rollups.write(&host, &transaction).await.unwrap();
            }
            if minute == minute.hour().start() && minute.hour() < sealed {
                let mut hour = Summary::default();
                (0..60).for_each(|_| hour.merge(&summary));
                let change = HourChange { period: minute.hour(), summary: hour, replaces: None };
                rollups.put_hour(&host, &change, now()).await.unwrap();
            }
        }
    }
    rollups.put_watermark(&watermark(through, sealed), None).await.unwrap();
    let scrape = Service::new(ScrapeSettings::from_lookup(lambdas::setting).unwrap(), &dynamodb);
    let mut times = Vec::new();
    for run in 0..=20 {
        times.push(scraped(&scrape, &dynamodb, &hosts, run).await);
    }
    // The first opens connections.
    times.remove(0);
    times.sort();
    let bytes = stored_bytes(&dynamodb, &hosts).await;
    let requests = requests_a_minute * u64::try_from(MINUTES).unwrap();
    println!("| {requests} | {endpoints} | {:.1} ms | {bytes} |", times[times.len() / 2].as_secs_f64() * 1e3);
}

/// One scrape with a key of its own.
async fn scraped(scrape: &Service, dynamodb: &aws_sdk_dynamodb::Client, hosts: &[String], run: usize) -> Duration {
    let key = format!("benchmark-key-{run}");
    let hosts: Vec<_> = hosts.iter().map(String::as_str).collect();
    put_key(dynamodb, &key, "metrics", &hosts, &[]).await;
    let event = Event::of(include_str!("../../events/scrape.json")).key(&key).endpoints(&hosts);
    let event = event.header("x-prometheus-scrape-timeout-seconds", "25");
    let started = Instant::now();
    let reply = call(scrape, &event, now()).await;
    let time = started.elapsed();
    assert_eq!(reply.status, 200);
    time
}

/// The bytes of all items of these endpoints, the most that a scrape reads.
async fn stored_bytes(dynamodb: &aws_sdk_dynamodb::Client, hosts: &[String]) -> usize {
    let mut bytes = 0;
    for host in hosts {
        let query = dynamodb.query().table_name(tables::ROLLUPS).key_condition_expression("endpoint = :endpoint");
        let items = query
            .expression_attribute_values(":endpoint", AttributeValue::S(host.clone()))
            .into_paginator()
            .items()
            .send();
        let items: Vec<_> = items.collect::<Result<Vec<_>, _>>().await.unwrap();
        bytes += items.iter().flatten().map(|(name, value)| name.len() + size(value)).sum::<usize>();
    }
    bytes
}

fn size(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) | AttributeValue::N(text) => text.len(),
        AttributeValue::B(blob) => blob.as_ref().len(),
        _ => 0,
    }
}

/// Latencies spread over a decade and a half, as real ones are.
fn summary(requests: u64) -> Summary {
    let distribution = |centre: i32| {
        let mut distribution = Distribution { sum: u128::from(requests) * 1_000_000, ..Distribution::default() };
        for spread in 0..requests.min(120) {
            let bucket = centre + i32::try_from(spread).unwrap() * 2 - 120;
            distribution.sketch.add(bucket, requests.div_ceil(requests.min(120))).unwrap();
        }
        distribution
    };
    let mut statuses = StatusCounts::default();
    statuses.add(200, requests);
    Summary {
        statuses,
        input_tokens: u128::from(requests) * 1_155,
        output_tokens: u128::from(requests) * 211,
        cache_read_tokens: u128::from(requests) * 293,
        ttft: distribution(-190),
        duration: distribution(85),
        speed: distribution(364),
    }
}

/// A file an hour of rows at a constant rate, spread over the endpoints.
fn write(folder: &Path, hosts: &[&'static str], from: Timestamp, to: Timestamp, gap_us: i64) {
    let (from_us, to_us) = (from.as_microsecond(), to.as_microsecond());
    let rows = (from_us..to_us).step_by(usize::try_from(gap_us).unwrap()).enumerate().map(|(number, at_us)| {
        let id = u64::try_from(at_us).unwrap();
        #[expect(clippy::cast_precision_loss, reason = "below 1,000")]
        let spread = (id.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 54) as f64;
        Row {
            id,
            endpoint: hosts[number % hosts.len()],
            model: "m",
            status_code: 200,
            is_streaming: true,
            ended_at_ms: at_us / 1_000,
            ttft_ms: Some(50.0 + spread),
            total_latency_ms: 1_000.0 + 10.0 * spread,
            input_tokens: 1_155,
            output_tokens: 211,
            cache_read_tokens: 293,
            error_code: None,
            delivered_at_ms: at_us / 1_000,
        }
    });
    log_writer::write(folder, &format!("to-{to_us}"), rows.collect()).unwrap();
}

fn refresher(database: SocketAddr, athena: SocketAddr) -> Refresh {
    let settings = RefreshSettings::from_lookup(lambdas::setting).unwrap();
    Refresh::new(settings, aws::athena(&sdk_config(athena)), Polling::default(), client(database))
}

fn client(database: SocketAddr) -> aws_sdk_dynamodb::Client {
    aws::dynamodb_for_refresh(&sdk_config(database))
}
