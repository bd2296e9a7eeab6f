//! An AWS endpoint on the way to the real one: it counts the calls, and holds or breaks those it is told to.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::{Either, select};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};

use crate::listen;

/// What becomes of a call.
#[derive(Clone, Debug)]
pub enum Fault {
    /// The connection is closed without an answer, and nothing reaches the database.
    Closed,
    /// No answer ever comes.
    Hangs,
    /// The call is carried out after so long.
    Slow(Duration),
    /// One byte of the answer comes each 100 ms.
    Drips,
    /// The call is carried out, and the connection cut before the answer.
    AnswerLost,
    /// An answer with this status and body.
    Answer(u16, String),
    /// The answer's body is cut in half.
    Truncated,
}

impl Fault {
    pub fn server_error() -> Self {
        Self::Answer(
            500,
            r#"{"__type":"com.amazonaws.dynamodb.v20120810#InternalServerError","message":"x"}"#.to_owned(),
        )
    }

    pub fn throttled() -> Self {
        let kind = "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException";
        Self::Answer(400, format!(r#"{{"__type":"{kind}","message":"x"}}"#))
    }
}

#[derive(Debug, Default)]
struct State {
    /// In order, and what each asked for.
    calls: Vec<String>,
    requests: Vec<Value>,
    /// With how many calls each still breaks.
    faults: HashMap<String, (Fault, usize)>,
}

/// Counts and breaks calls by name: the operation and, where there is one, the table, such as `GetItem api_keys`.
#[derive(Clone, Debug)]
pub struct Proxy {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
    gate: Arc<Gate>,
    /// How many calls hung until their caller had gone.
    abandoned: Arc<watch::Sender<usize>>,
}

/// Where calls wait for a permit, those of one proxy or of several.
#[derive(Debug)]
struct Gate {
    /// Each call takes one; without end unless [stepped](Proxy::step).
    permits: Semaphore,
    /// Whether a call is carried out before it waits.
    acts: AtomicBool,
    /// How many calls wait for a permit.
    waiting: watch::Sender<usize>,
}

impl Gate {
    fn open() -> Self {
        let permits = Semaphore::new(Semaphore::MAX_PERMITS / 2);
        Self { permits, acts: AtomicBool::new(false), waiting: watch::Sender::new(0) }
    }

    /// Waits for a permit; `None` where the caller has gone before.
    async fn pass(&self, caller: &Stream<'_>) -> Option<()> {
        self.waiting.send_modify(|waiting| *waiting += 1);
        let permit = match select(pin!(self.permits.acquire()), pin!(caller.gone())).await {
            Either::Left((permit, _)) => Some(permit.unwrap()),
            Either::Right(_) => None,
        };
        self.waiting.send_modify(|waiting| *waiting -= 1);
        permit?.forget();
        Some(())
    }
}

impl Proxy {
    pub async fn to(database: SocketAddr) -> Self {
        Self::through(Arc::new(Gate::open()), database).await
    }

    /// To another endpoint; the calls of both are stepped as one.
    pub async fn beside(&self, database: SocketAddr) -> Self {
        Self::through(Arc::clone(&self.gate), database).await
    }

    async fn through(gate: Arc<Gate>, database: SocketAddr) -> Self {
        let (listener, address) = listen().await;
        let proxy = Self { address, state: Arc::default(), gate, abandoned: Arc::new(watch::Sender::new(0)) };
        let serving = proxy.clone();
        tokio::spawn(async move {
            loop {
                let (caller, _) = listener.accept().await.unwrap();
                let proxy = serving.clone();
                tokio::spawn(async move { while proxy.pass(&caller, database).await.is_some() {} });
            }
        });
        proxy
    }

    pub fn breaks(&self, call: &str, fault: Fault) {
        self.breaks_times(usize::MAX, call, fault);
    }

    /// Breaks the next so many calls of that name.
    pub fn breaks_times(&self, times: usize, call: &str, fault: Fault) {
        self.state.lock().unwrap().faults.insert(call.to_owned(), (fault, times));
    }

    pub fn mends(&self, call: &str) {
        self.state.lock().unwrap().faults.remove(call);
    }

    /// From now on lets this many calls through, and holds the next.
    pub fn step(&self, calls: usize) {
        self.gate.acts.store(false, Ordering::Relaxed);
        self.gate.permits.forget_permits(usize::MAX);
        self.gate.permits.add_permits(calls);
    }

    /// From now on lets this many calls through; the next is carried out, and its answer held.
    pub fn step_acting(&self, calls: usize) {
        self.step(calls);
        self.gate.acts.store(true, Ordering::Relaxed);
    }

    /// Lets one more call through, and waits until it is on its way.
    pub fn permit(&self) {
        self.gate.permits.add_permits(1);
    }

    /// Lets all calls through again.
    pub fn run(&self) {
        self.gate.permits.add_permits(Semaphore::MAX_PERMITS / 2);
    }

    /// Until a call is held.
    pub async fn held(&self) {
        self.gate.waiting.subscribe().wait_for(|waiting| *waiting > 0).await.unwrap();
    }

    /// Until no call is held: the callers of those that were have gone.
    pub async fn given_up(&self) {
        self.gate.waiting.subscribe().wait_for(|waiting| *waiting == 0).await.unwrap();
    }

    /// The calls since the last time.
    pub fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().calls)
    }

    /// The bodies of the requests so far.
    pub fn requests(&self) -> Vec<Value> {
        std::mem::take(&mut self.state.lock().unwrap().requests)
    }

    /// Until so many calls have hung and been given up by their caller.
    pub async fn abandoned(&self, calls: usize) {
        self.abandoned.subscribe().wait_for(|abandoned| *abandoned >= calls).await.unwrap();
    }

    /// Passes one call; `None` when the connection is to be closed.
    async fn pass(&self, caller: &TcpStream, database: SocketAddr) -> Option<()> {
        let mut caller = Stream(caller);
        let request = caller.message().await?;
        let acts = self.gate.acts.load(Ordering::Relaxed);
        if !acts {
            self.gate.pass(&caller).await?;
        }
        let fault = self.note(&request);
        match fault {
            Some(Fault::Closed) => return None,
            Some(Fault::Hangs) => {
                caller.gone().await;
                self.abandoned.send_modify(|calls| *calls += 1);
                return None;
            }
            Some(Fault::Answer(status, body)) => {
                let length = body.len();
                let head = format!(
                    "HTTP/1.1 {status} X\r\ncontent-type: application/x-amz-json-1.0\r\n\
                     content-length: {length}\r\n\r\n"
                );
                return caller.write(format!("{head}{body}").as_bytes()).await;
            }
            _ => {}
        }
        if let Some(Fault::Slow(time)) = fault {
            tokio::time::sleep(time).await;
        }
        let database = TcpStream::connect(database).await.ok()?;
        let mut database = Stream(&database);
        database.write(&request).await?;
        let answer = database.message().await?;
        if acts {
            self.gate.pass(&caller).await?;
        }
        match fault {
            Some(Fault::AnswerLost) => None,
            Some(Fault::Truncated) => {
                let head = answer.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
                caller.write(&answer[..head + (answer.len() - head) / 2]).await?;
                None
            }
            Some(Fault::Drips) => {
                for byte in answer {
                    caller.write(&[byte]).await?;
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                Some(())
            }
            _ => caller.write(&answer).await,
        }
    }

    fn note(&self, request: &[u8]) -> Option<Fault> {
        let (operation, body) = operation(request)?;
        let call = body["TableName"].as_str().map_or(operation.clone(), |table| format!("{operation} {table}"));
        let mut state = self.state.lock().unwrap();
        state.calls.push(call.clone());
        state.requests.push(body);
        let (fault, times) = state.faults.get_mut(&call).filter(|(_, times)| *times > 0)?;
        *times -= 1;
        Some(fault.clone())
    }
}

/// What a request asks for, such as `GetItem`, and its body.
pub(crate) fn operation(request: &[u8]) -> Option<(String, Value)> {
    let text = String::from_utf8_lossy(request);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let operation = head
        .lines()
        .find_map(|line| line.to_lowercase().starts_with("x-amz-target").then(|| line.rsplit('.').next()))??;
    Some((operation.to_owned(), serde_json::from_str(body).unwrap_or_default()))
}

pub(crate) struct Stream<'a>(pub(crate) &'a TcpStream);

impl Stream<'_> {
    /// Until the other side closes: no client sends a second request before it has the answer to the first.
    async fn gone(&self) {
        let _ = self.0.peek(&mut [0]).await;
    }

    /// A whole request or response; `None` when the other side has closed.
    pub(crate) async fn message(&mut self) -> Option<Vec<u8>> {
        let mut message = Vec::new();
        let mut buffer = [0; 16 * 1024];
        loop {
            if let Some(head) = message.windows(4).position(|four| four == b"\r\n\r\n") {
                let length = content_length(&message[..head]);
                if message.len() >= head + 4 + length {
                    return Some(message);
                }
            }
            match self.read(&mut buffer).await {
                Ok(0) | Err(_) => return None,
                Ok(read) => message.extend_from_slice(&buffer[..read]),
            }
        }
    }

    async fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        loop {
            self.0.readable().await?;
            match self.0.try_read(buffer) {
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                done => return done,
            }
        }
    }

    pub(crate) async fn write(&mut self, mut bytes: &[u8]) -> Option<()> {
        while !bytes.is_empty() {
            self.0.writable().await.ok()?;
            match self.0.try_write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => return None,
            }
        }
        Some(())
    }
}

fn content_length(head: &[u8]) -> usize {
    let head = String::from_utf8_lossy(head).to_lowercase();
    head.lines().find_map(|line| line.strip_prefix("content-length:")).map_or(0, |value| value.trim().parse().unwrap())
}
