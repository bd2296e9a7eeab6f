//! What may happen at a time, and how it is drawn and done.

use std::pin::pin;

use jiff::Timestamp;
use testing::proxy::{Fault, Proxy};
use tokio::task::JoinHandle;
use wafer_metrics::clock::Clock;
use wafer_metrics::model::window::Minute;
use wafer_metrics::refresh::Command;

use super::draws::Draws;
use super::{Course, INSTANCES, QUIET};
use crate::refresh::fixture::{RUN_TIME, minutes, seconds};

/// A run makes fewer calls than this, mostly.
const CALLS: usize = 24;

#[derive(Clone, Debug)]
pub enum Step {
    Scrape {
        instance: usize,
        ask: Ask,
    },
    /// A scrape that is held at one of its calls while a run, and another scrape, go all the way.
    HeldScrape {
        calls: usize,
        ask: Ask,
    },
    Run {
        instance: usize,
    },
    ColdRun {
        instance: usize,
    },
    /// A run that is killed before or after a call is carried out.
    Kill {
        instance: usize,
        calls: usize,
        acted: bool,
    },
    /// A run of which so many calls of a kind are carried out but not answered.
    LostAnswers {
        instance: usize,
        call: &'static str,
        times: usize,
    },
    /// Two runs whose calls are mixed; one may be killed in between, one may be a recomputation.
    SideBySide {
        range: Option<Recompute>,
        killed: Option<usize>,
    },
    /// A recomputation, perhaps killed at a call.
    Recompute {
        range: Recompute,
        killed: Option<usize>,
    },
    /// Rows that come too late to be counted without a recomputation.
    TooLate,
    /// Rows that change or go away.
    Change,
    /// Nothing runs for so many minutes.
    Outage {
        minutes: i64,
    },
    /// The database deletes what has expired.
    Expire,
}

/// What a scrape asks for.
#[derive(Clone, Copy, Debug)]
pub struct Ask {
    pub view: &'static str,
    pub format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Format {
    Text,
    OpenMetrics,
    Protobuf,
}

impl Format {
    pub const fn accept(self) -> &'static str {
        match self {
            Self::Text => "text/plain;version=0.0.4",
            Self::OpenMetrics => "application/openmetrics-text;version=1.0.0",
            Self::Protobuf => {
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
            }
        }
    }
}

/// A range to recompute, in minutes before now.
#[derive(Clone, Copy, Debug)]
pub struct Recompute {
    from: i64,
    length: i64,
}

impl Recompute {
    fn draw(draws: &mut Draws) -> Self {
        let length = draws.one_of(&[1, 7, 60, 100]);
        Self { from: draws.between(length + 3..600), length }
    }

    fn command(self, now: Timestamp) -> Command {
        let from = Minute::floor(now).plus(-self.from);
        Command::Recompute { from, to: from.plus(self.length) }
    }
}

impl Ask {
    fn draw(draws: &mut Draws) -> Self {
        Self {
            view: draws.one_of(&["counters", "window,counters"]),
            format: draws.one_of(&[Format::Text, Format::OpenMetrics, Format::Protobuf]),
        }
    }
}

impl Step {
    pub fn draw(draws: &mut Draws) -> Self {
        let instance = draws.below(INSTANCES);
        let calls = draws.below(CALLS);
        match draws.below(200) {
            0..60 => Self::Scrape { instance, ask: Ask::draw(draws) },
            60..68 => Self::HeldScrape { calls, ask: Ask::draw(draws) },
            68..118 => Self::Run { instance },
            118..122 => Self::ColdRun { instance },
            122..146 => Self::Kill { instance, calls, acted: draws.one_in(2) },
            146..156 => {
                let call = draws.one_of(&["TransactWriteItems", "TransactWriteItems", "PutItem rollups"]);
                Self::LostAnswers { instance, call, times: draws.one_of(&[1, 2, 13]) }
            }
            156..168 => {
                let range = draws.one_in(4).then(|| Recompute::draw(draws));
                Self::SideBySide { range, killed: draws.one_in(3).then_some(calls) }
            }
            168..176 => Self::Recompute { range: Recompute::draw(draws), killed: draws.one_in(2).then_some(calls) },
            176..182 => Self::TooLate,
            182..197 => Self::Change,
            197..199 => Self::Outage { minutes: draws.one_of(&[4, 20, 45, 90, 150, 300]) },
            _ => Self::Expire,
        }
    }
}

impl Course {
    pub async fn take(&mut self, step: &Step, draws: &mut Draws) {
        match *step {
            Step::Scrape { instance, ask } => {
                self.scrape(instance, ask).await;
            }
            Step::HeldScrape { calls, ask } => self.held_scrape(calls, ask).await,
            Step::Run { instance } => self.run(instance).await,
            Step::ColdRun { instance } => {
                self.refreshes[instance] = self.fixture.refresh();
                self.run(instance).await;
            }
            Step::Kill { instance, calls, acted } => self.kill(instance, Command::CatchUp, calls, acted).await,
            Step::LostAnswers { instance, call, times } => {
                self.fixture.to_dynamodb.breaks_times(times, call, Fault::AnswerLost);
                // It may fail: an answer that is lost each time is an error.
                let _ = self.fixture.run(&self.refreshes[instance]).await;
                self.fixture.to_dynamodb.mends(call);
            }
            Step::SideBySide { range, killed } => self.side_by_side(range, killed, draws).await,
            Step::Recompute { range, killed } => {
                let command = range.command(self.fixture.clock.now());
                if let Some(calls) = killed {
                    self.kill(0, command, calls, draws.one_in(2)).await;
                } else {
                    self.fixture.run_unseen(&self.refreshes[0], command, RUN_TIME).await.1.unwrap();
                    self.fixture.observe().await;
                }
            }
            Step::TooLate => {
                let now = self.fixture.clock.now();
                self.too_late.extend(self.logs.deliver_too_late(&self.fixture.athena, draws, now));
            }
            Step::Change => self.logs.change(&self.fixture.athena, draws, self.fixture.clock.now()),
            Step::Outage { minutes: length } => self.pass_until(self.now() + minutes(length), QUIET, draws),
            Step::Expire => self.fixture.database.delete_expired().unwrap(),
        }
    }

    async fn run(&mut self, instance: usize) {
        let (_, result) = self.fixture.run(&self.refreshes[instance]).await;
        result.unwrap();
    }

    /// The instance that is killed is replaced by a cold one.
    async fn kill(&mut self, instance: usize, command: Command, calls: usize, acted: bool) {
        match self.fixture.killed_doing(command, &self.refreshes[instance], calls, acted).await {
            Some((_, result)) => result.unwrap(),
            None => self.refreshes[instance] = self.fixture.refresh(),
        }
    }

    async fn held_scrape(&mut self, calls: usize, ask: Ask) {
        let before = self.seen.clone();
        let (service, way) = &self.held;
        way.step(calls);
        let mut held = pin!(self.fixture.scrape_view(service, ask.view, ask.format.accept()));
        let answered = tokio::select! {
            reply = &mut held => Some(reply),
            () = way.held() => None,
        };
        let reply = if let Some(reply) = answered {
            reply
        } else {
            let _ = self.fixture.run(&self.refreshes[0]).await;
            let between = self.fixture.scrape_view(&self.answering[0], "counters", Format::Text.accept()).await;
            self.seen.take(&between, &before);
            way.run();
            held.await
        };
        way.run();
        // What was asked for before the other was answered may be older.
        self.seen.take(&reply, &before);
    }

    async fn side_by_side(&mut self, range: Option<Recompute>, killed: Option<usize>, draws: &mut Draws) {
        let mut runs: Vec<Option<JoinHandle<_>>> = Vec::new();
        for (place, way) in self.ways.iter().enumerate() {
            let command = range.filter(|_| place == 0).map_or(Command::CatchUp, |range| range.command(self.now()));
            let (refresh, clock) = (self.fixture.refresh_by(way), Clock::start(self.now()));
            if draws.one_in(2) {
                way.proxy.step(0);
            } else {
                way.proxy.step_acting(0);
            }
            runs.push(Some(tokio::spawn(async move {
                let _ = refresh.run(command, clock, clock.started() + RUN_TIME).await;
            })));
            // The other may begin later, and find more.
            for _ in 0..draws.below(8) {
                turn(&way.proxy, &mut runs[place]).await;
            }
            self.fixture.clock.advance(seconds(draws.between(0..20)));
        }
        for number in 0.. {
            if runs.iter().all(Option::is_none) {
                break;
            }
            let place = draws.below(runs.len());
            let way = &self.ways[place].proxy;
            if killed == Some(number)
                && let Some(run) = runs[place].take()
            {
                run.abort();
                let _ = run.await;
                way.given_up().await;
            }
            turn(way, &mut runs[place]).await;
        }
        for way in &self.ways {
            way.proxy.run();
        }
        self.fixture.observe().await;
    }
}

/// Lets a run make its next call, unless it has ended.
async fn turn(way: &Proxy, run: &mut Option<JoinHandle<()>>) {
    let Some(running) = run else { return };
    tokio::select! {
        () = way.held() => way.permit(),
        ended = running => {
            ended.unwrap();
            *run = None;
        }
    }
}
