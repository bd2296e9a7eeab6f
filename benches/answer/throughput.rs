//! How many scrapes one warm instance answers in a second, with a thousand keys, and beside a flood of bad keys.

use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use testing::calls::{self, Event};
use wafer_metrics::answer::Service;

use crate::answers::SCRAPE;
use crate::database::Database;
use crate::tables::{self, NOW, SLOTS};

/// What the process is told to be.
pub const ROLE: &str = "throughput";

const KEYS: usize = 1_000;
const AT_ONCE: usize = 16;
/// Bad keys for each good one.
const FLOOD: usize = 4;

#[tokio::main(flavor = "current_thread")]
pub async fn measure() {
    let database = Database::start(KEYS * SLOTS);
    let service = calls::scrape(&calls::impatient_client(database.address));
    println!(
        "| calls | at once | good scrapes a second | p50 of the good ms | p99 of the good ms |\n|---|---|---|---|---|"
    );
    take("warming up", &service, 1, 0).await;
    for (name, at_once, bad) in [("good", 1, 0), ("good", AT_ONCE, 0), ("one good among five", AT_ONCE, FLOOD)] {
        println!("{}", take(name, &service, at_once, bad).await);
    }
}

async fn take(name: &str, service: &Service, at_once: usize, bad: usize) -> String {
    let calls = (0..KEYS).flat_map(|key| (0..=bad).map(move |other| (key, other > 0)));
    let calls = calls.map(|(key, is_bad)| async move {
        let key = if is_bad { format!("unknown-key-{key}") } else { tables::key(key * SLOTS) };
        let event = Event::scrape().path(SCRAPE).endpoints(&[tables::DEMO_ENDPOINT]).key(&key);
        let started = Instant::now();
        let reply = calls::call(service, &event, NOW.parse().unwrap()).await;
        let took = started.elapsed();
        assert_eq!(reply.status, if is_bad { 401 } else { 200 }, "{}", reply.body);
        (!is_bad).then_some(took)
    });
    let started = Instant::now();
    let mut times: Vec<Duration> =
        stream::iter(calls).buffer_unordered(at_once).filter_map(async |took| took).collect().await;
    let took = started.elapsed();
    times.sort();
    let milliseconds = |percent: usize| times[KEYS * percent / 100].as_secs_f64() * 1e3;
    let a_second = u128::try_from(KEYS).unwrap() * 1_000 / took.as_millis();
    format!("| {name} | {at_once} | {a_second} | {:.2} | {:.2} |", milliseconds(50), milliseconds(99))
}
