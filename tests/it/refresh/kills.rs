//! Runs that are killed, wherever that is.

use jiff::Timestamp;

use super::fixture::{Fixture, at, hours, minutes};

/// A run that catches up with half an hour of two endpoints makes fewer calls than this.
const CALLS: usize = 31;

#[tokio::test]
async fn a_day_with_two_outages_whose_runs_are_killed_one_call_later_each_time_counts_each_row_once() {
    let start = at("2026-11-24T00:01:30");
    let fixture = Fixture::begun(start, &["a.example", "b.example"]).await;
    fixture.deliver(start, start + minutes(24 * 60), 60);
    let is_out = |minute| (200..295).contains(&minute) || (873..904).contains(&minute);
    let mut refresh = fixture.refresh();
    let (mut completed_at, mut completed) = (start, 0);
    for (run, minute) in (1..=24 * 60).filter(|minute| !is_out(*minute)).enumerate() {
        let now = start + minutes(minute);
        fixture.clock.set(now);
        let (calls, acted) = (run % CALLS, run / CALLS % 2 == 1);
        let ended = fixture.killed(&refresh, calls, acted).await;
        match ended {
            None => refresh = fixture.refresh(),
            Some((report, result)) => {
                result.unwrap();
                if report.complete {
                    completed += 1;
                    completed_at = now;
                }
            }
        }
        if run % 7 == 0 {
            fixture.check_since(completed_at).await;
        }
    }
    assert!(completed > 60, "{completed}");
    fixture.completes(&fixture.refresh()).await;
    fixture.check().await;
    fixture.check_items_and_totals().await;
}

#[tokio::test]
async fn an_hour_and_its_seal_whose_runs_are_each_killed_at_every_call_count_each_row_once() {
    let start = at("2026-11-24T19:58:30");
    let fixture = Fixture::begun(start, &["a.example", "b.example", "c.example"]).await;
    fixture.deliver(start, start + minutes(75), 20);
    let mut before = start;
    for minute in (1..75).filter(|minute| minute % 2 == 1 || *minute > 70) {
        fixture.clock.set(start + minutes(minute));
        let mut kills = 0;
        while !killed_at_call(&fixture, kills, before).await {
            kills += 1;
        }
        assert!(kills > 4, "{kills}");
        before = fixture.clock.now();
        fixture.check().await;
    }
    assert_eq!(fixture.mark().await.sealed.to_string(), "2026-11-24T21");
    fixture.check_items_and_totals().await;
}

#[tokio::test]
async fn a_first_fill_that_is_killed_again_and_again_goes_on_from_there() {
    let now = at("2026-11-24T20:04:30");
    let fixture = Fixture::new(now, &["a.example", "b.example"]).await;
    fixture.deliver(now - hours(27), now, 400);
    let mut kills = 0;
    // Long enough for one or two steps.
    while fixture
        .killed(&fixture.refresh(), 12 + kills % 12, kills % 2 == 1)
        .await
        .is_none_or(|(report, _)| !report.complete)
    {
        fixture.check_as_of(&[now]).await;
        kills += 1;
    }
    assert!(kills > 10, "{kills}");
    fixture.check().await;
    fixture.check_items_and_totals().await;
}

/// Kills a cold instance before it makes its call of that number, and another once that is carried out. Whether nothing
/// is left to be done.
async fn killed_at_call(fixture: &Fixture, call: usize, before: Timestamp) -> bool {
    for acted in [false, true] {
        if let Some((report, result)) = fixture.killed(&fixture.refresh(), call, acted).await {
            result.unwrap();
            return report.complete;
        }
        if call % 4 == 3 {
            fixture.check_as_of(&[before, fixture.clock.now()]).await;
        }
    }
    false
}
