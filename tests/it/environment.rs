//! The AWS SDK's own variables, as the functions take them from their environment.

use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rcgen::CertifiedKey;
use testing::{dynamodb, listen};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

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

/// The answer of the function to a call with a key that there is not.
async fn answer_with(environment: &[(&str, &str)]) -> String {
    let (runtime, address) = listen().await;
    let mut function = Command::new(env!("CARGO_BIN_EXE_scrape"))
        .env_clear()
        .envs([("API_KEYS_TABLE", dynamodb::tables::API_KEYS), ("RATE_LIMITS_TABLE", dynamodb::tables::RATE_LIMITS)])
        .envs([("HEARTBEATS_TABLE", dynamodb::tables::HEARTBEATS), ("ROLLUPS_TABLE", dynamodb::tables::ROLLUPS)])
        .envs([("AWS_REGION", "us-east-1"), ("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")])
        .envs([("AWS_LAMBDA_FUNCTION_NAME", "scrape"), ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")])
        .envs([("AWS_LAMBDA_FUNCTION_VERSION", "1"), ("AWS_LAMBDA_RUNTIME_API", &address.to_string())])
        .envs(environment.iter().copied())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let answer = timeout(PATIENCE, answer(&runtime)).await;
    function.kill().unwrap();
    function.wait().unwrap();
    answer.unwrap()
}

#[tokio::test]
async fn an_empty_endpoint_url_counts_as_not_set() {
    let url = format!("http://{}", dynamodb::start().await);
    let answer = answer_with(&[("AWS_ENDPOINT_URL", &url), ("AWS_ENDPOINT_URL_DYNAMODB", "")]).await;
    // No such key: it was looked for where the other variable points to.
    assert!(answer.contains(r#""statusCode":401"#), "{answer}");
}

#[tokio::test]
async fn empty_credentials_count_as_not_set() {
    let url = format!("http://{}", dynamodb::start().await);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("credentials");
    std::fs::write(&file, "[default]\naws_access_key_id = test\naws_secret_access_key = test\n").unwrap();
    let empty = [("AWS_ACCESS_KEY_ID", ""), ("AWS_SECRET_ACCESS_KEY", " "), ("AWS_ENDPOINT_URL", &url)];
    let elsewhere = [("AWS_SHARED_CREDENTIALS_FILE", file.to_str().unwrap()), ("AWS_EC2_METADATA_DISABLED", "true")];
    let answer = answer_with(&[empty.as_slice(), elsewhere.as_slice()].concat()).await;
    assert!(answer.contains(r#""statusCode":401"#), "{answer}");
}

/// A DynamoDB behind TLS, and its certificate, which no known authority has signed.
async fn behind_tls(database: SocketAddr) -> (SocketAddr, String) {
    let CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![cert.der().clone()], key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut caller) = acceptor.accept(stream).await else { return };
                let mut database = TcpStream::connect(database).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut caller, &mut database).await;
            });
        }
    });
    (address, cert.pem())
}

#[tokio::test]
async fn a_certificate_that_ssl_cert_file_names_is_trusted_and_no_other() {
    let (address, certificate) = behind_tls(dynamodb::start().await).await;
    let url = format!("https://localhost:{}", address.port());
    let folder = tempfile::tempdir().unwrap();
    let (own, other) = (folder.path().join("own.pem"), folder.path().join("other.pem"));
    std::fs::write(&own, certificate).unwrap();
    std::fs::write(&other, behind_tls(address).await.1).unwrap();
    for (file, status) in [(own, 401), (other, 503)] {
        let answer = answer_with(&[("AWS_ENDPOINT_URL", &url), ("SSL_CERT_FILE", file.to_str().unwrap())]).await;
        assert!(answer.contains(&format!(r#""statusCode":{status}"#)), "{answer}");
    }
}
