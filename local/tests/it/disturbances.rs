//! However the refresh is disturbed, the figures come out the same, and no scrape in between is wrong.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use testing::proxy::{Fault, Proxy};
use tokio::time::Instant;
use wafer_metrics::host::Host;
use wafer_metrics::refresh::{Order, Refresh, Report};
use wafer_metrics::rollups::{Period, Put, RollupWriter};
use wafer_metrics::summary::Summary;
use wafer_metrics::window::Minute;

use crate::oracle;
use crate::stage::{Stage, at, ms, run, scraper};
use testing::dynamodb::tables;
use testing::logs::Row;

const HOSTS: [&str; 2] = ["a.example", "b.example"];

/// Delivers a request of each host every 7 s of that time, as soon as it ended.
fn deliver_between(stage: &mut Stage, from: Timestamp, to: Timestamp) {
    deliver_every(7_000, stage, from, to);
}

fn deliver_every(every_ms: usize, stage: &mut Stage, from: Timestamp, to: Timestamp) {
    let (from, to) = (from.as_millisecond(), to.as_millisecond());
    let mut hours: std::collections::BTreeMap<i64, Vec<Row>> = std::collections::BTreeMap::new();
    for ended in (from..to).step_by(every_ms) {
        for host in HOSTS {
            let row = Row { input_tokens: Some(ended % 997), ..Row::ok(host, &format!("{host} {ended}"), ended) };
            hours.entry(ended / 3_600_000).or_default().push(row);
        }
    }
    for (hour, rows) in hours {
        stage.deliver(hour * 3_600_000, rows);
    }
}

/// Delivers 26 h of thin traffic, of which some is in every hour.
fn deliver_day(stage: &mut Stage, until: Timestamp) {
    deliver_every(11 * 60_000, stage, until - SignedDuration::from_hours(26), until - SignedDuration::from_hours(1));
    deliver_every(30_000, stage, until - SignedDuration::from_hours(1), until);
}

/// A day of traffic, caught up.
async fn day(until: Timestamp) -> (Stage, Refresh) {
    let mut stage = Stage::start().await;
    deliver_day(&mut stage, until);
    let refresh = stage.refresher();
    stage.catch_up(&refresh, until).await;
    stage.check(&HOSTS, until).await;
    (stage, refresh)
}

/// Runs until it makes its call number `calls` + 1, and is killed there; `Some` when it made no more than `calls`.
async fn killed_after(calls: usize, proxy: &Proxy, refresh: &Refresh, now: Timestamp) -> Option<Report> {
    proxy.step(calls);
    let ended = tokio::select! {
        report = run(refresh, now) => Some(report.unwrap()),
        () = proxy.held() => None,
    };
    proxy.run();
    ended
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_killed_after_any_of_its_calls_is_made_good_by_the_next() {
    // At 21:12:30 the hour of 20:00 has just become final: the run seals it too.
    let (mut stage, _) = day(at(3_300)).await;
    let mut at_seconds = 3_360;
    for proxy in [stage.dynamodb.clone(), stage.athena.clone()] {
        for calls in 0.. {
            deliver_between(&mut stage, at(at_seconds - 60), at(at_seconds));
            let through = stage.through().await;
            let ended = killed_after(calls, &proxy, &stage.refresher(), at(at_seconds)).await;
            stage.check_unless_stale(&HOSTS, at(at_seconds)).await;
            assert!(stage.through().await >= through, "the watermark went back");
            stage.catch_up(&stage.refresher(), at(at_seconds)).await;
            stage.check(&HOSTS, at(at_seconds)).await;
            at_seconds += 60;
            if ended.is_some() {
                assert!(calls >= 3, "{calls}");
                break;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_fill_killed_after_any_call_to_athena_goes_on_from_there_and_no_scrape_meanwhile_is_wrong() {
    let mut stage = Stage::start().await;
    let now = at(0);
    deliver_day(&mut stage, now);
    loop {
        // Enough for two or three hours.
        let ended = killed_after(9, &stage.athena.clone(), &stage.refresher(), now).await;
        stage.check_unless_stale(&HOSTS, now).await;
        if ended.is_some_and(|report| report.complete) {
            break;
        }
    }
    stage.check(&HOSTS, now).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scrape_between_any_two_calls_of_a_first_fill_is_right_or_refused() {
    // The target is 3 minutes after the hour: the hour's end is young enough to be answered from before the fill is done.
    let mut stage = Stage::start().await;
    let now: Timestamp = "2026-11-24T20:04:30Z".parse().unwrap();
    deliver_day(&mut stage, now);
    let day_before = now - SignedDuration::from_hours(24);
    deliver_between(&mut stage, day_before - SignedDuration::from_mins(5), day_before);
    interleave(&stage, now).await;
    stage.check(&HOSTS, now).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scrape_between_any_two_calls_of_a_seal_is_right() {
    let (mut stage, _) = day(at(3_300)).await;
    deliver_between(&mut stage, at(3_300), at(3_360));
    interleave(&stage, at(3_360)).await;
    stage.check(&HOSTS, at(3_360)).await;
}

/// Refreshes call by call, with a scrape before each call to DynamoDB.
async fn interleave(stage: &Stage, now: Timestamp) {
    let refresh = stage.refresher();
    stage.dynamodb.step(0);
    let refreshing = async {
        while !run(&refresh, now).await.unwrap().complete {}
        stage.dynamodb.run();
    };
    let mut refreshing = std::pin::pin!(refreshing);
    loop {
        tokio::select! {
            () = &mut refreshing => return,
            () = stage.dynamodb.held() => {
                stage.check_unless_stale(&HOSTS, now).await;
                stage.dynamodb.permit();
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scrape_into_which_a_whole_refresh_falls_between_any_two_of_its_calls_is_right() {
    let (mut stage, refresh) = day(at(3_300)).await;
    let mut at_seconds = 3_360;
    for calls in 0..12 {
        let (reader, now) = (Proxy::to(stage.database()).await, at(at_seconds));
        deliver_between(&mut stage, at(at_seconds - 60), now);
        reader.step(calls);
        let scrape = Arc::new(scraper(&crate::stage::client(reader.address)));
        let scraping = stage.scrape(&scrape, &HOSTS, now);
        let disturbing = async {
            reader.held().await;
            stage.catch_up(&refresh, now).await;
            reader.run();
            std::future::pending::<()>().await;
        };
        let (status, text) = tokio::select! {
            answer = scraping => answer,
            () = disturbing => unreachable!("it never ends"),
        };
        assert_eq!(status, 200, "{text}");
        for host in HOSTS {
            oracle::check(&text, &stage.rows, host);
        }
        stage.catch_up(&refresh, now).await;
        at_seconds += 60;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn skipped_refreshes_are_caught_up_whole() {
    let (mut stage, refresh) = day(at(0)).await;
    let mut now = at(0);
    // And outages that begin and end at about every minute of an hour.
    let further = [3, 61, 52, 67, 9, 70, 64, 58, 63, 121, 11, 73, 60, 120, 8, 66, 49, 2, 62, 75];
    for minutes in [1, 7, 59, 61, 1_500].into_iter().chain(further) {
        let later = now + SignedDuration::from_mins(minutes);
        deliver_every(if minutes > 200 { 11 * 60_000 } else { 25_000 }, &mut stage, now, later);
        now = later;
        stage.check_unless_stale(&HOSTS, now).await;
        let report = run(&refresh, now).await.unwrap();
        assert_eq!((report.complete, report.through), (true, Some((now.as_second() - 90) / 60 * 60)), "after {minutes} minutes");
        stage.check(&HOSTS, now).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_that_began_just_after_an_hour_is_caught_up_whole() {
    // Rows may still come late into the hour before: the first chunk ends before the watermark.
    let (mut stage, refresh) = day("2026-11-24T20:07:30Z".parse().unwrap()).await;
    let now: Timestamp = "2026-11-24T22:12:30Z".parse().unwrap();
    deliver_between(&mut stage, "2026-11-24T20:07:30Z".parse().unwrap(), now);
    let report = run(&refresh, now).await.unwrap();
    assert!(report.complete, "{report:?}");
    stage.check(&HOSTS, now).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_refreshes_at_once_come_to_what_one_does() {
    let mut stage = Stage::start().await;
    let now = at(0);
    deliver_day(&mut stage, now);
    let (one, other) = (stage.refresher(), stage.refresher());
    tokio::join!(stage.catch_up(&one, now), stage.catch_up(&other, now));
    stage.check(&HOSTS, now).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_steps_back_moves_nothing_back() {
    let (mut stage, refresh) = day(at(0)).await;
    let through = stage.through().await;
    let report = stage.catch_up(&refresh, at(-3_600)).await;
    assert_eq!((report.queries, report.items_written), (0, 0));
    assert_eq!(stage.through().await, through);
    stage.check(&HOSTS, at(-3_600)).await;
    deliver_between(&mut stage, at(0), at(60));
    stage.catch_up(&refresh, at(60)).await;
    stage.check(&HOSTS, at(60)).await;
}

fn execution(state: &str) -> Fault {
    let status = format!(r#"{{"State":"{state}","StateChangeReason":"GENERIC_INTERNAL_ERROR: {state}"}}"#);
    Fault::Answer(200, format!(r#"{{"QueryExecution":{{"QueryExecutionId":"x","Status":{status}}}}}"#))
}

fn athena_throttled() -> Fault {
    Fault::Answer(400, r#"{"__type":"TooManyRequestsException","Message":"Rate exceeded"}"#.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_athena_that_fails_leaves_the_watermark_and_the_next_refresh_makes_it_good() {
    let (mut stage, refresh) = day(at(0)).await;
    deliver_between(&mut stage, at(0), at(60));
    let through = stage.through().await;
    for (call, fault, cause) in [
        ("StartQueryExecution", athena_throttled(), "StartQueryExecution failed"),
        ("StartQueryExecution", Fault::Closed, "StartQueryExecution failed"),
        ("GetQueryExecution", athena_throttled(), "GetQueryExecution failed"),
        ("GetQueryExecution", execution("FAILED"), "FAILED: GENERIC_INTERNAL_ERROR: FAILED"),
        ("GetQueryExecution", execution("CANCELLED"), "CANCELLED: GENERIC_INTERNAL_ERROR: CANCELLED"),
        ("GetQueryResults", athena_throttled(), "GetQueryResults failed"),
        ("GetQueryResults", Fault::Answer(200, "{}".to_owned()), "no header row"),
        ("GetQueryResults", Fault::Truncated, "GetQueryResults failed"),
    ] {
        stage.athena.breaks(call, fault.clone());
        let error = run(&refresh, at(60)).await.unwrap_err();
        let error = wafer_metrics::error::chain(&error);
        assert!(error.contains(cause), "{call} {fault:?}: {error}");
        assert_eq!(stage.through().await, through);
        stage.check(&HOSTS, at(60)).await;
        stage.athena.mends(call);
    }
    stage.catch_up(&refresh, at(60)).await;
    assert!(stage.through().await > through);
    stage.check(&HOSTS, at(60)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_athena_that_is_throttled_now_and_then_is_asked_again() {
    let (mut stage, refresh) = day(at(0)).await;
    deliver_between(&mut stage, at(0), at(60));
    for call in ["StartQueryExecution", "GetQueryExecution", "GetQueryResults"] {
        stage.athena.breaks_times(2, call, athena_throttled());
    }
    stage.athena.breaks_times(1, "GetQueryExecution", execution("QUEUED"));
    assert!(run(&refresh, at(60)).await.unwrap().complete);
    stage.check(&HOSTS, at(60)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_whose_start_was_answered_into_the_void_is_started_once() {
    let (mut stage, refresh) = day(at(0)).await;
    deliver_between(&mut stage, at(0), at(60));
    stage.athena.breaks_times(1, "StartQueryExecution", Fault::AnswerLost);
    assert_eq!(run(&refresh, at(60)).await.unwrap().queries, 1);
    stage.check(&HOSTS, at(60)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_is_queued_until_the_time_runs_out_is_stopped() {
    let (mut stage, refresh) = day(at(0)).await;
    deliver_between(&mut stage, at(0), at(60));
    stage.athena.calls();
    stage.athena.breaks("GetQueryExecution", execution("QUEUED"));
    let error = refresh.run(Order::CatchUp, at(60), Instant::now() + Duration::from_millis(300)).await.unwrap_err();
    assert!(wafer_metrics::error::chain(&error).contains("no time left"), "{error}");
    assert_eq!(stage.athena.calls().last().unwrap(), "StopQueryExecution");
    stage.athena.mends("GetQueryExecution");
    stage.catch_up(&refresh, at(60)).await;
    stage.check(&HOSTS, at(60)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_time_is_up_while_it_stores_ends_and_the_next_goes_on_from_there() {
    let mut stage = Stage::start().await;
    let now = at(0);
    deliver_every(20_000, &mut stage, now - SignedDuration::from_hours(26), now - SignedDuration::from_hours(23));
    let refresh = stage.refresher();
    // Less than the first hour's items.
    stage.dynamodb.step(40);
    let report = refresh.run(Order::CatchUp, now, Instant::now() + Duration::from_secs(2)).await.unwrap();
    assert!(!report.complete && report.items_written > 0, "{report:?}");
    assert_eq!(stage.through().await, None);
    stage.dynamodb.run();
    let report = stage.catch_up(&refresh, now).await;
    assert!(report.items_unchanged > 0, "{report:?}");
    stage.check(&HOSTS, now).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watermark_taken_away_is_made_good_with_every_item_that_went_with_it() {
    let (stage, refresh) = day(at(0)).await;
    let client = stage.client();
    let items = client.scan().table_name(tables::ROLLUPS).into_paginator().items().send();
    for item in items.collect::<Result<Vec<_>, _>>().await.unwrap() {
        let key = ["endpoint", "period"].map(|name| (name.to_owned(), item[name].clone()));
        client.delete_item().table_name(tables::ROLLUPS).set_key(Some(key.into())).send().await.unwrap();
    }
    stage.catch_up(&refresh, at(0)).await;
    stage.check(&HOSTS, at(0)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dynamodb_that_fails_leaves_the_watermark_and_the_next_refresh_makes_it_good() {
    let (mut stage, refresh) = day(at(0)).await;
    deliver_between(&mut stage, at(0), at(60));
    let through = stage.through().await;
    for (call, fault) in
        [("GetItem rollups", Fault::throttled()), ("PutItem rollups", Fault::throttled()), ("PutItem rollups", Fault::server_error())]
    {
        stage.dynamodb.breaks(call, fault);
        run(&refresh, at(60)).await.unwrap_err();
        assert_eq!(stage.through().await, through);
        stage.check(&HOSTS, at(60)).await;
        stage.dynamodb.mends(call);
    }
    stage.dynamodb.breaks_times(2, "PutItem rollups", Fault::throttled());
    stage.dynamodb.breaks_times(1, "GetItem rollups", Fault::AnswerLost);
    assert!(run(&refresh, at(60)).await.unwrap().complete);
    stage.check(&HOSTS, at(60)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_run_that_ends_late_overwrites_nothing_newer() {
    let (mut stage, _) = day(at(0)).await;
    // The older run has read its minutes and is about to put them.
    deliver_between(&mut stage, at(0), at(60));
    let older = stage.refresher();
    stage.dynamodb.step(1);
    let now = at(60);
    let late = tokio::spawn(async move { run(&older, now).await });
    stage.dynamodb.held().await;
    // Late rows come, and a younger run goes all the way, by a way of its own.
    let ended = at(-300).as_millisecond();
    stage.deliver(at(60).as_millisecond(), vec![Row::ok("a.example", "late", ended), Row::ok("b.example", "late", ended)]);
    let younger = {
        let settings = wafer_metrics::settings::RefreshSettings::read(local_stack::functions::setting).unwrap();
        let athena = wafer_metrics::aws::athena(&local_stack::functions::sdk_config(&format!("http://{}", stage.athena.address)));
        Refresh::new(settings, athena, stage.client())
    };
    deliver_between(&mut stage, at(60), at(120));
    stage.catch_up(&younger, at(120)).await;
    let through = stage.through().await;
    stage.dynamodb.run();
    let report = late.await.unwrap().unwrap();
    assert!(report.items_superseded > 0, "{report:?}");
    assert_eq!(stage.through().await, through);
    stage.check(&HOSTS, at(120)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_of_an_older_query_is_refused() {
    let stage = Stage::start().await;
    let rollups = RollupWriter::new(stage.client(), tables::ROLLUPS.to_owned());
    let (host, period) = (Host::parse("a.example").unwrap(), Period::Minute(Minute::floor(at(0))));
    let summary = |requests| Summary { requests, ..Summary::default() };
    assert_eq!(rollups.put(&host, period, &summary(2), at(10)).await.unwrap(), Put::Stored);
    assert_eq!(rollups.put(&host, period, &summary(1), at(9)).await.unwrap(), Put::Superseded);
    assert_eq!(rollups.put(&host, period, &summary(3), at(10)).await.unwrap(), Put::Stored);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_up_to_10_minutes_late_counts_at_most_two_refreshes_after_it_arrived() {
    // From the top of an hour on, so that one is sealed on the way.
    let (mut stage, refresh) = day(at(2_700)).await;
    for minute in 1..=15 {
        let now = at(2_700 + 60 * minute);
        deliver_between(&mut stage, at(2_640 + 60 * minute), now);
        stage.catch_up(&refresh, now).await;
        stage.check(&HOSTS, now).await;
        // Just after a refresh; ended 10 minutes ago to the millisecond.
        let arrived = now.as_millisecond() + 1;
        stage.deliver(arrived, vec![Row::ok("a.example", &format!("late {minute}"), arrived - 600_000)]);
        if minute >= 3 {
            let late = stage.catch_up(&refresh, now + SignedDuration::from_secs(59)).await;
            assert_eq!(late.through, Some((now.as_second() + 59 - 90) / 60 * 60));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warm_instance_writes_an_unchanged_minute_once() {
    let (mut stage, refresh) = day(at(0)).await;
    deliver_between(&mut stage, at(0), at(60));
    let report = stage.catch_up(&refresh, at(60)).await;
    // One new minute of two hosts; the ten that may still change did not.
    assert_eq!((report.items_written, report.items_unchanged), (2, 20), "{report:?}");
    let report = stage.catch_up(&stage.refresher(), at(120)).await;
    assert_eq!(report.items_unchanged, 0, "a cold instance knows nothing: {report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recomputation_takes_in_rows_that_came_far_too_late() {
    let (mut stage, refresh) = day(at(0)).await;
    for time in ["2026-11-24T10:30:15Z", "2026-11-24T11:59:59.999Z", "2026-11-24T20:02:00Z", "2026-11-23T20:30:00Z"] {
        stage.deliver(ms(time) + 600_000, vec![Row::ok("a.example", time, ms(time)), Row::ok("new.example", time, ms(time))]);
    }
    // Some came only now, into the current hour's partition.
    stage.deliver(at(0).as_millisecond(), vec![Row::ok("new.example", "very late", ms("2026-11-24T11:00:00Z"))]);
    let order = Order::of_event(&serde_json::from_str(include_str!("../../../events/recompute.json")).unwrap()).unwrap();
    let deadline = || Instant::now() + Duration::from_secs(50);
    let report = refresh.run(order, at(10), deadline()).await.unwrap();
    assert!(report.complete && report.hours_sealed == 2, "{report:?}");
    let (_, text) = stage.scrape(&stage.scraper(), &["new.example"], at(0)).await;
    assert!(text.contains("status_class=\"2xx\"} 3\n"), "{text}");
    let all = serde_json::json!({"from": "2026-11-20T00:00:00Z", "to": "2026-11-25T00:00:00Z"});
    let report = refresh.run(Order::of_event(&all).unwrap(), at(20), deadline()).await.unwrap();
    assert!(report.complete, "{report:?}");
    stage.check(&["a.example", "b.example", "new.example"], at(20)).await;
    let bygone = serde_json::json!({"from": "2026-11-20T10:00:00Z", "to": "2026-11-20T12:00:00Z"});
    refresh.run(Order::of_event(&bygone).unwrap(), at(20), deadline()).await.unwrap_err();
}
