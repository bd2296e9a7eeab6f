//! Clocks that are wrong.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;
use wafer_metrics::clock::Clock;
use wafer_metrics::error::chain;
use wafer_metrics::refresh::{Command, Refresh, RefreshError, Report};

use super::fixture::{Fixture, RUN_TIME, at, hours, minutes, seconds};

const HOSTS: [&str; 2] = ["a.example", "b.example"];

/// An hour of runs until 20:59:30, and rows for two more.
async fn fixture() -> (Fixture, Refresh) {
    let start = at("2026-11-24T20:39:30");
    let fixture = Fixture::begun(start, &HOSTS).await;
    fixture.deliver(start, start + hours(2), 30);
    let refresh = fixture.refresh();
    fixture.run_until(&refresh, at("2026-11-24T20:59:30")).await;
    fixture.check().await;
    (fixture, refresh)
}

/// A run by a clock other than Athena's.
async fn run_at(refresh: &Refresh, now: Timestamp) -> (Report, Result<(), RefreshError>) {
    refresh.run(Command::CatchUp, Clock::start(now), Instant::now() + RUN_TIME).await
}

#[tokio::test]
async fn a_clock_eight_minutes_ahead_of_athenas_or_behind_it_moves_nothing_and_loses_nothing() {
    let (fixture, refresh) = fixture().await;
    fixture.clock.advance(minutes(1));
    let before = fixture.mark().await;
    for apart in [minutes(8), minutes(-8), seconds(75), seconds(-100)] {
        // Far enough that there are minutes to be read by either clock.
        let now = fixture.clock.now();
        fixture.clock.set(now + minutes(9));
        let (report, result) = run_at(&refresh, now + minutes(9) + apart).await;
        let error = result.unwrap_err();
        assert!(matches!(error, RefreshError::ClocksApart(_)), "{} {report:?}", chain(&error));
        let mark = fixture.mark().await;
        assert_eq!((mark.through, mark.settled, mark.sealed), (before.through, before.settled, before.sealed));
        assert_eq!(report.items_written, 0);
        fixture.clock.set(now);
    }
    fixture.clock.advance(minutes(20));
    fixture.catch_up(&refresh).await;
    fixture.check().await;
    fixture.check_items_and_totals().await;
}

#[tokio::test]
async fn what_is_settled_is_told_by_athenas_clock() {
    let (fixture, refresh) = fixture().await;
    let now = fixture.clock.now() + minutes(1);
    fixture.clock.set(now - seconds(40));
    let (_, result) = run_at(&refresh, now).await;
    result.unwrap();
    // 600 s before Athena's 20:59:50, not before our own 21:00:30.
    assert_eq!(fixture.mark().await.settled.to_string(), "2026-11-24T20:49");
}

#[tokio::test]
async fn a_watermark_ahead_of_the_clock_is_an_error_and_its_window_is_not_answered() {
    let (fixture, refresh) = fixture().await;
    // Every clock was eight minutes ahead for a while.
    fixture.clock.advance(minutes(8));
    fixture.completes(&refresh).await;
    let mark = fixture.mark().await;
    fixture.clock.advance(minutes(-8));
    for _ in 0..5 {
        fixture.clock.advance(minutes(1));
        let (report, result) = fixture.run(&refresh).await;
        assert!(matches!(result, Err(RefreshError::WatermarkAhead(_))), "{result:?}");
        assert_eq!((report.queries, fixture.mark().await), (0, mark.clone()));
        let reply = fixture.scrape().await;
        assert_eq!((reply.status, reply.code().as_str()), (502, "summary_failed"));
    }
    // The rows that came meanwhile are counted once the clock has caught up.
    fixture.clock.set(at("2026-11-24T21:30:30"));
    fixture.catch_up(&refresh).await;
    fixture.check().await;
    fixture.check_items_and_totals().await;
}

#[tokio::test]
async fn a_clock_that_steps_back_moves_nothing_back() {
    let (fixture, refresh) = fixture().await;
    let now = fixture.clock.now();
    let through = fixture.mark().await.through;
    fixture.clock.set(now - seconds(100));
    let (report, result) = fixture.run_for(&refresh, Duration::from_secs(5)).await;
    result.unwrap();
    assert_eq!((report.complete, report.queries, report.items_written), (true, 0, 0));
    assert_eq!(fixture.mark().await.through, through);
    fixture.clock.set(now);
    fixture.run_until(&refresh, now + minutes(3)).await;
    fixture.check().await;
    fixture.check_items_and_totals().await;
}
