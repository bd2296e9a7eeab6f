//! Hours that take more than one run to seal.

use std::time::Duration;

use testing::logs::Row;
use testing::proxy::Fault;
use wafer_metrics::error::chain;

use super::fixture::{Fixture, at, minutes};
use super::items::Items;

/// Each has one request in the hour from 20:00 on.
const ENDPOINTS: usize = 160;

fn host(number: usize) -> String {
    format!("h{number:03}.example")
}

#[tokio::test]
async fn an_hour_of_many_endpoints_is_sealed_over_several_runs_while_minutes_go_on() {
    let start = at("2026-11-24T20:00:30");
    let fixture = Fixture::begun(start, &["a.example", "h000.example", "h159.example"]).await;
    let ended = at("2026-11-24T20:30:00").as_millisecond();
    fixture
        .athena
        .deliver(at("2026-11-24T20:30:30"), (0..ENDPOINTS).map(|number| Row::ok(&host(number), "1", ended)).collect());
    // One too late for each, which is noticed once however often the seal begins.
    let late = (0..ENDPOINTS).map(|number| Row::ok(&host(number), "2", ended));
    fixture.athena.deliver_into("2026-11-24-20", at("2026-11-24T21:00:00"), late.collect());
    for minute in 0..30 {
        let ended = at("2026-11-24T21:05:00") + minutes(minute);
        let row = Row::ok("a.example", &format!("{minute}"), ended.as_millisecond());
        fixture.athena.deliver(ended, vec![row]);
    }
    let refresh = fixture.refresh();
    for minute in [10, 33, 50, 69] {
        fixture.clock.set(start + minutes(minute));
        fixture.completes(&refresh).await;
    }
    // The minutes of an endpoint are read at a seal, and by no usual run: five rounds of 32 endpoints, two of which
    // fit into the first run. Each later one has more time, so that a busy machine gets to the end too.
    fixture.to_dynamodb.breaks("Query rollups", Fault::Slow(Duration::from_millis(600)));
    let (mut runs, mut too_late, mut last) = (0_u32, 0, None);
    loop {
        fixture.clock.advance(minutes(1));
        let time = Duration::from_millis(1_600) + runs * Duration::from_millis(200);
        let (report, result) = fixture.run_for(&refresh, time).await;
        runs += 1;
        assert!(runs < 60, "{report:?}");
        if let Err(error) = result {
            // A busy machine may leave a run no time to note how far it came.
            let error = chain(&error);
            assert!(error.contains("no time left") || error.contains("no answer by the deadline"), "{error}");
            continue;
        }
        // A run that is told to hurry may skip a minute's seal, never a minute.
        assert_eq!(report.minutes_behind, Some(0), "{report:?}");
        too_late += report.too_late_rows;
        let mark = fixture.mark().await;
        if report.hours_unsealed == Some(0) {
            break;
        }
        let sealing = mark.sealing.map(|sealing| sealing.endpoint.to_string());
        assert!(sealing >= last, "{sealing:?} after {last:?}");
        last = sealing;
    }
    assert!(runs > 1, "{runs}");
    assert_eq!(too_late, ENDPOINTS as u64);
    fixture.to_dynamodb.mends("Query rollups");
    let items = Items::scan(&fixture.client).await;
    let hour = at("2026-11-24T20:00:00").as_millisecond();
    for number in 0..ENDPOINTS {
        assert_eq!(items.hours[&(host(number), hour)].requests(), 1, "{number}");
    }
    fixture.clock.advance(minutes(1));
    fixture.completes(&refresh).await;
}

#[tokio::test]
async fn an_hour_is_not_sealed_before_its_last_row_can_have_come_and_its_last_row_is_in_it() {
    let start = at("2026-11-24T20:55:30");
    let fixture = Fixture::begun(start, &["a.example"]).await;
    let last = Row::ok("a.example", "last", at("2026-11-24T20:59:59.999").as_millisecond());
    fixture.athena.deliver(at("2026-11-24T21:09:59"), vec![last]);
    let refresh = fixture.refresh();
    while fixture.clock.now() < at("2026-11-24T21:20:00") {
        fixture.clock.advance(minutes(1));
        fixture.completes(&refresh).await;
        fixture.check().await;
        let sealed = fixture.mark().await.sealed.to_string();
        let can_be = fixture.clock.now() >= at("2026-11-24T21:10:00");
        assert_eq!(sealed, if can_be { "2026-11-24T21" } else { "2026-11-24T20" });
    }
    fixture.check_items_and_totals().await;
}
