//! The local stack: DynamoDB, Athena, both functions, the HTTP front, and demo data that keeps moving.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use athena_endpoint::{Athena, Clock};
use clap::Parser;
use dynamodb_endpoint::{DynamoDb, DynoxideError, tables};
use indicatif::{ProgressBar, ProgressStyle};
use jiff::{SignedDuration, Timestamp};
use local_athena::{DataFusion, EngineError};
use tempfile::TempDir;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{Instant, Interval, interval_at};
use wafer_metrics::error::{Cause, chain};
use wafer_metrics::refresh::{HandleError, Report};
use wafer_metrics::settings::SettingsError;
use wafer_metrics::stores::aws;
use wafer_metrics::stores::rollups::RollupWriter;

use crate::demo::log_writer::LogWriteError;
use crate::demo::trace::{Trace, TraceError};
use crate::demo::traffic::{CHAT, CODE, Traffic};
use crate::demo::{Demo, FILLED_HOURS};
use crate::demo::{heartbeats, keys};
use crate::gateway;
use crate::lambdas::{DATABASE, Lambdas, REQUEST_LOGS, sdk_config};

/// How often new log files appear.
const LOGS_EVERY: Duration = Duration::from_secs(10);
const HEARTBEATS_EVERY: Duration = Duration::from_secs(10);
const REFRESH_EVERY: Duration = Duration::from_mins(1);
const PROGRESS_EVERY: Duration = Duration::from_millis(250);

/// Runs the wafer-metrics endpoint on loopback: a DynamoDB and an Athena endpoint, both functions, demo keys, traffic and heartbeats.
#[derive(Clone, Debug, Parser)]
#[command(version, after_help = "RUST_LOG=info shows the functions' own log lines, one JSON object each.")]
pub struct Options {
    /// Where the HTTP front listens
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9000")]
    pub listen: SocketAddr,
    /// Where DynamoDB listens; any AWS SDK or CLI may put keys and heartbeats there
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8000")]
    pub dynamodb: SocketAddr,
    /// Where Athena listens
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8001")]
    pub athena: SocketAddr,
    /// Read request logs from this folder of hour=… folders, and make no demo traffic
    #[arg(long, value_name = "DIR")]
    pub logs: Option<PathBuf>,
    /// Replay this Azure LLM inference trace as the traffic of chat.demo.example [default: the one shipped]
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
    /// Use this DynamoDB, and start none
    #[arg(long, value_name = "URL", env = "AWS_ENDPOINT_URL_DYNAMODB")]
    pub dynamodb_url: Option<String>,
    /// Use this Athena, and start none
    #[arg(long, value_name = "URL", env = "AWS_ENDPOINT_URL_ATHENA")]
    pub athena_url: Option<String>,
}

/// Why the stack did not start, or went down.
#[derive(Debug, Error)]
pub enum StackError {
    /// A port is in use, or cannot be bound.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, io::Error),
    /// The folder of `--logs` is not there.
    #[error("no such folder of request logs: {0}")]
    NoLogs(PathBuf),
    /// No place for the demo's request logs.
    #[error("no folder for the demo's request logs: {0}")]
    Folder(io::Error),
    /// The trace cannot be replayed.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// Athena did not start.
    #[error(transparent)]
    Athena(#[from] EngineError),
    /// The demo's logs could not be written.
    #[error(transparent)]
    Write(#[from] LogWriteError),
    /// DynamoDB did not start.
    #[error("DynamoDB did not start: {0}")]
    DynamoDb(#[from] DynoxideError),
    /// DynamoDB refused a table or an item.
    #[error("DynamoDB refused: {0}")]
    Refused(String),
    /// A setting of the functions does not fit.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The first refresh failed.
    #[error("the first refresh failed: {}", chain(.0))]
    Refresh(#[from] HandleError),
    /// A server ended.
    #[error("a server ended: {0}")]
    Ended(String),
}

/// The stack, filled and serving. Time moves its data only while it [runs](Stack::run); dropping it ends it.
pub struct Stack {
    front: SocketAddr,
    dynamodb_url: String,
    athena_url: String,
    dynamodb: aws_sdk_dynamodb::Client,
    database: Option<DynamoDb>,
    functions: Arc<Lambdas>,
    demo: Option<Demo>,
    clock: Clock,
    servers: JoinSet<io::Result<()>>,
    _folder: TempDir,
}

impl Stack {
    /// Starts every part, fills the last 24 h, and refreshes until the rollups have caught up.
    ///
    /// # Errors
    /// When a part does not start, or the first refresh fails.
    pub async fn start(options: &Options, clock: Clock) -> Result<Self, StackError> {
        let now = clock();
        let demo_folder = tempfile::tempdir().map_err(StackError::Folder)?;
        let (folder, traffic) = match &options.logs {
            Some(folder) if folder.is_dir() => (folder.as_path(), None),
            Some(folder) => return Err(StackError::NoLogs(folder.clone())),
            None => {
                let chat = options.trace.as_deref().map_or_else(Trace::chat, Trace::read)?;
                (demo_folder.path(), Some(vec![Traffic::new(CHAT, chat), Traffic::new(CODE, Trace::code()?)]))
            }
        };
        let mut servers = JoinSet::new();
        let (front_listener, front) = listen(options.listen).await?;
        let (dynamodb_url, database) = if let Some(url) = &options.dynamodb_url {
            (url.clone(), None)
        } else {
            let (listener, address) = listen(options.dynamodb).await?;
            let database = DynamoDb::new(Arc::clone(&clock))?;
            let serving = database.clone().serve(listener);
            servers.spawn(async {
                serving.await;
                Ok(())
            });
            (format!("http://{address}"), Some(database))
        };
        let athena_url = if let Some(url) = &options.athena_url {
            url.clone()
        } else {
            let (listener, address) = listen(options.athena).await?;
            let engine = DataFusion::new(folder, DATABASE, REQUEST_LOGS)?;
            servers.spawn(Athena::new(engine, Arc::clone(&clock)).serve(listener));
            format!("http://{address}")
        };
        let dynamodb = aws::dynamodb_for_refresh(&sdk_config(&dynamodb_url));
        tables::create(&dynamodb).await.map_err(|error| StackError::Refused(chain(&error)))?;
        keys::put(&dynamodb).await.map_err(|error| StackError::Refused(chain(&*error)))?;
        let functions = Arc::new(Lambdas::new(&dynamodb_url, &athena_url)?);
        servers.spawn(serve(front_listener, Arc::clone(&functions), Arc::clone(&clock)));
        let demo = traffic.map(|traffic| Demo::new(traffic, folder, now));
        let mut stack = Self {
            front,
            dynamodb_url,
            athena_url,
            dynamodb,
            database,
            functions,
            demo,
            clock,
            servers,
            _folder: demo_folder,
        };
        stack.report_heartbeats().await;
        stack.fill().await?;
        stack.catch_up().await?;
        Ok(stack)
    }

    /// Moves the demo's data and refreshes each minute, for as long as every server lives.
    ///
    /// # Errors
    /// When a server ends.
    pub async fn run(mut self) -> Result<(), StackError> {
        let (mut logs, mut beats, mut minutes) = (every(LOGS_EVERY), every(HEARTBEATS_EVERY), every(REFRESH_EVERY));
        let mut refreshes = JoinSet::new();
        loop {
            tokio::select! {
                _ = logs.tick() => self.deliver_logs(),
                _ = beats.tick() => self.report_heartbeats().await,
                // One at a time, as with a reserved concurrency of 1.
                _ = minutes.tick(), if refreshes.is_empty() => {
                    self.delete_expired();
                    let (functions, now) = (Arc::clone(&self.functions), (self.clock)());
                    refreshes.spawn(async move { functions.refresh(now).await });
                }
                Some(done) = refreshes.join_next() => if let Ok(Err(error)) = done {
                    eprintln!("refresh failed: {}", chain(&error));
                },
                Some(ended) = self.servers.join_next() => {
                    return Err(StackError::Ended(format!("{ended:?}")));
                }
            }
        }
    }

    /// Where the front listens.
    #[must_use]
    pub const fn front(&self) -> SocketAddr {
        self.front
    }

    /// Where DynamoDB is.
    #[must_use]
    pub fn dynamodb_url(&self) -> &str {
        &self.dynamodb_url
    }

    /// Where Athena is.
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
    ///
    /// # Errors
    /// As the refresh.
    pub async fn refresh(&self) -> Result<Report, HandleError> {
        self.functions.refresh((self.clock)()).await
    }

    /// Delivers the logs of the time before the start, an hour at a time.
    async fn fill(&mut self) -> Result<(), StackError> {
        let now = (self.clock)();
        let Some(demo) = &mut self.demo else { return Ok(()) };
        let bar = progress("request logs", FILLED_HOURS.into());
        for ago in (0..FILLED_HOURS).rev() {
            demo.deliver(now - SignedDuration::from_hours(ago.into()))?;
            bar.inc(1);
            // Lets the servers, and an interrupt, have their turn.
            tokio::task::yield_now().await;
        }
        bar.finish();
        Ok(())
    }

    /// Refreshes until nothing is left to do.
    async fn catch_up(&self) -> Result<(), StackError> {
        let bar = progress("24 h window", 24 * 60);
        let rollups = RollupWriter::new(self.dynamodb.clone(), tables::ROLLUPS.to_owned());
        let show = async {
            loop {
                tokio::time::sleep(PROGRESS_EVERY).await;
                if let Ok(minutes_left) = minutes_left(&rollups, (self.clock)()).await {
                    bar.set_position((24 * 60_u64).saturating_sub(minutes_left));
                }
            }
        };
        let refresh = async {
            while !self.refresh().await?.complete {}
            Ok(())
        };
        tokio::select! {
            done = refresh => {
                bar.finish();
                done
            }
            () = show => Ok(()),
        }
    }

    /// DynamoDB's TTL, which the in-process one leaves to its owner.
    fn delete_expired(&self) {
        if let Some(database) = self.database.clone() {
            tokio::task::spawn_blocking(move || database.delete_expired());
        }
    }
}

/// How many minutes the watermark is behind.
async fn minutes_left(rollups: &RollupWriter, now: Timestamp) -> Result<u64, Cause> {
    let through = rollups.watermark().await?.map_or(Timestamp::MIN, |mark| mark.value.through.start());
    Ok(u64::try_from(now.duration_since(through).as_mins()).unwrap_or_default())
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StackError> {
    let failed = |error| StackError::Listen(address, error);
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
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

/// A bar on standard error, where that is a terminal.
fn progress(what: &'static str, length: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg:>14} {wide_bar} {percent:>3} %")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(length).with_style(style).with_message(what)
}
