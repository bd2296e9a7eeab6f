//! The exporter of benches/exporter.py, in a process of its own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};

/// The process, as long as this lives.
pub struct Exporter {
    child: Child,
    address: SocketAddr,
}

impl Exporter {
    /// Starts it over an Athena, with a query.
    pub fn start(athena: SocketAddr, query: &str) -> Self {
        let command =
            std::env::var("EXPORTER").unwrap_or_else(|_| panic!("EXPORTER is the command that starts the exporter"));
        let mut words = command.split_whitespace();
        let mut command = Command::new(words.next().unwrap());
        let command = command.args(words).args([&format!("http://{athena}"), query]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, address: line.trim().parse().unwrap() }
    }

    /// What it answers a scrape.
    pub fn scrape(&self) -> String {
        let mut connection = TcpStream::connect(self.address).unwrap();
        connection.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.0 200"), "{answer}");
        answer
    }

    /// Forgets what it has.
    pub fn forget(&self) {
        let mut connection = TcpStream::connect(self.address).unwrap();
        connection.write_all(b"DELETE /metrics HTTP/1.0\r\n\r\n").unwrap();
        connection.read_to_string(&mut String::new()).unwrap();
    }

    pub fn process(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
