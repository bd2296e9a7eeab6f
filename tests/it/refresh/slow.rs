//! An Athena that takes its time. A second is shortened to 20 ms, for runs and queries alike.

use std::sync::Arc;
use std::time::Duration;

use testing::athena::{Kind, Query};
use tokio::sync::Notify;
use wafer_metrics::model::window::Minute;
use wafer_metrics::refresh::Command;

use super::fixture::{Fixture, RUN_TIME, at, hours, minutes, seconds};

const HOSTS: [&str; 2] = ["a.example", "b.example"];

/// What a run has on Lambda.
const RUN_SECONDS: f64 = 50.0;

fn scaled(seconds: f64) -> Duration {
    Duration::from_millis(20).mul_f64(seconds)
}

fn length(query: &Query) -> f64 {
    query.ended[0].end.duration_since(query.ended[0].start).as_secs_f64() / 60.0
}

/// After an outage of so many minutes, against an Athena whose queries take so many seconds, and so many for each
/// minute they read: runs move on until all minutes of the outage are read, and each row counts once. How far behind
/// they are meanwhile depends on the machine here, and is held where time is computed: `refresh::plan`.
async fn catches_up(outage: i64, each: f64, per_minute: f64) {
    let start = at("2026-11-24T20:15:30");
    let fixture = Fixture::begun(start, &HOSTS).await;
    fixture.deliver(start, start + minutes(120), 20);
    let mut refresh = fixture.refresh();
    fixture.run_until(&refresh, start + minutes(12)).await;
    fixture.athena.on_query(move |query| Ok(scaled(each + per_minute * length(query))));
    fixture.clock.advance(minutes(outage));
    let due = Minute::floor(fixture.clock.now() - seconds(fixture.settle));
    for run in 1.. {
        let (report, result) = fixture.run_for(&refresh, scaled(RUN_SECONDS)).await;
        if let Err(error) = result {
            assert!(wafer_metrics::error::chain(&error).contains("no time left"), "{error} {report:?}");
        }
        fixture.check_as_of(&[fixture.clock.now(), fixture.clock.now() - minutes(1), start + minutes(12)]).await;
        let through = fixture.mark().await.through;
        if through >= due {
            break;
        }
        assert!(run < 60, "{through} of {due}");
        if run % 3 == 0 {
            refresh = fixture.refresh();
        }
        fixture.clock.advance(minutes(1));
    }
    fixture.athena.on_query(|_| Ok(Duration::ZERO));
    fixture.catch_up(&refresh).await;
    fixture.check().await;
    fixture.check_items_and_totals().await;
}

#[tokio::test]
async fn queries_of_sixteen_seconds_catch_up_with_twenty_minutes() {
    catches_up(20, 16.0, 0.0).await;
}

#[tokio::test]
async fn a_usual_step_that_would_take_sixty_seconds_is_made_smaller() {
    catches_up(1, 0.0, 5.5).await;
}

#[tokio::test]
async fn single_minutes_of_twenty_seconds_are_read_all_the_same() {
    catches_up(1, 0.0, 20.0).await;
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
