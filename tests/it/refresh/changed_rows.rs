//! Logs that say something else when they are read again.

use testing::logs::Row;
use wafer_metrics::model::watermark::{Stride, Watermark};
use wafer_metrics::model::window::Minute;
use wafer_metrics::refresh::Command;

use super::fixture::{Fixture, RUN_TIME, at, minutes, seconds};
use super::items::Items;

const HOST: &str = "a.example";

fn row(id: &str, ended: &str, tokens: i64) -> Row {
    Row { input_tokens: Some(tokens), ..Row::ok(HOST, id, at(ended).as_millisecond()) }
}

fn minute(time: &str) -> Minute {
    Minute::floor(at(time))
}

/// The requests and the input tokens that were ever counted.
async fn total(fixture: &Fixture) -> (u128, u128) {
    let total = Items::scan(&fixture.client).await.totals.remove(HOST).unwrap();
    (total.requests(), total.sums[0])
}

/// At 20:02:30, with 200 requests of 100 tokens in the minute before last.
async fn fixture() -> (Fixture, wafer_metrics::refresh::Refresh, testing::athena::File) {
    let fixture = Fixture::begun(at("2026-11-24T20:00:30"), &[HOST]).await;
    let file = fixture.athena.deliver(
        at("2026-11-24T20:01:10"),
        vec![row("1", "2026-11-24T20:00:15", 100), row("2", "2026-11-24T20:00:45", 100)],
    );
    let refresh = fixture.refresh();
    fixture.run_until(&refresh, at("2026-11-24T20:02:30")).await;
    assert_eq!(total(&fixture).await, (2, 200));
    (fixture, refresh, file)
}

#[tokio::test]
async fn a_row_replaced_by_a_lesser_one_sets_the_window_right_and_lowers_no_total() {
    let (fixture, refresh, file) = fixture().await;
    fixture.athena.replace(file, vec![row("1", "2026-11-24T20:00:15", 30), row("2", "2026-11-24T20:00:45", 100)]);
    fixture.run_until(&refresh, at("2026-11-24T20:03:30")).await;
    fixture.check().await;
    assert_eq!(total(&fixture).await, (2, 200));
    // Found again, it counts again.
    fixture.athena.replace(file, vec![row("1", "2026-11-24T20:00:15", 100), row("2", "2026-11-24T20:00:45", 100)]);
    fixture.run_until(&refresh, at("2026-11-24T20:04:30")).await;
    fixture.check().await;
    assert_eq!(total(&fixture).await, (2, 270));
}

#[tokio::test]
async fn a_deleted_file_sets_the_window_right_where_the_endpoint_has_a_row_left_and_lowers_no_total() {
    let (fixture, refresh, file) = fixture().await;
    fixture.athena.deliver(at("2026-11-24T20:02:40"), vec![row("3", "2026-11-24T20:02:10", 100)]);
    fixture.athena.delete(file);
    fixture.run_until(&refresh, at("2026-11-24T20:04:30")).await;
    fixture.check().await;
    fixture.check_items().await;
    assert_eq!(total(&fixture).await, (3, 300));
    fixture.run_until(&refresh, at("2026-11-24T21:13:30")).await;
    fixture.check().await;
    fixture.check_items().await;
}

#[tokio::test]
async fn what_another_instance_has_stored_is_not_taken_for_what_this_one_stored() {
    let (fixture, refresh, _) = fixture().await;
    let late = fixture.athena.deliver(at("2026-11-24T20:02:40"), vec![row("3", "2026-11-24T20:00:30", 100)]);
    fixture.clock.advance(seconds(20));
    // It moves the watermark no further.
    let recompute = Command::Recompute { from: minute("2026-11-24T20:00:00"), to: minute("2026-11-24T20:01:00") };
    fixture.run_unseen(&fixture.refresh(), recompute, RUN_TIME).await.1.unwrap();
    fixture.check().await;
    // The logs say again what they said when this instance read them last.
    fixture.athena.delete(late);
    fixture.clock.advance(seconds(40));
    fixture.completes(&refresh).await;
    fixture.check().await;
    fixture.check_items().await;
}

#[tokio::test]
async fn of_copies_that_differ_one_counts_and_the_same_in_every_run() {
    let fixture = Fixture::begun(at("2026-11-24T20:00:30"), &[HOST]).await;
    let copies: Vec<Row> = [70, 30, 90].map(|tokens| row("1", "2026-11-24T20:00:15", tokens)).into();
    let files = copies.iter().map(|copy| fixture.athena.deliver(at("2026-11-24T20:01:10"), vec![copy.clone()]));
    let files: Vec<_> = files.collect();
    let refresh = fixture.refresh();
    fixture.run_until(&refresh, at("2026-11-24T20:02:30")).await;
    let counted = total(&fixture).await;
    assert!(counted.0 == 1 && [70, 30, 90].contains(&counted.1), "{counted:?}");
    let mut written = 0;
    for minute in 3..11 {
        // The same copies in other files, so that they are found in another order.
        for (file, copy) in files.iter().zip(copies.iter().cycle().skip(minute % 3)) {
            fixture.athena.replace(*file, vec![copy.clone()]);
        }
        fixture.clock.advance(minutes(1));
        written += fixture.completes(&refresh).await.items_written;
        assert_eq!(total(&fixture).await, counted);
    }
    assert_eq!(written, 0);
}

#[tokio::test]
async fn rows_without_a_request_id_are_all_different() {
    let fixture = Fixture::begun(at("2026-11-24T20:00:30"), &[HOST]).await;
    let none = |id: Option<&str>| Row { request_id: id.map(str::to_owned), ..row("", "2026-11-24T20:00:15", 10) };
    fixture.athena.deliver(at("2026-11-24T20:01:10"), vec![none(None), none(None), none(Some("")), none(Some(""))]);
    fixture.run_until(&fixture.refresh(), at("2026-11-24T20:02:30")).await;
    fixture.check().await;
    fixture.check_items_and_totals().await;
    assert_eq!(total(&fixture).await, (4, 40));
    // Nor are they too late when their hour is sealed.
    let refresh = fixture.refresh();
    fixture.clock.advance(seconds(70 * 60));
    assert_eq!(fixture.completes(&refresh).await.too_late_rows, 0);
}

#[tokio::test]
async fn a_row_that_is_gone_is_noticed_also_where_minutes_are_read_in_small_steps() {
    let fixture = Fixture::begun(at("2026-11-24T20:00:30"), &[HOST]).await;
    let deliver = |minute: i64, arrived: i64| {
        let start = at("2026-11-24T20:00:00");
        let ended = start + minutes(minute) + seconds(7);
        fixture
            .athena
            .deliver(start + minutes(arrived), vec![Row::ok(HOST, &format!("{minute}"), ended.as_millisecond())])
    };
    // Each minute but three has a row, and one of these has one that comes late.
    let files: Vec<_> =
        (0..20).filter(|minute| !(6..9).contains(minute)).map(|minute| deliver(minute, minute + 1)).collect();
    fixture.run_until(&fixture.refresh(), at("2026-11-24T20:12:30")).await;
    deliver(6, 13);
    fixture.athena.delete(files[5]);
    // A cold instance that reads two minutes at a time, then four: those from 20:05 on at once.
    let rollups = fixture.rollups();
    let found = rollups.watermark().await.unwrap().unwrap();
    let stride = Stride::from_minutes(2).unwrap();
    rollups.put_watermark(&Watermark { stride, ..found.value }, Some(found.version)).await.unwrap().unwrap();
    fixture.clock.advance(minutes(1));
    fixture.completes(&fixture.refresh()).await;
    fixture.check().await;
    fixture.check_items().await;
}
