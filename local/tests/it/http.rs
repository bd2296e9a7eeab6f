//! The plainest HTTP client: one request, one connection.

use std::collections::HashMap;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub struct Response {
    pub status: u16,
    /// Names in lower case.
    pub headers: HashMap<String, String>,
    pub body: Vec<u8>,
}

impl Response {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// `headers` are whole lines.
pub async fn get(server: SocketAddr, target: &str, headers: &[&str]) -> Response {
    let mut stream = TcpStream::connect(server).await.unwrap();
    let fixed = [format!("GET {target} HTTP/1.1"), format!("Host: {server}"), "Connection: close".to_owned()];
    let lines: Vec<&str> = fixed.iter().map(String::as_str).chain(headers.iter().copied()).chain(["", ""]).collect();
    let request = lines.join("\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head = std::str::from_utf8(&bytes[..end]).unwrap();
    let (status, lines) = head.split_once("\r\n").unwrap();
    let headers = lines.split("\r\n").filter_map(|line| line.split_once(": "));
    Response {
        status: status.split(' ').nth(1).unwrap().parse().unwrap(),
        headers: headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect(),
        body: bytes[end + 4..].to_vec(),
    }
}
