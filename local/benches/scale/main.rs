//! What a refresh and a scrape cost as traffic, endpoints and the day grow, and what one would run instead of them.
//! Figures for docs/numbers.md.
//!
//! `ROWS` holds the rows a day to try, in millions, separated by commas; `EXPORTER` the command that starts the
//! exporter of benches/exporter.py.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on ends")]

mod exporter;
mod instead;
mod logs;
mod processor;
mod refreshes;
mod scrapes;

use std::net::SocketAddr;

use aws_sdk_dynamodb::Client;
use jiff::Timestamp;
use local_stack::lambdas;
use testing::sdk_config;
use wafer_metrics::refresh::Refresh;
use wafer_metrics::settings::RefreshSettings;
use wafer_metrics::stores::aws;
use wafer_metrics::stores::request_logs::Polling;

const MINUTES: i64 = 24 * 60;
/// Runs of which the median is reported.
const RUNS: usize = 5;

/// Of more rows of 2,000 endpoints the local engine cannot sort ten minutes in the memory that it has.
const MOST_ROWS: u64 = 10_000_000;

/// In the middle of an hour: none is sealed while it is measured.
fn now() -> Timestamp {
    "2026-11-24T20:30:30Z".parse().unwrap()
}

#[tokio::main]
async fn main() {
    let millions = std::env::var("ROWS").unwrap_or_else(|_| "1,10".to_owned());
    let rows_a_day = || millions.split(',').map(|millions| millions.trim().parse::<u64>().unwrap() * 1_000_000);
    println!("{}", instead::HEADING);
    for rows_a_day in rows_a_day() {
        instead::compare(rows_a_day).await;
    }
    println!("\n{}", refreshes::HEADING);
    for rows_a_day in rows_a_day().filter(|rows| *rows <= MOST_ROWS) {
        for endpoints in [1, 100, 2_000] {
            refreshes::refreshes(rows_a_day, endpoints).await;
        }
    }
    println!("\n{}", scrapes::HEADING);
    for requests_a_minute in [10, 1_000, 100_000] {
        for endpoints in [1, 20] {
            scrapes::scrapes(requests_a_minute, endpoints).await;
        }
    }
}

fn refresher(database: SocketAddr, athena: SocketAddr) -> Refresh {
    let settings = RefreshSettings::from_lookup(lambdas::setting).unwrap();
    Refresh::new(settings, aws::athena(&sdk_config(athena)), Polling::default(), client(database))
}

fn client(database: SocketAddr) -> Client {
    aws::dynamodb_for_refresh(&sdk_config(database))
}
