//! The answers, by the words of the contract. They share no code with the product.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Display;
use std::ops::Range;

use athena_endpoint::{Answer, ResultColumn, ResultSet};
use jiff::Timestamp;

use super::query::{Kind, Query};
use crate::logs::Row;

/// Endpoints beyond this many of one reading are skipped, the least busy ones.
const MAX_ENDPOINTS: usize = 20_000;
/// More tokens than this in one request is a fault of the counter.
const MAX_TOKENS: i64 = 1_000_000_000_000;
/// Times are valid up to this many milliseconds, speeds up to this many tokens per second.
const MAX_VALUE: f64 = 1e9;
/// A smaller value counts as zero.
const MIN_VALUE: f64 = 1e-6;
const ZERO_BUCKET: i32 = -80_000;
const MINUTE_MS: i64 = 60_000;

/// What is said to be read for each row.
const ROW_BYTES: u64 = 100;

/// The answer to a query over the rows of the folders it reads.
pub fn answer<'a>(query: &Query, rows: impl Iterator<Item = &'a Row>) -> Answer {
    let rows = Rows::select(query, rows);
    let scanned_bytes = rows.read * ROW_BYTES;
    let result = match query.kind {
        Kind::Minutes => minutes(rows),
        Kind::Seal => seal(query, &rows),
        Kind::Count => result_set(&["requests"], vec![vec![Some(rows.kept.len().to_string())]]),
    };
    Answer { result, scanned_bytes }
}

/// The rows that count, each once, and how many do not.
struct Rows<'a> {
    kept: Vec<(String, &'a Row, i64)>,
    skipped: u64,
    read: u64,
}

impl<'a> Rows<'a> {
    fn select(query: &Query, rows: impl Iterator<Item = &'a Row>) -> Self {
        let (mut kept, mut skipped, mut read) = (Vec::new(), 0, 0);
        let mut first_copies: HashMap<(String, &str, i64), &Row> = HashMap::new();
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
            match row.request_id.as_deref() {
                None | Some("") => kept.push((host, row, ended)),
                Some(id) => {
                    let first = first_copies.entry((host, id, ended)).or_insert(row);
                    if row.sql_order(first).is_lt() {
                        *first = row;
                    }
                }
            }
        }
        kept.extend(first_copies.into_iter().map(|((host, _, ended), row)| (host, row, ended)));
        Self { kept, skipped, read }
    }

    /// Leaves the busiest endpoints.
    fn limit(&mut self) {
        let mut requests: HashMap<&str, usize> = HashMap::new();
        for (host, ..) in &self.kept {
            *requests.entry(host).or_default() += 1;
        }
        if requests.len() <= MAX_ENDPOINTS {
            return;
        }
        let mut hosts: Vec<(&str, usize)> = requests.into_iter().collect();
        hosts.sort_unstable_by_key(|(host, requests)| (std::cmp::Reverse(*requests), *host));
        let busiest: std::collections::HashSet<String> = hosts[..MAX_ENDPOINTS].iter().map(|(host, _)| (*host).to_owned()).collect();
        let before = self.kept.len();
        self.kept.retain(|(host, ..)| busiest.contains(host));
        self.skipped += (before - self.kept.len()) as u64;
    }
}

fn holds(range: &Range<Timestamp>, milliseconds: i64) -> bool {
    range.start.as_millisecond() <= milliseconds && milliseconds < range.end.as_millisecond()
}

/// The name in lower case, where it can be one of a host.
fn host(row: &Row) -> Option<String> {
    let name = row.endpoint.as_ref()?;
    let valid = (1..=253).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte));
    valid.then(|| name.to_ascii_lowercase())
}

const MINUTE_COLUMNS: [&str; 16] = [
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

fn minutes(mut rows: Rows<'_>) -> ResultSet {
    rows.limit();
    let mut minutes: BTreeMap<(String, i64), Minute> = BTreeMap::new();
    for (host, row, ended) in rows.kept {
        minutes.entry((host, ended.div_euclid(MINUTE_MS))).or_default().add(row);
    }
    let mut lines: Vec<_> = minutes
        .into_iter()
        .map(|((host, minute), figures)| {
            let minute = Timestamp::from_millisecond(minute * MINUTE_MS).unwrap();
            figures.line(Some(host), Some(minute.strftime("%Y-%m-%d %H:%M:%S.000").to_string()))
        })
        .collect();
    if rows.skipped > 0 {
        lines.push(Minute { statuses: BTreeMap::from([(0, rows.skipped)]), ..Minute::default() }.line(None, None));
    }
    result_set(&MINUTE_COLUMNS, lines)
}

/// The figures of one endpoint's minute.
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
    fn add(&mut self, row: &Row) {
        let status = row.status_code.filter(|code| (100..=599).contains(code)).unwrap_or(0);
        *self.statuses.entry(status).or_default() += 1;
        let valid = |tokens: Option<i64>| tokens.filter(|tokens| (0..=MAX_TOKENS).contains(tokens));
        let (input, output) = (valid(row.input_tokens), valid(row.output_tokens));
        add(&mut self.input_tokens, input.map(i128::from));
        add(&mut self.output_tokens, output.map(i128::from));
        let cached = row.cache_read_tokens.filter(|cached| input.is_some_and(|input| (0..=input).contains(cached)));
        add(&mut self.cache_read_tokens, cached.map(i128::from));
        if (200..=299).contains(&status) {
            let valid = |milliseconds: Option<f64>| milliseconds.filter(|value| (0.0..=MAX_VALUE).contains(value));
            let latency = valid(row.total_latency_ms);
            if let Some(ttft) = valid(row.ttft_ms).filter(|_| row.is_streaming == Some(true)) {
                self.ttft.add(ttft / 1e3, ttft * 1e3);
            }
            if let Some(latency) = latency {
                self.duration.add(latency / 1e3, latency * 1e3);
            }
            if let (Some(output), Some(latency)) = (output.filter(|tokens| *tokens > 0), latency.filter(|latency| *latency >= 1e-3)) {
                #[expect(clippy::cast_precision_loss, reason = "at most 10^12")]
                let speed = output as f64 / (latency / 1e3);
                if speed <= MAX_VALUE {
                    self.speed.add(speed, speed * 1e3);
                }
            }
        }
    }

    fn line(self, endpoint: Option<String>, minute: Option<String>) -> Vec<Option<String>> {
        let number = |number: Option<i128>| number.map(|number| number.to_string());
        let mut line = vec![endpoint, minute, array(self.statuses.keys()), array(self.statuses.values())];
        line.extend([self.input_tokens, self.output_tokens, self.cache_read_tokens].map(number));
        let distributions = [self.ttft, self.duration, self.speed];
        line.extend(distributions.iter().map(|distribution| number(distribution.sum)));
        line.extend(distributions.iter().flat_map(|Distribution { buckets, .. }| [array(buckets.keys()), array(buckets.values())]));
        line
    }
}

impl Distribution {
    /// A value in its own unit, and in that of its sum.
    fn add(&mut self, value: f64, summed: f64) {
        let is_zero = value < MIN_VALUE;
        #[expect(clippy::cast_possible_truncation, reason = "between -1,276 and 1,914")]
        let bucket = if is_zero { ZERO_BUCKET } else { (value.log2() * 64.0).ceil() as i32 };
        *self.buckets.entry(bucket).or_default() += 1;
        #[expect(clippy::cast_possible_truncation, reason = "at most 10^12")]
        add(&mut self.sum, Some(if is_zero { 0 } else { summed.round() as i128 }));
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

fn seal(query: &Query, rows: &Rows<'_>) -> ResultSet {
    // The range of the day before, where there is one, comes first.
    let hour = query.ended.last().unwrap();
    let mut endpoints: BTreeMap<&str, [u64; 2]> = BTreeMap::new();
    for (host, _, ended) in &rows.kept {
        endpoints.entry(host).or_default()[usize::from(!holds(hour, *ended))] += 1;
    }
    let line = |(host, requests): (&str, [u64; 2])| {
        let [requests, day_before] = requests.map(|requests| Some(requests.to_string()));
        vec![Some(host.to_owned()), requests, day_before]
    };
    result_set(&["endpoint", "requests", "requests_day_before"], endpoints.into_iter().map(line).collect())
}

fn result_set(columns: &[&str], rows: Vec<Vec<Option<String>>>) -> ResultSet {
    let athena_type = |name: &str| match name {
        "endpoint" => "varchar",
        "minute" => "timestamp",
        name if name.ends_with("_codes") || name.ends_with("_counts") || name.ends_with("_buckets") => "array",
        _ => "bigint",
    };
    let columns = columns.iter().map(|name| ResultColumn { name: (*name).to_owned(), athena_type: athena_type(name) });
    ResultSet { columns: columns.collect(), rows }
}
