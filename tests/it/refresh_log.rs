//! What an operator finds in the log of the refresh.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use lambda_runtime::LambdaEvent;
use serde_json::{Value, json};
use testing::athena::ScriptedAthena;
use testing::captured_log::lines_with;
use testing::clock::Clock;
use testing::logs::Row;
use testing::proxy::{Fault, Proxy};
use wafer_metrics::refresh::Refresh;
use wafer_metrics::settings::RefreshSettings;
use wafer_metrics::stores::request_logs::Polling;
use wafer_metrics::telemetry::metrics;

use crate::fixture::*;

/// The embedded-metric-format line of a run at that time.
async fn metrics_of_run(proxy: &Proxy, now: Timestamp) -> Value {
    let mut line = line_of_run(proxy, proxy, now, Duration::ZERO).await;
    assert_eq!(line["_aws"]["CloudWatchMetrics"][0]["Dimensions"], json!([["Function"]]));
    assert_eq!(line["Function"], "wafer-metrics-refresh");
    line.as_object_mut()
        .unwrap()
        .retain(|name, _| !["_aws", "Function", "RefreshMilliseconds"].contains(&name.as_str()));
    line
}

/// The same as it stands, of a run that is given so long.
async fn line_of_run(proxy: &Proxy, athena: &Proxy, now: Timestamp, time: Duration) -> Value {
    let given = |name: &str| name.ends_with("_TABLE") || name.starts_with("ATHENA_");
    let settings =
        RefreshSettings::from_lookup(|name| given(name).then(|| name.trim_end_matches("_TABLE").to_lowercase()));
    let (athena, dynamodb) = (athena_client(athena.address), refresh_client(proxy.address));
    let refresh = Refresh::new(settings.unwrap(), athena, Polling::default(), dynamodb);
    let mut context = invocation("wafer-metrics-refresh");
    context.deadline = u64::try_from(now.as_millisecond()).unwrap() + u64::try_from(time.as_millis()).unwrap();
    let event = serde_json::from_str(include_str!("../../events/schedule.json")).unwrap();
    // The line shows how it ended.
    let _ = refresh.handle(LambdaEvent::new(event, context), now).await;
    let mut lines = lines_with(&format!("\"Timestamp\":{}", now.as_millisecond()));
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines.remove(0)
}

#[tokio::test]
async fn a_run_tells_how_far_the_data_lags_and_that_it_did_not_fail() {
    let proxy = Proxy::to(dynamodb().await).await;
    // The window ends 80 s before: nothing is due yet. The lag is taken at the end of the run.
    let started = Instant::now();
    let mut line = metrics_of_run(&proxy, after(-10_901)).await;
    let lag = line.as_object_mut().unwrap().remove("RefreshLagSeconds").unwrap().as_u64().unwrap();
    assert!((79..=80 + started.elapsed().as_secs()).contains(&lag), "{lag}");
    let measured = [metrics::REFRESH_LAG_SECONDS, metrics::REFRESH_MILLISECONDS];
    let zeros = metrics::OF_REFRESH.into_iter().filter(|metric| !measured.contains(metric));
    assert_eq!(line, zeros.map(|metric| (metric.name.to_owned(), json!(0))).collect::<Value>());
}

#[tokio::test]
async fn a_run_that_fails_tells_so() {
    let proxy = Proxy::to(dynamodb().await).await;
    proxy.breaks("GetItem rollups", Fault::server_error());
    let line = metrics_of_run(&proxy, after(-10_902)).await;
    // How far behind it is, it cannot know.
    let unknown = [metrics::REFRESH_LAG_SECONDS, metrics::MINUTES_BEHIND, metrics::HOURS_UNSEALED];
    let measured = [metrics::REFRESH_MILLISECONDS];
    let counts =
        metrics::OF_REFRESH.into_iter().filter(|metric| !unknown.contains(metric) && !measured.contains(metric));
    let expected = counts.map(|metric| (metric.name.to_owned(), json!(u8::from(metric == metrics::REFRESH_ERRORS))));
    assert_eq!(line, expected.collect::<Value>());
}

#[tokio::test]
async fn minutes_behind_are_told_by_what_holds_them_up() {
    let (now, long) = (after(120_903), Duration::from_secs(20));
    for (number, (call, fault, time, cause)) in [
        ("", Fault::Closed, Duration::ZERO, "out_of_time"),
        ("StartQueryExecution", Fault::Hangs, Duration::from_secs(7), "out_of_time"),
        (
            "StartQueryExecution",
            Fault::Answer(400, r#"{"__type":"InvalidRequestException","Message":"x"}"#.to_owned()),
            long,
            "query",
        ),
        ("TransactWriteItems", Fault::server_error(), long, "rollups"),
        ("PutItem rollups", Fault::server_error(), long, "watermark"),
    ]
    .into_iter()
    .enumerate()
    {
        let proxy = Proxy::to(dynamodb().await).await;
        let now = now + SignedDuration::from_millis(i64::try_from(number).unwrap());
        let scripted = ScriptedAthena::new(Clock::new(now));
        let ended = (window_end().start() + Duration::from_secs(5)).as_millisecond();
        scripted.deliver(now - Duration::from_mins(1), vec![Row::ok(CHAT, "1", ended)]);
        let athena = Proxy::to(scripted.start().await).await;
        proxy.breaks(call, fault.clone());
        athena.breaks(call, fault);
        let line = line_of_run(&proxy, &athena, now, time).await;
        assert_eq!(
            (&line["Cause"], &line["MinutesBehind"], &line["RefreshErrors"]),
            (&json!(cause), &json!(2), &json!(1)),
            "{line}"
        );
        let by_cause = &line["_aws"]["CloudWatchMetrics"][1];
        assert_eq!(by_cause["Dimensions"], json!([["Function", "Cause"]]));
        assert_eq!(by_cause["Metrics"][0]["Name"], "MinutesBehind");
    }
}
