//! Ranges that are recomputed.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use testing::athena::{Kind, folder};
use testing::logs::Row;
use wafer_metrics::error::chain;
use wafer_metrics::refresh::{Command, Refresh, RefreshError, Report};

use super::fixture::{Fixture, RUN_TIME, at, hours, minutes};
use super::items::Items;
use super::tally::{FINE, Tally};

const HOSTS: [&str; 2] = ["a.example", "b.example"];
const DAY: i64 = 24 * 60;

fn recompute(from: Timestamp, to: Timestamp) -> Command {
    Command::from_event(&json!({"from": from.to_string(), "to": to.to_string()})).unwrap()
}

impl Fixture {
    async fn recompute(&self, refresh: &Refresh, from: Timestamp, to: Timestamp) -> (Report, Result<(), RefreshError>) {
        let ended = self.run_unseen(refresh, recompute(from, to), RUN_TIME).await;
        self.observe().await;
        ended
    }

    pub async fn recomputed(&self, refresh: &Refresh, from: Timestamp, to: Timestamp) -> Report {
        let (report, result) = self.recompute(refresh, from, to).await;
        result.unwrap();
        assert!(report.complete, "{report:?}");
        report
    }

    /// A row that comes now, into the folder of its hour, but too late to be counted.
    fn too_late(&self, host: &str, id: &str, ended: Timestamp) {
        self.athena.deliver_into(&folder(ended), self.clock.now(), vec![Row::ok(host, id, ended.as_millisecond())]);
    }
}

/// Reads since 8 days ago, and a request every half an hour of the last 26 h.
async fn eight_days() -> (Fixture, Refresh) {
    let now = at("2026-11-24T20:15:30");
    let fixture = Fixture::begun_since(now - hours(8 * 24), now - hours(26), &HOSTS).await;
    fixture.deliver(now - hours(26), now + hours(3), 1_800);
    let refresh = fixture.refresh();
    fixture.clock.set(now);
    fixture.catch_up(&refresh).await;
    fixture.clock.set(now);
    (fixture, refresh)
}

#[tokio::test]
async fn up_to_seven_days_back_minutes_hours_and_totals_are_set_right() {
    let (mut fixture, refresh) = eight_days().await;
    let now = fixture.clock.now();
    for (id, days) in [("yesterday", 1), ("last week", 6)] {
        for host in ["a.example", "new.example"] {
            fixture.too_late(host, id, now - minutes(days * DAY));
            fixture.too_late(host, "same hour", now - minutes(days * DAY + 10));
        }
    }
    // One lies unsettled and is found by catching up.
    fixture.too_late("a.example", "just now", now - minutes(5));
    fixture.clock.advance(minutes(1));
    let from = now - minutes(6 * DAY + 60);
    let report = fixture.recomputed(&refresh, from, now - minutes(5 * DAY)).await;
    // Two minutes and an hour of each endpoint, and the minute of just now.
    assert_eq!((report.items_written, report.items_superseded), (7, 0), "{report:?}");
    fixture.recomputed(&refresh, now - minutes(DAY + 20), now - minutes(DAY - 1)).await;
    fixture.check().await;
    fixture.hosts.push("new.example");
    fixture.check().await;
    fixture.check_items_and_totals().await;
    // Once more changes nothing.
    let report = fixture.recomputed(&refresh, from, now - minutes(20)).await;
    assert_eq!(report.items_written, 0, "{report:?}");
    fixture.check_items_and_totals().await;
}

#[tokio::test]
async fn a_recomputation_takes_back_from_window_minutes_and_hours_what_is_found_less_and_nothing_from_totals() {
    let (fixture, refresh) = eight_days().await;
    let now = fixture.clock.now();
    let ended = now - minutes(DAY / 2);
    let rows = |ids: &[&str]| ids.iter().map(|id| Row::ok("a.example", id, ended.as_millisecond())).collect::<Vec<_>>();
    let file = fixture.athena.deliver_into(&folder(ended), now, rows(&["1", "2"]));
    fixture.recomputed(&refresh, ended, ended + minutes(1)).await;
    fixture.check().await;
    let total = fixture.observe().await.totals["a.example"].clone();
    fixture.athena.replace(file, rows(&["1"]));
    fixture.recomputed(&refresh, ended, ended + minutes(1)).await;
    fixture.check().await;
    fixture.check_items().await;
    assert_eq!(fixture.observe().await.totals["a.example"], total);
}

/// Reads since 40 days ago, of which nothing is stored.
async fn forty_days() -> (Fixture, Refresh) {
    let now = at("2026-11-24T20:15:30");
    let fixture = Fixture::begun_since(now - hours(40 * 24), now, &HOSTS).await;
    let refresh = fixture.refresh();
    fixture.clock.advance(minutes(1));
    fixture.completes(&refresh).await;
    (fixture, refresh)
}

#[tokio::test]
async fn between_seven_and_thirty_days_back_whole_hours_are_set_right_and_no_counter_rises() {
    let (fixture, refresh) = forty_days().await;
    let from = at("2026-11-04T10:00:00");
    for minute in [-1, 0, 31, 119, 120] {
        fixture.too_late("a.example", &minute.to_string(), from + minutes(minute));
    }
    let report = fixture.recomputed(&refresh, from + minutes(20), from + minutes(70)).await;
    assert_eq!((report.items_written, report.hours_sealed), (2, 2), "{report:?}");
    let items = Items::scan(&fixture.client).await;
    let hour = |hour: i64| items.hours.get(&("a.example".to_owned(), (from + hours(hour)).as_millisecond()));
    let expected = |ids: &[i64]| {
        let rows: Vec<_> =
            ids.iter().map(|minute| Row::ok("a.example", "", (from + minutes(*minute)).as_millisecond())).collect();
        Tally::of(&rows, FINE)
    };
    assert_eq!((hour(-1), hour(0), hour(1), hour(2)), (None, Some(&expected(&[0, 31])), Some(&expected(&[119])), None));
    assert!(items.minutes.is_empty() && items.totals.is_empty());
    // Found less, it is set right as well; found the same, it is left.
    let report = fixture.recomputed(&refresh, from, from + minutes(120)).await;
    assert_eq!((report.items_written, report.items_unchanged), (0, 2), "{report:?}");
}

#[tokio::test]
async fn a_recomputation_across_the_seventh_day_leaves_no_hole_and_counts_what_is_younger() {
    let (fixture, refresh) = forty_days().await;
    let now = fixture.clock.now();
    for hour in 0..=6 {
        fixture.too_late("a.example", &hour.to_string(), now - minutes(7 * DAY) + hours(hour - 3));
    }
    fixture.recomputed(&refresh, now - minutes(7 * DAY + 240), now - minutes(7 * DAY - 240)).await;
    let items = Items::scan(&fixture.client).await;
    // Seven days ago was at 20:16: the hour that this lies in is the last that is set right from the logs alone.
    assert_eq!(items.hours.values().map(Tally::requests).sum::<u128>(), 7);
    assert_eq!(items.minutes.values().map(Tally::requests).sum::<u128>(), 3);
    assert_eq!(items.totals["a.example"].requests(), 3);
}

#[tokio::test]
async fn a_recomputation_is_clipped_to_what_has_been_read_in_the_last_thirty_days() {
    let (fixture, refresh) = forty_days().await;
    let now = fixture.clock.now();
    fixture.too_late("a.example", "too old", now - minutes(30 * DAY + 90));
    fixture.too_late("a.example", "old", now - minutes(30 * DAY - 90));
    let begun = fixture.mark().await.through;
    let (_, result) = fixture.recompute(&refresh, now - hours(2_000), now - minutes(30 * DAY + 60)).await;
    assert!(matches!(result, Err(RefreshError::NothingToRecompute)), "{result:?}");
    let (_, result) = fixture.recompute(&refresh, begun.start(), now).await;
    assert!(matches!(result, Err(RefreshError::NothingToRecompute)), "{result:?}");
    fixture.recomputed(&refresh, now - hours(2_000), now - minutes(29 * DAY)).await;
    let items = Items::scan(&fixture.client).await;
    assert_eq!(items.hours.values().map(Tally::requests).sum::<u128>(), 1);
    // What lies after the watermark is left to the schedule.
    fixture.recomputed(&refresh, now - hours(1), now + hours(5)).await;
    assert_eq!(fixture.mark().await.through, begun);
}

#[tokio::test]
async fn a_recomputation_from_before_the_first_minute_ever_read_counts_nothing_from_before() {
    let start = at("2026-11-24T18:00:00") + Duration::from_secs(90);
    let fixture = Fixture::begun(start, &HOSTS).await;
    let refresh = fixture.refresh();
    fixture.deliver(start - hours(5), start + hours(3), 600);
    fixture.clock.advance(minutes(100));
    fixture.catch_up(&refresh).await;
    fixture.recomputed(&refresh, start - hours(10), start + hours(1)).await;
    fixture.check_items_and_totals().await;
    let items = Items::scan(&fixture.client).await;
    assert!(items.minutes.keys().all(|(_, minute)| *minute >= items.since.unwrap()));
}

#[tokio::test]
async fn two_recomputations_in_a_row_leave_every_scrape_at_200() {
    let (fixture, refresh) = eight_days().await;
    let now = fixture.clock.now();
    for number in 0..2 {
        fixture.too_late("a.example", &format!("{number}"), now - minutes(DAY / 2));
        let (other, way) = fixture.another_refresh().await;
        way.step(0);
        let mut running =
            std::pin::pin!(fixture.recomputed(&other, now - minutes(DAY / 2 + 90), now - minutes(DAY / 2 - 90)));
        let mut scrapes = 0;
        loop {
            tokio::select! {
                _ = &mut running => break,
                () = way.held() => {
                    // Which rows are in it depends on how far the recomputation is.
                    if scrapes % 3 == 0 {
                        let reply = fixture.scrape().await;
                        assert_eq!(reply.status, 200, "{}", reply.body);
                    }
                    scrapes += 1;
                    way.permit();
                }
            }
        }
        assert!(scrapes > 9, "{scrapes}");
        fixture.check().await;
    }
    fixture.completes(&refresh).await;
    fixture.check().await;
    fixture.check_items_and_totals().await;
}

#[tokio::test]
async fn a_recomputation_that_a_younger_run_overtakes_at_any_call_is_complete_only_where_everything_is_right() {
    let start = at("2026-11-24T20:11:30");
    let fixture = Fixture::begun(start, &HOSTS).await;
    fixture.deliver(start, start + hours(2), 15);
    fixture.run_until(&fixture.refresh(), start + minutes(20)).await;
    let (mut calls, mut overtaken) = (0, 0);
    loop {
        let (refresh, way) = fixture.another_refresh().await;
        let now = fixture.clock.now();
        let late = |id: &str| {
            HOSTS.map(|host| Row::ok(host, &format!("{id} {calls}"), (now - minutes(6)).as_millisecond())).into()
        };
        fixture.athena.deliver(now, late("late"));
        way.step(calls);
        let mut recomputing = std::pin::pin!(fixture.run_unseen(&refresh, recompute(now - minutes(8), now), RUN_TIME));
        let ended = tokio::select! {
            ended = &mut recomputing => Some(ended),
            () = way.held() => None,
        };
        let held = ended.is_none();
        let (report, result) = if let Some(ended) = ended {
            ended
        } else {
            // More come, and a younger run finds them.
            fixture.clock.advance(minutes(1));
            fixture.athena.deliver(fixture.clock.now(), late("later"));
            fixture.completes(&fixture.refresh()).await;
            way.run();
            recomputing.await
        };
        fixture.observe().await;
        fixture.check().await;
        match result {
            Ok(()) => assert!(report.complete && report.items_superseded == 0, "{report:?}"),
            Err(error) => {
                assert!(matches!(error, RefreshError::RecomputeOvertaken(_)), "{}", chain(&error));
                assert!(!report.complete, "{report:?}");
                overtaken += 1;
            }
        }
        if !held {
            break;
        }
        calls += 1;
    }
    assert!(calls > 10 && overtaken > 1, "{calls} {overtaken}");
    fixture.check_items_and_totals().await;
}

#[tokio::test]
async fn a_recomputation_that_runs_out_of_time_says_where_and_goes_on_from_there() {
    let (fixture, refresh) = eight_days().await;
    let now = fixture.clock.now();
    let (from, to) = (now - minutes(DAY), now - minutes(DAY / 2));
    for hour in 0..12 {
        fixture.too_late("a.example", &format!("{hour}"), from + hours(hour));
    }
    fixture.athena.on_query(|_| Ok(Duration::from_millis(150)));
    let (report, result) = fixture.run_unseen(&refresh, recompute(from, to), Duration::from_millis(700)).await;
    let Err(RefreshError::RecomputeUnfinished(reached)) = result else { panic!("{result:?} {report:?}") };
    assert!(!report.complete && reached.start() < to, "{reached} {report:?}");
    let error = RefreshError::RecomputeUnfinished(reached).to_string();
    assert_eq!(error, format!("recomputed up to {reached}Z only: invoke it again from there"));
    fixture.athena.on_query(|_| Ok(Duration::ZERO));
    fixture.recomputed(&refresh, reached.start(), to).await;
    fixture.check().await;
    fixture.check_items_and_totals().await;
}

#[tokio::test]
async fn a_recomputation_that_is_killed_at_any_call_and_repeated_counts_each_row_once() {
    let start = at("2026-11-24T18:11:30");
    let fixture = Fixture::begun(start, &HOSTS).await;
    fixture.deliver(start, start + hours(4), 120);
    fixture.clock.advance(hours(3));
    fixture.catch_up(&fixture.refresh()).await;
    let command = recompute(start + minutes(60), start + minutes(180));
    let (mut calls, mut ended) = (0, false);
    while !ended {
        // Sealed, and not.
        for minute in [70, 175] {
            fixture.too_late("a.example", &format!("{calls} {minute}"), start + minutes(minute));
        }
        for acted in [false, true] {
            let (refresh, way) = fixture.another_refresh().await;
            if acted {
                way.step_acting(calls);
            } else {
                way.step(calls);
            }
            tokio::select! {
                recomputing = fixture.run_unseen(&refresh, command, RUN_TIME) => {
                    recomputing.1.unwrap();
                    ended = true;
                }
                () = way.held() => {}
            }
            way.given_up().await;
            fixture.observe().await;
        }
        fixture.recomputed(&fixture.refresh(), start + minutes(60), start + minutes(180)).await;
        fixture.check().await;
        calls += 3;
    }
    assert!(calls > 10, "{calls}");
    fixture.completes(&fixture.refresh()).await;
    fixture.check_items_and_totals().await;
}

#[tokio::test]
async fn a_recomputation_before_the_first_fill_fills_first() {
    let now = at("2026-11-24T20:15:30");
    let fixture = Fixture::new(now, &HOSTS).await;
    fixture.deliver(now - hours(26), now, 900);
    fixture.athena.on_query(|_| Ok(Duration::from_millis(100)));
    let refresh = fixture.refresh();
    let (report, result) =
        fixture.run_unseen(&refresh, recompute(now - hours(10), now), Duration::from_millis(700)).await;
    // On a slow machine it has not even begun to fill.
    assert!(matches!(result, Err(RefreshError::NotCaughtUp | RefreshError::OutOfTime)), "{result:?}");
    assert!(!report.complete, "{report:?}");
    fixture.athena.on_query(|_| Ok(Duration::ZERO));
    let report = fixture.recomputed(&refresh, now - hours(10), now).await;
    assert_eq!((report.minutes_behind, report.late_rows), (Some(0), 0));
    fixture.check().await;
    fixture.check_items_and_totals().await;
}

#[tokio::test]
async fn a_recomputation_beside_which_the_watermark_was_moved_is_not_complete_before_its_end() {
    let (fixture, refresh) = eight_days().await;
    let now = fixture.clock.now();
    let (from, to) = (now - minutes(DAY / 2), now - minutes(DAY / 2 - 240));
    fixture.too_late("a.example", "1", from + minutes(5));
    // Somebody moves the watermark while the recomputation's second query runs, and after it the time is over.
    let (way, mut queries) = (fixture.rollups(), 0);
    let runtime = tokio::runtime::Handle::current();
    fixture.athena.on_query(move |query| {
        assert_eq!(query.kind, Kind::Minutes);
        queries += 1;
        if queries == 1 {
            let way = way.clone();
            runtime.spawn(async move {
                let there = way.watermark().await.unwrap().unwrap();
                way.put_watermark(&there.value, Some(there.version)).await.unwrap().unwrap();
            });
        }
        Ok(Duration::from_millis(if queries == 1 { 100 } else { 5_000 }))
    });
    let (report, result) = fixture.run_unseen(&refresh, recompute(from, to), Duration::from_millis(900)).await;
    assert!(matches!(result, Err(RefreshError::RecomputeUnfinished(_))), "{result:?}");
    assert!(!report.complete, "{report:?}");
}
