//! Both functions on a DynamoDB and an Athena endpoint of their own, over request logs that a test writes.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use athena_endpoint::Athena;
use aws_sdk_dynamodb::Client;
use jiff::{SignedDuration, Timestamp};
use local_athena::DataFusion;
use local_stack::lambdas;
use tempfile::TempDir;
use testing::calls::{self, Event, call, scrape};
use testing::dynamodb;
use testing::keys::put_key;
use testing::listen;
use testing::logs::Row;
use testing::proxy::Proxy;
use tokio::time::Instant;
use wafer_metrics::answer::Service;
use wafer_metrics::clock::Clock;
use wafer_metrics::refresh::{Command, Refresh, Report};
use wafer_metrics::settings::RefreshSettings;
use wafer_metrics::stores::request_logs::Polling;

use crate::logs::{self, Columns};
use crate::oracle;

/// The time of a test, that many seconds after 2026-11-24T20:15:30Z.
pub fn at(seconds: i64) -> Timestamp {
    "2026-11-24T20:15:30Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds)
}

pub fn ms(time: &str) -> i64 {
    time.parse::<Timestamp>().unwrap().as_millisecond()
}

pub struct Fixture {
    folder: TempDir,
    /// Everything delivered so far.
    pub rows: Vec<Row>,
    /// What the refresh goes through to reach DynamoDB and Athena.
    pub dynamodb: Proxy,
    pub athena: Proxy,
    database: SocketAddr,
    clock: testing::clock::Clock,
    files: AtomicUsize,
    keys: AtomicUsize,
}

impl Fixture {
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = testing::clock::Clock::new(at(0));
        let database = dynamodb::start().await;
        let (listener, athena) = listen().await;
        let engine = DataFusion::new(folder.path(), lambdas::DATABASE, lambdas::REQUEST_LOGS).unwrap();
        tokio::spawn(Athena::new(engine, clock.shared()).serve(listener));
        Self {
            folder,
            rows: Vec::new(),
            dynamodb: Proxy::to(database).await,
            athena: Proxy::to(athena).await,
            database,
            clock,
            files: AtomicUsize::new(0),
            keys: AtomicUsize::new(0),
        }
    }

    /// Delivers rows in one file of the hour in which they arrived.
    pub fn deliver(&mut self, arrived_at_ms: i64, rows: Vec<Row>) {
        self.deliver_as(Columns::All, arrived_at_ms, rows);
    }

    pub fn deliver_as(&mut self, columns: Columns, arrived_at_ms: i64, mut rows: Vec<Row>) {
        let name = format!("file-{}", self.files.fetch_add(1, Ordering::Relaxed));
        if matches!(columns, Columns::Older) {
            for row in &mut rows {
                (row.is_streaming, row.cache_read_tokens) = (None, None);
            }
        }
        logs::write(self.folder.path(), arrived_at_ms, &name, &rows, columns);
        self.rows.extend(rows);
    }

    /// A cold instance of the refresh function.
    pub fn refresher(&self) -> Refresh {
        let settings = RefreshSettings::from_lookup(lambdas::setting).unwrap();
        let athena = calls::athena_client(self.athena.address);
        Refresh::new(settings, athena, Polling::default(), calls::refresh_client(self.dynamodb.address))
    }

    /// Refreshes until nothing is left to do, in runs no longer than on Lambda, since time passes for a run and stands
    /// still for Athena.
    pub async fn catch_up(&self, refresh: &Refresh, now: Timestamp) -> Report {
        self.clock.set(now);
        loop {
            let deadline = Instant::now() + Duration::from_secs(45);
            let (report, result) = refresh.run(Command::CatchUp, Clock::start(now), deadline).await;
            result.unwrap();
            if report.complete {
                return report;
            }
        }
    }

    /// DynamoDB, without what stands between it and the refresh.
    fn client(&self) -> Client {
        calls::client(self.database)
    }

    /// A cold instance of the scrape function, straight at DynamoDB.
    pub fn scraper(&self) -> Service {
        scrape(&self.client())
    }

    /// Scrapes with a key that is good for these endpoints and has never been used.
    pub async fn scrape(&self, scrape: &Service, endpoints: &[&str], now: Timestamp) -> (i64, String) {
        let key = format!("fixture-key-{}", self.keys.fetch_add(1, Ordering::Relaxed));
        put_key(&self.client(), &key, "metrics", endpoints, &[]).await;
        let event = Event::scrape().key(&key).endpoints(endpoints);
        let reply = call(scrape, &event, now).await;
        (reply.status, reply.body)
    }

    /// Scrapes, and compares every figure of these endpoints with the rows.
    pub async fn check(&self, endpoints: &[&str], now: Timestamp) {
        for endpoints in endpoints.chunks(20) {
            let (status, text) = self.scrape(&self.scraper(), endpoints, now).await;
            assert_eq!(status, 200, "{text}");
            for endpoint in endpoints {
                oracle::check(&text, &self.rows, endpoint);
            }
        }
    }
}
