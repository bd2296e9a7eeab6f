//! Refreshes of one more minute.

use std::time::{Duration, Instant};

use athena_endpoint::Athena;
use jiff::SignedDuration;
use local_athena::DataFusion;
use local_stack::lambdas;
use testing::rollups::{self, watermark};
use testing::{dynamodb, listen};
use wafer_metrics::clock::Clock;
use wafer_metrics::model::watermark::Watermark;
use wafer_metrics::model::window::Minute;
use wafer_metrics::refresh::{Command, Report};

use crate::{RUNS, client, logs, now, refresher};

pub const HEADING: &str = "\
| rows a day | endpoints | hours of logs | refresh | Athena | bytes scanned | rows returned \
| items written cold | warm |
|---|---|---|---|---|---|---|---|---|";

/// Refreshes of one more minute, over logs of 2 and of 24 h.
pub async fn refreshes(rows_a_day: u64, endpoints: usize) {
    let folder = tempfile::tempdir().unwrap();
    let hosts: Vec<&'static str> =
        (0..endpoints).map(|number| -> &'static str { format!("h{number}.example").leak() }).collect();
    let gap_us = 86_400_000_000 / i64::try_from(rows_a_day).unwrap();
    let hour_before = |ago: i64| now() - SignedDuration::from_hours(ago);
    for hours in [2, 24] {
        let written = if hours == 2 { 0..2 } else { 2..24 };
        for ago in written {
            logs::write(folder.path(), &hosts, hour_before(ago + 1), hour_before(ago), gap_us);
        }
        let database = dynamodb::start().await;
        let (listener, athena) = listen().await;
        let athena_clock = testing::clock::Clock::new(now());
        let engine = DataFusion::new(folder.path(), lambdas::DATABASE, lambdas::REQUEST_LOGS).unwrap();
        tokio::spawn(Athena::new(engine, athena_clock.shared()).serve(listener));
        let rollups = rollups::writer(&client(database));
        let through = Minute::floor(now()).plus(-3 - i64::try_from(RUNS).unwrap());
        // Ten minutes may still change, as ever.
        let mark = Watermark { settled: through.plus(-10), ..watermark(through, through.hour()) };
        rollups.put_watermark(&mark, None).await.unwrap();
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
