//! Two runs at a time.

use std::sync::Arc;

use testing::proxy::Proxy;
use tokio::task::JoinHandle;
use wafer_metrics::clock::Clock;
use wafer_metrics::refresh::{Command, Refresh, Report};

use super::fixture::{Fixture, RUN_TIME, at, hours, minutes};

const HOSTS: [&str; 2] = ["a.example", "b.example"];

/// A run at the clock's time, in the background.
fn spawn(fixture: &Fixture, refresh: &Arc<Refresh>) -> JoinHandle<Report> {
    let (refresh, clock) = (Arc::clone(refresh), Clock::start(fixture.clock.now()));
    tokio::spawn(async move {
        let (report, result) = refresh.run(Command::CatchUp, clock, clock.started() + RUN_TIME).await;
        result.unwrap();
        report
    })
}

/// Stops a run before its call of that number, or once that is carried out, lets a younger one go all the way, and the
/// older one after it. Whether the older one made so many calls.
async fn overtaken_at(fixture: &Fixture, call: usize, acted: bool) -> bool {
    let (older, way) = fixture.another_refresh().await;
    if acted {
        way.step_acting(call);
    } else {
        way.step(call);
    }
    let mut running = spawn(fixture, &Arc::new(older));
    let held = tokio::select! {
        () = way.held() => true,
        ended = &mut running => { ended.unwrap(); false },
    };
    fixture.clock.advance(minutes(1));
    fixture.completes(&fixture.refresh()).await;
    fixture.check().await;
    way.run();
    if held {
        running.await.unwrap();
        fixture.observe().await;
        fixture.check().await;
    }
    held
}

#[tokio::test]
async fn a_run_that_is_overtaken_at_any_of_its_calls_changes_nothing() {
    let start = at("2026-11-24T20:01:30");
    let fixture = Fixture::begun(start, &HOSTS).await;
    fixture.deliver(start, start + minutes(120), 20);
    for acted in [false, true] {
        let mut calls = 0;
        loop {
            fixture.clock.advance(minutes(1));
            if !overtaken_at(&fixture, calls, acted).await {
                break;
            }
            calls += 1;
        }
        assert!(calls > 6, "{calls}");
    }
    fixture.check_items_and_totals().await;
}

#[tokio::test]
async fn a_run_that_is_overtaken_at_any_call_of_its_seal_changes_nothing() {
    let start = at("2026-11-24T00:11:30");
    let fixture = Fixture::begun(start, &HOSTS).await;
    fixture.deliver(start, start + hours(48), 300);
    let refresh = fixture.refresh();
    let mut now = start;
    for acted in [false, true] {
        let mut calls = 0;
        loop {
            // The hour's end is settled with the run at 12:30 past.
            now += minutes(60);
            fixture.clock.set(now - minutes(1));
            fixture.completes(&refresh).await;
            fixture.clock.set(now);
            if !overtaken_at(&fixture, calls, acted).await {
                break;
            }
            calls += 1;
        }
        assert!(calls > 8, "{calls}");
    }
    fixture.check_items_and_totals().await;
}

/// Lets two runs make their calls in turns: one as many as given, then the other.
async fn in_turns(turns: [usize; 2], mut runs: [(JoinHandle<Report>, Proxy); 2]) {
    let mut ended = [false; 2];
    while ended != [true; 2] {
        for (run, turns) in turns.into_iter().enumerate() {
            for _ in 0..turns {
                let (running, way) = &mut runs[run];
                if ended[run] {
                    break;
                }
                tokio::select! {
                    () = way.held() => way.permit(),
                    report = running => { report.unwrap(); ended[run] = true; },
                }
            }
        }
    }
}

#[tokio::test]
async fn two_runs_whose_calls_alternate_come_to_what_one_does() {
    let start = at("2026-11-24T00:11:30");
    let fixture = Fixture::begun(start, &HOSTS).await;
    fixture.deliver(start, start + hours(30), 300);
    let mut now = start;
    // A usual minute, one with a seal, and an outage of some hours, each in every rhythm.
    for minutes_later in [1, 60, 190] {
        for turns in [[1, 1], [2, 1], [1, 3], [5, 2]] {
            now += minutes(minutes_later);
            fixture.clock.set(now);
            let mut runs = Vec::new();
            for _ in 0..2 {
                let (refresh, way) = fixture.another_refresh().await;
                way.step(0);
                runs.push((spawn(&fixture, &Arc::new(refresh)), way));
            }
            in_turns(turns, runs.try_into().unwrap_or_else(|_| unreachable!("they are two"))).await;
            fixture.observe().await;
            fixture.catch_up(&fixture.refresh()).await;
            fixture.check().await;
        }
    }
    fixture.check_items_and_totals().await;
}

#[tokio::test]
async fn two_first_fills_at_once_come_to_what_one_does() {
    let now = at("2026-11-24T20:15:30");
    let fixture = Fixture::new(now, &HOSTS).await;
    fixture.deliver(now - hours(26), now, 400);
    let (one, other) = (Arc::new(fixture.refresh()), Arc::new(fixture.refresh()));
    let (one, other) = tokio::join!(spawn(&fixture, &one), spawn(&fixture, &other));
    one.unwrap();
    other.unwrap();
    fixture.observe().await;
    fixture.catch_up(&fixture.refresh()).await;
    fixture.check().await;
    fixture.check_items_and_totals().await;
}
