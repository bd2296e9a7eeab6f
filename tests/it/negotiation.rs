//! The format and the encoding of an answer.

use crate::fixture::*;

#[tokio::test]
async fn a_caller_gets_the_format_it_asks_for() {
    let scrape = scrape(&client(dynamodb().await));
    let open_metrics = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    for (accept, content_type) in [
        (None, "text/plain; version=0.0.4; charset=utf-8"),
        (Some("application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"), open_metrics),
    ] {
        let event = Event::scrape().without_header("accept");
        let event = accept.map_or(event.clone(), |accept| event.header("accept", accept));
        let reply = call(&scrape, &event, now()).await;
        assert_eq!((reply.status, reply.header("content-type")), (200, content_type), "{accept:?}");
        assert_eq!(reply.header("vary"), "Accept, Accept-Encoding");
        assert_eq!(reply.body.ends_with("\n# EOF\n"), content_type == open_metrics);
        assert!(reply.body.ends_with('\n'));
    }
}

#[tokio::test]
async fn gzip_is_used_where_it_is_allowed_and_nowhere_else() {
    let scrape = scrape(&client(dynamodb().await));
    for (accept_encoding, encoding) in [("deflate, gzip;q=0.5", "gzip"), ("gzip;q=0", "")] {
        let event = Event::scrape().header("accept-encoding", accept_encoding);
        let reply = call(&scrape, &event, now()).await;
        assert_eq!((reply.status, reply.header("content-encoding")), (200, encoding), "{accept_encoding}");
    }
}
