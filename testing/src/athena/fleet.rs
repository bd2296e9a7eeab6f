//! An Athena over the logs of a fleet that is too large to hold: what a minute of an endpoint has is made up as it is
//! asked for, the same each time.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use athena_endpoint::{Answer, Athena, Engine, Failure, FailureKind, ResultSet};
use jiff::{SignedDuration, Timestamp};

use super::query::{Kind, Query};
use super::result::{self, MINUTE_COLUMNS, ROW_BYTES, SEAL_COLUMNS};
use crate::listen;
use crate::logs::Row;

/// Different minutes that there are; which one it is depends on the endpoint and the time.
const SAMPLES: u64 = 997;
/// In one minute of so many a row comes late,
const LATE_ONE_IN: u64 = 10;
/// by so many minutes after its end.
const LATE_MINUTES: Range<u64> = 2..8;

type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Endpoints that all have the same number of requests in each minute of any time.
pub struct Fleet {
    hosts: Vec<String>,
    requests_a_minute: usize,
    samples: Vec<Sample>,
    query_time: Duration,
    clock: Clock,
}

/// A minute as the cells of its line, and without the row that may come late.
struct Sample {
    whole: Vec<Option<String>>,
    early: Vec<Option<String>>,
}

impl Fleet {
    /// Each query takes `query_time`.
    pub fn new(endpoints: usize, requests_a_minute: usize, query_time: Duration, clock: Clock) -> Self {
        let hosts = (0..endpoints).map(Self::host).collect();
        let samples = (0..SAMPLES).map(|seed| Sample::new(seed, requests_a_minute)).collect();
        Self { hosts, requests_a_minute, samples, query_time, clock }
    }

    /// The name of an endpoint by its number. Names are in the order of numbers.
    pub fn host(number: usize) -> String {
        format!("endpoint-{number:06}.example")
    }

    /// Serves the logs, and each page of a result after so long, for as long as the runtime lives.
    pub async fn start(self, page_delay: Duration) -> SocketAddr {
        let (listener, address) = listen().await;
        let clock = Arc::clone(&self.clock);
        // A result is as large as what it is to be measured with.
        let athena = Athena::new(self, clock).with_page_delay(page_delay).keeping(1);
        tokio::spawn(athena.serve(listener));
        address
    }

    fn answer(&self, query: &Query) -> Answer {
        let requests = |range: &Range<Timestamp>| minutes(range).len() * self.requests_a_minute;
        let all: usize = query.ended.iter().map(|range| requests(range) * self.hosts.len()).sum();
        let result = match query.kind {
            Kind::Minutes => self.lines(&query.ended[0]),
            Kind::Seal => {
                let [hour, day_before] = match query.ended.as_slice() {
                    [day_before, hour] => [requests(hour), requests(day_before)],
                    ranges => [ranges.iter().map(requests).sum(), 0],
                };
                let line =
                    |host: &String| vec![Some(host.clone()), Some(hour.to_string()), Some(day_before.to_string())];
                result::result_set(&SEAL_COLUMNS, self.hosts.iter().map(line).collect())
            }
            Kind::Count => result::count(all),
        };
        Answer { result, scanned_bytes: all as u64 * ROW_BYTES }
    }

    fn lines(&self, range: &Range<Timestamp>) -> ResultSet {
        let now = (self.clock)();
        let minutes: Vec<_> = minutes(range).into_iter().map(|minute| (minute, result::sql_time(minute))).collect();
        let line = |(number, host): (u64, &String), (minute, time): &(Timestamp, String)| {
            let draw = scramble(number << 32 ^ minute.as_second().unsigned_abs());
            let sample = &self.samples[usize::try_from(draw % SAMPLES).unwrap()];
            let figures = if is_whole(draw, *minute, now) { &sample.whole } else { &sample.early };
            [Some(host.clone()), Some(time.clone())].into_iter().chain(figures.iter().cloned()).collect()
        };
        let hosts = (0..).zip(&self.hosts);
        let lines = hosts.flat_map(|host| minutes.iter().map(move |minute| line(host, minute)));
        result::result_set(&MINUTE_COLUMNS, lines.collect())
    }
}

impl Engine for Fleet {
    async fn run(&self, text: &str, _: Option<&str>) -> Result<Answer, Failure> {
        let Some(query) = Query::parse(text) else {
            return Err(Failure::new(FailureKind::Syntax, format!("not a query that the script knows: {text}")));
        };
        tokio::time::sleep(self.query_time).await;
        Ok(self.answer(&query))
    }
}

fn minutes(range: &Range<Timestamp>) -> Vec<Timestamp> {
    let next = |minute: &Timestamp| Some(*minute + SignedDuration::from_mins(1));
    std::iter::successors(Some(range.start), next).take_while(|minute| *minute < range.end).collect()
}

fn is_whole(draw: u64, minute: Timestamp, now: Timestamp) -> bool {
    let draw = draw / SAMPLES;
    let late = LATE_MINUTES.start + (draw / LATE_ONE_IN) % (LATE_MINUTES.end - LATE_MINUTES.start);
    let late = SignedDuration::from_mins(1 + i64::try_from(late).unwrap());
    !draw.is_multiple_of(LATE_ONE_IN) || minute + late <= now
}

impl Sample {
    fn new(seed: u64, requests: usize) -> Self {
        let mut draws = Draws(seed);
        let rows: Vec<Row> = (0..requests).map(|_| draws.row()).collect();
        Self { whole: result::figures(&rows), early: result::figures(rows.iter().skip(1)) }
    }
}

/// Requests of an LLM as they are: times and lengths log-normal, some refused, a few failed.
struct Draws(u64);

impl Draws {
    fn row(&mut self) -> Row {
        let status = match self.uniform() {
            draw if draw < 0.005 => 500,
            draw if draw < 0.03 => 429,
            _ => 200,
        };
        let ttft_ms = self.log_normal(350.0, 0.5);
        let (input, output) = (self.log_normal(1_000.0, 0.9).round(), self.log_normal(200.0, 0.8).round());
        let cached = (input * self.uniform()).floor();
        let total_latency_ms = ttft_ms + output / self.log_normal(60.0, 0.25) * 1e3;
        #[expect(clippy::cast_possible_truncation, reason = "far below 2^63")]
        let tokens = |count: f64| Some(count as i64);
        Row {
            status_code: Some(status),
            is_streaming: Some(self.uniform() < 0.9),
            ttft_ms: Some(ttft_ms),
            total_latency_ms: Some(total_latency_ms),
            input_tokens: tokens(input),
            output_tokens: tokens(output),
            cache_read_tokens: tokens(cached),
            ..Row::default()
        }
    }

    fn log_normal(&mut self, median: f64, sigma: f64) -> f64 {
        // Box and Muller's way to a normal draw.
        let normal = (-2.0 * self.uniform().ln()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos();
        median * (sigma * normal).exp()
    }

    /// Above 0 and up to 1.
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(1 << 32);
        #[expect(clippy::cast_precision_loss, reason = "53 bits are kept")]
        let draw = ((scramble(self.0) >> 11) + 1) as f64 / (1_u64 << 53) as f64;
        draw
    }
}

/// Spreads numbers that lie close together: `SplitMix64`.
fn scramble(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTES: &str = "SELECT … ttft_buckets … WHERE hour BETWEEN '2026-11-24-19' AND '2026-11-24-21'
        AND ended_at >= TIMESTAMP '2026-11-24 20:03:00' AND ended_at < TIMESTAMP '2026-11-24 20:14:00'";

    fn fleet(now: &str) -> Fleet {
        let now: Timestamp = format!("2026-11-24T{now}Z").parse().unwrap();
        Fleet::new(50, 30, Duration::ZERO, Arc::new(move || now))
    }

    async fn lines(now: &str) -> Vec<Vec<Option<String>>> {
        fleet(now).run(MINUTES, None).await.unwrap().result.rows
    }

    fn requests(line: &[Option<String>]) -> u64 {
        let place = MINUTE_COLUMNS.iter().position(|name| *name == "status_counts").unwrap();
        let counts = line[place].as_ref().unwrap().trim_matches(['[', ']']);
        counts.split(", ").map(|count| count.parse::<u64>().unwrap()).sum()
    }

    #[tokio::test]
    async fn each_endpoint_has_its_minutes_together_and_the_same_each_time() {
        let lines = lines("22:00:00").await;
        assert_eq!(lines.len(), 50 * 11);
        assert!(lines.is_sorted_by_key(|line| (line[0].clone(), line[1].clone())));
        assert!(lines.iter().all(|line| line.len() == MINUTE_COLUMNS.len() && requests(line) == 30));
        assert_ne!(lines[0][2..], lines[1][2..]);
        assert_eq!(self::lines("22:00:00").await, lines);
    }

    #[tokio::test]
    async fn a_tenth_of_the_minutes_lacks_a_row_until_it_has_come() {
        let (early, whole) = (lines("20:14:00").await, lines("22:00:00").await);
        let changed = early.iter().zip(&whole).filter(|(early, whole)| early != whole);
        let lacking: Vec<_> = changed.map(|(early, _)| requests(early)).collect();
        assert!(lacking.iter().all(|requests| *requests == 29), "{lacking:?}");
        assert!((20..=60).contains(&lacking.len()), "{}", lacking.len());
    }

    #[tokio::test]
    async fn an_hour_counts_what_its_minutes_have() {
        let text = "SELECT … requests_day_before … WHERE hour BETWEEN '2026-11-24-19' AND '2026-11-24-21'
            AND ended_at >= TIMESTAMP '2026-11-24 20:00:00' AND ended_at < TIMESTAMP '2026-11-24 21:00:00'";
        let rows = fleet("22:00:00").run(text, None).await.unwrap().result.rows;
        let line = [Some(Fleet::host(49)), Some("1800".to_owned()), Some("0".to_owned())];
        assert_eq!((rows.len(), rows[49].as_slice()), (50, line.as_slice()));
    }
}
