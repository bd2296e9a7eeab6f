//! DynamoDB and Athena in a process of their own, so that what they take is not taken for the refresh's.

use std::io::{BufRead, BufReader, Lines, Write, stdin, stdout};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use testing::athena::Fleet;
use testing::dynamodb;

pub const REQUESTS_A_MINUTE: usize = 30;
const PAGE_DELAY: Duration = Duration::from_millis(300);
const QUERY_TIME: Duration = Duration::from_secs(2);

/// What the process is told to be.
pub const ROLE: &str = "endpoints";

/// The process, as long as this lives.
pub struct Endpoints {
    child: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    pub dynamodb: SocketAddr,
    pub athena: SocketAddr,
}

impl Endpoints {
    /// Starts this program again.
    pub fn start(endpoints: usize) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([ROLE, &endpoints.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let orders = child.stdin.take().unwrap();
        let mut answers = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut address = || answers.next().unwrap().unwrap().parse().unwrap();
        let (dynamodb, athena) = (address(), address());
        Self { child, orders, answers, dynamodb, athena }
    }

    /// Sets Athena's clock, which goes on from there.
    pub fn set_clock(&mut self, now: Timestamp) {
        let ahead = now.as_millisecond() - Timestamp::now().as_millisecond();
        writeln!(self.orders, "{ahead}").unwrap();
        self.answers.next().unwrap().unwrap();
    }

    pub fn process(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Endpoints {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The process: answers until its input ends.
#[tokio::main]
pub async fn serve(endpoints: usize) {
    let ahead = Arc::new(AtomicI64::new(0));
    let clock = {
        let ahead = Arc::clone(&ahead);
        move || {
            let now = Timestamp::now().as_millisecond() + ahead.load(Ordering::Relaxed);
            Timestamp::from_millisecond(now).unwrap()
        }
    };
    let athena = Fleet::new(endpoints, REQUESTS_A_MINUTE, QUERY_TIME, Arc::new(clock)).start(PAGE_DELAY).await;
    let dynamodb = dynamodb::start().await;
    println!("{dynamodb}\n{athena}");
    let follow = move || {
        for order in stdin().lines() {
            ahead.store(order.unwrap().parse().unwrap(), Ordering::Relaxed);
            println!();
            stdout().flush().unwrap();
        }
    };
    tokio::task::spawn_blocking(follow).await.unwrap();
}
