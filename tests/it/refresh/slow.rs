//! An Athena that takes its time. A second is shortened to 20 ms, for runs and queries alike.

use std::sync::Arc;
use std::time::Duration;

use testing::athena::{Kind, Query};
use tokio::sync::Notify;
use wafer_metrics::model::window::Minute;
use wafer_metrics::refresh::Command;

use super::fixture::{Fixture, RUN_TIME, at, hours, minutes};

const HOSTS: [&str; 2] = ["a.example", "b.example"];

fn scaled(seconds: f64) -> Duration {
    Duration::from_millis(20).mul_f64(seconds)
}

fn length(query: &Query) -> f64 {
    query.ended[0].end.duration_since(query.ended[0].start).as_secs_f64() / 60.0
}

/// The lag in minutes after each run of some, the first after an outage, against an Athena whose queries take so many
/// seconds, and so many for each minute they read. All rows are counted once the Athena is fast again.
async fn lags(outage: i64, runs: usize, each: f64, per_minute: f64) -> Vec<i64> {
    let start = at("2026-11-24T20:15:30");
    let fixture = Fixture::begun(start, &HOSTS).await;
    fixture.deliver(start, start + minutes(60), 20);
    let mut refresh = fixture.refresh();
    fixture.run_until(&refresh, start + minutes(12)).await;
    fixture.athena.on_query(move |query| Ok(scaled(each + per_minute * length(query))));
    fixture.clock.advance(minutes(outage));
    let mut lags = Vec::new();
    for run in 0..runs {
        let (report, result) = fixture.run_for(&refresh, scaled(RUN_TIME.as_secs_f64())).await;
        if let Err(error) = result {
            assert!(wafer_metrics::error::chain(&error).contains("no time left"), "{error} {report:?}");
        }
        lags.push(Minute::floor(fixture.clock.now()).since(fixture.mark().await.through));
        fixture.check_as_of(&[fixture.clock.now(), fixture.clock.now() - minutes(1), start + minutes(12)]).await;
        if run % 3 == 2 {
            refresh = fixture.refresh();
        }
        fixture.clock.advance(minutes(1));
    }
    fixture.athena.on_query(|_| Ok(Duration::ZERO));
    fixture.catch_up(&refresh).await;
    fixture.check().await;
    fixture.check_items_and_totals().await;
    lags
}

#[tokio::test]
async fn queries_of_sixteen_seconds_catch_up_with_twenty_minutes() {
    let lags = lags(20, 7, 16.0, 0.0).await;
    assert!(lags.last() <= Some(&3), "{lags:?}");
}

#[tokio::test]
async fn a_usual_step_that_would_take_sixty_seconds_is_made_smaller() {
    let lags = lags(1, 9, 0.0, 5.5).await;
    assert!(lags.iter().skip(3).all(|lag| *lag <= 5), "{lags:?}");
}

#[tokio::test]
async fn single_minutes_of_twenty_seconds_stay_a_few_minutes_behind() {
    let lags = lags(1, 12, 0.0, 20.0).await;
    assert!(lags.iter().all(|lag| *lag <= 14), "{lags:?}");
}

#[tokio::test]
async fn a_step_that_kills_every_run_is_made_smaller() {
    let start = at("2026-11-24T20:15:30");
    let fixture = Fixture::begun(start, &HOSTS).await;
    fixture.deliver(start, start + hours(6), 60);
    fixture.run_until(&fixture.refresh(), start + minutes(12)).await;
    // More than eight minutes at a time are more than the function's memory holds.
    let too_many = Arc::new(Notify::new());
    let kill = Arc::clone(&too_many);
    fixture.athena.on_query(move |query| {
        if query.kind == Kind::Minutes && length(query) > 8.0 {
            kill.notify_one();
            return Ok(Duration::from_millis(300));
        }
        Ok(Duration::ZERO)
    });
    fixture.clock.advance(hours(3));
    let (mut runs, mut killed) = (0, 0);
    loop {
        let refresh = fixture.refresh();
        let ended = tokio::select! {
            ended = fixture.run_unseen(&refresh, Command::CatchUp, RUN_TIME) => Some(ended),
            () = too_many.notified() => None,
        };
        fixture.observe().await;
        runs += 1;
        killed += usize::from(ended.is_none());
        if ended.is_some_and(|(report, _)| report.complete) {
            break;
        }
        assert!(runs < 60, "{:?}", fixture.mark().await);
        fixture.clock.advance(minutes(1));
    }
    assert!(killed > 3, "{killed} of {runs}");
    fixture.athena.on_query(|_| Ok(Duration::ZERO));
    fixture.catch_up(&fixture.refresh()).await;
    fixture.check().await;
    fixture.check_items_and_totals().await;
}
