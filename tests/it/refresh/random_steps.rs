//! Whatever may happen to the refresh and to those that answer, in an order that is drawn: no counter, bucket, count or
//! sum may fall, and rows that neither change nor go away must be counted to the last digit.
//!
//! `SEED` names a course to take again, `STEPS` says how long it is.

mod draws;
mod logs;
mod step;

use std::collections::{BTreeMap, VecDeque};
use std::env;
use std::hash::{BuildHasher, RandomState};

use jiff::Timestamp;
use testing::calls::{self, Reply};
use testing::proxy::Proxy;
use wafer_metrics::answer::Service;
use wafer_metrics::model::host::Host;
use wafer_metrics::model::summary::Total;
use wafer_metrics::model::window::Minute;
use wafer_metrics::refresh::{Command, Refresh};
use wafer_metrics::stores::rollups::Transaction;

use draws::Draws;
use logs::{CHANGING, Logs, STEADY};
use step::{Ask, Format, Step};

use super::fixture::{Fixture, RUN_TIME, Way, at, hours, seconds};
use super::oracle;
use super::samples::{Samples, samples};
use super::tally::Tally;

/// Of the refresh and of the function that answers.
const INSTANCES: usize = 2;
/// A first fill at a quarter past eight in the evening starts here.
const SINCE: &str = "2026-11-23T19:00:00";
/// Seconds from one request of an endpoint to its next.
const BUSY: i64 = 12;
const QUIET: i64 = 150;
const DAY_SECONDS: i64 = 86_400;
/// The window's end is so far behind.
const SETTLE_SECONDS: i64 = 90;
/// At rest a scrape is answered, but a busy machine may take too long for some.
const TRIES: usize = 5;
/// Between two times at which everything is compared.
const REST_SECONDS: i64 = 1_800;

/// Series of the window, and the counters of the same.
const SHOWN_BY_BOTH: [(&str, &str); 6] = [
    ("wafer_requests_last_24h,status_class=\"2xx\"", "wafer_requests_total,status_class=\"2xx\""),
    ("wafer_requests_last_24h,status_class=\"4xx\"", "wafer_requests_total,status_class=\"4xx\""),
    ("wafer_requests_last_24h,status_class=\"5xx\"", "wafer_requests_total,status_class=\"5xx\""),
    ("wafer_input_tokens_last_24h", "wafer_input_tokens_total"),
    ("wafer_output_tokens_last_24h", "wafer_output_tokens_total"),
    ("wafer_cache_read_tokens_last_24h", "wafer_cache_read_tokens_total"),
];

struct Course {
    fixture: Fixture,
    logs: Logs,
    refreshes: [Refresh; INSTANCES],
    ways: [Way; 2],
    answering: [Service; INSTANCES],
    held: (Service, Proxy),
    seen: Seen,
    /// Ends of rows that are not counted without a recomputation.
    too_late: Vec<Timestamp>,
    next_rest: Timestamp,
    /// What each rest found, by its window's end, and when that was.
    rests: BTreeMap<i64, (Timestamp, Samples)>,
    days: usize,
}

/// What must never fall again.
#[derive(Clone, Default)]
struct Seen {
    most: Samples,
    /// From when counters are said to count.
    created_at: Option<i64>,
    answers: usize,
    refusals: usize,
}

impl Seen {
    /// Takes an answer that was asked for when so much had been seen.
    fn take(&mut self, reply: &Reply, before: &Self) {
        if reply.status != 200 {
            // Figures are too old, or a call was held too long.
            let refusals = ["summary_failed", "summary_timeout", "unavailable"];
            assert!(refusals.contains(&reply.code().as_str()), "{}", reply.body);
            self.refusals += 1;
            return;
        }
        self.answers += 1;
        let (samples, created) = samples(reply);
        let before = if created.is_empty() { before.most.classic() } else { before.most.clone() };
        assert_eq!(samples.fallen(&before), None);
        for created_at in created {
            let created_at = created_at.unwrap();
            assert_eq!(created_at, *self.created_at.get_or_insert(created_at), "another time of creation");
        }
        self.most.raise(&samples);
    }
}

impl Course {
    /// With a day of traffic, none of which is read yet.
    async fn new(draws: &mut Draws) -> Self {
        let now = at("2026-11-24T20:15:30");
        let hosts: Vec<&'static str> = STEADY.into_iter().chain([CHANGING]).collect();
        let fixture = Fixture::lagging(now, &hosts).await;
        let (total, counted) = years();
        let transaction = Transaction { minutes: Vec::new(), hour: None, total: Some((total, None)), as_of: now };
        fixture.rollups().write(&Host::parse(LONG).unwrap(), &transaction).await.unwrap();
        let mut logs = Logs::with(LONG, counted);
        logs.deliver(&fixture.athena, draws, at(SINCE), now, 300);
        let another = calls::scrape(&fixture.client);
        Self {
            logs,
            refreshes: [fixture.refresh(), fixture.refresh()],
            ways: [fixture.way().await, fixture.way().await],
            answering: [calls::scrape(&fixture.client), another],
            held: fixture.another_scrape().await,
            seen: Seen::default(),
            too_late: Vec::new(),
            next_rest: at("2026-11-24T20:30:00") + seconds(SETTLE_SECONDS),
            rests: BTreeMap::new(),
            days: 0,
            fixture,
        }
    }

    fn now(&self) -> Timestamp {
        self.fixture.clock.now()
    }

    /// Lets a little time pass, with its traffic; at rest times everything is compared.
    async fn pass(&mut self, draws: &mut Draws) {
        let to = self.now() + seconds(draws.between(1..40));
        if self.now() < self.next_rest && self.next_rest <= to {
            self.pass_until(self.next_rest, BUSY, draws);
            self.rest().await;
        } else {
            self.pass_until(to, BUSY, draws);
        }
        self.plan_rest();
    }

    /// The next after now: a step may have taken until after the one that was planned.
    fn plan_rest(&mut self) {
        let second = self.now().as_second() - SETTLE_SECONDS;
        let next = (second / REST_SECONDS + 1) * REST_SECONDS + SETTLE_SECONDS;
        self.next_rest = Timestamp::from_second(next).unwrap();
    }

    /// With a request of each endpoint every so many seconds.
    fn pass_until(&mut self, to: Timestamp, every_seconds: i64, draws: &mut Draws) {
        self.logs.deliver(&self.fixture.athena, draws, self.now(), to, every_seconds);
        self.fixture.clock.set(to);
    }

    async fn scrape(&mut self, instance: usize, ask: Ask) -> Reply {
        let reply = self.fixture.scrape_view(&self.answering[instance], ask.view, ask.format.accept()).await;
        let before = self.seen.clone();
        self.seen.take(&reply, &before);
        if reply.status == 200 && ask.view != "counters" && ask.format != Format::Protobuf {
            // What is in the window is in the counters.
            let (counters, _) = samples(&reply);
            for host in &self.fixture.hosts {
                for (window_series, series) in SHOWN_BY_BOTH {
                    let in_window = in_window(&reply.body, host, window_series);
                    assert!(counters.exact(host, series) >= in_window, "{series} of {host}");
                }
            }
        }
        reply
    }

    /// Lets the refresh do all there is to do, recomputations of what came too late included, and compares everything.
    async fn rest(&mut self) {
        let counted_by = self.now();
        self.fixture.completes(&self.refreshes[0]).await;
        for ended in std::mem::take(&mut self.too_late) {
            let from = Minute::floor(ended);
            let recompute = Command::Recompute { from, to: from.plus(1) };
            self.fixture.run_unseen(&self.refreshes[0], recompute, RUN_TIME).await.1.unwrap();
        }
        let window_end = Minute::floor(counted_by - seconds(SETTLE_SECONDS)).start();
        self.logs.count(counted_by, window_end);
        let mut exact = Samples::default();
        for (instance, format) in
            [(0, Format::Protobuf), (1, Format::OpenMetrics), (0, Format::Text), (1, Format::Text)]
        {
            let mut reply = self.scrape(instance, Ask { view: "counters", format }).await;
            for _ in 0..TRIES {
                if reply.status != 200 {
                    reply = self.scrape(instance, Ask { view: "counters", format }).await;
                }
            }
            let (said, _) = samples(&reply);
            for host in STEADY {
                let right = Samples::of_tally(host, self.logs.tally(host));
                let right = if format == Format::Protobuf { right } else { right.classic() };
                assert_eq!(said.of_endpoint(host).difference(&right), None, "in {format:?}");
            }
            exact = said;
        }
        self.check_window().await;
        // From now on older items are read eventually consistent.
        self.fixture.clock.advance(seconds(61));
        self.check_window().await;
        assert_eq!(exact.window_end(STEADY[0]), window_end.as_second());
        self.check_day(counted_by, window_end, &exact).await;
        self.rests.insert(window_end.as_second(), (counted_by, exact));
    }

    /// The window, which is due at rest.
    async fn window(&self) -> Reply {
        for _ in 0..TRIES {
            let reply = self.fixture.scrape().await;
            if reply.status == 200 {
                return reply;
            }
        }
        panic!("no window at {}", self.now())
    }

    async fn check_window(&self) {
        let reply = self.window().await;
        for host in STEADY {
            assert_eq!(oracle::difference(&reply.body, &self.logs.rows(host), host), None);
        }
    }

    /// What was counted in 24 h is what the window shows, and the rows that ended before it and were counted in it.
    async fn check_day(&mut self, counted_by: Timestamp, window_end: Timestamp, counters: &Samples) {
        let Some((day_before, before)) = self.rests.get(&(window_end.as_second() - DAY_SECONDS)) else { return };
        let window = self.window().await;
        for host in STEADY {
            let late = self.logs.late(host, window_end - hours(24), *day_before);
            let late = Samples::of_tally(host, &late);
            for (window_series, series) in SHOWN_BY_BOTH {
                let increase = counters.exact(host, series) - before.exact(host, series);
                let right = in_window(&window.body, host, window_series) + late.exact(host, series);
                assert_eq!(increase, right, "{series} of {host} at {counted_by}");
            }
        }
        self.days += 1;
    }
}

/// The value of a series of the window.
fn in_window(text: &str, endpoint: &str, series: &str) -> u128 {
    let (name, label) = series.split_at(series.find(',').unwrap_or(series.len()));
    let line = format!("{name}{{endpoint=\"{endpoint}\"{label}}} ");
    text.lines().find_map(|text| text.strip_prefix(&line)).unwrap().parse().unwrap()
}

/// This endpoint has counted for years.
const LONG: &str = STEADY[0];

/// As the item that holds it, and as what it says.
fn years() -> (Total, Tally) {
    let (mut total, mut tally) = (Total::default(), Tally::default());
    for (code, count) in [(200, 1_u64 << 40), (429, 12_345), (503, 7)] {
        total.statuses.add(code, count);
        tally.statuses.insert(code, count.into());
    }
    // Past what a float holds to the last digit.
    let sum = (1 << 60) + 1;
    (total.input_tokens, total.output_tokens, total.cache_read_tokens) = (sum, sum, sum);
    tally.sums = [sum; 6];
    for (place, distribution) in [&mut total.ttft, &mut total.duration, &mut total.speed].into_iter().enumerate() {
        distribution.sum = sum;
        for bucket in [-60, -3, 0, 16, 17] {
            distribution.sketch.add(bucket, 1 << 40).unwrap();
            tally.buckets[place].insert(bucket, 1 << 40);
        }
    }
    (total, tally)
}

/// Prints what was done last where a course fails.
struct Trail {
    seed: u64,
    steps: VecDeque<String>,
}

impl Drop for Trail {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for step in &self.steps {
                eprintln!("{step}");
            }
            eprintln!("this course again: SEED={}", self.seed);
        }
    }
}

/// As many steps as `STEPS` says.
async fn course(seed: u64) {
    let steps = number("STEPS").unwrap_or(500);
    println!("SEED={seed}");
    let mut trail = Trail { seed, steps: VecDeque::new() };
    let mut course = Course::new(&mut Draws::new(seed, u64::MAX)).await;
    course.fixture.catch_up(&course.refreshes[0]).await;
    for number in 0..steps {
        let draws = &mut Draws::new(seed, number);
        course.pass(draws).await;
        let step = Step::draw(draws);
        trail.steps.push_back(format!("step {number}, {}: {step:?}", course.now()));
        if trail.steps.len() > 20 {
            trail.steps.pop_front();
        }
        course.take(&step, draws).await;
    }
    // A day later at the latest there is a rest a day after another.
    let draws = &mut Draws::new(seed, steps);
    course.plan_rest();
    course.pass_until(course.next_rest, BUSY, draws);
    course.rest().await;
    course.pass_until(course.next_rest + hours(24), QUIET, draws);
    course.rest().await;
    let Seen { answers, refusals, created_at, .. } = course.seen;
    assert_eq!(created_at, Some(at(SINCE).as_second()));
    println!(
        "{steps} steps, {answers} answers, {refusals} refusals, {} rests, {} days",
        course.rests.len(),
        course.days
    );
    assert!(course.days > 0 && answers > 4 * refusals, "{answers} answers, {refusals} refusals");
}

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok().map(|text| text.parse().unwrap())
}

#[tokio::test]
async fn in_a_course_of_random_steps_no_counter_falls_and_each_row_counts_once() {
    course(number("SEED").unwrap_or_else(|| RandomState::new().hash_one(0))).await;
}

#[tokio::test]
async fn in_a_known_course_of_random_steps_no_counter_falls_and_each_row_counts_once() {
    course(1).await;
}
