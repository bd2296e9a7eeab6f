//! What the tables hold: endpoints that are idle, as busy as the demo's, and at 100 requests a second.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use testing::{keys, rollups};
use wafer_metrics::model::host::Host;
use wafer_metrics::model::sketch::{FINE, Sketch};
use wafer_metrics::model::summary::{Distribution, Summary, Total};
use wafer_metrics::model::window::Minute;
use wafer_metrics::stores::rollups::{HourChange, MinuteChange, Transaction};

/// When calls come. The window's end stands in the middle of an hour, as it does on average.
pub const NOW: &str = "2026-11-24T20:31:40Z";
const DAYS: i64 = 31;
/// Calls that a key has.
pub const SLOTS: usize = 6;
const MANY: usize = 20;
/// The first of the demos.
pub const DEMO_ENDPOINT: &str = "demo00.example";
const IDLE: &str = "idle.example";
const BUSIEST: &str = "busy.example";

/// Endpoints that are asked for together.
pub struct Case {
    pub name: &'static str,
    pub hosts: Vec<String>,
}

/// Requests a minute, and over how many buckets of a distribution they fall.
#[derive(Clone, Copy)]
struct Traffic {
    requests: u64,
    buckets: i32,
}

const DEMO: Traffic = Traffic { requests: 330, buckets: 300 };
const BUSY: Traffic = Traffic { requests: 6_000, buckets: 900 };

/// The key of a call.
pub fn key(number: usize) -> String {
    format!("bench-key-{}", number / SLOTS)
}

pub fn cases() -> Vec<Case> {
    let many = many();
    vec![
        Case { name: "idle", hosts: vec![IDLE.to_owned()] },
        Case { name: "demo", hosts: vec![many[0].clone()] },
        Case { name: "busy", hosts: vec![BUSIEST.to_owned()] },
        Case { name: "20 demo", hosts: many },
    ]
}

fn many() -> Vec<String> {
    (0..MANY).map(|number| format!("demo{number:02}.example")).collect()
}

/// Fills the tables for so many calls and one more.
pub async fn fill(client: &Client, calls: usize) {
    let many = many();
    let hosts: Vec<&str> = many.iter().map(String::as_str).chain([IDLE, BUSIEST]).collect();
    for number in 0..=calls / SLOTS {
        keys::put_key(client, &key(number * SLOTS), "metrics", &hosts, &[]).await;
    }
    let end = Minute::floor("2026-11-24T20:30:00Z".parse().unwrap());
    let sealed = end.hour();
    let writer = rollups::writer(client);
    writer.put_since(sealed.plus(-24 * DAYS).start()).await.unwrap();
    writer.put_watermark(&rollups::watermark(end, sealed), None).await.unwrap();
    for host in &many {
        // Only the first is asked for days on end.
        fill_endpoint(client, host, DEMO, end, if *host == many[0] { 24 * DAYS } else { 26 }).await;
    }
    fill_endpoint(client, BUSIEST, BUSY, end, 24 * DAYS).await;
}

async fn fill_endpoint(client: &Client, host: &str, traffic: Traffic, end: Minute, hours: i64) {
    let (writer, host) = (rollups::writer(client), Host::parse(host).unwrap());
    let as_of = end.start();
    let of_hour = summary(Traffic { requests: traffic.requests * 60, buckets: traffic.buckets * 3 / 2 });
    for hour in 1..=hours {
        let hour = HourChange { period: end.hour().plus(-hour), summary: of_hour.clone(), replaces: None };
        writer.write(&host, &Transaction { minutes: Vec::new(), hour: Some(hour), total: None, as_of }).await.unwrap();
    }
    let of_minute = summary(traffic);
    let minutes: Vec<i64> = (1..=25 * 60).collect();
    for some in minutes.chunks(40) {
        let change =
            |before: &i64| MinuteChange { period: end.plus(-before), summary: of_minute.clone(), replaces: None };
        let minutes = some.iter().map(change).collect();
        writer.write(&host, &Transaction { minutes, hour: None, total: None, as_of }).await.unwrap();
    }
    let mut total = Total::default();
    total.raise(&of_hour, &Summary::default());
    writer
        .write(&host, &Transaction { minutes: Vec::new(), hour: None, total: Some((total, None)), as_of })
        .await
        .unwrap();
}

fn summary(traffic: Traffic) -> Summary {
    let mut summary = Summary {
        input_tokens: u128::from(traffic.requests) * 1_200,
        output_tokens: u128::from(traffic.requests) * 210,
        cache_read_tokens: u128::from(traffic.requests) * 400,
        ..Summary::default()
    };
    for (code, share) in [(200, 97), (429, 2), (503, 1)] {
        summary.statuses.add(code, traffic.requests * share / 100);
    }
    for distribution in [&mut summary.ttft, &mut summary.duration, &mut summary.speed] {
        spread(distribution, traffic);
    }
    summary
}

/// Evenly over the buckets: a distribution is dear by how many it has.
fn spread(distribution: &mut Distribution<Sketch<FINE>>, traffic: Traffic) {
    let (requests, buckets) = (i64::try_from(traffic.requests).unwrap(), i64::from(traffic.buckets));
    for bucket in 0..buckets {
        let count = (requests * (bucket + 1) / buckets) - (requests * bucket / buckets);
        let number = i32::try_from(bucket - buckets / 2).unwrap();
        distribution.sketch.add(number, count.try_into().unwrap()).unwrap();
    }
    distribution.sum = u128::from(traffic.requests) * 250_000;
}

/// Gives every key its calls back.
pub async fn free_slots(client: &Client, calls: usize) {
    for number in 0..=calls / SLOTS {
        let key = key(number * SLOTS);
        let hash = keys::hash(&key);
        for item in [hash.clone(), format!("{hash}#json"), format!("floor-{key}")] {
            let delete = client.delete_item().table_name("rate_limits").key("key_hash", AttributeValue::S(item));
            delete.send().await.unwrap();
        }
    }
}
