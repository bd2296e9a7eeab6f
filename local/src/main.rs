//! Runs the whole product on loopback, without AWS.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};
use jiff::Timestamp;
use local_stack::check;
use local_stack::stack::{Options, Stack, StackError};
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use wafer_metrics::telemetry::log;

#[derive(Debug, Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    options: Options,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Says what Athena would make of request logs: what it would refuse, what would be skipped, what is missing
    #[command(after_help = "Exits with 0 where there are logs, and nothing is refused or skipped.")]
    Check {
        /// The folder of hour=… folders
        dir: PathBuf,
    },
}

fn main() -> ExitCode {
    let Cli { command, options } = Cli::parse();
    if let Ok(filter) = std::env::var("RUST_LOG") {
        log::start(Some(&filter));
    }
    match command {
        None => run(&options),
        Some(Command::Check { dir }) => check_logs(&dir),
    }
}

fn check_logs(folder: &Path) -> ExitCode {
    match check::check(folder, &mut io::stdout().lock()) {
        Ok(totals) if totals.is_good() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> ExitCode {
    let ended = Runtime::new().map_err(StackError::Runtime).and_then(|runtime| {
        let ended = runtime.block_on(run_until_interrupted(options));
        // A query that is under way waits for nobody.
        runtime.shutdown_background();
        ended
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run_until_interrupted(options: &Options) -> Result<(), StackError> {
    let mut interrupts = Interrupts::listen().map_err(StackError::Runtime)?;
    let run = async {
        let stack = Stack::start(options, Arc::new(Timestamp::now)).await?;
        stack.run(|stack| println!("{}", ready(stack))).await
    };
    tokio::select! {
        ended = run => ended,
        () = interrupts.any() => Ok(()),
    }
}

/// The commands that try it.
fn ready(stack: &Stack) -> String {
    let (front, dynamodb) = (stack.front(), stack.dynamodb_url());
    let curl = "curl -H 'Authorization: Bearer demo-dedicated-key'";
    let metrics = format!("http://{front}/v1/endpoints/metrics");
    let aws = "AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local aws";
    format!(
        "ready

Scrape it:

  {curl} '{metrics}/prometheus?endpoint=chat.demo.example'

Get the figures of an hour as JSON, and the endpoints of the key as Prometheus discovers them:

  {curl} '{metrics}?endpoint=chat.demo.example&range_minutes=60'
  {curl} '{metrics}/targets'

Have Prometheus scrape it, in prometheus.yml:

  scrape_configs:
    - job_name: wafer
      scrape_interval: 60s
      metrics_path: /v1/endpoints/metrics/prometheus
      params: {{ endpoint: [chat.demo.example, code.demo.example], view: ['window,counters'] }}
      authorization: {{ credentials: demo-dedicated-key }}
      static_configs: [{{ targets: ['{front}'] }}]

Look into its tables, or put a key or a heartbeat:

  {aws} dynamodb scan --table-name api_keys --region us-east-1 --endpoint-url {dynamodb}
"
    )
}

/// Ctrl-C, a polite kill, and a terminal that is closed.
struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
    hangup: Option<Signal>,
}

impl Interrupts {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: if hangup_is_ignored() { None } else { Some(signal(SignalKind::hangup())?) },
        })
    }

    async fn any(&mut self) {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = hangup => {}
        }
    }
}

/// Whether we were started to outlive the terminal, as by `nohup`.
fn hangup_is_ignored() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    ignored.is_some_and(|signals| signals & 1 != 0)
}
