//! An Athena and a DynamoDB that fail.

use std::time::Duration;

use testing::logs::Row;
use testing::proxy::Fault;
use wafer_metrics::error::chain;
use wafer_metrics::model::host::Host;
use wafer_metrics::model::window::Minute;
use wafer_metrics::refresh::{Command, Refresh};
use wafer_metrics::stores::rollups::{MinuteChange, PutOutcome, Transaction};

use super::fixture::{Fixture, at, hours, minutes};
use crate::fixture::requests;

const HOSTS: [&str; 2] = ["a.example", "b.example"];

/// Twenty minutes of runs, and a minute that is due.
async fn fixture() -> (Fixture, Refresh) {
    let start = at("2026-11-24T20:39:30");
    let fixture = Fixture::begun(start, &HOSTS).await;
    fixture.deliver(start, start + hours(1), 20);
    let refresh = fixture.refresh();
    fixture.run_until(&refresh, at("2026-11-24T20:59:30")).await;
    fixture.clock.advance(minutes(1));
    (fixture, refresh)
}

/// Everything is made good by a run.
async fn made_good(fixture: &Fixture, refresh: &Refresh) {
    let before = fixture.mark().await.through;
    fixture.completes(refresh).await;
    assert!(fixture.mark().await.through > before);
    fixture.check().await;
    fixture.check_items_and_totals().await;
}

fn execution(state: &str) -> Fault {
    let status = format!(r#"{{"State":"{state}","StateChangeReason":"GENERIC_INTERNAL_ERROR: {state}"}}"#);
    Fault::Answer(200, format!(r#"{{"QueryExecution":{{"QueryExecutionId":"x","Status":{status}}}}}"#))
}

fn athena_throttled() -> Fault {
    Fault::Answer(400, r#"{"__type":"TooManyRequestsException","Message":"Rate exceeded"}"#.to_owned())
}

#[tokio::test]
async fn an_athena_that_fails_leaves_the_watermark_and_the_next_run_makes_it_good() {
    let (fixture, refresh) = fixture().await;
    let (mark, as_of) = (fixture.mark().await, [fixture.clock.now() - minutes(1), fixture.clock.now()]);
    for (call, fault, cause) in [
        ("StartQueryExecution", athena_throttled(), "StartQueryExecution failed"),
        ("StartQueryExecution", Fault::Closed, "StartQueryExecution failed"),
        ("GetQueryExecution", athena_throttled(), "GetQueryExecution failed"),
        ("GetQueryExecution", execution("FAILED"), "FAILED: GENERIC_INTERNAL_ERROR: FAILED"),
        ("GetQueryExecution", execution("CANCELLED"), "CANCELLED: GENERIC_INTERNAL_ERROR: CANCELLED"),
        ("GetQueryExecution", execution("SUCCEEDED"), "no submission time"),
        ("GetQueryResults", athena_throttled(), "GetQueryResults failed"),
        ("GetQueryResults", Fault::Answer(200, "{}".to_owned()), "no header row"),
        ("GetQueryResults", Fault::Truncated, "GetQueryResults failed"),
    ] {
        fixture.to_athena.breaks(call, fault.clone());
        let error = fixture.run(&refresh).await.1.unwrap_err();
        assert!(chain(&error).contains(cause), "{call} {fault:?}: {}", chain(&error));
        assert_eq!(fixture.mark().await, mark);
        fixture.check_as_of(&as_of).await;
        fixture.to_athena.mends(call);
    }
    made_good(&fixture, &refresh).await;
}

#[tokio::test]
async fn an_athena_that_is_throttled_now_and_then_is_asked_again() {
    let (fixture, refresh) = fixture().await;
    for call in ["StartQueryExecution", "GetQueryExecution", "GetQueryResults"] {
        fixture.to_athena.breaks_times(2, call, athena_throttled());
    }
    made_good(&fixture, &refresh).await;
    fixture.clock.advance(minutes(1));
    fixture.to_athena.breaks_times(3, "GetQueryExecution", execution("QUEUED"));
    made_good(&fixture, &refresh).await;
}

#[tokio::test]
async fn a_query_whose_start_was_answered_into_the_void_is_started_once() {
    let (fixture, refresh) = fixture().await;
    let started = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = std::sync::Arc::clone(&started);
    fixture.athena.on_query(move |_| {
        count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Ok(Duration::ZERO)
    });
    fixture.to_athena.breaks_times(1, "StartQueryExecution", Fault::AnswerLost);
    made_good(&fixture, &refresh).await;
    assert_eq!(started.load(std::sync::atomic::Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_query_that_is_queued_until_the_time_runs_out_is_stopped_and_the_run_is_not_taken_for_a_good_one() {
    let (fixture, refresh) = fixture().await;
    fixture.to_athena.calls();
    fixture.to_athena.breaks("GetQueryExecution", execution("QUEUED"));
    for _ in 0..3 {
        let (report, result) = fixture.run_for(&refresh, Duration::from_secs(1)).await;
        assert!(chain(&result.unwrap_err()).contains("no time left") && !report.complete);
        assert_eq!(fixture.to_athena.calls().last().unwrap(), "StopQueryExecution");
    }
    fixture.to_athena.mends("GetQueryExecution");
    made_good(&fixture, &refresh).await;
}

#[tokio::test]
async fn a_run_that_stored_nothing_in_its_time_is_not_taken_for_a_good_one() {
    let (fixture, refresh) = fixture().await;
    let before = fixture.mark().await.through;
    fixture.to_dynamodb.breaks("TransactWriteItems", Fault::Hangs);
    let (report, result) = fixture.run_for(&refresh, Duration::from_secs(1)).await;
    assert!(chain(&result.unwrap_err()).contains("no time left") && !report.complete, "{report:?}");
    assert_eq!((fixture.mark().await.through, report.minutes_behind), (before, Some(1)));
    fixture.to_dynamodb.mends("TransactWriteItems");
    made_good(&fixture, &refresh).await;
}

#[tokio::test]
async fn a_run_whose_time_is_up_while_it_stores_ends_and_the_next_goes_on_from_there() {
    let start = at("2026-11-24T20:39:30");
    let hosts: Vec<&'static str> =
        (0..20).map(|number| &*Box::leak(format!("h{number}.example").into_boxed_str())).collect();
    let fixture = Fixture::begun(start, &hosts).await;
    fixture.deliver(start, start + hours(1), 40);
    let refresh = fixture.refresh();
    fixture.clock.advance(minutes(2));
    fixture.completes(&refresh).await;
    fixture.clock.advance(minutes(1));
    // Less than all endpoints of the minute.
    fixture.to_dynamodb.step(20);
    let (report, result) = fixture.run_unseen(&fixture.refresh(), Command::CatchUp, Duration::from_millis(700)).await;
    result.unwrap_err();
    assert!(!report.complete, "{report:?}");
    fixture.to_dynamodb.given_up().await;
    fixture.to_dynamodb.run();
    fixture.observe().await;
    let report = fixture.completes(&fixture.refresh()).await;
    assert!(report.items_unchanged > 0, "{report:?}");
    fixture.check().await;
    fixture.check_items_and_totals().await;
}

#[tokio::test]
async fn a_dynamodb_that_fails_leaves_the_watermark_and_the_next_run_makes_it_good() {
    let (fixture, refresh) = fixture().await;
    let (mark, as_of) = (fixture.mark().await, [fixture.clock.now() - minutes(1), fixture.clock.now()]);
    let faults = [
        ("GetItem rollups", Fault::throttled()),
        ("TransactWriteItems", Fault::server_error()),
        ("TransactWriteItems", Fault::AnswerLost),
        ("PutItem rollups", Fault::throttled()),
        ("PutItem rollups", Fault::server_error()),
        ("PutItem rollups", Fault::Closed),
    ];
    for (call, fault) in faults {
        fixture.to_dynamodb.breaks(call, fault);
        fixture.run(&refresh).await.1.unwrap_err();
        assert_eq!(fixture.mark().await, mark);
        fixture.check_as_of(&as_of).await;
        fixture.to_dynamodb.mends(call);
    }
    made_good(&fixture, &refresh).await;
}

#[tokio::test]
async fn answers_of_dynamodb_that_are_lost_now_and_then_count_nothing_twice() {
    let (fixture, refresh) = fixture().await;
    for call in ["GetItem rollups", "TransactWriteItems", "PutItem rollups"] {
        for fault in [Fault::AnswerLost, Fault::server_error(), Fault::throttled()] {
            fixture.to_dynamodb.breaks_times(1, call, fault);
            made_good(&fixture, &refresh).await;
            fixture.clock.advance(minutes(1));
        }
    }
}

#[tokio::test]
async fn an_older_run_that_ends_late_overwrites_nothing_newer() {
    let (fixture, _) = fixture().await;
    // It has read its minutes and is about to store them.
    let (older, way) = fixture.another_refresh().await;
    way.step(5);
    let clock = wafer_metrics::clock::Clock::start(fixture.clock.now());
    let running =
        tokio::spawn(
            async move { older.run(Command::CatchUp, clock, clock.started() + Duration::from_secs(50)).await },
        );
    way.held().await;
    fixture.clock.advance(minutes(1));
    let ended = (fixture.clock.now() - minutes(6)).as_millisecond();
    let late = HOSTS.map(|host| Row::ok(host, "late", ended));
    fixture.athena.deliver(fixture.clock.now(), late.into());
    fixture.completes(&fixture.refresh()).await;
    let mark = fixture.mark().await;
    way.run();
    let (report, result) = running.await.unwrap();
    result.unwrap();
    assert!(report.items_superseded > 0, "{report:?}");
    assert_eq!(fixture.mark().await, mark);
    fixture.check().await;
    fixture.check_items_and_totals().await;
}

#[tokio::test]
async fn a_write_over_another_version_than_the_one_that_was_read_is_refused() {
    let fixture = Fixture::begun(at("2026-11-24T20:39:30"), &HOSTS).await;
    let (rollups, host, minute) =
        (fixture.rollups(), Host::parse(HOSTS[0]).unwrap(), Minute::floor(fixture.clock.now()));
    let write = async |count, minute_replaces, total_replaces| {
        let summary = requests(&[(200, count)]);
        let total = (summary.coarse(), total_replaces);
        let minutes = vec![MinuteChange { period: minute, summary, replaces: minute_replaces }];
        let transaction = Transaction { minutes, hour: None, total: Some(total), as_of: fixture.clock.now() };
        rollups.write(&host, &transaction).await.unwrap()
    };
    assert_eq!(write(1, None, None).await, PutOutcome::Stored);
    for (minute, total) in [(None, Some(1)), (Some(1), None), (Some(2), Some(1)), (Some(1), Some(2))] {
        assert_eq!(write(2, minute, total).await, PutOutcome::Overtaken);
    }
    assert_eq!(rollups.total(&host).await.unwrap().unwrap().value.requests(), 1);
    assert_eq!(write(2, Some(1), Some(1)).await, PutOutcome::Stored);
    assert_eq!(rollups.total(&host).await.unwrap().unwrap().value.requests(), 2);
    let mark = fixture.mark().await;
    assert_eq!(rollups.put_watermark(&mark, Some(7)).await.unwrap(), None);
    assert_eq!(rollups.put_watermark(&mark, None).await.unwrap(), Some(1), "it stands there already");
}

#[tokio::test]
async fn a_run_that_finds_nothing_due_asks_nobody_but_the_watermark() {
    let (fixture, refresh) = fixture().await;
    fixture.completes(&refresh).await;
    fixture.to_athena.calls();
    fixture.to_dynamodb.calls();
    let report = fixture.completes(&refresh).await;
    assert_eq!((report.queries, fixture.to_athena.calls().len()), (0, 0));
    assert_eq!(fixture.to_dynamodb.calls(), ["GetItem rollups"]);
}

#[tokio::test]
async fn a_warm_instance_reads_no_minute_and_writes_only_what_is_new() {
    let start = at("2026-11-24T20:15:30");
    let fixture = Fixture::begun(start, &HOSTS).await;
    for minute in 0..20 {
        let ended = start + minutes(minute);
        let rows = HOSTS.map(|host| Row::ok(host, &minute.to_string(), ended.as_millisecond()));
        fixture.athena.deliver(ended + minutes(1), rows.into());
    }
    let refresh = fixture.refresh();
    fixture.run_until(&refresh, start + minutes(15)).await;
    fixture.to_dynamodb.calls();
    fixture.clock.advance(minutes(1));
    let report = fixture.completes(&refresh).await;
    // One new minute of two hosts, and the nine of each that may still change.
    assert_eq!((report.items_written, report.items_unchanged), (2, 18), "{report:?}");
    let calls = fixture.to_dynamodb.calls();
    assert_eq!(calls, ["GetItem rollups", "TransactWriteItems", "TransactWriteItems", "PutItem rollups"]);
    // An instance that does not know what is stored finds it unchanged all the same.
    fixture.clock.advance(minutes(1));
    let report = fixture.completes(&fixture.refresh()).await;
    assert_eq!((report.items_written, report.items_unchanged), (2, 18), "{report:?}");
}
