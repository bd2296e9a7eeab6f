//! Rows that come late, or into another folder than that of their own hour.

use std::collections::BTreeMap;

use jiff::Timestamp;
use testing::athena::folder;
use testing::logs::Row;

use super::fixture::{Fixture, at, hours, minutes, seconds};
use super::traffic::request;

const HOST: &str = "a.example";

fn time(milliseconds: i64) -> Timestamp {
    Timestamp::from_millisecond(milliseconds).unwrap()
}

/// Delivers as Firehose does: what ends while a buffer fills comes at its end, in the folder of its oldest row. Most
/// rows end around the full hours.
fn deliver_buffers(fixture: &Fixture, from: Timestamp, to: Timestamp, buffer_seconds: i64) {
    let (from, to) = (from.as_millisecond(), to.as_millisecond());
    let mut buffers: BTreeMap<i64, Vec<Row>> = BTreeMap::new();
    for ended in (from..to).step_by(25_000) {
        let past = ended / 60_000 % 60;
        if (5..55).contains(&past) && ended % 600_000 != 0 {
            continue;
        }
        buffers.entry((ended - from) / (buffer_seconds * 1_000)).or_default().push(request(HOST, ended));
    }
    for (buffer, rows) in buffers {
        let oldest = time(rows[0].ended_at_ms.unwrap());
        fixture.athena.deliver_into(&folder(oldest), time(from + (buffer + 1) * buffer_seconds * 1_000), rows);
    }
}

/// A day of runs, each minute where an hour ends and is sealed and a few between: after each, figures are those of all
/// rows that have come.
async fn a_day_of_buffers(buffer_seconds: i64, late: i64) {
    let start = at("2026-11-24T00:00:30");
    let mut fixture = Fixture::begun(start, &[HOST]).await;
    fixture.late = late;
    // Each hour's last buffer is filled in the next.
    deliver_buffers(&fixture, start + minutes(1) + seconds(1), start + hours(24), buffer_seconds);
    let refresh = fixture.refresh();
    let past_the_hour = [0, 1, 2, 3, 5, 10, 11, 12, 13, 17, 30, 45, 58, 59];
    let times = (0..25).flat_map(|hour| past_the_hour.map(|minute| hour * 60 + minute));
    for minute in times.skip(1) {
        fixture.clock.set(start + minutes(minute));
        fixture.completes(&refresh).await;
        if minute % 60 < 30 {
            fixture.check().await;
        }
    }
    fixture.check().await;
    fixture.check_items_and_totals().await;
}

#[tokio::test]
async fn files_named_by_their_oldest_row_are_counted_all_day_with_buffers_of_a_minute() {
    a_day_of_buffers(60, 600).await;
}

#[tokio::test]
async fn files_named_by_their_oldest_row_are_counted_all_day_with_buffers_of_five_minutes() {
    a_day_of_buffers(300, 600).await;
}

#[tokio::test]
async fn files_named_by_their_oldest_row_are_counted_all_day_with_buffers_of_fifteen_minutes() {
    a_day_of_buffers(900, 960).await;
}

#[tokio::test]
async fn rows_that_are_given_longer_to_settle_than_to_be_late_are_counted_at_once() {
    let start = at("2026-11-24T20:01:30");
    let mut fixture = Fixture::begun(start, &[HOST]).await;
    fixture.settle = 1_800;
    // Of every minute's rows one comes at once, one 29 minutes later, mostly in another hour's folder.
    for minute in 0..60 {
        let ended = start + minutes(minute) + seconds(1);
        for (id, later) in [("now", 5), ("later", 29 * 60)] {
            let row = Row::ok(HOST, &format!("{id} {minute}"), ended.as_millisecond());
            fixture.athena.deliver(ended + seconds(later), vec![row]);
        }
    }
    let refresh = fixture.refresh();
    while fixture.clock.now() < start + minutes(120) {
        fixture.clock.advance(minutes(1));
        fixture.completes(&refresh).await;
        let read_to = fixture.mark().await.through.start();
        assert!(fixture.clock.now() - read_to < minutes(31), "{read_to}");
        // Older figures than usual: no scrape would answer with them unless it is allowed to.
        if fixture.clock.now() > start + minutes(33) && read_to.as_second() % 420 == 0 {
            fixture.check_items_and_totals().await;
        }
    }
}

#[tokio::test]
async fn a_row_that_is_ten_minutes_late_to_the_millisecond_counts_at_most_two_runs_after_it_arrived() {
    let start = at("2026-11-24T20:45:30");
    let fixture = Fixture::begun(start - minutes(20), &[HOST]).await;
    fixture.deliver(start - minutes(20), start + minutes(40), 7);
    let refresh = fixture.refresh();
    fixture.run_until(&refresh, start).await;
    // Over an hour and its seal.
    for minute in 1..40 {
        // Just after a run.
        let arrived = fixture.clock.now().as_millisecond() + 1;
        let row = Row::ok(HOST, &format!("late {minute}"), arrived - 600_000);
        fixture.athena.deliver(time(arrived), vec![row]);
        fixture.clock.advance(minutes(1));
        let report = fixture.completes(&refresh).await;
        assert!(report.late_rows > 0 || minute > 38, "{report:?}");
        fixture.check().await;
        // The same to the end of its minute.
        let arrived = fixture.clock.now() + seconds(1);
        let ended = time((arrived.as_millisecond() - 600_000) / 60_000 * 60_000 + 59_999);
        fixture.athena.deliver(arrived, vec![Row::ok(HOST, &format!("end {minute}"), ended.as_millisecond())]);
    }
    fixture.run_until(&refresh, start + minutes(42)).await;
    fixture.check_items_and_totals().await;
}

/// Rows of 20 h and 21 h that are counted, at 21:30:30 of which 20 h is sealed.
async fn sealed_hour() -> (Fixture, wafer_metrics::refresh::Refresh) {
    let start = at("2026-11-24T19:58:30");
    let fixture = Fixture::begun(start, &[HOST, "b.example"]).await;
    fixture.deliver(start, start + hours(28), 400);
    let refresh = fixture.refresh();
    fixture.run_until(&refresh, at("2026-11-24T20:10:30")).await;
    (fixture, refresh)
}

#[tokio::test]
async fn rows_that_came_too_late_are_noticed_when_their_hour_is_sealed_and_once_more_a_day_later() {
    let (fixture, refresh) = sealed_hour().await;
    let counted = fixture.rows();
    // Settled since 20:13:30, not sealed before 21:10.
    let late = |id: &str, host: &str| Row::ok(host, id, at("2026-11-24T20:02:00").as_millisecond());
    let twice = [late("1", HOST), late("2", HOST), late("1", HOST), late("3", "new.example")];
    fixture.athena.deliver_into("2026-11-24-20", at("2026-11-24T20:40:00"), twice.into());
    let mut too_late = BTreeMap::new();
    let mut step = |now: Timestamp, report: &wafer_metrics::refresh::Report| {
        if report.too_late_rows > 0 {
            too_late.insert(now.to_string(), report.too_late_rows);
        }
    };
    for minute in [30, 59, 73, 90] {
        fixture.clock.set(at("2026-11-24T20:00:30") + minutes(minute));
        let report = fixture.completes(&refresh).await;
        step(fixture.clock.now(), &report);
    }
    // After the seal came another, into a later folder.
    fixture.athena.deliver_into("2026-11-25-01", at("2026-11-25T01:00:00"), vec![late("4", HOST)]);
    for minute in (0..27 * 60).step_by(20) {
        fixture.clock.set(at("2026-11-24T21:53:30") + minutes(minute));
        let report = fixture.completes(&refresh).await;
        step(fixture.clock.now(), &report);
    }
    let expected = [("2026-11-24T21:13:30Z", 3), ("2026-11-25T21:13:30Z", 4)];
    assert_eq!(too_late, expected.map(|(time, rows)| (time.to_owned(), rows)).into());
    assert!(fixture.rows().len() > counted.len());
}

/// When runs said that logs have stopped, which had a row every so many seconds for an hour from 20:00 on, and a day
/// later none from 20:00 on.
async fn silences(every_seconds: usize) -> Vec<String> {
    let start = at("2026-11-24T19:58:30");
    let fixture = Fixture::begun(start, &[HOST]).await;
    fixture.deliver(start, at("2026-11-24T21:00:00"), every_seconds);
    fixture.deliver(at("2026-11-25T19:45:00"), at("2026-11-25T20:00:00"), every_seconds);
    let refresh = fixture.refresh();
    let mut silences = Vec::new();
    for hour in 0..24 {
        fixture.clock.set(start + hours(hour));
        assert!(!fixture.completes(&refresh).await.logs_silent);
    }
    for minute in (0..180).step_by(4) {
        fixture.clock.set(at("2026-11-25T19:50:30") + minutes(minute));
        if fixture.completes(&refresh).await.logs_silent {
            silences.push(fixture.mark().await.through.to_string());
        }
    }
    silences
}

#[tokio::test]
async fn a_pipeline_that_stops_is_noticed_where_the_same_quarter_of_an_hour_had_many_rows_a_day_before() {
    let silences = silences(8).await;
    // From 20:00 on there is no row; at 21:00 on the day before there was none either.
    assert_eq!(silences, ["2026-11-25T20:17", "2026-11-25T20:33", "2026-11-25T20:45", "2026-11-25T21:01"]);
}

#[tokio::test]
async fn a_quiet_deployment_is_not_taken_for_a_pipeline_that_stopped() {
    // 90 rows in a quarter of an hour.
    assert!(silences(10).await.is_empty());
}
