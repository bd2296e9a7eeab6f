//! The contract's table of errors: order, replies, and what each row may cost.

use testing::proxy::Proxy;
use wafer_metrics::answer::Service;

use crate::fixture::*;

async fn fixture() -> (Service, Proxy) {
    let proxy = Proxy::to(dynamodb().await).await;
    (scrape(&client(proxy.address)), proxy)
}

const READS: [&str; 6] =
    ["GetItem rollups", "Query heartbeats", "Query rollups", "Query rollups", "Query rollups", "Query rollups"];

#[tokio::test]
async fn the_first_row_that_applies_answers_whatever_else_is_wrong() {
    let (scrape, proxy) = fixture().await;
    let good = Event::scrape;
    let key = "GetItem api_keys";
    for (what, event, status, code, calls) in [
        ("path", good().path("/v1/endpoints"), 404, "not_found", &[][..]),
        ("path, and all else", good().path("/").method("POST").key("x").query(""), 404, "not_found", &[]),
        ("path with a slash at its end", good().path("/v1/endpoints/metrics/prometheus/"), 404, "not_found", &[]),
        ("method", good().method("POST"), 405, "method_not_allowed", &[]),
        ("HEAD", good().method("HEAD"), 405, "method_not_allowed", &[]),
        ("method, key and endpoint", good().method("PUT").key("x").query(""), 405, "method_not_allowed", &[]),
        ("no key", good().without_header("authorization"), 401, "invalid_api_key", &[]),
        ("malformed key and endpoint", good().key("short").query("endpoint=_"), 401, "invalid_api_key", &[]),
        ("no endpoint", good().query(""), 422, "invalid_endpoint", &[]),
        ("malformed endpoint and view", good().query("endpoint=_&view=x"), 422, "invalid_endpoint", &[]),
        ("no view", good().query("endpoint=x&view="), 422, "invalid_view", &[]),
        ("unknown key and view", good().key(UNKNOWN_KEY).query("endpoint=x&view=all"), 422, "invalid_view", &[]),
        (
            "unknown key and malformed endpoint",
            good().key(UNKNOWN_KEY).query("endpoint=_"),
            422,
            "invalid_endpoint",
            &[],
        ),
        ("unknown key", good().key(UNKNOWN_KEY), 401, "invalid_api_key", &[key]),
        (
            "unknown key, another's endpoint",
            good().key(UNKNOWN_KEY).query("endpoint=x"),
            401,
            "invalid_api_key",
            &[key],
        ),
        ("revoked key", good().key(REVOKED_KEY), 401, "invalid_api_key", &[key]),
        (
            "revoked key, another's endpoint",
            good().key(REVOKED_KEY).query("endpoint=x"),
            401,
            "invalid_api_key",
            &[key],
        ),
        ("expired key", good().key(EXPIRED_KEY), 401, "invalid_api_key", &[key]),
        ("malformed record", good().key(MALFORMED_KEY), 401, "invalid_api_key", &[key]),
        ("serverless key", good().key(SERVERLESS_KEY), 403, "dedicated_only", &[key]),
        (
            "serverless key, another's endpoint",
            good().key(SERVERLESS_KEY).query("endpoint=x"),
            403,
            "dedicated_only",
            &[key],
        ),
        ("another's endpoint", good().query("endpoint=other.example"), 403, "endpoint_forbidden", &[key]),
        (
            "own and another's endpoint",
            good().query("endpoint=chat.demo.example&endpoint=x"),
            403,
            "endpoint_forbidden",
            &[key],
        ),
    ] {
        let reply = call(&scrape, &event, now()).await;
        assert_eq!((reply.status, reply.code().as_str()), (status, code), "{what}");
        assert_eq!(proxy.calls(), calls, "{what}");
    }
}

#[tokio::test]
async fn a_scrape_costs_one_read_of_the_key_one_write_and_the_reads_of_its_endpoints() {
    let (scrape, proxy) = fixture().await;
    assert_eq!(call(&scrape, &Event::scrape(), now()).await.status, 200);
    let mut calls = proxy.calls();
    assert_eq!(calls.remove(0), "GetItem api_keys");
    calls.sort();
    let expected: Vec<_> = READS.iter().copied().chain(["UpdateItem rate_limits"]).collect();
    assert_eq!(calls, expected);

    let two = Event::scrape().query("endpoint=code.demo.example&endpoint=chat.demo.example");
    assert_eq!(call(&scrape, &two, now()).await.status, 200);
    let of = |name: &str, calls: &[String]| calls.iter().filter(|call| *call == name).count();
    let calls = proxy.calls();
    assert_eq!(of("UpdateItem rate_limits", &calls), 1);
    assert_eq!(of("Query rollups", &calls), 8);
}

#[tokio::test]
async fn each_refusal_is_whole() {
    let (scrape, _) = fixture().await;
    let good = Event::scrape;
    insta::assert_snapshot!(call(&scrape, &good().path("/"), now()).await.shown(), @r#"
        404
        cache-control: no-store
        content-type: application/json
        x-request-id: req_<id>

        {"error":{"type":"invalid_request_error","code":"not_found","message":"Nothing is served at this path; scrape /v1/endpoints/metrics/prometheus?endpoint=<ENDPOINT_HOST>.","param":null,"request_id":"req_<id>"}}
    "#);
    insta::assert_snapshot!(call(&scrape, &good().method("DELETE"), now()).await.shown(), @r#"
        405
        allow: GET
        cache-control: no-store
        content-type: application/json
        x-request-id: req_<id>

        {"error":{"type":"invalid_request_error","code":"method_not_allowed","message":"Use GET; no other method is served here.","param":null,"request_id":"req_<id>"}}
    "#);
    insta::assert_snapshot!(call(&scrape, &good().key("short"), now()).await.shown(), @r#"
        401
        cache-control: no-store
        content-type: application/json
        www-authenticate: Bearer
        x-request-id: req_<id>

        {"error":{"type":"authentication_error","code":"invalid_api_key","message":"Send a valid API key as 'Authorization: Bearer <API_KEY>', with one space and no line break after the key.","param":null,"request_id":"req_<id>"}}
    "#);
    insta::assert_snapshot!(call(&scrape, &good().query("endpoint="), now()).await.shown(), @r#"
    422
    cache-control: no-store
    content-type: application/json
    x-request-id: req_<id>

    {"error":{"type":"invalid_request_error","code":"invalid_endpoint","message":"Name 1 to 20 endpoints as endpoint=<ENDPOINT_HOST>, each a host name without scheme, port, path or trailing dot, or all of the key's as endpoint=*; JSON takes exactly one.","param":"endpoint","request_id":"req_<id>"}}
    "#);
    insta::assert_snapshot!(call(&scrape, &good().key(SERVERLESS_KEY), now()).await.shown(), @r#"
        403
        cache-control: no-store
        content-type: application/json
        x-request-id: req_<id>

        {"error":{"type":"permission_error","code":"dedicated_only","message":"Serverless keys have no endpoint metrics; use a dedicated endpoint's key here, and the Billing API for serverless usage.","param":null,"request_id":"req_<id>"}}
    "#);
    insta::assert_snapshot!(call(&scrape, &good().query("endpoint=x"), now()).await.shown(), @r#"
        403
        cache-control: no-store
        content-type: application/json
        x-request-id: req_<id>

        {"error":{"type":"permission_error","code":"endpoint_forbidden","message":"This key does not own every endpoint asked for; ask only for endpoints of this key, or use the key of their owner.","param":null,"request_id":"req_<id>"}}
    "#);
}

#[tokio::test]
async fn each_failure_and_the_exposition_are_whole() {
    let (scrape, proxy) = fixture().await;
    let good = Event::scrape;
    proxy.breaks("GetItem api_keys", testing::proxy::Fault::server_error());
    insta::assert_snapshot!(call(&scrape, &good(), now()).await.shown(), @r#"
        503
        cache-control: no-store
        content-type: application/json
        retry-after: 5
        x-request-id: req_<id>

        {"error":{"type":"api_error","code":"unavailable","message":"The service cannot check this call at the moment; try again in 5 seconds.","param":null,"request_id":"req_<id>"}}
    "#);
    let (scrape, proxy) = fixture().await;
    proxy.breaks("UpdateItem rate_limits", testing::proxy::Fault::server_error());
    let limiter_failed = call(&scrape, &good(), now()).await.shown();
    proxy.mends("UpdateItem rate_limits");
    proxy.breaks("GetItem api_keys", testing::proxy::Fault::server_error());
    assert_eq!(limiter_failed, call(&scrape, &good(), now()).await.shown());
    let (scrape, proxy) = fixture().await;
    proxy.breaks("Query rollups", testing::proxy::Fault::Hangs);
    let hurried = good().waiting("3");
    insta::assert_snapshot!(call(&scrape, &hurried, now()).await.shown(), @r#"
    504
    cache-control: no-store
    content-type: application/json
    ratelimit: "per-key";r=5;t=59
    ratelimit-policy: "per-key";q=6;w=60
    x-request-id: req_<id>

    {"error":{"type":"api_error","code":"summary_timeout","message":"The figures did not come in time; keep calling at your interval, or raise the timeout of your scraper.","param":null,"request_id":"req_<id>"}}
    "#);
    let (scrape, _) = fixture().await;
    let stale = after(600_000);
    insta::assert_snapshot!(call(&scrape, &good(), stale).await.shown(), @r#"
    502
    cache-control: no-store
    content-type: application/json
    ratelimit: "per-key";r=5;t=59
    ratelimit-policy: "per-key";q=6;w=60
    x-request-id: req_<id>

    {"error":{"type":"api_error","code":"summary_failed","message":"The figures are unavailable at the moment; keep calling at your interval, and contact support if this lasts.","param":null,"request_id":"req_<id>"}}
    "#);
    for _ in 0..5 {
        call(&scrape, &good(), stale).await;
    }
    insta::assert_snapshot!(call(&scrape, &good(), stale).await.shown(), @r#"
    429
    cache-control: no-store
    content-type: application/json
    ratelimit: "per-key";r=0;t=59
    ratelimit-policy: "per-key";q=6;w=60
    retry-after: 59
    x-request-id: req_<id>

    {"error":{"type":"rate_limit_error","code":"rate_limited","message":"Over 6 requests a minute for this key; wait for the seconds in Retry-After, and call every 60 seconds.","param":null,"request_id":"req_<id>"}}
    "#);
    let whole = call(&fixture().await.0, &good(), now()).await.shown();
    insta::assert_snapshot!(whole.split("\n\n").next().unwrap(), @r#"
        200
        cache-control: no-store
        content-type: text/plain; version=0.0.4; charset=utf-8
        ratelimit: "per-key";r=5;t=59
        ratelimit-policy: "per-key";q=6;w=60
        vary: Accept, Accept-Encoding
        x-request-id: req_<id>
    "#);
}

#[tokio::test]
async fn a_key_that_is_no_good_is_told_apart_neither_by_reply_nor_by_cost() {
    let (scrape, proxy) = fixture().await;
    let malformed = call(&scrape, &Event::scrape().key("short"), now()).await.shown();
    for key in [UNKNOWN_KEY, REVOKED_KEY, EXPIRED_KEY, MALFORMED_KEY] {
        assert_eq!(call(&scrape, &Event::scrape().key(key), now()).await.shown(), malformed, "{key}");
        assert_eq!(proxy.calls(), ["GetItem api_keys"], "{key}");
    }
}

#[tokio::test]
async fn a_key_is_good_until_the_second_it_expires() {
    let (scrape, _) = fixture().await;
    assert_eq!(call(&scrape, &Event::scrape().key(EXPIRED_KEY), after(-1)).await.status, 200);
    assert_eq!(call(&scrape, &Event::scrape().key(EXPIRED_KEY), after(0)).await.status, 401);
}

#[tokio::test]
async fn nothing_tells_whether_another_endpoint_exists() {
    let (scrape, proxy) = fixture().await;
    let forbidden = |host: &str| Event::scrape().key(METRICS_KEY).query(&format!("endpoint={host}"));
    let existing = call(&scrape, &forbidden(CODE), now()).await.shown();
    let cost = proxy.calls();
    assert_eq!(call(&scrape, &forbidden("nowhere.example"), now()).await.shown(), existing);
    assert_eq!(proxy.calls(), cost);
}

#[tokio::test]
async fn a_malformed_authorization_is_refused_without_a_read() {
    let (scrape, proxy) = fixture().await;
    let event = Event::scrape().header("authorization", "Bearer  demo-dedicated-key");
    let reply = call(&scrape, &event, now()).await;
    assert_eq!((reply.status, reply.code().as_str()), (401, "invalid_api_key"));
    assert!(proxy.calls().is_empty());
}

#[tokio::test]
async fn a_malformed_endpoint_is_refused_without_a_read() {
    let (scrape, proxy) = fixture().await;
    let reply = call(&scrape, &Event::scrape().query("endpoint=chat.demo.example:443"), now()).await;
    assert_eq!((reply.status, reply.code().as_str()), (422, "invalid_endpoint"));
    assert!(proxy.calls().is_empty());
}

#[tokio::test]
async fn a_query_string_that_is_odd_elsewhere_is_answered() {
    let (scrape, _) = fixture().await;
    let query = "a b=\"c\"&&=&%zz=%&endpoint=%63hat.demo.example&endpoint=CHAT.DEMO.EXAMPLE&";
    let reply = call(&scrape, &Event::scrape().key(METRICS_KEY).query(query), now()).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.body.lines().filter(|line| line.starts_with("wafer_metrics_window_seconds{")).count(), 1);
}

#[tokio::test]
async fn twenty_endpoints_of_a_key_are_answered_in_the_order_asked() {
    let address = dynamodb().await;
    let hosts: Vec<String> = (0..20).rev().map(|number| format!("h{number}.example")).collect();
    let owned: Vec<&str> = hosts.iter().map(String::as_str).collect();
    put_key(&client(address), UNKNOWN_KEY, "dedicated", &owned, &[]).await;
    let query: Vec<String> = hosts.iter().map(|host| format!("endpoint={host}")).collect();
    let reply = call(&scrape(&client(address)), &Event::scrape().key(UNKNOWN_KEY).query(&query.join("&")), now()).await;
    assert_eq!(reply.status, 200);
    let lines = reply.body.lines().filter_map(|line| line.strip_prefix("wafer_metrics_window_seconds{endpoint=\""));
    let order: Vec<&str> = lines.filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!(order, owned);
    assert_eq!(reply.value("wafer_scrape_budget_remaining"), Some("5"));
}

#[tokio::test]
async fn an_event_that_is_no_http_request_fails_the_invocation() {
    let (scrape, proxy) = fixture().await;
    for event in
        ["{}", "[]", "null", "\"text\"", include_str!("../../events/schedule.json"), r#"{"version":"2.0","headers":5}"#]
    {
        assert!(try_call(&scrape, &Event::of(event), now()).await.is_err(), "{event}");
    }
    assert!(proxy.calls().is_empty());
}

#[tokio::test]
async fn the_events_of_this_repository_get_what_their_names_say() {
    let (scrape, _) = fixture().await;
    for (event, status, code) in [
        (include_str!("../../events/wrong-path.json"), 404, "not_found"),
        (include_str!("../../events/wrong-method.json"), 405, "method_not_allowed"),
        (include_str!("../../events/missing-key.json"), 401, "invalid_api_key"),
        (include_str!("../../events/invalid-endpoint.json"), 422, "invalid_endpoint"),
        (include_str!("../../events/unknown-key.json"), 401, "invalid_api_key"),
        (include_str!("../../events/serverless-key.json"), 403, "dedicated_only"),
        (include_str!("../../events/other-endpoint.json"), 403, "endpoint_forbidden"),
        (include_str!("../../events/scrape-text.json"), 200, "ok"),
        (include_str!("../../events/scrape.json"), 200, "ok"),
        (include_str!("../../events/scrape-all.json"), 200, "ok"),
        (include_str!("../../events/json.json"), 200, "ok"),
        (include_str!("../../events/invalid-range.json"), 422, "invalid_range"),
        (include_str!("../../events/targets.json"), 200, "ok"),
    ] {
        let reply = call(&scrape, &Event::of(event), now()).await;
        assert_eq!((reply.status, reply.code().as_str()), (status, code), "{}", reply.body);
    }
}
