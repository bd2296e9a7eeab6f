//! Rows of endpoints that nobody has.

use testing::logs::Row;
use wafer_metrics::error::chain;

use super::fixture::{Fixture, at, minutes, seconds};

/// Counts a minute of which so many invented hosts have a row each, where Athena keeps so many of the busiest.
async fn flood(invented: u64, kept: usize) {
    let start = at("2026-11-24T20:01:30");
    let fixture = Fixture::begun(start, &["busy.example"]).await;
    fixture.athena.keep_endpoints(kept);
    fixture.deliver(start, start + minutes(30), 10);
    let ended = start + minutes(5);
    let rows = (0..invented).map(|number| Row::ok(&format!("h{number}.invented.example"), "1", ended.as_millisecond()));
    fixture.athena.deliver(ended + seconds(10), rows.collect());
    let refresh = fixture.refresh();
    let (mut skipped, mut most_behind) = (0, Some(0));
    while fixture.clock.now() < start + minutes(20) {
        fixture.clock.advance(minutes(1));
        let (report, result) = fixture.run(&refresh).await;
        assert!(result.is_ok() || chain(&result.unwrap_err()).contains("no time left"), "{report:?}");
        skipped = report.skipped_rows.max(skipped);
        most_behind = report.minutes_behind.max(most_behind);
    }
    assert!(most_behind <= Some(3), "{most_behind:?}");
    fixture.completes(&refresh).await;
    fixture.check().await;
    // The busy one is among those that are kept.
    assert_eq!(skipped, invented - (kept as u64 - 1));
    fixture.check_items_and_totals().await;
}

#[tokio::test]
async fn a_minute_of_invented_endpoints_is_passed_and_the_busiest_are_counted() {
    flood(650, 100).await;
}
