//! What an operator finds in the log of the refresh.

use std::sync::Arc;

use jiff::Timestamp;
use lambda_runtime::{Config, Context, LambdaEvent};
use serde_json::{Value, json};
use testing::proxy::{Fault, Proxy};
use testing::sdk_config;
use wafer_metrics::aws;
use wafer_metrics::refresh::Refresh;
use wafer_metrics::settings::RefreshSettings;

use crate::log::lines_with;
use crate::setup::*;

/// The embedded-metric-format line of a run at that time.
async fn metrics(proxy: &Proxy, now: Timestamp) -> Value {
    let given = |name: &str| name.ends_with("_TABLE") || name.starts_with("ATHENA_");
    let settings = RefreshSettings::read(|name| given(name).then(|| name.trim_end_matches("_TABLE").to_lowercase()));
    let config = sdk_config(proxy.address);
    let refresh = Refresh::new(settings.unwrap(), aws::athena(&config), client(proxy.address));
    let mut context = Context::default();
    context.env_config = Arc::new(Config { function_name: "wafer-metrics-refresh".to_owned(), ..Config::default() });
    let event = serde_json::from_str(include_str!("../../events/schedule.json")).unwrap();
    // Its outcome is told by the line.
    let _ = refresh.handle(LambdaEvent::new(event, context), now).await;
    let mut lines = lines_with(&format!("\"Timestamp\":{}", now.as_millisecond()));
    assert_eq!(lines.len(), 1, "{lines:?}");
    let mut line = lines.remove(0);
    assert_eq!(line["_aws"]["CloudWatchMetrics"][0]["Dimensions"], json!([["Function"]]));
    assert_eq!(line["Function"], "wafer-metrics-refresh");
    line.as_object_mut().unwrap().retain(|name, _| !["_aws", "Function", "RefreshMilliseconds"].contains(&name.as_str()));
    line
}

#[tokio::test]
async fn a_run_tells_how_far_the_data_lags_and_that_it_did_not_fail() {
    let proxy = Proxy::to(dynamodb().await).await;
    // The window ends 80 s before: nothing is due yet.
    let mut line = metrics(&proxy, after(-10_901)).await;
    let lag = line.as_object_mut().unwrap().remove("RefreshLagSeconds").unwrap().as_u64().unwrap();
    assert!((79..90).contains(&lag), "{lag}");
    let zero = ["RefreshRows", "LateRows", "SkippedRows", "ScannedBytes", "ItemsWritten", "QueryMilliseconds", "RefreshErrors"];
    let expected: Value = zero.into_iter().map(|name| (name.to_owned(), json!(0))).collect::<serde_json::Map<_, _>>().into();
    assert_eq!(line, expected);
}

#[tokio::test]
async fn a_run_that_fails_tells_so() {
    let proxy = Proxy::to(dynamodb().await).await;
    proxy.breaks("GetItem rollups", Fault::server_error());
    assert_eq!(metrics(&proxy, after(-10_902)).await, json!({"RefreshErrors": 1}));
}
