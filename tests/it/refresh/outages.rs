//! Outages of the refresh, of its seals, and of its watermark.

use std::time::Duration;

use testing::athena::Kind;
use testing::dynamodb::tables::ROLLUPS;
use wafer_metrics::model::window::Minute;
use wafer_metrics::refresh::RefreshError;

use super::fixture::{Fixture, at, hours, minutes, seconds};
use super::items::Items;
use super::tally::{COARSE, Tally, requests};

const HOSTS: [&str; 2] = ["a.example", "b.example"];
const HOST: &str = HOSTS[0];

/// Where the refresh has run for some minutes, and then for so many hours has not.
async fn outage(hosts: &[&'static str], length: i64, every_seconds: usize) -> Fixture {
    let start = at("2026-11-10T10:17:30");
    let fixture = Fixture::begun(start, hosts).await;
    fixture.deliver(start, start + hours(length + 2), every_seconds);
    let refresh = fixture.refresh();
    fixture.run_until(&refresh, start + minutes(4)).await;
    fixture.clock.advance(hours(length));
    fixture
}

/// Deletes what has expired by now.
fn expire(fixture: &Fixture) {
    fixture.database.delete_expired().unwrap();
}

#[tokio::test]
async fn after_an_outage_of_thirty_hours_every_run_is_less_behind_and_scrapes_are_right_or_refused() {
    let fixture = outage(&HOSTS, 30, 400).await;
    let mut lag = i64::MAX;
    let mut runs = 0;
    loop {
        let ended = fixture.killed(&fixture.refresh(), 30, runs % 2 == 1).await;
        fixture.check_as_of(&[fixture.clock.now()]).await;
        if ended.is_some_and(|(report, _)| report.complete) {
            break;
        }
        let behind = Minute::floor(fixture.clock.now()).since(fixture.mark().await.settled);
        // Up to 12 minutes are never settled yet.
        assert!(behind < lag || behind <= 12, "{behind} min behind after {lag}");
        lag = behind;
        runs += 1;
        fixture.clock.advance(minutes(1));
    }
    assert!(runs > 5, "{runs}");
    fixture.check().await;
    fixture.check_items_and_totals().await;
}

#[tokio::test]
async fn an_outage_of_six_days_is_caught_up_whole_and_a_deleted_watermark_counts_nothing_twice() {
    let fixture = outage(&[HOST], 6 * 24, 900).await;
    expire(&fixture);
    fixture.catch_up(&fixture.refresh()).await;
    fixture.check().await;
    fixture.check_items_and_totals().await;
    let (refresh, key) = (fixture.refresh(), [("endpoint", "#refresh"), ("period", "watermark2")]);
    let key = key.map(|(name, value)| (name.to_owned(), aws_sdk_dynamodb::types::AttributeValue::S(value.to_owned())));
    fixture.client.delete_item().table_name(ROLLUPS).set_key(Some(key.into())).send().await.unwrap();
    fixture.forget_the_mark();
    fixture.clock.advance(hours(1));
    expire(&fixture);
    fixture.catch_up(&refresh).await;
    fixture.check().await;
    fixture.check_items_and_totals().await;
}

#[tokio::test]
async fn an_outage_of_nine_days_loses_two_and_a_watermark_put_back_by_nine_days_counts_nothing_twice() {
    let fixture = outage(&[HOST], 9 * 24, 900).await;
    let (refresh, before) = (fixture.refresh(), fixture.mark().await);
    expire(&fixture);
    let (report, result) = fixture.run(&refresh).await;
    let Err(RefreshError::GivenUp(lost)) = result else { panic!("{result:?} {report:?}") };
    assert_eq!(
        (lost.start.to_string(), lost.end.to_string()),
        (before.settled.to_string(), "2026-11-12T10:00".to_owned())
    );
    fixture.catch_up(&refresh).await;
    fixture.check().await;
    let expected = check_but_for(&fixture, &lost).await;
    let rollups = fixture.rollups();
    let version = rollups.watermark().await.unwrap().unwrap().version;
    rollups.put_watermark(&before, Some(version)).await.unwrap().unwrap();
    fixture.forget_the_mark();
    fixture.clock.advance(minutes(30));
    expire(&fixture);
    let (_, result) = fixture.run(&refresh).await;
    assert!(matches!(result, Err(RefreshError::GivenUp(_))), "{result:?}");
    fixture.catch_up(&refresh).await;
    fixture.check().await;
    assert!(check_but_for(&fixture, &lost).await.covers(&expected));
}

/// Compares items and total with the rows but for those of some minutes; the total.
async fn check_but_for(fixture: &Fixture, lost: &std::ops::Range<Minute>) -> Tally {
    let (items, rows) = (Items::scan(&fixture.client).await, fixture.rows());
    let [from, to] = [lost.start, lost.end].map(|minute| minute.as_second() * 1_000);
    items.check(&rows, &[HOST], to);
    let (since, mark) = (items.since.unwrap(), items.mark.unwrap());
    let early = requests(&rows, HOST, since, from);
    let mut expected = Tally::of(early.into_iter().chain(requests(&rows, HOST, to, mark.through)), COARSE);
    // What had come of the lost minutes before the outage began.
    let arrived = fixture.athena.rows(at("2026-11-10T10:21:30"));
    expected.add(&Tally::of(requests(&arrived, HOST, from, at("2026-11-10T10:20:00").as_millisecond()), COARSE));
    assert_eq!(items.totals[HOST], expected);
    expected
}

#[tokio::test]
async fn outages_that_begin_and_end_at_any_minute_of_an_hour_are_caught_up_whole_by_one_run() {
    let start = at("2026-11-24T20:07:30");
    let fixture = Fixture::begun(start, &HOSTS).await;
    fixture.deliver(start, start + hours(62), 120);
    let refresh = fixture.refresh();
    fixture.run_until(&refresh, start + minutes(3)).await;
    // The first began just after an hour into which rows might still come.
    let lengths =
        [122, 1, 7, 59, 61, 1_500, 3, 61, 52, 67, 9, 70, 64, 58, 63, 121, 11, 73, 60, 120, 8, 66, 49, 2, 62, 75];
    for length in lengths {
        fixture.clock.advance(minutes(length));
        fixture.check_since(fixture.clock.now() - minutes(length)).await;
        fixture.completes(&refresh).await;
        let target = Minute::floor(fixture.clock.now() - seconds(90));
        assert_eq!(fixture.mark().await.through, target, "after {length} minutes");
        fixture.check().await;
    }
    fixture.check_items_and_totals().await;
}

#[tokio::test]
async fn seals_that_fail_for_thirty_hours_hold_back_no_minute() {
    let start = at("2026-11-24T00:01:30");
    let fixture = Fixture::begun(start, &HOSTS).await;
    fixture.deliver(start, start + hours(31), 300);
    fixture.athena.on_query(|query| match query.kind {
        Kind::Seal => Err(testing::athena::Failure::new(testing::athena::FailureKind::OutOfMemory, "too many rows")),
        _ => Ok(Duration::ZERO),
    });
    let refresh = fixture.refresh();
    let mut unsealed = 0;
    for step in 1..=30 * 6 {
        fixture.clock.set(start + minutes(step * 10));
        let (report, result) = fixture.run(&refresh).await;
        unsealed = report.hours_unsealed.unwrap();
        match result {
            Err(RefreshError::Seal { hour, .. }) => {
                assert_eq!((hour.to_string().as_str(), unsealed > 0), ("2026-11-24T00", true));
            }
            result => result.unwrap(),
        }
        assert_eq!(report.minutes_behind, Some(0), "{report:?}");
        if step % 5 == 0 {
            fixture.check().await;
        }
    }
    assert_eq!(unsealed, 29);
    fixture.athena.on_query(|_| Ok(Duration::ZERO));
    fixture.clock.advance(minutes(1));
    let report = fixture.completes(&refresh).await;
    assert_eq!((report.hours_sealed, report.hours_unsealed), (29, Some(0)));
    fixture.check().await;
    fixture.check_items_and_totals().await;
}
