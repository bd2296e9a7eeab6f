//! One fleet, followed run by run.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use testing::athena::Fleet;
use testing::dynamodb::tables;
use testing::sdk_config;
use wafer_metrics::clock::Clock;
use wafer_metrics::error::chain;
use wafer_metrics::model::host::Host;
use wafer_metrics::model::window::Minute;
use wafer_metrics::refresh::{Command, Refresh, Report};
use wafer_metrics::settings::RefreshSettings;
use wafer_metrics::stores::aws;
use wafer_metrics::stores::request_logs::Polling;
use wafer_metrics::stores::rollups::RollupWriter;

use crate::calls::{Calls, Move};
use crate::endpoints::{Endpoints, REQUESTS_A_MINUTE};
use crate::table::{Kind, Run, Runs};
use crate::usage::{self, Memory, Processor};

/// What the process is told to be.
pub const ROLE: &str = "fleet";

/// What a run has on Lambda.
const RUN_TIME: Duration = Duration::from_secs(50);
/// Figures up to this age are answered.
const MAX_STALENESS_SECONDS: i64 = 600;

/// A time at which one hour is sealed soon; in the second of a minute that is worst, since a run a second later would
/// read a minute more.
fn start() -> Timestamp {
    "2026-11-24T20:58:29Z".parse().unwrap()
}

/// Fills so many minutes, then follows so many more.
#[tokio::main(flavor = "current_thread")]
pub async fn follow(endpoints: usize, fill: i64, usual: usize) {
    let memory = Memory::watch();
    let mut stand_ins = Endpoints::start(endpoints);
    let calls = Calls::default();
    let client = calls.count(&aws::dynamodb_for_refresh(&sdk_config(stand_ins.dynamodb)));
    let athena = aws::athena(&sdk_config(stand_ins.athena));
    let refresh = Refresh::new(settings(), athena, Polling::default(), client.clone());
    let rollups = RollupWriter::new(client, tables::ROLLUPS.to_owned());
    let since = Minute::floor(start()).plus(-fill);
    rollups.put_since(since).await.unwrap();
    let mut progress = Progress { through: since, hours_unsealed: 0, caught_up: false, first_answer: None };
    let mut runs = Runs::default();
    let mut now = start();
    let mut followed = 0;
    while followed < usual {
        stand_ins.set_clock(now);
        let processors = || [std::process::id(), stand_ins.process()].map(Processor::of);
        let before = processors();
        memory.take_megabytes();
        calls.take();
        let started = Instant::now();
        let deadline = tokio::time::Instant::now() + RUN_TIME;
        let (report, result) = refresh.run(Command::CatchUp, Clock::start(now), deadline).await;
        let took = started.elapsed();
        let [processor, stand_ins_processor] = processors();
        let moves =
            calls.take_moves().into_iter().map(|Move { through, at }| (through, now + at.duration_since(started)));
        let lag_seconds = progress.follow(moves, now + took);
        let run = Run {
            kind: progress.note(&report),
            took,
            processor: processor.since(before[0]),
            stand_ins: stand_ins_processor.since(before[1]),
            calls: calls.take(),
            megabytes: memory.take_megabytes(),
            lag_seconds,
            report,
            failure: result.err().map(|error| chain(&error)),
        };
        eprintln!("{endpoints} {now} {run}");
        followed += usize::from(run.kind != Kind::FirstFill);
        runs.add(run);
        now += SignedDuration::from_mins(1).max(SignedDuration::try_from(took).unwrap());
    }
    runs.print(endpoints);
    check(&rollups, endpoints, progress.through).await;
    let first_answer = progress.first_answer.map_or("never".to_owned(), |time| format!("{} s", time.as_secs()));
    let (megabytes, load) = (usage::highest_megabytes(), usage::load());
    eprintln!(
        "{endpoints} endpoints: first answer after {first_answer}, highest memory {megabytes:.0} MB, load {load}"
    );
}

fn settings() -> RefreshSettings {
    let setting = |name: &str| match name {
        "ROLLUPS_TABLE" => Some(tables::ROLLUPS.to_owned()),
        "ATHENA_DATABASE" | "ATHENA_WORKGROUP" | "REQUEST_LOGS_TABLE" => Some(name.to_lowercase()),
        _ => None,
    };
    RefreshSettings::from_lookup(setting).unwrap()
}

/// A few endpoints have every request in their minutes, and in their last hour where it is sealed.
async fn check(rollups: &RollupWriter, endpoints: usize, through: Minute) {
    let (minutes, hour) = (through.plus(-45)..through.plus(-15), through.plus(-15).hour().previous());
    for number in [0, endpoints / 2, endpoints - 1] {
        let host = Host::parse(&Fleet::host(number)).unwrap();
        let stored = rollups.minutes(&host, &minutes).await.unwrap();
        let requests: u64 = stored.values().map(|minute| minute.summary.requests()).sum();
        assert_eq!(requests, 30 * REQUESTS_A_MINUTE as u64, "{host} {minutes:?}");
        if let Some(item) = rollups.hour(&host, hour).await.unwrap() {
            assert_eq!(item.summary.requests(), 60 * REQUESTS_A_MINUTE as u64, "{host} {hour}");
        }
    }
}

/// How far the refresh has come.
struct Progress {
    through: Minute,
    hours_unsealed: u64,
    caught_up: bool,
    /// From the start on, until figures are young enough to be answered.
    first_answer: Option<SignedDuration>,
}

impl Progress {
    /// Follows the watermark through a run that ends at that time; how old the figures have been at most.
    fn follow(&mut self, moves: impl Iterator<Item = (i64, Timestamp)>, ended: Timestamp) -> i64 {
        let mut oldest = 0;
        for (through, at) in moves {
            oldest = oldest.max(at.as_second() - self.through.as_second());
            self.through = Minute::from_second(through).unwrap();
            if self.first_answer.is_none() && at.as_second() - through <= MAX_STALENESS_SECONDS {
                self.first_answer = Some(at.duration_since(start()));
            }
        }
        oldest.max(ended.as_second() - self.through.as_second())
    }

    /// What the run was that did this.
    fn note(&mut self, report: &Report) -> Kind {
        let unsealed_before = std::mem::replace(&mut self.hours_unsealed, report.hours_unsealed.unwrap_or_default());
        if !self.caught_up {
            self.caught_up = report.minutes_behind == Some(0) && self.hours_unsealed == 0;
            return Kind::FirstFill;
        }
        if unsealed_before + self.hours_unsealed + report.hours_sealed > 0 { Kind::WithSeal } else { Kind::Usual }
    }
}
