//! Tables that an older release filled, or that somebody emptied.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use testing::dynamodb::tables::ROLLUPS;

use super::fixture::{Fixture, at, hours, minutes};

const HOSTS: [&str; 2] = ["a.example", "b.example"];

async fn put(fixture: &Fixture, endpoint: &str, period: &str, numbers: &[(&str, i64)]) {
    let text = |value: &str| AttributeValue::S(value.to_owned());
    let mut item = HashMap::from([("endpoint".to_owned(), text(endpoint)), ("period".to_owned(), text(period))]);
    item.extend(numbers.iter().map(|(name, value)| ((*name).to_owned(), AttributeValue::N(value.to_string()))));
    fixture.client.put_item().table_name(ROLLUPS).set_item(Some(item)).send().await.unwrap();
}

/// Fills, killed now and then; scrapes are refused before and right after.
async fn fills_from_the_logs(fixture: &Fixture) {
    let reply = fixture.scrape().await;
    assert_eq!((reply.status, reply.code().as_str()), (502, "summary_failed"), "{}", reply.body);
    let (mut kills, mut refused) = (0, 0);
    while fixture.killed(&fixture.refresh(), 60, kills % 2 == 0).await.is_none_or(|(report, _)| !report.complete) {
        refused += u64::from(fixture.check_as_of(&[fixture.clock.now()]).await.status == 502);
        kills += 1;
    }
    assert!(kills > 2 && refused > 2, "{kills} {refused}");
    fixture.check().await;
    fixture.check_items_and_totals().await;
}

#[tokio::test]
async fn a_table_of_an_older_release_is_filled_from_the_logs() {
    let now = at("2026-11-24T20:15:30");
    let fixture = Fixture::new(now, &HOSTS).await;
    fixture.deliver(now - hours(27), now, 400);
    let (through, sealed) = ((now - minutes(2)).as_second(), at("2026-11-24T20:00:00").as_second());
    put(&fixture, "#refresh", "watermark1", &[("through", through / 60 * 60), ("sealed", sealed), ("version", 900)])
        .await;
    for host in HOSTS {
        let figures = [("requests", 77), ("status_2xx", 77), ("input_tokens", 7_700), ("as_of", through * 1_000)];
        put(&fixture, host, "m1#2026-11-24T20:10", &figures).await;
        put(&fixture, host, "h1#2026-11-24T19", &figures).await;
    }
    fills_from_the_logs(&fixture).await;
}

#[tokio::test]
async fn an_emptied_table_is_filled_from_the_logs_and_counts_from_what_it_holds() {
    let start = at("2026-11-24T19:38:30");
    let fixture = Fixture::begun(start - hours(2), &HOSTS).await;
    fixture.deliver(start - hours(27), start + hours(1), 400);
    let refresh = fixture.refresh();
    fixture.catch_up(&refresh).await;
    fixture.run_until(&refresh, start + minutes(20)).await;
    let items = fixture.client.scan().table_name(ROLLUPS).into_paginator().items().send();
    for item in items.collect::<Result<Vec<_>, _>>().await.unwrap() {
        let key = ["endpoint", "period"].map(|name| (name.to_owned(), item[name].clone()));
        fixture.client.delete_item().table_name(ROLLUPS).set_key(Some(key.into())).send().await.unwrap();
    }
    fixture.forget();
    // An instance that still knows what was stored.
    fixture.clock.advance(minutes(1));
    fixture.killed(&refresh, 8, false).await;
    fixture.catch_up(&refresh).await;
    fixture.check().await;
    fixture.check_items_and_totals().await;
}
