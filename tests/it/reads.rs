//! What a scrape reads of the rollups: the items it needs and no other, and how consistently.

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use serde_json::Value;
use testing::proxy::Proxy;
use wafer_metrics::model::watermark::Watermark;
use wafer_metrics::model::window::Minute;

use crate::fixture::*;

fn minute(time: &str) -> Minute {
    Minute::floor(time.parse().unwrap())
}

/// The ranges of rollups that a scrape reads, each with whether strongly consistent.
async fn reads(through: &str, sealed: &str, caught_up_at: Option<Timestamp>, now: &str) -> String {
    let database = dynamodb().await;
    let mark = Watermark { caught_up_at, ..watermark(minute(through), minute(sealed).hour()) };
    put_watermark(&client(database), &mark).await;
    let proxy = Proxy::to(database).await;
    let reply = call(&scrape(&client(proxy.address)), &Event::scrape(), now.parse().unwrap()).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    let requests = proxy.requests().into_iter().filter(|request| request["TableName"] == "rollups");
    let mut reads: Vec<String> = requests.map(|request| shown(&request)).collect();
    reads[1..].sort();
    reads.join("\n")
}

fn shown(request: &Value) -> String {
    let strong = if request["ConsistentRead"] == true { "strong" } else { "eventual" };
    let values = &request["ExpressionAttributeValues"];
    match (values[":first"]["S"].as_str(), values[":last"]["S"].as_str()) {
        (Some(first), Some(last)) => format!("{first} to {last}, {strong}"),
        _ => format!("{}, {strong}", request["Key"]["period"]["S"].as_str().unwrap()),
    }
}

#[tokio::test]
async fn a_window_is_its_first_hours_minutes_whole_hours_and_the_minutes_since() {
    let reads = reads("2026-11-24T20:14:00Z", "2026-11-24T20:00:00Z", None, "2026-11-24T20:15:30Z").await;
    insta::assert_snapshot!(reads, @r"
        watermark2, strong
        h2#2026-11-23T21 to h2#2026-11-24T18, eventual
        h2#2026-11-24T19 to h2#2026-11-24T19, strong
        m2#2026-11-23T20:14 to m2#2026-11-23T20:59, eventual
        m2#2026-11-24T20:00 to m2#2026-11-24T20:13, strong
    ");
}

#[tokio::test]
async fn everything_is_read_consistently_right_after_a_catch_up() {
    let caught_up = Some("2026-11-24T20:14:31Z".parse().unwrap());
    let reads = reads("2026-11-24T20:14:00Z", "2026-11-24T20:00:00Z", caught_up, "2026-11-24T20:15:30Z").await;
    insta::assert_snapshot!(reads, @r"
        watermark2, strong
        h2#2026-11-23T21 to h2#2026-11-24T18, strong
        h2#2026-11-24T19 to h2#2026-11-24T19, strong
        m2#2026-11-23T20:14 to m2#2026-11-23T20:59, strong
        m2#2026-11-24T20:00 to m2#2026-11-24T20:13, strong
    ");
}

#[tokio::test]
async fn a_window_just_before_a_seal_has_the_most_minutes() {
    let reads = reads("2026-11-24T21:09:00Z", "2026-11-24T20:00:00Z", None, "2026-11-24T21:10:30Z").await;
    insta::assert_snapshot!(reads, @r"
        watermark2, strong
        h2#2026-11-23T22 to h2#2026-11-24T18, eventual
        h2#2026-11-24T19 to h2#2026-11-24T19, strong
        m2#2026-11-23T21:09 to m2#2026-11-23T21:59, eventual
        m2#2026-11-24T20:00 to m2#2026-11-24T21:08, strong
    ");
}

#[tokio::test]
async fn every_page_of_a_query_is_read() {
    let database = dynamodb().await;
    let client = client(database);
    // Eight items of over 300 KB: a page ends at 1 MB.
    for number in 2..10 {
        put_minute(&client, window_end().plus(-number), &requests(&[(200, 1)])).await;
        let key = AttributeValue::S(format!("m2#{}", window_end().plus(-number)));
        let update = client
            .update_item()
            .table_name("rollups")
            .key("endpoint", AttributeValue::S(CHAT.to_owned()))
            .key("period", key);
        let padding = AttributeValue::B(Blob::new(vec![0; 320_000]));
        update
            .update_expression("SET padding = :padding")
            .expression_attribute_values(":padding", padding)
            .send()
            .await
            .unwrap();
    }
    let proxy = Proxy::to(database).await;
    let reply = call(&scrape(&crate::fixture::client(proxy.address)), &Event::scrape(), now()).await;
    assert_eq!(reply.value("wafer_requests_last_24h"), Some("14"), "{}", reply.body);
    assert!(proxy.calls().iter().filter(|call| *call == "Query rollups").count() >= 6);
}

#[tokio::test]
async fn the_end_of_the_window_never_moves_back_whichever_instance_answers() {
    let database = dynamodb().await;
    let client = client(database);
    let rollups = rollups::writer(&client);
    let instances = [scrape(&client), scrape(&client)];
    let mut last = 0;
    for number in 0..20 {
        let sealed = window_end().plus(-10).hour();
        let before = rollups.watermark().await.unwrap().unwrap().version;
        put_watermark(&client, &watermark(window_end().plus(number), sealed)).await;
        if number % 3 == 2 {
            // A run that read the same watermark and ends later has read less.
            let late = watermark(window_end().plus(number - 2), sealed);
            assert_eq!(rollups.put_watermark(&late, Some(before)).await.unwrap(), None);
        }
        let scrape = &instances[usize::try_from(number % 2).unwrap()];
        let reply = call(scrape, &Event::scrape(), after(60_000 * number)).await;
        let end: i64 = reply.value("wafer_metrics_window_end_timestamp_seconds").unwrap().parse().unwrap();
        assert!(end >= last, "{end} after {last}");
        last = end;
    }
}
