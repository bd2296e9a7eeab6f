//! DynamoDB in a process of its own, so that what it takes is not taken for ours. It fills its tables itself.

use std::io::{BufRead, BufReader, stdin};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use testing::calls;

use crate::tables;

/// What the process is told to be.
pub const ROLE: &str = "database";

/// The process, as long as this lives.
pub struct Database {
    child: Child,
    pub address: SocketAddr,
}

impl Database {
    /// Starts this program again; there are keys for so many calls of each kind, and one more.
    pub fn start(calls: usize) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        let mut child =
            command.args([ROLE, &calls.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, address: line.trim().parse().unwrap() }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The process: answers until its input ends.
#[tokio::main(flavor = "current_thread")]
pub async fn serve(calls: usize) {
    let address = testing::dynamodb::start().await;
    tables::fill(&calls::client(address), calls).await;
    println!("{address}");
    tokio::task::spawn_blocking(|| stdin().lines().count()).await.unwrap();
}
