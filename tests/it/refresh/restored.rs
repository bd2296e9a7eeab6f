//! A table of rollups that its operator has restored to an earlier moment: all of it, or with items of another one.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use testing::athena::{File, folder};
use testing::dynamodb::tables::ROLLUPS;
use testing::logs::Row;

use super::fixture::{Fixture, at, hours, minutes, seconds};
use super::items::Items;
use super::samples::{Samples, samples};
use super::tally::Tally;

const HOSTS: [&str; 2] = ["a.example", "b.example"];

type Item = HashMap<String, AttributeValue>;

/// A deployment an hour after the moment that its table is restored to.
struct Restorable {
    fixture: Fixture,
    then: Vec<Item>,
    now: Vec<Item>,
    /// Delivered in between.
    file: File,
}

/// Runs each minute from 20:01 to 21:31, with an hour sealed in between; the moment is 20:31.
async fn restorable() -> Restorable {
    let start = at("2026-11-24T20:01:30");
    let fixture = Fixture::begun(start, &HOSTS).await;
    fixture.deliver(start, start + hours(4), 20);
    let refresh = fixture.refresh();
    fixture.run_until(&refresh, start + minutes(30)).await;
    let then = stored(&fixture).await;
    let counted = start + minutes(40);
    let rows =
        (0..50).map(|second| Row::ok(HOSTS[0], &format!("{second}"), (counted + seconds(second)).as_millisecond()));
    let file = fixture.athena.deliver(counted + minutes(1), rows.collect());
    fixture.run_until(&refresh, start + minutes(90)).await;
    fixture.check_items_and_totals().await;
    let now = stored(&fixture).await;
    Restorable { fixture, then, now, file }
}

async fn stored(fixture: &Fixture) -> Vec<Item> {
    let scan = fixture.client.scan().table_name(ROLLUPS).consistent_read(true).into_paginator().items().send();
    scan.collect::<Result<_, _>>().await.unwrap()
}

impl Restorable {
    /// Leaves these items alone in the table.
    async fn restore(&self, items: impl IntoIterator<Item = &Item>) {
        let (client, key) = (&self.fixture.client, ["endpoint", "period"]);
        for item in stored(&self.fixture).await {
            let key = key.map(|name| (name.to_owned(), item[name].clone()));
            client.delete_item().table_name(ROLLUPS).set_key(Some(key.into())).send().await.unwrap();
        }
        for item in items {
            client.put_item().table_name(ROLLUPS).set_item(Some(item.clone())).send().await.unwrap();
        }
        self.fixture.forget();
    }

    /// The items of now, but for one of each endpoint or of the refresh, which is of then.
    async fn restore_but(&self, period: &str) {
        let is_of = |item: &&Item| item["period"].as_s().unwrap() == period;
        self.restore(self.now.iter().filter(|item| !is_of(item)).chain(self.then.iter().filter(is_of))).await;
    }

    async fn counters(&self) -> Samples {
        let service = testing::calls::scrape(&self.fixture.client);
        let reply = self.fixture.scrape_view(&service, "counters", "text/plain").await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        samples(&reply).0
    }

    /// Requests that were ever counted.
    async fn requests(&self) -> u128 {
        let totals = Items::scan(&self.fixture.client).await.totals;
        totals.values().map(Tally::requests).sum()
    }

    /// The same, by the minutes, which are all there.
    async fn requests_of_minutes(&self) -> u128 {
        Items::scan(&self.fixture.client).await.minutes.values().map(Tally::requests).sum()
    }

    async fn run_until(&self, until: Timestamp) {
        self.fixture.run_until(&self.fixture.refresh(), until).await;
    }
}

#[tokio::test]
async fn a_restored_table_is_refused_until_it_has_caught_up_and_then_says_what_it_said_before() {
    let restorable = restorable().await;
    let before = restorable.counters().await;
    restorable.restore(&restorable.then).await;
    let reply = restorable.fixture.scrape().await;
    assert_eq!((reply.status, reply.code().as_str()), (502, "summary_failed"), "{}", reply.body);
    restorable.fixture.catch_up(&restorable.fixture.refresh()).await;
    assert_eq!(restorable.counters().await.fallen(&before), None);
    restorable.fixture.check().await;
    restorable.fixture.check_items_and_totals().await;
}

#[tokio::test]
async fn a_restored_table_lacks_what_the_logs_no_longer_hold_falls_once_and_never_again() {
    let restorable = restorable().await;
    let before = restorable.counters().await;
    restorable.fixture.athena.delete(restorable.file);
    restorable.restore(&restorable.then).await;
    restorable.fixture.catch_up(&restorable.fixture.refresh()).await;
    let mut after = restorable.counters().await;
    let requests = |samples: &Samples| samples.exact(HOSTS[0], "wafer_requests_total,status_class=\"2xx\"");
    assert_eq!(requests(&before) - requests(&after), 50);
    for _ in 0..20 {
        restorable.run_until(restorable.fixture.clock.now() + minutes(1)).await;
        let later = restorable.counters().await;
        assert_eq!(later.fallen(&after), None);
        after = later;
    }
    restorable.fixture.check_items_and_totals().await;
}

#[tokio::test]
async fn what_a_recomputation_had_found_in_a_later_folder_is_to_be_recomputed_again_in_a_restored_table() {
    let restorable = restorable().await;
    let fixture = &restorable.fixture;
    let ended = at("2026-11-24T20:40:10");
    fixture.clock.advance(hours(2));
    let late = vec![Row::ok(HOSTS[0], "late", ended.as_millisecond())];
    fixture.athena.deliver_into(&folder(fixture.clock.now()), fixture.clock.now(), late);
    let refresh = fixture.refresh();
    fixture.catch_up(&refresh).await;
    let counted = restorable.requests().await;
    fixture.recomputed(&refresh, ended, ended + minutes(1)).await;
    assert_eq!(restorable.requests().await, counted + 1);
    restorable.restore(&restorable.then).await;
    let refresh = fixture.refresh();
    fixture.catch_up(&refresh).await;
    assert_eq!(restorable.requests().await, counted);
    fixture.recomputed(&refresh, ended, ended + minutes(1)).await;
    fixture.check_items_and_totals().await;
}

#[tokio::test]
async fn a_watermark_older_than_everything_else_counts_nothing_twice() {
    let restorable = restorable().await;
    let counted = restorable.requests().await;
    restorable.restore_but("watermark2").await;
    restorable.fixture.catch_up(&restorable.fixture.refresh()).await;
    assert_eq!(restorable.requests().await, counted);
    restorable.run_until(restorable.fixture.clock.now() + minutes(10)).await;
    restorable.fixture.check().await;
    restorable.fixture.check_items_and_totals().await;
}

#[tokio::test]
async fn totals_older_than_their_minutes_lack_what_was_counted_in_between_for_good() {
    let restorable = restorable().await;
    let counted = restorable.requests().await;
    restorable.restore_but("total2").await;
    let lacking = counted - restorable.requests().await;
    assert!(lacking > 0);
    restorable.run_until(restorable.fixture.clock.now() + minutes(15)).await;
    // Window figures are not touched, nor is what is counted from now on.
    restorable.fixture.check().await;
    restorable.fixture.check_items().await;
    assert_eq!(restorable.requests_of_minutes().await - restorable.requests().await, lacking);
}

#[tokio::test]
async fn totals_younger_than_their_minutes_count_what_lies_in_between_twice_and_never_fall() {
    let restorable = restorable().await;
    let before = restorable.counters().await;
    let counted = restorable.requests().await;
    let is_total = |item: &&Item| item["period"].as_s().unwrap() == "total2";
    let others = restorable.then.iter().filter(|item| !is_total(item));
    restorable.restore(others.chain(restorable.now.iter().filter(is_total))).await;
    let surplus = counted - restorable.requests_of_minutes().await;
    assert!(surplus > 0);
    restorable.fixture.catch_up(&restorable.fixture.refresh()).await;
    assert_eq!(restorable.counters().await.fallen(&before), None);
    restorable.fixture.check().await;
    restorable.fixture.check_items().await;
    assert_eq!(restorable.requests().await - restorable.requests_of_minutes().await, surplus);
}
