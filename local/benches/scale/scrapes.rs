//! Scrapes of days of more and more requests.

use std::time::{Duration, Instant};

use aws_sdk_dynamodb::types::AttributeValue;
use local_stack::lambdas;
use testing::calls::{Event, call};
use testing::dynamodb::{self, tables};
use testing::keys::put_key;
use testing::rollups::{self, watermark};
use wafer_metrics::answer::Service;
use wafer_metrics::model::host::Host;
use wafer_metrics::model::sketch::{FINE, Sketch};
use wafer_metrics::model::summary::{Distribution, StatusCounts, Summary};
use wafer_metrics::model::window::Minute;
use wafer_metrics::settings::ScrapeSettings;
use wafer_metrics::stores::rollups::{HourChange, MinuteChange, Transaction};

use crate::{MINUTES, client, now};

pub const HEADING: &str = "\
| requests in the window | endpoints asked | scrape | bytes of their items |
|---|---|---|---|";

/// Scrapes of endpoints whose day holds so many requests a minute.
pub async fn scrapes(requests_a_minute: u64, endpoints: usize) {
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
    let event = Event::of(include_str!("../../../events/scrape.json")).key(&key).endpoints(&hosts);
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
        let mut distribution: Distribution<Sketch<FINE>> =
            Distribution { sum: u128::from(requests) * 1_000_000, ..Distribution::default() };
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
