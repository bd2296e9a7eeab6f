//! What an operator finds in the log.

use testing::captured_log::lines_with;
use testing::proxy::{Fault, Proxy};
use wafer_metrics::model::quota;
use wafer_metrics::telemetry::metrics;

use crate::fixture::*;

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
async fn of_scrapes_that_are_answered_the_share_without_heartbeats_is_counted() {
    let database = dynamodb().await;
    let proxy = Proxy::to(database).await;
    proxy.breaks("Query heartbeats", Fault::throttled());
    let (up, down) = (scrape(&client(database)), scrape(&client(proxy.address)));
    let at = after(65_432);
    for _ in 0..3 {
        call(&up, &Event::scrape(), at).await;
    }
    let several = format!("endpoint={CODE}&endpoint={CHAT}");
    call(&down, &Event::scrape().query(&several), at).await;
    // Not answered, so that nobody lacks them.
    for refused in [Event::scrape().path("/"), Event::scrape().key(UNKNOWN_KEY)] {
        call(&down, &refused, at).await;
    }
    proxy.breaks("Query rollups", Fault::server_error());
    assert_eq!(call(&down, &Event::scrape(), at).await.status, 502);
    let lines = lines_with(&format!("\"Timestamp\":{}", at.as_millisecond()));
    let counted: Vec<_> = lines.iter().filter_map(|line| line["ScrapesWithoutHeartbeats"].as_u64()).collect();
    assert_eq!((lines.len(), counted), (7, vec![0, 0, 0, 1]));
}

#[tokio::test]
async fn junk_hides_neither_server_errors_nor_slow_scrapes() {
    let database = dynamodb().await;
    let (up, proxy) = (scrape(&client(database)), Proxy::to(database).await);
    proxy.breaks("GetItem api_keys", Fault::server_error());
    let down = scrape(&client(proxy.address));
    // A minute of a hundred customers, all of whose scrapes fail, and of 32 calls a second that are junk.
    let minute = after(54_321);
    for _ in 0..100 {
        assert_eq!(call(&down, &Event::scrape(), minute).await.status, 503);
    }
    for _ in 0..quota::PER_KEY.slots {
        assert_eq!(call(&up, &Event::scrape(), minute).await.status, 200);
    }
    let good = Event::scrape;
    let junk = [
        (404, good().path("/.env")),
        (405, good().method("POST")),
        (401, good().without_header("authorization")),
        (401, good().key(UNKNOWN_KEY)),
        (422, good().query("endpoint=_")),
        (403, good().query("endpoint=x")),
        (429, good()),
    ];
    for (status, junk) in junk.iter().cycle().take(32 * 60) {
        assert_eq!(call(&up, junk, minute).await.status, *status);
    }

    let lines = lines_with(&format!("\"Timestamp\":{}", minute.as_millisecond()));
    let counted = |metric: &str| lines.iter().filter_map(|line| line[metric].as_u64()).collect::<Vec<_>>();
    let answered = 100 + quota::PER_KEY.slots;
    assert_eq!(counted("ScrapeMilliseconds").len(), answered);
    let server_errors = counted("ServerErrors");
    assert_eq!((server_errors.len(), server_errors.iter().sum()), (answered, 100));
    assert_eq!(counted("Scrapes").len(), answered + 32 * 60, "every call is counted by its code");
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
      "Calls": 1,
      "Code": "ok",
      "DataAgeSeconds": 102,
      "Function": "wafer-metrics-scrape",
      "MalformedHeartbeats": 0,
      "MalformedKeys": 0,
      "Route": "scrape",
      "ScrapeMilliseconds": null,
      "Scrapes": 1,
      "ScrapesWithoutHeartbeats": 0,
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
                "Name": "ScrapesWithoutHeartbeats",
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
          },
          {
            "Dimensions": [
              [
                "Function",
                "Route"
              ]
            ],
            "Metrics": [
              {
                "Name": "Calls",
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
