//! Athenas that run no SQL: one over rows that a test delivers, one over a fleet too large to hold. They know the
//! refresh's queries, and read the bounds off their text.

mod fleet;
mod query;
mod result;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use athena_endpoint::{Answer, Athena, Engine};
use jiff::Timestamp;

pub use athena_endpoint::{Failure, FailureKind};
pub use fleet::Fleet;
pub use query::{Kind, Query};

use crate::clock::Clock;
use crate::listen;
use crate::logs::Row;

/// Endpoints beyond this many of one reading are skipped, the least busy ones.
const MAX_ENDPOINTS: usize = 20_000;

/// Request logs, and an Athena over them. Clones share both.
#[derive(Clone)]
pub struct ScriptedAthena {
    logs: Arc<Mutex<Logs>>,
    course: Arc<Mutex<Course>>,
    /// Of one reading so many endpoints are kept.
    endpoints: Arc<AtomicUsize>,
    clock: Clock,
}

/// A file of request logs: queries see it from `arrived` on.
struct Delivery {
    folder: String,
    arrived: Timestamp,
    rows: Vec<Row>,
}

/// Names a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct File(usize);

/// How long a query takes, or why it fails.
type Course = Box<dyn FnMut(&Query) -> Result<Duration, Failure> + Send>;

#[derive(Default)]
struct Logs {
    files: BTreeMap<File, Delivery>,
    next: usize,
}

impl ScriptedAthena {
    /// Without logs, at the times of `clock`.
    pub fn new(clock: Clock) -> Self {
        let course: Course = Box::new(|_| Ok(Duration::ZERO));
        let endpoints = Arc::new(AtomicUsize::new(MAX_ENDPOINTS));
        Self { logs: Arc::default(), course: Arc::new(Mutex::new(course)), endpoints, clock }
    }

    /// Delivers a file into the folder of the hour in which it arrives.
    pub fn deliver(&self, arrived: Timestamp, rows: Vec<Row>) -> File {
        self.deliver_into(&folder(arrived), arrived, rows)
    }

    /// Delivers a file into a folder such as `2026-11-24-20`.
    pub fn deliver_into(&self, folder: &str, arrived: Timestamp, rows: Vec<Row>) -> File {
        let mut logs = self.logs.lock().unwrap();
        let file = File(logs.next);
        logs.next += 1;
        logs.files.insert(file, Delivery { folder: folder.to_owned(), arrived, rows });
        file
    }

    pub fn replace(&self, file: File, rows: Vec<Row>) {
        self.logs.lock().unwrap().files.get_mut(&file).unwrap().rows = rows;
    }

    pub fn delete(&self, file: File) {
        self.logs.lock().unwrap().files.remove(&file).unwrap();
    }

    /// Every row that has arrived by that time.
    pub fn rows(&self, by: Timestamp) -> Vec<Row> {
        let logs = self.logs.lock().unwrap();
        logs.files.values().filter(|file| file.arrived <= by).flat_map(|file| file.rows.clone()).collect()
    }

    /// Asks `course` of each query from now on how long it takes, in real time, or why it fails.
    pub fn on_query(&self, course: impl FnMut(&Query) -> Result<Duration, Failure> + Send + 'static) {
        *self.course.lock().unwrap() = Box::new(course);
    }

    /// Keeps the busiest so many endpoints of a reading, for a test that cannot deliver more than 20,000.
    pub fn keep_endpoints(&self, most: usize) {
        self.endpoints.store(most, Ordering::Relaxed);
    }

    /// Serves the logs for as long as the test's runtime lives.
    pub async fn start(&self) -> SocketAddr {
        self.start_with_page_delay(Duration::ZERO).await
    }

    /// Serves the logs, and each page of a result after so long.
    pub async fn start_with_page_delay(&self, delay: Duration) -> SocketAddr {
        let (listener, address) = listen().await;
        let athena = Athena::new(self.clone(), self.clock.shared()).with_page_delay(delay);
        tokio::spawn(athena.serve(listener));
        address
    }

    /// The answer to a query as of now.
    fn answer(&self, query: &Query) -> Answer {
        let now = self.clock.now();
        let logs = self.logs.lock().unwrap();
        let files = logs.files.values().filter(|file| file.arrived <= now && query.reads(&file.folder));
        result::answer(query, files.flat_map(|file| &file.rows), self.endpoints.load(Ordering::Relaxed))
    }
}

impl Engine for ScriptedAthena {
    async fn run(&self, text: &str, _: Option<&str>) -> Result<Answer, Failure> {
        let Some(query) = Query::parse(text) else {
            return Err(Failure::new(FailureKind::Syntax, format!("not a query that the script knows: {text}")));
        };
        let answer = self.answer(&query);
        let time = (self.course.lock().unwrap())(&query)?;
        tokio::time::sleep(time).await;
        Ok(answer)
    }
}

/// The name of the folder of the hour in which that time lies.
pub fn folder(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d-%H").to_string()
}

#[cfg(test)]
mod tests;
