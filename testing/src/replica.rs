//! DynamoDB with eventually consistent reads that lag: behind the endpoint there is a second database, which each write
//! reaches later.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::{SignedDuration, Timestamp};
use tokio::net::TcpStream;
use tokio::sync::Mutex;

use crate::clock::Clock;
use crate::proxy::{Stream, operation};
use crate::{dynamodb, listen};

/// How long a write takes to reach the replica.
const LAG: SignedDuration = SignedDuration::from_secs(1);

struct Replicated {
    database: SocketAddr,
    replica: SocketAddr,
    table: &'static str,
    clock: Clock,
    /// Writes that have not reached the replica, in order, and when each does.
    under_way: Mutex<VecDeque<(Timestamp, Vec<u8>)>>,
    eventual_reads: AtomicUsize,
}

enum Call {
    Write,
    EventualRead,
    Other,
}

/// An endpoint over a database. Every other eventually consistent read of `table` is answered as it was a second ago.
pub async fn start(database: SocketAddr, table: &'static str, clock: &Clock) -> SocketAddr {
    let (_, replica) = dynamodb::start_at(clock).await;
    let (listener, address) = listen().await;
    let (under_way, eventual_reads) = (Mutex::default(), AtomicUsize::default());
    let replicated = Arc::new(Replicated { database, replica, table, clock: clock.clone(), under_way, eventual_reads });
    tokio::spawn(async move {
        loop {
            let (caller, _) = listener.accept().await.unwrap();
            let replicated = Arc::clone(&replicated);
            tokio::spawn(async move { while replicated.pass(&caller).await.is_some() {} });
        }
    });
    address
}

impl Replicated {
    /// Passes one call; `None` when the caller has gone.
    async fn pass(&self, caller: &TcpStream) -> Option<()> {
        let mut caller = Stream(caller);
        let request = caller.message().await?;
        let answer = match self.call(&request) {
            Call::Write => {
                let mut under_way = self.under_way.lock().await;
                let answer = ask(self.database, &request).await?;
                if is_done(&answer) {
                    under_way.push_back((self.clock.now() + LAG, request));
                }
                answer
            }
            Call::EventualRead if self.eventual_reads.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) => {
                let mut under_way = self.under_way.lock().await;
                let now = self.clock.now();
                while let Some((_, write)) = under_way.pop_front_if(|(arrives, _)| *arrives <= now) {
                    // In the same order, so that its condition holds again.
                    assert!(is_done(&ask(self.replica, &write).await?), "a write that the replica refuses");
                }
                ask(self.replica, &request).await?
            }
            Call::EventualRead | Call::Other => ask(self.database, &request).await?,
        };
        caller.write(&answer).await
    }

    fn call(&self, request: &[u8]) -> Call {
        let Some((operation, body)) = operation(request) else { return Call::Other };
        let is_of_table = body["TableName"] == self.table;
        match operation.as_str() {
            "TransactWriteItems" => Call::Write,
            "PutItem" | "UpdateItem" | "DeleteItem" if is_of_table => Call::Write,
            "GetItem" | "Query" | "Scan" if is_of_table && body["ConsistentRead"] != true => Call::EventualRead,
            _ => Call::Other,
        }
    }
}

async fn ask(database: SocketAddr, request: &[u8]) -> Option<Vec<u8>> {
    let database = TcpStream::connect(database).await.ok()?;
    let mut database = Stream(&database);
    database.write(request).await?;
    database.message().await
}

fn is_done(answer: &[u8]) -> bool {
    answer.starts_with(b"HTTP/1.1 200")
}
