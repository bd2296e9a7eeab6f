//! The local stack: DynamoDB, Athena, both functions, the HTTP front, and demo data that keeps moving.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use athena_endpoint::{Athena, Clock};
use dynamodb_endpoint::{DynamoDb, DynoxideError, tables};
use local_athena::{DataFusion, EngineError};
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{Instant, Interval, interval, interval_at};
use wafer_metrics::error::chain;
use wafer_metrics::refresh::{HandleError, Report};
use wafer_metrics::settings::SettingsError;
use wafer_metrics::stores::aws;
use wafer_metrics::stores::rollups::RollupWriter;

use crate::demo::log_writer::LogWriteError;
use crate::demo::trace::{Trace, TraceError};
use crate::demo::traffic::{CHAT, CODE, Traffic};
use crate::demo::{Demo, DemoFolder, Unwritten};
use crate::demo::{heartbeats, keys};
use crate::gateway;
use crate::lambdas::{DATABASE, Lambdas, REQUEST_LOGS, sdk_config};
use crate::listen::{ListenAddress, reachable};
pub use crate::options::Options;
use crate::progress;

/// How often new log files appear.
const LOGS_EVERY: Duration = Duration::from_secs(10);
const HEARTBEATS_EVERY: Duration = Duration::from_secs(10);

#[derive(Debug, Error)]
pub enum StackError {
    /// No threads, or no signals.
    #[error("cannot run: {0}")]
    Runtime(io::Error),
    #[error("cannot listen on {0}: {1}")]
    Listen(ListenAddress, io::Error),
    #[error("no such folder of request logs: {0}")]
    NoLogs(PathBuf),
    #[error("no folder for the demo's request logs: {0}")]
    Folder(io::Error),
    #[error(transparent)]
    Trace(#[from] TraceError),
    #[error(transparent)]
    Athena(#[from] EngineError),
    #[error(transparent)]
    Write(#[from] LogWriteError),
    #[error("DynamoDB did not start: {0}")]
    DynamoDb(#[from] DynoxideError),
    #[error("DynamoDB refused: {0}")]
    Refused(String),
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("a server ended: {0}")]
    Ended(String),
}

/// The stack, serving. Time moves its data only while it [runs](Stack::run); dropping it ends it.
pub struct Stack {
    front: SocketAddr,
    dynamodb_url: String,
    athena_url: String,
    dynamodb: aws_sdk_dynamodb::Client,
    database: Option<DynamoDb>,
    functions: Arc<Lambdas>,
    demo: Option<Demo>,
    clock: Clock,
    refresh_every: Duration,
    servers: JoinSet<io::Result<()>>,
    /// Removed last.
    _folder: Option<DemoFolder>,
}

impl Stack {
    /// Starts every part, and writes the demo's request logs of the last 24 h.
    pub async fn start(options: &Options, clock: Clock) -> Result<Self, StackError> {
        let (front_listener, front) = listen("the HTTP front", &options.listen).await?;
        let mut servers = JoinSet::new();
        let (dynamodb_url, database) = if let Some(url) = given(options.dynamodb_url.as_ref()) {
            (url, None)
        } else {
            let (listener, address) = listen("DynamoDB", &options.dynamodb).await?;
            let database = DynamoDb::new(Arc::clone(&clock))?;
            let serving = database.clone().serve(listener);
            servers.spawn(async {
                serving.await;
                Ok(())
            });
            (format!("http://{address}"), Some(database))
        };
        let (logs, demo, demo_folder) = match &options.logs {
            Some(folder) if folder.is_dir() => (folder.clone(), None, None),
            Some(folder) => return Err(StackError::NoLogs(folder.clone())),
            None => {
                let folder = DemoFolder::new_in(&std::env::temp_dir()).map_err(StackError::Folder)?;
                let chat = options.trace.as_deref().map_or_else(Trace::chat, Trace::read)?;
                let traffic = vec![Traffic::new(CHAT, chat), Traffic::new(CODE, Trace::code()?)];
                (folder.path().to_owned(), Some(Demo::new(traffic, folder.path(), clock())), Some(folder))
            }
        };
        let athena_url = if let Some(url) = given(options.athena_url.as_ref()) {
            url
        } else {
            let (listener, address) = listen("Athena", &options.athena).await?;
            let engine = DataFusion::new(&logs, DATABASE, REQUEST_LOGS)?;
            servers.spawn(Athena::new(engine, Arc::clone(&clock)).serve(listener));
            format!("http://{address}")
        };
        let dynamodb = aws::dynamodb_for_refresh(&sdk_config(&dynamodb_url));
        tables::create(&dynamodb).await.map_err(|error| StackError::Refused(chain(&error)))?;
        keys::put(&dynamodb).await.map_err(|error| StackError::Refused(chain(&*error)))?;
        let functions = Arc::new(Lambdas::new(&dynamodb_url, &athena_url)?);
        servers.spawn(serve(front_listener, Arc::clone(&functions), Arc::clone(&clock)));
        let (demo, unwritten) = demo.unzip();
        let stack = Self {
            front,
            dynamodb_url,
            athena_url,
            dynamodb,
            database,
            functions,
            demo,
            clock,
            refresh_every: options.refresh_every,
            servers,
            _folder: demo_folder,
        };
        stack.report_heartbeats().await;
        stack.write_logs(&unwritten.unwrap_or_default()).await?;
        Ok(stack)
    }

    /// Moves the demo's data and refreshes each minute, for as long as every server lives. A refresh that fails is
    /// shown, and tried again. Once the window is filled calls `ready`.
    pub async fn run(mut self, ready: impl FnOnce(&Self)) -> Result<(), StackError> {
        let (mut logs, mut beats, mut minutes) =
            (every(LOGS_EVERY), every(HEARTBEATS_EVERY), interval(self.refresh_every));
        let mut ready = Some(ready);
        let mut refreshes = JoinSet::new();
        loop {
            tokio::select! {
                _ = logs.tick() => self.deliver_logs(),
                _ = beats.tick() => self.report_heartbeats().await,
                // One at a time, as with a reserved concurrency of 1.
                _ = minutes.tick(), if refreshes.is_empty() => {
                    self.delete_expired();
                    refreshes.spawn(self.catch_up(ready.is_some()));
                }
                Some(done) = refreshes.join_next() => match done {
                    Ok(Ok(())) => if let Some(ready) = ready.take() { ready(&self) },
                    Ok(Err(error)) => eprintln!("{}", failure(&error, ready.is_some())),
                    Err(panic) => eprintln!("refresh failed: {panic}"),
                },
                Some(ended) = self.servers.join_next() => {
                    return Err(StackError::Ended(format!("{ended:?}")));
                }
            }
        }
    }

    #[must_use]
    pub const fn front(&self) -> SocketAddr {
        self.front
    }

    #[must_use]
    pub fn dynamodb_url(&self) -> &str {
        &self.dynamodb_url
    }

    #[must_use]
    pub fn athena_url(&self) -> &str {
        &self.athena_url
    }

    /// Delivers the demo's request logs up to now. A failure is shown, and tried again by the next delivery.
    pub fn deliver_logs(&mut self) {
        if let Some(Err(error)) = self.demo.as_mut().map(|demo| demo.deliver((self.clock)())) {
            eprintln!("request logs not written: {error}");
        }
    }

    /// Reports the demo's heartbeats as of now. A failure is shown.
    pub async fn report_heartbeats(&self) {
        if let Err(error) = heartbeats::report(&self.dynamodb, tables::HEARTBEATS, (self.clock)()).await {
            eprintln!("heartbeats not written: {}", chain(&error));
        }
    }

    /// Invokes the refresh function once.
    pub async fn refresh(&self) -> Result<Report, HandleError> {
        self.functions.refresh((self.clock)()).await
    }

    /// Refreshes until nothing is left to do; shows progress while the window is filled.
    pub fn catch_up(&self, is_filling: bool) -> impl Future<Output = Result<(), HandleError>> + Send + 'static {
        let (functions, clock) = (Arc::clone(&self.functions), Arc::clone(&self.clock));
        let rollups = RollupWriter::new(self.dynamodb.clone(), tables::ROLLUPS.to_owned());
        async move {
            let refreshes = async {
                while !functions.refresh(clock()).await?.complete {}
                Ok(())
            };
            if is_filling { progress::of_window(refreshes, &rollups, &clock).await } else { refreshes.await }
        }
    }

    async fn write_logs(&self, hours: &[Unwritten]) -> Result<(), StackError> {
        let Some(demo) = &self.demo else { return Ok(()) };
        let bar = progress::bar("request logs", hours.len());
        for hours in hours.chunks(available_parallelism().map_or(1, usize::from)) {
            demo.write_hours(hours)?;
            bar.inc(u64::try_from(hours.len()).unwrap_or_default());
            // Lets the servers, and an interrupt, have their turn.
            tokio::task::yield_now().await;
        }
        bar.finish_and_clear();
        Ok(())
    }

    /// DynamoDB's TTL, which the in-process one leaves to its owner.
    fn delete_expired(&self) {
        if let Some(database) = self.database.clone() {
            tokio::task::spawn_blocking(move || database.delete_expired());
        }
    }
}

/// A URL; an empty one counts as not given.
fn given(url: Option<&String>) -> Option<String> {
    url.filter(|url| !url.trim().is_empty()).cloned()
}

/// Listens, and warns where that is not on loopback alone. The address is one that this machine reaches.
async fn listen(what: &str, address: &ListenAddress) -> Result<(TcpListener, SocketAddr), StackError> {
    let (listener, bound) = address.bind().await.map_err(|error| StackError::Listen(address.clone(), error))?;
    if !bound.ip().is_loopback() {
        eprintln!("warning: {what} listens on {bound}, where other machines can reach it");
    }
    Ok((listener, reachable(bound)))
}

/// What is said of a refresh that failed.
fn failure(error: &HandleError, is_filling: bool) -> String {
    let cause = chain(error);
    if is_filling {
        format!("refresh failed: {cause}\nscrapes answer 502 until a refresh succeeds; it is tried again each minute")
    } else {
        format!("refresh failed: {cause}")
    }
}

async fn serve(listener: TcpListener, functions: Arc<Lambdas>, clock: Clock) -> io::Result<()> {
    let now = Arc::clone(&clock);
    gateway::serve(
        listener,
        move || now(),
        move |event| {
            let (functions, now) = (Arc::clone(&functions), clock());
            async move { functions.scrape(&event, now).await }
        },
    )
    .await
}

/// Ticks first after one period; a tick that was missed is left out.
fn every(period: Duration) -> Interval {
    let mut interval = interval_at(Instant::now() + period, period);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    interval
}
