use std::io::Write;
use std::sync::Mutex;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use lambda_http::RequestExt;
use lambda_http::request::LambdaRequest;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use super::*;

/// Starts a front before `handler` at 2026-11-24T20:15:30.250Z.
async fn front<Handler, Answer>(handler: Handler) -> SocketAddr
where
    Handler: Fn(Value) -> Answer + Clone + Send + Sync + 'static,
    Answer: Future<Output = Result<Value, String>> + Send + 'static,
{
    let (listener, address) = testing::listen().await;
    let clock = || Timestamp::from_millisecond(1_795_551_330_250).unwrap();
    tokio::spawn(serve(listener, clock, handler));
    address
}

/// Sends bytes and reads until the front closes the connection.
async fn exchange(address: SocketAddr, request: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // A front that refuses a body early may close before it has read it.
    let _ = stream.write_all(request).await;
    let mut response = Vec::new();
    let _ = stream.read_to_end(&mut response).await;
    response
}

/// The head in lower case, and the body.
async fn answer(address: SocketAddr, request: &[u8]) -> (String, Vec<u8>) {
    let response = exchange(address, request).await;
    let end = response.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(response[..end].to_vec()).unwrap().to_lowercase();
    (head, response[end + 4..].to_vec())
}

/// The event that a request becomes.
async fn event_of(request: &str) -> Value {
    let seen = Arc::new(Mutex::new(Value::Null));
    let seen_by_handler = Arc::clone(&seen);
    let address = front(move |event| {
        *seen_by_handler.lock().unwrap() = event;
        async { Ok(json!({ "statusCode": 204 })) }
    })
    .await;
    exchange(address, request.as_bytes()).await;
    seen.lock().unwrap().take()
}

/// What a client gets when the function answers `response`.
async fn answer_to(response: Value) -> (String, String) {
    let address = front(move |_| std::future::ready(Ok(response.clone()))).await;
    let (head, body) = answer(address, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    (head, String::from_utf8(body).unwrap())
}

fn get(target: &str, headers: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: api.demo.example:9000\r\n{headers}Connection: close\r\n\r\n")
}

#[tokio::test]
async fn a_request_becomes_an_event_of_payload_format_2() {
    let request = get("/v1/metrics?endpoint=a.example", "User-Agent: curl/8\r\nAccept: */*\r\n");
    let mut event = event_of(&request).await;
    let port = event["headers"]["x-forwarded-port"].take();
    assert!(port.as_str().unwrap().parse::<u16>().is_ok());
    assert_eq!(
        event,
        json!({
            "version": "2.0",
            "routeKey": "$default",
            "rawPath": "/v1/metrics",
            "rawQueryString": "endpoint=a.example",
            "queryStringParameters": { "endpoint": "a.example" },
            "headers": {
                "accept": "*/*",
                "content-length": "0",
                "host": "api.demo.example:9000",
                "user-agent": "curl/8",
                "x-amzn-trace-id": "Root=1-6b05f062-000000000000000000000000",
                "x-forwarded-for": "127.0.0.1",
                "x-forwarded-port": null,
                "x-forwarded-proto": "http",
            },
            "requestContext": {
                "accountId": "123456789012",
                "apiId": "local",
                "domainName": "api.demo.example",
                "domainPrefix": "api",
                "http": {
                    "method": "GET",
                    "path": "/v1/metrics",
                    "protocol": "HTTP/1.1",
                    "sourceIp": "127.0.0.1",
                    "userAgent": "curl/8",
                },
                "requestId": "01a20f32ffca-00000000",
                "routeKey": "$default",
                "stage": "$default",
                "time": "24/Nov/2026:20:15:30 +0000",
                "timeEpoch": 1_795_551_330_250_i64,
            },
            "isBase64Encoded": false,
        })
    );
}

#[tokio::test]
async fn the_event_reads_as_a_request_in_the_lambda_library() {
    let body = "Content-Length: 3\r\n";
    let request = get("/v1/metrics?endpoint=a.example&endpoint=b.example", body) + "a\0b";
    let event = event_of(&request).await;
    let request: lambda_http::Request = serde_json::from_value::<LambdaRequest>(event).unwrap().into();
    assert_eq!(request.uri().path(), "/v1/metrics");
    assert_eq!(request.query_string_parameters().all("endpoint").unwrap(), ["a.example", "b.example"]);
    assert_eq!(request.body().as_ref(), b"a\0b");
}

#[tokio::test]
async fn the_raw_query_string_reaches_the_event_byte_for_byte() {
    let query = "endpoint=a%2Eexample&&x=%zz&y=1+2&z='[]{}|^`\\é";
    let event = event_of(&get(&format!("/?{query}"), "")).await;
    assert_eq!(event["rawQueryString"], query);
}

#[tokio::test]
async fn repeated_query_parameters_are_decoded_and_joined_by_a_comma() {
    let event = event_of(&get("/?endpoint=a%2Eexample&endpoint=b.example&flag&q=1+2", "")).await;
    let expected = json!({ "endpoint": "a.example,b.example", "flag": "", "q": "1 2" });
    assert_eq!(event["queryStringParameters"], expected);
}

#[tokio::test]
async fn the_path_is_decoded_where_it_decodes_to_text() {
    assert_eq!(event_of(&get("/v1/%6Detrics%20x", "")).await["rawPath"], "/v1/metrics x");
    assert_eq!(event_of(&get("/v1/%ff", "")).await["rawPath"], "/v1/%ff");
}

#[tokio::test]
async fn repeated_headers_are_joined_by_a_comma() {
    let event = event_of(&get("/", "Accept: a\r\nX-Y: 1\r\nACCEPT: b\r\nX-Forwarded-For: 192.0.2.1\r\n")).await;
    assert_eq!(event["headers"]["accept"], "a,b");
    assert_eq!(event["headers"]["x-y"], "1");
    assert_eq!(event["headers"]["x-forwarded-for"], "192.0.2.1, 127.0.0.1");
}

#[tokio::test]
async fn cookies_stand_in_their_own_array() {
    let event = event_of(&get("/", "Cookie: a=1; b=2\r\nCookie: c=3\r\n")).await;
    assert_eq!(event["cookies"], json!(["a=1", "b=2", "c=3"]));
    assert_eq!(event["headers"].get("cookie"), None);
}

#[tokio::test]
async fn a_body_is_sent_as_base64() {
    let request =
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\na\0b\r\n0\r\n\r\n";
    let event = event_of(request).await;
    assert_eq!((&event["body"], &event["isBase64Encoded"]), (&json!("YQBi"), &json!(true)));
    assert_eq!(event["headers"]["content-length"], "3");
}

#[tokio::test]
async fn the_functions_status_headers_cookies_and_text_reach_the_client() {
    let (head, body) = answer_to(json!({
        "statusCode": 429,
        "headers": { "retry-after": "12", "content-length": "999" },
        "multiValueHeaders": { "x-unread": ["1", "2"] },
        "cookies": ["a=1", "b=2"],
        "body": "héllo",
        "isBase64Encoded": false,
    }))
    .await;
    assert!(head.starts_with("http/1.1 429 too many requests\r\n"), "{head}");
    for line in ["retry-after: 12", "content-length: 6", "set-cookie: a=1", "set-cookie: b=2"] {
        assert!(head.contains(&format!("\r\n{line}")), "{line} in {head}");
    }
    assert!(head.contains("\r\napigw-requestid: "), "{head}");
    assert!(!head.contains("x-unread"), "{head}");
    assert_eq!(body, "héllo");
}

#[tokio::test]
async fn a_gzip_body_reaches_the_client_as_bytes() {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(b"wafer_concurrent_requests 1\n").unwrap();
    let packed = gzip.finish().unwrap();
    let encoded = STANDARD.encode(&packed);
    let answered = json!({
        "statusCode": 200,
        "headers": { "content-encoding": "gzip" },
        "body": encoded,
        "isBase64Encoded": true,
        "cookies": [],
    });
    let address = front(move |_| std::future::ready(Ok(answered.clone()))).await;
    let (head, body) = answer(address, get("/", "").as_bytes()).await;
    assert!(head.contains("\r\ncontent-encoding: gzip"), "{head}");
    assert_eq!(body, packed);
}

#[tokio::test]
async fn a_response_that_cannot_be_read_is_the_gateways_own_500() {
    let malformed = [
        json!(null),
        json!({ "body": "no status" }),
        json!({ "statusCode": 99 }),
        json!({ "statusCode": 200, "body": "not base64!", "isBase64Encoded": true }),
        json!({ "statusCode": 200, "headers": { "x": "a\nb" } }),
    ];
    for response in malformed {
        let (head, body) = answer_to(response).await;
        assert!(head.starts_with("http/1.1 500 "), "{head}");
        assert!(head.contains("\r\ncontent-type: application/json"), "{head}");
        assert_eq!(body, r#"{"message":"Internal Server Error"}"#);
    }
}

#[tokio::test]
async fn a_failed_or_panicked_function_is_the_gateways_own_500() {
    let failing = front(|_| async { Err("no table".to_owned()) }).await;
    let panicking = front(|_| async { panic!("a bug") }).await;
    for address in [failing, panicking] {
        let (head, body) = answer(address, get("/", "").as_bytes()).await;
        assert!(head.starts_with("http/1.1 500 "), "{head}");
        assert_eq!(body, br#"{"message":"Internal Server Error"}"#);
    }
}

#[tokio::test]
async fn a_function_that_takes_too_long_is_a_503() {
    let never = std::future::pending::<Result<Value, String>>();
    let response = invoke(never, Duration::from_millis(10)).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    let body = to_bytes(response.into_body(), 1_000).await.unwrap();
    assert_eq!(body, r#"{"message":"Service Unavailable"}"#);
}

#[tokio::test]
async fn a_head_over_10240_bytes_is_a_431() {
    let address = front(|_| async { Ok(json!({ "statusCode": 200 })) }).await;
    let fixed = get("/", "x: \r\n").len() - "\r\n".len();
    for (bytes, status) in [(10_240, "200"), (10_241, "431")] {
        let padding = "a".repeat(bytes - fixed);
        let (head, body) = answer(address, get("/", &format!("x: {padding}\r\n")).as_bytes()).await;
        assert!(head.starts_with(&format!("http/1.1 {status} ")), "{head}");
        if status == "431" {
            assert_eq!(body, br#"{"message":"Request Header Fields Too Large"}"#);
        }
    }
}

#[tokio::test]
async fn a_body_over_10_megabytes_is_a_413() {
    let address = front(|_| async { Ok(json!({ "statusCode": 200 })) }).await;
    let length = 10 * 1024 * 1024 + 1;
    let head = get("/", &format!("Content-Length: {length}\r\n"));
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    // All but the last byte: a front that wanted to read it all would wait forever.
    let _ = stream.write_all(&vec![0; length - 1]).await;
    let _ = stream.write_all(&[0]).await;
    let mut status = [0; 12];
    stream.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 413");
}

#[tokio::test]
async fn a_client_that_goes_away_does_not_stop_the_function() {
    let (started, has_started) = oneshot::channel::<()>();
    let (proceed, may_proceed) = oneshot::channel::<()>();
    let (finished, has_finished) = oneshot::channel::<()>();
    let once = Arc::new(Mutex::new(Some((started, may_proceed, finished))));
    let address = front(move |_| {
        let (started, may_proceed, finished) = once.lock().unwrap().take().unwrap();
        async move {
            started.send(()).unwrap();
            may_proceed.await.unwrap();
            finished.send(()).unwrap();
            Ok(json!({ "statusCode": 200 }))
        }
    })
    .await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(get("/", "").as_bytes()).await.unwrap();
    has_started.await.unwrap();
    drop(stream);
    // Time for the front to see that the connection is closed.
    tokio::time::sleep(Duration::from_millis(50)).await;
    proceed.send(()).unwrap();
    has_finished.await.unwrap();
}
