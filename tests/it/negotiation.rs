//! What each real client sends, and the format it gets.

use crate::setup::*;

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[tokio::test]
async fn each_real_client_gets_the_format_it_asks_for() {
    let database = dynamodb().await;
    let prometheus_2 = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    let prometheus_2_53 = "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
    let prometheus_3 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
    let native_histograms = format!(
        "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7,{prometheus_3}"
    );
    let telegraf = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7,text/plain;version=0.0.4;q=0.3";
    let clients = [
        ("Prometheus 2.42", Some(prometheus_2), OPEN_METRICS),
        ("Prometheus 2.53", Some(prometheus_2_53), OPEN_METRICS),
        ("Prometheus 3.5, OpenTelemetry's receiver", Some(prometheus_3), OPEN_METRICS),
        ("Prometheus 3.5 with native histograms", Some(&native_histograms), OPEN_METRICS),
        ("vmagent", Some("text/plain;version=0.0.4;q=1,*/*;q=0.1"), TEXT),
        ("Datadog", Some("text/plain"), TEXT),
        (
            "Datadog with use_latest_spec",
            Some("application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1"),
            OPEN_METRICS,
        ),
        ("Datadog with headers", None, TEXT),
        ("Telegraf", Some(telegraf), TEXT),
        ("curl", Some("*/*"), TEXT),
        ("a browser", Some("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"), TEXT),
    ];
    let dynamodb = client(database);
    for (number, (name, accept, content_type)) in clients.into_iter().enumerate() {
        // A key each: the limit of one would end the test.
        let key = format!("negotiating-key-{number}");
        put_key(&dynamodb, &key, "dedicated", &[CHAT], &[]).await;
        let event = Event::scrape().key(&key).without_header("accept");
        let event = accept.map_or(event.clone(), |accept| event.header("accept", accept));
        let reply = call(&scrape(&dynamodb), &event, now()).await;
        assert_eq!((reply.status, reply.header("content-type")), (200, content_type), "{name}");
        assert_eq!(reply.header("vary"), "Accept, Accept-Encoding");
        assert_eq!(reply.body.ends_with("\n# EOF\n"), content_type == OPEN_METRICS, "{name}");
        assert!(reply.body.ends_with('\n'));
    }
}

#[tokio::test]
async fn gzip_is_used_where_it_is_allowed_and_nowhere_else() {
    let database = dynamodb().await;
    let scrape = scrape(&client(database));
    for (accept_encoding, encoding) in [
        ("gzip", "gzip"),
        ("gzip, deflate", "gzip"),
        ("deflate, gzip;q=0.5", "gzip"),
        ("gzip;q=0", ""),
        ("identity", ""),
        ("br", ""),
    ] {
        let event = Event::scrape().header("accept-encoding", accept_encoding);
        let reply = call(&scrape, &event, now()).await;
        assert_eq!((reply.status, reply.header("content-encoding")), (200, encoding), "{accept_encoding}");
    }
}
