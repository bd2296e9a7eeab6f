//! The refresh between an Athena that a test scripts and a DynamoDB, at the times of one clock, and the scrape behind
//! it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_sdk_dynamodb::Client;

use jiff::{SignedDuration, Timestamp};
use testing::athena::ScriptedAthena;
use testing::calls::{self, Event, Reply, call, scrape};
use testing::clock::Clock;
use testing::dynamodb::DynamoDb;
use testing::dynamodb::tables::ROLLUPS;
use testing::keys::put_key;
use testing::logs::Row;
use testing::proxy::Proxy;
use testing::replica;
use tokio::time::Instant;
use wafer_metrics::answer::Service;
use wafer_metrics::clock;
use wafer_metrics::model::watermark::Watermark;
use wafer_metrics::model::window::Minute;
use wafer_metrics::refresh::{Command, Refresh, RefreshError, Report};
use wafer_metrics::settings::RefreshSettings;
use wafer_metrics::stores::request_logs::Polling;
use wafer_metrics::stores::rollups::RollupWriter;

use super::items::{Items, Mark};
use super::oracle;
use super::tally::Tally;

/// More than any run takes, on however busy a machine.
pub const RUN_TIME: Duration = Duration::from_mins(10);
/// Scrapes a minute that a key allows.
const SCRAPES_A_KEY: usize = 6;

pub fn at(time: &str) -> Timestamp {
    format!("{time}Z").parse().unwrap()
}

pub const fn seconds(seconds: i64) -> SignedDuration {
    SignedDuration::from_secs(seconds)
}

pub const fn minutes(minutes: i64) -> SignedDuration {
    SignedDuration::from_mins(minutes)
}

pub const fn hours(hours: i64) -> SignedDuration {
    SignedDuration::from_hours(hours)
}

pub struct Fixture {
    /// Everybody's.
    pub clock: Clock,
    pub athena: ScriptedAthena,
    /// What the refresh goes through; the calls of both are stepped as one.
    pub to_athena: Proxy,
    pub to_dynamodb: Proxy,
    /// Straight to DynamoDB.
    pub client: Client,
    pub database: DynamoDb,
    /// Endpoints that scrapes ask for.
    pub hosts: Vec<&'static str>,
    /// Seconds.
    pub settle: i64,
    pub late: i64,
    addresses: [SocketAddr; 2],
    athena_client: aws_sdk_athena::Client,
    dynamodb_client: Client,
    scrape: Service,
    scrapes: AtomicUsize,
    seen: Mutex<Seen>,
}

/// A way of its own to Athena and DynamoDB.
pub struct Way {
    /// Where the calls to both can be stepped.
    pub proxy: Proxy,
    athena: aws_sdk_athena::Client,
    dynamodb: Client,
}

/// What must never fall again.
#[derive(Default)]
struct Seen {
    mark: Mark,
    totals: BTreeMap<String, Tally>,
}

impl Fixture {
    /// At that time, with an empty table.
    pub async fn new(now: Timestamp, hosts: &[&'static str]) -> Self {
        let clock = Clock::new(now);
        let (database, address) = testing::dynamodb::start_at(&clock).await;
        Self::over(clock, database, address, hosts).await
    }

    /// The same, where eventually consistent reads of the rollups lag a second.
    pub async fn lagging(now: Timestamp, hosts: &[&'static str]) -> Self {
        let clock = Clock::new(now);
        let (database, address) = testing::dynamodb::start_at(&clock).await;
        let address = replica::start(address, ROLLUPS, &clock).await;
        Self::over(clock, database, address, hosts).await
    }

    async fn over(clock: Clock, database: DynamoDb, address: SocketAddr, hosts: &[&'static str]) -> Self {
        let athena = ScriptedAthena::new(clock.clone());
        let addresses = [athena.start().await, address];
        let to_dynamodb = Proxy::to(address).await;
        let to_athena = to_dynamodb.beside(addresses[0]).await;
        let client = calls::client(address);
        Self {
            athena_client: calls::athena_client(to_athena.address),
            dynamodb_client: calls::refresh_client(to_dynamodb.address),
            scrape: scrape(&client),
            clock,
            athena,
            to_athena,
            to_dynamodb,
            client,
            database,
            hosts: hosts.to_vec(),
            settle: 90,
            late: 600,
            addresses,
            scrapes: AtomicUsize::new(0),
            seen: Mutex::default(),
        }
    }

    /// At that time, where the first run began, which found no rows: all minutes before are settled and all hours
    /// sealed.
    pub async fn begun(now: Timestamp, hosts: &[&'static str]) -> Self {
        Self::begun_since(now - seconds(90), now, hosts).await
    }

    /// The same, where the first minute ever read was that one, but none since had a row.
    pub async fn begun_since(since: Timestamp, now: Timestamp, hosts: &[&'static str]) -> Self {
        let fixture = Self::new(now, hosts).await;
        let through = Minute::floor(now - seconds(fixture.settle));
        let rollups = fixture.rollups();
        rollups.put_since(Minute::floor(since)).await.unwrap();
        rollups.put_watermark(&testing::rollups::watermark(through, through.hour()), None).await.unwrap().unwrap();
        fixture
    }

    pub fn rollups(&self) -> RollupWriter {
        testing::rollups::writer(&self.client)
    }

    /// A cold instance of the refresh function.
    pub fn refresh(&self) -> Refresh {
        self.refresh_through(self.athena_client.clone(), self.dynamodb_client.clone())
    }

    /// A cold instance that goes a way of its own, and where that can be stepped.
    pub async fn another_refresh(&self) -> (Refresh, Proxy) {
        let way = self.way().await;
        (self.refresh_by(&way), way.proxy)
    }

    pub async fn way(&self) -> Way {
        let [athena, dynamodb] = self.addresses;
        let proxy = Proxy::to(dynamodb).await;
        let to_athena = proxy.beside(athena).await;
        Way { athena: calls::athena_client(to_athena.address), dynamodb: calls::refresh_client(proxy.address), proxy }
    }

    /// A cold instance that goes that way.
    pub fn refresh_by(&self, way: &Way) -> Refresh {
        self.refresh_through(way.athena.clone(), way.dynamodb.clone())
    }

    fn refresh_through(&self, athena: aws_sdk_athena::Client, dynamodb: Client) -> Refresh {
        let settings = RefreshSettings::from_lookup(|name| match name {
            "ROLLUPS_TABLE" => Some(ROLLUPS.to_owned()),
            "LOG_SETTLE_SECONDS" => Some(self.settle.to_string()),
            "LATE_ARRIVAL_SECONDS" => Some(self.late.to_string()),
            "RUST_LOG" => None,
            name => Some(name.to_lowercase()),
        });
        let polling = Polling { first: Duration::from_millis(1), longest: Duration::from_millis(5) };
        Refresh::new(settings.unwrap(), athena, polling, dynamodb)
    }

    /// One run at the clock's time; nothing that it left may have fallen.
    pub async fn run(&self, refresh: &Refresh) -> (Report, Result<(), RefreshError>) {
        self.run_for(refresh, RUN_TIME).await
    }

    pub async fn run_for(&self, refresh: &Refresh, time: Duration) -> (Report, Result<(), RefreshError>) {
        let ended = self.run_unseen(refresh, Command::CatchUp, time).await;
        self.observe().await;
        ended
    }

    pub async fn run_unseen(
        &self,
        refresh: &Refresh,
        command: Command,
        time: Duration,
    ) -> (Report, Result<(), RefreshError>) {
        refresh.run(command, clock::Clock::start(self.clock.now()), Instant::now() + time).await
    }

    /// Runs until everything is done, a minute later each time; the runs that it took.
    pub async fn catch_up(&self, refresh: &Refresh) -> usize {
        for runs in 1..1_000 {
            let (report, result) = self.run(refresh).await;
            result.unwrap();
            if report.complete {
                return runs;
            }
            self.clock.advance(minutes(1));
        }
        panic!("it never catches up")
    }

    /// One run that is to do all there is to do.
    pub async fn completes(&self, refresh: &Refresh) -> Report {
        let (report, result) = self.run(refresh).await;
        result.unwrap();
        assert!(report.complete, "{report:?}");
        report
    }

    /// A run each minute until that time.
    pub async fn run_until(&self, refresh: &Refresh, until: Timestamp) {
        while self.clock.now() < until {
            self.clock.advance(minutes(1));
            self.completes(refresh).await;
        }
    }

    /// Kills a run as it makes its call number `calls` + 1, before that is carried out or once it is; `None` where it
    /// was, and how the run ended where it made no more than `calls`.
    pub async fn killed(
        &self,
        refresh: &Refresh,
        calls: usize,
        acted: bool,
    ) -> Option<(Report, Result<(), RefreshError>)> {
        self.killed_doing(Command::CatchUp, refresh, calls, acted).await
    }

    pub async fn killed_doing(
        &self,
        command: Command,
        refresh: &Refresh,
        calls: usize,
        acted: bool,
    ) -> Option<(Report, Result<(), RefreshError>)> {
        let proxy = &self.to_dynamodb;
        if acted {
            proxy.step_acting(calls);
        } else {
            proxy.step(calls);
        }
        let ended = tokio::select! {
            ended = self.run_unseen(refresh, command, RUN_TIME) => Some(ended),
            () = proxy.held() => None,
        };
        proxy.given_up().await;
        proxy.run();
        self.observe().await;
        ended
    }

    /// Looks at the watermark and the totals: nothing may have fallen.
    pub async fn observe(&self) -> Items {
        let items = Items::marks(&self.client, &self.hosts).await;
        let mut seen = self.seen.lock().unwrap();
        if let Some(mark) = items.mark {
            let before = seen.mark;
            assert!(mark.through >= before.through && mark.settled >= before.settled, "{before:?} to {mark:?}");
            assert!(mark.sealed >= before.sealed && mark.version >= before.version, "{before:?} to {mark:?}");
            assert!(mark.settled <= mark.through, "{mark:?}");
            seen.mark = mark;
        }
        for (host, before) in &seen.totals {
            let total = items.totals.get(host).unwrap_or_else(|| panic!("{host} has no total any more"));
            assert!(total.covers(before), "the total of {host} fell from {before:?} to {total:?}");
        }
        seen.totals.clone_from(&items.totals);
        drop(seen);
        items
    }

    /// Forgets how far the refresh had come, for a test that takes the watermark away.
    pub fn forget_the_mark(&self) {
        self.seen.lock().unwrap().mark = Mark::default();
    }

    /// Forgets everything, for a test that empties the table.
    pub fn forget(&self) {
        *self.seen.lock().unwrap() = Seen::default();
    }

    pub async fn mark(&self) -> Watermark {
        self.rollups().watermark().await.unwrap().unwrap().value
    }

    /// Scrapes all endpoints with a key that has a call left.
    pub async fn scrape(&self) -> Reply {
        self.scrape_by(&self.scrape).await
    }

    /// The scrape function by a way of its own, and where that can be stepped.
    pub async fn another_scrape(&self) -> (Service, Proxy) {
        let way = Proxy::to(self.addresses[1]).await;
        (scrape(&calls::client(way.address)), way)
    }

    pub async fn scrape_by(&self, scrape: &Service) -> Reply {
        self.scrape_view(scrape, "window", "text/plain").await
    }

    /// Scrapes a view of all endpoints, in the format of that `Accept`.
    pub async fn scrape_view(&self, scrape: &Service, view: &str, accept: &str) -> Reply {
        let number = self.scrapes.fetch_add(1, Ordering::Relaxed);
        let key = format!("fixture-key-{}", number / SCRAPES_A_KEY);
        put_key(&self.client, &key, "metrics", &self.hosts, &[]).await;
        let query: Vec<String> = self.hosts.iter().map(|host| format!("endpoint={host}")).collect();
        let query = format!("{}&view={view}", query.join("&"));
        let event = Event::scrape().key(&key).query(&query).header("accept", accept);
        call(scrape, &event, self.clock.now()).await
    }

    /// Scrapes, and compares every figure with the rows that have arrived.
    pub async fn check(&self) {
        let reply = self.scrape().await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        self.check_reply(&reply, &[self.clock.now()]);
    }

    /// Scrapes; what is not refused as stale must be, for each endpoint, what the rows of one of these times make it.
    pub async fn check_as_of(&self, times: &[Timestamp]) -> Reply {
        let reply = self.scrape().await;
        match reply.status {
            200 => self.check_reply(&reply, times),
            _ => assert_eq!((reply.status, reply.code().as_str()), (502, "summary_failed"), "{}", reply.body),
        }
        reply
    }

    /// Scrapes; what is not refused as stale must have all that had come when the last run ended that completed, and
    /// may have what has come since.
    pub async fn check_since(&self, completed: Timestamp) {
        let reply = self.scrape().await;
        if reply.status != 200 {
            assert_eq!((reply.status, reply.code().as_str()), (502, "summary_failed"), "{}", reply.body);
            return;
        }
        let (fewer, more) = (self.athena.rows(completed), self.rows());
        for host in &self.hosts {
            let fault = oracle::out_of_bounds(&reply.body, &fewer, &more, host);
            assert_eq!(fault, None, "at {}, completed at {completed}", self.clock.now());
        }
    }

    pub fn check_reply(&self, reply: &Reply, times: &[Timestamp]) {
        let mut hosts = self.hosts.clone();
        let mut differences = Vec::new();
        // Most hosts are as of the last time.
        for time in times.iter().rev() {
            let rows = self.athena.rows(*time);
            hosts.retain(|host| {
                let difference = oracle::difference(&reply.body, &rows, host);
                differences.extend(difference.clone());
                difference.is_some()
            });
            if hosts.is_empty() {
                return;
            }
        }
        panic!("{hosts:?} at {}: {differences:?}", self.clock.now());
    }

    /// Compares every item with the rows that have arrived, from the first minute ever read on.
    pub async fn check_items(&self) {
        let items = Items::scan(&self.client).await;
        items.check(&self.rows(), &self.hosts, items.since.unwrap());
    }

    /// The same, and that each row is in the totals once.
    pub async fn check_items_and_totals(&self) {
        let items = Items::scan(&self.client).await;
        let (rows, since) = (self.rows(), items.since.unwrap());
        items.check(&rows, &self.hosts, since);
        items.check_totals(&rows, &self.hosts, since);
    }

    pub fn rows(&self) -> Vec<Row> {
        self.athena.rows(self.clock.now())
    }
}
