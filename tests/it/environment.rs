//! The AWS SDK's own variables, as the functions take them from their environment.

use std::process::{Command, Stdio};
use std::time::Duration;

use testing::{dynamodb, listen};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

const EVENT: &str = include_str!("../../events/scrape.json");
const PATIENCE: Duration = Duration::from_secs(20);

/// A whole request: its head, and its body.
async fn request(stream: &mut TcpStream) -> (String, String) {
    let mut bytes = Vec::new();
    loop {
        stream.read_buf(&mut bytes).await.unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.to_lowercase().lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        if body.len() >= length.unwrap_or(0) {
            return (head.to_owned(), body.to_owned());
        }
    }
}

/// Lambda's runtime: gives the function one event, and returns its answer.
async fn answer(runtime: &TcpListener) -> String {
    let mut is_given = false;
    loop {
        let (mut stream, _) = runtime.accept().await.unwrap();
        let (head, body) = request(&mut stream).await;
        if head.starts_with("POST ") {
            return body;
        }
        assert!(!is_given, "{head}");
        is_given = true;
        let deadline = jiff::Timestamp::now().as_millisecond() + 20_000;
        let length = EVENT.len();
        let reply = format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\nlambda-runtime-aws-request-id: 1\r\n\
             lambda-runtime-deadline-ms: {deadline}\r\n\r\n{EVENT}"
        );
        stream.write_all(reply.as_bytes()).await.unwrap();
    }
}

#[tokio::test]
async fn an_empty_endpoint_url_counts_as_not_set() {
    let database = dynamodb::start().await;
    let (runtime, address) = listen().await;
    let mut function = Command::new(env!("CARGO_BIN_EXE_scrape"))
        .env_clear()
        .envs([("API_KEYS_TABLE", dynamodb::tables::API_KEYS), ("RATE_LIMITS_TABLE", dynamodb::tables::RATE_LIMITS)])
        .envs([("HEARTBEATS_TABLE", dynamodb::tables::HEARTBEATS), ("ROLLUPS_TABLE", dynamodb::tables::ROLLUPS)])
        .envs([("AWS_REGION", "us-east-1"), ("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")])
        .envs([("AWS_LAMBDA_FUNCTION_NAME", "scrape"), ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")])
        .envs([("AWS_LAMBDA_FUNCTION_VERSION", "1"), ("AWS_LAMBDA_RUNTIME_API", &address.to_string())])
        .env("AWS_ENDPOINT_URL", format!("http://{database}"))
        .env("AWS_ENDPOINT_URL_DYNAMODB", "")
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let answer = timeout(PATIENCE, answer(&runtime)).await;
    function.kill().unwrap();
    function.wait().unwrap();
    // No such key: it was looked for where the other variable points to.
    let answer = answer.unwrap();
    assert!(answer.contains(r#""statusCode":401"#), "{answer}");
}
