//! What an operator finds in the log.

use testing::proxy::{Fault, Proxy};
use wafer_metrics::telemetry::metrics;

use crate::captured_log::lines_with;
use crate::setup::*;

#[tokio::test]
async fn a_scrape_leaves_one_line_that_says_who_asked_what_and_how_long_each_step_took() {
    let scrape = scrape(&client(dynamodb().await));
    let reply = call(&scrape, &Event::scrape().header("user-agent", "Prometheus/3.5.0"), now()).await;
    let lines = lines_with(reply.header("x-request-id"));
    let [line] = &lines[..] else { panic!("{lines:?}") };
    assert_eq!(line["level"], "INFO");
    assert_eq!(line["status"], 200);
    assert_eq!(line["code"], "ok");
    assert_eq!(line["key"], hash(DEDICATED_KEY)[..8]);
    assert_eq!(line["user_agent"], "Prometheus/3.5.0");
    assert_eq!(line["endpoints"], CHAT);
    assert_eq!(line["age_seconds"], 90);
    for step in ["key_ms", "limit_ms", "read_ms", "render_ms", "total_ms"] {
        assert!(line[step].is_u64(), "{step} in {line}");
    }
    assert_eq!(line["cause"], serde_json::Value::Null);
}

#[tokio::test]
async fn a_cause_is_told_once_in_the_log_and_never_to_the_caller() {
    let proxy = Proxy::to(dynamodb().await).await;
    let scrape = scrape(&client(proxy.address));
    proxy.breaks("Query rollups", Fault::server_error());
    let reply = call(&scrape, &Event::scrape(), now()).await;
    let lines = lines_with(reply.header("x-request-id"));
    let [line] = &lines[..] else { panic!("{lines:?}") };
    assert_eq!((&line["level"], &line["code"]), (&"ERROR".into(), &"summary_failed".into()));
    let cause = line["cause"].as_str().unwrap();
    assert!(cause.contains("InternalServerError"), "{cause}");
    assert!(!reply.body.contains("InternalServerError"));
}

#[tokio::test]
async fn a_record_that_does_not_fit_is_the_operators_fault_and_an_unknown_key_is_not() {
    let scrape = scrape(&client(dynamodb().await));
    for (key, level, cause) in [
        (MALFORMED_KEY, "ERROR", "key record does not fit: attribute 'revoked' is of the wrong type"),
        (UNKNOWN_KEY, "INFO", "unknown key"),
        (REVOKED_KEY, "INFO", "revoked key"),
    ] {
        let reply = call(&scrape, &Event::scrape().key(key), now()).await;
        let lines = lines_with(reply.header("x-request-id"));
        let [line] = &lines[..] else { panic!("{lines:?}") };
        assert_eq!((&line["level"], &line["cause"]), (&level.into(), &cause.into()));
    }
}

#[tokio::test]
async fn heartbeats_that_were_not_read_are_told_beside_the_scrape_that_missed_them() {
    let proxy = Proxy::to(dynamodb().await).await;
    proxy.breaks("Query heartbeats", Fault::throttled());
    let reply = call(&scrape(&client(proxy.address)), &Event::scrape(), now()).await;
    let lines = lines_with(reply.header("x-request-id"));
    let messages: Vec<_> = lines.iter().map(|line| line["message"].as_str().unwrap()).collect();
    assert_eq!(messages, ["heartbeats not read", "scrape"]);
}

#[tokio::test]
async fn each_scrape_is_counted_by_code_in_cloudwatchs_embedded_metric_format() {
    let scrape = scrape(&client(dynamodb().await));
    // A time of its own finds the line again.
    let now = after(12_345);
    call(&scrape, &Event::scrape(), now).await;
    let lines = lines_with(&format!("\"Timestamp\":{}", now.as_millisecond()));
    let [line] = &lines[..] else { panic!("{lines:?}") };
    let mut line = line.clone();
    let of_function = line["_aws"]["CloudWatchMetrics"][0]["Metrics"].as_array().unwrap();
    let names: Vec<_> = of_function.iter().map(|metric| metric["Name"].as_str().unwrap()).collect();
    assert_eq!(names, metrics::OF_SCRAPE.map(|metric| metric.name));
    assert!(line["ScrapeMilliseconds"].take().is_u64());
    insta::assert_snapshot!(serde_json::to_string_pretty(&line).unwrap(), @r#"
        {
          "Code": "ok",
          "DataAgeSeconds": 102,
          "Function": "wafer-metrics-scrape",
          "MalformedHeartbeats": 0,
          "MalformedKeys": 0,
          "ScrapeMilliseconds": null,
          "Scrapes": 1,
          "ServerErrors": 0,
          "_aws": {
            "CloudWatchMetrics": [
              {
                "Dimensions": [
                  [
                    "Function"
                  ]
                ],
                "Metrics": [
                  {
                    "Name": "ScrapeMilliseconds",
                    "Unit": "Milliseconds"
                  },
                  {
                    "Name": "DataAgeSeconds",
                    "Unit": "Seconds"
                  },
                  {
                    "Name": "ServerErrors",
                    "Unit": "Count"
                  },
                  {
                    "Name": "MalformedKeys",
                    "Unit": "Count"
                  },
                  {
                    "Name": "MalformedHeartbeats",
                    "Unit": "Count"
                  }
                ],
                "Namespace": "WaferMetrics"
              },
              {
                "Dimensions": [
                  [
                    "Function",
                    "Code"
                  ]
                ],
                "Metrics": [
                  {
                    "Name": "Scrapes",
                    "Unit": "Count"
                  }
                ],
                "Namespace": "WaferMetrics"
              }
            ],
            "Timestamp": 1795551342345
          }
        }
    "#);
}
