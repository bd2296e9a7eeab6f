//! The answers, by the words of the contract. They share no code with the product.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Display;
use std::ops::Range;

use athena_endpoint::{Answer, ResultColumn, ResultSet};
use jiff::Timestamp;

use super::query::{Kind, Query};
use crate::logs::Row;

/// More tokens than this in one request is a fault of the counter.
const MAX_TOKENS: i64 = 1_000_000_000_000;
/// Times are valid up to this many milliseconds, speeds up to this many tokens per second.
const MAX_VALUE: f64 = 1e9;
/// Less than a microsecond counts as zero, and so does a speed of less than a millionth.
const MIN_MILLISECONDS: f64 = 1e-3;
const MIN_SPEED: f64 = 1e-6;
const ZERO_BUCKET: i32 = -80_000;
const MINUTE_MS: i64 = 60_000;

/// What is said to be read for each row.
pub const ROW_BYTES: u64 = 100;

/// The answer to a query over the rows of the folders it reads, of so many endpoints at most.
pub fn answer<'a>(query: &Query, rows: impl Iterator<Item = &'a Row>, endpoints: usize) -> Answer {
    let rows = Rows::select(query, rows);
    let scanned_bytes = rows.read * ROW_BYTES;
    let result = match query.kind {
        Kind::Minutes => minutes(rows, endpoints),
        Kind::Seal => seal(query, &rows, endpoints),
        Kind::Count => count(rows.kept.len()),
    };
    Answer { result, scanned_bytes }
}

/// The rows that count, each once, and how many do not.
struct Rows {
    kept: Vec<Request>,
    skipped: u64,
    read: u64,
}

/// What counts of a row.
struct Request {
    host: String,
    ended: i64,
    figures: Figures,
}

impl Rows {
    fn select<'a>(query: &Query, rows: impl Iterator<Item = &'a Row>) -> Self {
        let (mut kept, mut skipped, mut read) = (Vec::new(), 0, 0);
        let mut first_copies: HashMap<(String, &str, i64), Figures> = HashMap::new();
        for row in rows {
            read += 1;
            let Some(ended) = row.ended_at_ms else {
                skipped += 1;
                continue;
            };
            if !query.ended.iter().any(|range| holds(range, ended)) {
                continue;
            }
            let Some(host) = host(row) else {
                skipped += 1;
                continue;
            };
            let figures = Figures::from_row(row);
            match row.request_id.as_deref() {
                None | Some("") => kept.push(Request { host, ended, figures }),
                Some(id) => {
                    let first = first_copies.entry((host, id, ended)).or_insert(figures);
                    if figures.sql_order(first).is_lt() {
                        *first = figures;
                    }
                }
            }
        }
        kept.extend(first_copies.into_iter().map(|((host, _, ended), figures)| Request { host, ended, figures }));
        Self { kept, skipped, read }
    }

    /// Leaves the busiest endpoints.
    fn limit(&mut self, endpoints: usize) {
        let mut requests: HashMap<&str, usize> = HashMap::new();
        for request in &self.kept {
            *requests.entry(&request.host).or_default() += 1;
        }
        let mut hosts: Vec<(&str, usize)> = requests.into_iter().collect();
        hosts.sort_unstable_by_key(|(host, requests)| (Reverse(*requests), *host));
        let rest: HashSet<String> = hosts.iter().skip(endpoints).map(|(host, _)| (*host).to_owned()).collect();
        let before = self.kept.len();
        self.kept.retain(|request| !rest.contains(&request.host));
        self.skipped += (before - self.kept.len()) as u64;
    }
}

fn holds(range: &Range<Timestamp>, milliseconds: i64) -> bool {
    range.start.as_millisecond() <= milliseconds && milliseconds < range.end.as_millisecond()
}

/// The name in lower case, where it is one of a host.
fn host(row: &Row) -> Option<String> {
    let name = row.endpoint.as_ref()?;
    let is_label = |label: &str| {
        let bytes = label.as_bytes();
        let outer = [bytes.first(), bytes.last()].into_iter().all(|byte| byte.is_some_and(u8::is_ascii_alphanumeric));
        outer && bytes.len() <= 63 && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
    };
    (name.len() <= 253 && name.split('.').all(is_label)).then(|| name.to_ascii_lowercase())
}

/// A row's values, those that are valid.
#[derive(Clone, Copy)]
struct Figures {
    /// 0 for none.
    status: i32,
    input_tokens: Option<i64>,
    output_tokens: Option<i64>,
    cache_read_tokens: Option<i64>,
    ttft_ms: Option<f64>,
    duration_ms: Option<f64>,
}

impl Figures {
    fn from_row(row: &Row) -> Self {
        let status = row.status_code.filter(|code| (100..=599).contains(code)).unwrap_or(0);
        let tokens = |count: Option<i64>| count.filter(|count| (0..=MAX_TOKENS).contains(count));
        let input_tokens = tokens(row.input_tokens);
        let is_cached = |count: &i64| input_tokens.is_some_and(|input| (0..=input).contains(count));
        let is_good = (200..=299).contains(&status);
        let milliseconds = |value: Option<f64>| value.filter(|value| is_good && (0.0..=MAX_VALUE).contains(value));
        Self {
            status,
            input_tokens,
            output_tokens: tokens(row.output_tokens),
            cache_read_tokens: row.cache_read_tokens.filter(is_cached),
            ttft_ms: milliseconds(row.ttft_ms).filter(|_| row.is_streaming == Some(true)),
            duration_ms: milliseconds(row.total_latency_ms),
        }
    }

    fn tokens_per_second(&self) -> Option<f64> {
        let (output, duration) = (self.output_tokens?, self.duration_ms?);
        #[expect(clippy::cast_precision_loss, reason = "at most 10^12")]
        let speed = output as f64 / (duration / 1e3);
        (output > 0 && duration >= MIN_MILLISECONDS && speed <= MAX_VALUE).then_some(speed)
    }

    /// Of copies that differ the first in this order counts: ascending, nulls last.
    fn sql_order(&self, other: &Self) -> Ordering {
        let counts =
            |of: &Self| [of.input_tokens, of.output_tokens, of.cache_read_tokens].map(|count| (count.is_none(), count));
        let times = |of: &Self| [of.ttft_ms, of.duration_ms].map(|time| time.unwrap_or(f64::INFINITY));
        let by_times = times(self).into_iter().zip(times(other)).map(|(one, other)| one.total_cmp(&other));
        let by_counts = self.status.cmp(&other.status).then_with(|| counts(self).cmp(&counts(other)));
        by_times.fold(by_counts, Ordering::then)
    }
}

pub const MINUTE_COLUMNS: [&str; 16] = [
    "endpoint",
    "minute",
    "status_codes",
    "status_counts",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "ttft_sum",
    "duration_sum",
    "speed_sum",
    "ttft_buckets",
    "ttft_counts",
    "duration_buckets",
    "duration_counts",
    "speed_buckets",
    "speed_counts",
];

pub const SEAL_COLUMNS: [&str; 3] = ["endpoint", "requests", "requests_day_before"];

/// The line of a minute that holds these rows, without its endpoint and its time.
pub fn figures<'a>(rows: impl IntoIterator<Item = &'a Row>) -> Vec<Option<String>> {
    let mut minute = Minute::default();
    rows.into_iter().for_each(|row| minute.add(&Figures::from_row(row)));
    minute.line(None, None).split_off(2)
}

fn minutes(mut rows: Rows, endpoints: usize) -> ResultSet {
    rows.limit(endpoints);
    let mut minutes: BTreeMap<(String, i64), Minute> = BTreeMap::new();
    for Request { host, ended, figures } in rows.kept {
        minutes.entry((host, ended.div_euclid(MINUTE_MS))).or_default().add(&figures);
    }
    let mut lines: Vec<_> = minutes
        .into_iter()
        .map(|((host, minute), summary)| {
            let minute = Timestamp::from_millisecond(minute * MINUTE_MS).unwrap();
            summary.line(Some(host), Some(sql_time(minute)))
        })
        .collect();
    if rows.skipped > 0 {
        lines.push(Minute { statuses: BTreeMap::from([(0, rows.skipped)]), ..Minute::default() }.line(None, None));
    }
    result_set(&MINUTE_COLUMNS, lines)
}

/// As Athena prints a time.
pub fn sql_time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S.000").to_string()
}

/// One endpoint's minute.
#[derive(Default)]
struct Minute {
    statuses: BTreeMap<i32, u64>,
    input_tokens: Option<i128>,
    output_tokens: Option<i128>,
    cache_read_tokens: Option<i128>,
    ttft: Distribution,
    duration: Distribution,
    speed: Distribution,
}

#[derive(Default)]
struct Distribution {
    sum: Option<i128>,
    buckets: BTreeMap<i32, u64>,
}

impl Minute {
    fn add(&mut self, figures: &Figures) {
        *self.statuses.entry(figures.status).or_default() += 1;
        add(&mut self.input_tokens, figures.input_tokens.map(i128::from));
        add(&mut self.output_tokens, figures.output_tokens.map(i128::from));
        add(&mut self.cache_read_tokens, figures.cache_read_tokens.map(i128::from));
        if let Some(milliseconds) = figures.ttft_ms {
            self.ttft.add(milliseconds, MIN_MILLISECONDS, milliseconds / 1e3);
        }
        if let Some(milliseconds) = figures.duration_ms {
            self.duration.add(milliseconds, MIN_MILLISECONDS, milliseconds / 1e3);
        }
        if let Some(speed) = figures.tokens_per_second() {
            self.speed.add(speed, MIN_SPEED, speed);
        }
    }

    fn line(self, endpoint: Option<String>, minute: Option<String>) -> Vec<Option<String>> {
        let number = |number: Option<i128>| number.map(|number| number.to_string());
        let mut line = vec![endpoint, minute, array(self.statuses.keys()), array(self.statuses.values())];
        line.extend([self.input_tokens, self.output_tokens, self.cache_read_tokens].map(number));
        let distributions = [self.ttft, self.duration, self.speed];
        line.extend(distributions.iter().map(|distribution| number(distribution.sum)));
        line.extend(
            distributions
                .iter()
                .flat_map(|Distribution { buckets, .. }| [array(buckets.keys()), array(buckets.values())]),
        );
        line
    }
}

impl Distribution {
    /// A value, the least that is not taken for zero, and the value in the sketch's unit. Sums are in thousandths.
    fn add(&mut self, value: f64, least: f64, in_unit: f64) {
        let is_zero = value < least;
        #[expect(clippy::cast_possible_truncation, reason = "between -1,276 and 1,914")]
        let bucket = if is_zero { ZERO_BUCKET } else { (in_unit.log2() * 64.0).ceil() as i32 };
        *self.buckets.entry(bucket).or_default() += 1;
        #[expect(clippy::cast_possible_truncation, reason = "at most 10^12")]
        add(&mut self.sum, Some(if is_zero { 0 } else { (value * 1e3).round() as i128 }));
    }
}

/// As SQL's `sum` does: null until there is a value.
fn add(sum: &mut Option<i128>, value: Option<i128>) {
    if let Some(value) = value {
        *sum = Some(sum.unwrap_or(0) + value);
    }
}

fn array<T: Display>(items: impl Iterator<Item = T>) -> Option<String> {
    let items: Vec<String> = items.map(|item| item.to_string()).collect();
    (!items.is_empty()).then(|| format!("[{}]", items.join(", ")))
}

fn seal(query: &Query, rows: &Rows, most: usize) -> ResultSet {
    // The range of the day before, where there is one, comes first.
    let hour = query.ended.last().unwrap();
    let mut endpoints: BTreeMap<&str, [u64; 2]> = BTreeMap::new();
    for Request { host, ended, .. } in &rows.kept {
        endpoints.entry(host).or_default()[usize::from(!holds(hour, *ended))] += 1;
    }
    let mut endpoints: Vec<_> = endpoints.into_iter().collect();
    endpoints.sort_by_key(|(_, [requests, _])| Reverse(*requests));
    endpoints.truncate(most);
    endpoints.sort_unstable();
    let line = |(host, requests): (&str, [u64; 2])| {
        let [requests, day_before] = requests.map(|requests| Some(requests.to_string()));
        vec![Some(host.to_owned()), requests, day_before]
    };
    result_set(&SEAL_COLUMNS, endpoints.into_iter().map(line).collect())
}

pub fn count(requests: usize) -> ResultSet {
    result_set(&["requests"], vec![vec![Some(requests.to_string())]])
}

pub fn result_set(columns: &[&str], rows: Vec<Vec<Option<String>>>) -> ResultSet {
    let athena_type = |name: &str| match name {
        "endpoint" => "varchar",
        "minute" => "timestamp",
        name if name.ends_with("_codes") || name.ends_with("_counts") || name.ends_with("_buckets") => "array",
        _ => "bigint",
    };
    let columns = columns.iter().map(|name| ResultColumn { name: (*name).to_owned(), athena_type: athena_type(name) });
    ResultSet { columns: columns.collect(), rows }
}
