//! What one would run instead: a query over 24 h for each scrape, and a small exporter that keeps its answer for a
//! minute.

use std::time::{Duration, Instant};

use athena_endpoint::{Athena, Engine};
use jiff::SignedDuration;
use local_athena::DataFusion;
use local_stack::lambdas;
use testing::calls::{self, Event};
use testing::keys::put_key;
use testing::{dynamodb, listen, rollups};
use wafer_metrics::clock::Clock;
use wafer_metrics::model::window::Minute;
use wafer_metrics::refresh::{Command, Refresh, Report};

use crate::exporter::Exporter;
use crate::{MINUTES, RUNS, client, logs, now, processor, refresher};

pub const HEADING: &str = "\
| rows a day | answered by | latency ms | of ours | CPU ms | bytes an hour, 1 scraper | 10 | 100 | of ours at 10 |
|---|---|---|---|---|---|---|---|---|";

const HOST: &str = "h0.example";
/// Each scraper asks once a minute.
const SCRAPES_AN_HOUR: u64 = 60;
const SCRAPES: usize = 200;
/// What a delivery stream collects into one file.
const FILE_MINUTES: i64 = 5;

fn key(number: usize) -> String {
    format!("instead-{number}")
}

struct Cost {
    latency: Duration,
    processor: Duration,
}

struct Row {
    name: &'static str,
    cost: Cost,
    /// With 1, 10 and 100 scrapers.
    bytes_an_hour: [u64; 3],
}

/// All three over the same day of one endpoint.
pub async fn compare(rows_a_day: u64) {
    let folder = tempfile::tempdir().unwrap();
    let gap_us = 86_400_000_000 / i64::try_from(rows_a_day).unwrap();
    let file_before = |ago: i64| now() - SignedDuration::from_mins(ago * FILE_MINUTES);
    for ago in 0..26 * 60 / FILE_MINUTES {
        logs::write(folder.path(), &[HOST], file_before(ago + 1), file_before(ago), gap_us);
    }
    let engine = || DataFusion::new(folder.path(), lambdas::DATABASE, lambdas::REQUEST_LOGS).unwrap();
    let clock = testing::clock::Clock::new(now());
    let (listener, athena) = listen().await;
    tokio::spawn(Athena::new(engine(), clock.shared()).serve(listener));
    let (ours, requests, end) = ours(athena, &clock).await;
    let query = query(end);
    let one_query = one_query(&engine(), &query, requests).await;
    let scanned = one_query.1;
    let exporter = Exporter::start(athena, &query);
    let rows = [
        ours,
        Row {
            name: "a query for each scrape",
            cost: one_query.0,
            bytes_an_hour: [1, 10, 100].map(|scrapers| scrapers * SCRAPES_AN_HOUR * scanned),
        },
        Row {
            name: "the exporter, once a minute",
            cost: exported(&exporter, true),
            bytes_an_hour: [SCRAPES_AN_HOUR * scanned; 3],
        },
        Row {
            name: "the exporter, from its cache",
            cost: exported(&exporter, false),
            bytes_an_hour: [SCRAPES_AN_HOUR * scanned; 3],
        },
    ];
    for Row { name, cost, bytes_an_hour } in &rows {
        let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
        println!(
            "| {rows_a_day} | {name} | {:.2} | {:.1} x | {:.2} | {} | {} | {} | {} x |",
            milliseconds(cost.latency),
            cost.latency.as_secs_f64() / rows[0].cost.latency.as_secs_f64(),
            milliseconds(cost.processor),
            bytes_an_hour[0],
            bytes_an_hour[1],
            bytes_an_hour[2],
            bytes_an_hour[1] / rows[0].bytes_an_hour[1],
        );
    }
}

/// Fills the tables from the logs, and scrapes. Also the requests of the window, and its end.
async fn ours(athena: std::net::SocketAddr, clock: &testing::clock::Clock) -> (Row, u64, Minute) {
    let database = dynamodb::start().await;
    let dynamodb = client(database);
    let refresh = refresher(database, athena);
    let run = async |refresh: &Refresh, ago: i64| -> Report {
        let now = now() - SignedDuration::from_mins(ago);
        clock.set(now);
        // As in production: in a longer run the clock of Athena, which stands still here, would be too far behind.
        let deadline = tokio::time::Instant::now() + Duration::from_secs(50);
        let (report, result) = refresh.run(Command::CatchUp, Clock::start(now), deadline).await;
        result.unwrap();
        report
    };
    // Up to the last minutes, then one run for each; of the first hour after the fill the seal is counted too.
    let mut filled = run(&refresh, 35).await;
    while filled.minutes_behind != Some(0) || filled.hours_unsealed != Some(0) {
        filled = run(&refresh, 35).await;
    }
    let mut scanned = 0;
    for ago in (0..35).rev() {
        scanned += run(&refresh, ago).await.scanned_bytes;
    }
    let bytes_an_hour = scanned * 60 / 35;

    let (mut times, mut requests) = (Vec::new(), 0);
    let service = calls::scrape(&dynamodb);
    for number in 0..=SCRAPES {
        put_key(&dynamodb, &key(number), "metrics", &[HOST], &[]).await;
    }
    let before = processor::time(std::process::id());
    for number in 0..=SCRAPES {
        let key = key(number);
        let started = Instant::now();
        let reply = calls::call(&service, &Event::scrape().endpoints(&[HOST]).key(&key), now()).await;
        times.push(started.elapsed());
        assert_eq!(reply.status, 200, "{}", reply.body);
        requests = reply.value("wafer_requests_last_24h").unwrap().parse().unwrap();
    }
    let worked = processor::time(std::process::id()).saturating_sub(before);
    times.remove(0);
    times.sort();
    let cost = Cost { latency: times[SCRAPES / 2], processor: worked / u32::try_from(SCRAPES).unwrap() };
    let mark = rollups::writer(&dynamodb).watermark().await.unwrap().unwrap().value;
    (Row { name: "a scrape", cost, bytes_an_hour: [bytes_an_hour; 3] }, requests, mark.through)
}

/// The engine alone, without Athena's calls around it; also the bytes that one query scans.
async fn one_query(engine: &DataFusion, query: &str, requests: u64) -> (Cost, u64) {
    let (mut times, mut scanned) = (Vec::new(), 0);
    let before = processor::time(std::process::id());
    for _ in 0..RUNS {
        let started = Instant::now();
        let answer = engine.run(query, None).await.unwrap();
        times.push(started.elapsed());
        scanned = answer.scanned_bytes;
        let counted: u64 =
            answer.result.rows.iter().map(|row| row[1].as_deref().unwrap().parse::<u64>().unwrap()).sum();
        assert_eq!(counted, requests, "the query and the scrape are not of the same window");
    }
    let worked = processor::time(std::process::id()).saturating_sub(before);
    times.sort();
    (Cost { latency: times[RUNS / 2], processor: worked / u32::try_from(RUNS).unwrap() }, scanned)
}

/// The processor's time is the exporter's and the engine's.
fn exported(exporter: &Exporter, anew: bool) -> Cost {
    let worked = || processor::time(exporter.process()) + processor::time(std::process::id());
    exporter.scrape();
    let (mut times, mut processor) = (Vec::new(), Duration::ZERO);
    for _ in 0..RUNS {
        if anew {
            exporter.forget();
        }
        let (before, started) = (worked(), Instant::now());
        assert!(exporter.scrape().contains("llm_requests"));
        times.push(started.elapsed());
        processor += worked().saturating_sub(before);
    }
    times.sort();
    Cost { latency: times[RUNS / 2], processor: processor / u32::try_from(RUNS).unwrap() }
}

/// What the scrape's window says, as one would ask for it. Copies are not looked for.
fn query(end: Minute) -> String {
    let (start, end) = (end.plus(-MINUTES), end);
    let time = |minute: Minute| minute.to_string().replace('T', " ") + ":00";
    let quantiles = |column: &str, quantiles: &[u8]| {
        let of = |percent: &u8| {
            format!("approx_percentile_cont(0.{percent:02}) WITHIN GROUP (ORDER BY {column}) AS {column}_p{percent}")
        };
        quantiles.iter().map(of).collect::<Vec<_>>().join(", ")
    };
    format!(
        "SELECT status_code / 100 AS status_class, count(*) AS requests, sum(input_tokens) AS input_tokens, \
         sum(output_tokens) AS output_tokens, sum(cache_read_tokens) AS cache_read_tokens, {}, {} \
         FROM request_logs WHERE hour BETWEEN '{}' AND '{}' \
         AND ended_at >= TIMESTAMP '{}' AND ended_at < TIMESTAMP '{}' AND endpoint = '{HOST}' \
         GROUP BY status_code / 100",
        quantiles("ttft_ms", &[50, 90, 95, 99]),
        quantiles("total_latency_ms", &[50, 90, 99]),
        start.hour().to_string().replace('T', "-"),
        end.hour().to_string().replace('T', "-"),
        time(start),
        time(end),
    )
}
