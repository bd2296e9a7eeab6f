//! What a scrape says of counters and histograms, whatever its format, and what it must say. It shares no code with the
//! product.

use std::collections::BTreeMap;

use testing::calls::Reply;

use super::protobuf::{self, Family, Histogram, Metric};
use super::tally::{COARSE, Tally, ZERO};

/// The end of the window, which does not fall either.
const WINDOW_END: &str = "wafer_metrics_window_end_timestamp_seconds";
const COUNTERS: [&str; 5] = [
    "wafer_requests_total",
    "wafer_requests_by_status_code_total",
    "wafer_input_tokens_total",
    "wafer_output_tokens_total",
    "wafer_cache_read_tokens_total",
];
/// Histograms, the decimal places of their sums, and the exponents of their first and last bound.
const HISTOGRAMS: [(&str, u32, i32, i32); 3] = [
    ("wafer_time_to_first_token_seconds", 6, -7, 9),
    ("wafer_e2e_request_latency_seconds", 6, -7, 9),
    ("wafer_output_speed_tokens_per_second", 3, 0, 10),
];

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// In the unit of its last decimal place; protobuf has none.
    pub exact: Option<u128>,
    /// As a scraper takes it.
    pub float: f64,
}

/// Values by endpoint, and name and further label. Native buckets are series too.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Samples(pub BTreeMap<(String, String), Sample>);

impl Samples {
    /// Of a text of either format.
    pub fn of_text(text: &str) -> Self {
        let mut samples = Self::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let (name, labels) = series.trim_end_matches('}').split_once("{endpoint=\"").unwrap();
            let (endpoint, label) = labels.split_once('"').unwrap();
            if let Some(decimals) = decimals(name) {
                let sample = Sample { exact: Some(units(value, decimals)), float: value.parse().unwrap() };
                samples.insert(endpoint, format!("{name}{label}"), sample);
            }
        }
        samples
    }

    /// Of protobuf, and the times from which counters and histograms are said to count.
    pub fn of_protobuf(bytes: &[u8]) -> (Self, Vec<Option<i64>>) {
        let mut samples = Self::default();
        let mut created = Vec::new();
        for Family { name, metrics } in protobuf::families(bytes) {
            let is_histogram = HISTOGRAMS.iter().any(|(histogram, ..)| *histogram == name);
            if !is_histogram && decimals(&name).is_none() {
                continue;
            }
            for Metric { endpoint, label, value, histogram, created_at } in metrics {
                if name != WINDOW_END {
                    created.push(created_at);
                }
                match histogram {
                    Some(histogram) => samples.insert_histogram(&endpoint, &name, &histogram),
                    None => samples.insert(&endpoint, format!("{name}{label}"), float(value.unwrap())),
                }
            }
        }
        (samples, created)
    }

    /// What counters and histograms must say of an endpoint.
    pub fn of_tally(endpoint: &str, tally: &Tally) -> Self {
        let mut samples = Self::default();
        let mut insert = |series: String, units: u128, decimals: u32| {
            // The float that is nearest.
            let float = format!("{units}e-{decimals}").parse().unwrap();
            samples.insert(endpoint, series, Sample { exact: Some(units), float });
        };
        for class in [2, 4, 5] {
            let codes = tally.statuses.range(class * 100..class * 100 + 100);
            let requests = codes.map(|(_, count)| count).sum();
            insert(format!("wafer_requests_total,status_class=\"{class}xx\""), requests, 0);
        }
        for (code, count) in tally.statuses.range(100..) {
            insert(format!("wafer_requests_by_status_code_total,status_code=\"{code}\""), *count, 0);
        }
        for (kind, sum) in ["input", "output", "cache_read"].into_iter().zip(tally.sums) {
            insert(format!("wafer_{kind}_tokens_total"), sum, 0);
        }
        for (place, (name, decimals, first, last)) in HISTOGRAMS.into_iter().enumerate() {
            let buckets = &tally.buckets[place];
            let up_to = |bucket: i32| buckets.range(..=bucket).map(|(_, count)| count).sum::<u128>();
            for exponent in first..=last {
                let bound = f64::from(exponent).exp2();
                insert(format!("{name}_bucket,le=\"{bound:?}\""), up_to(exponent * COARSE), 0);
            }
            insert(format!("{name}_bucket,le=\"+Inf\""), up_to(i32::MAX), 0);
            insert(format!("{name}_count"), up_to(i32::MAX), 0);
            insert(format!("{name}_sum"), tally.sums[3 + place], decimals);
            insert(native(name, "zero"), up_to(ZERO), 0);
            for (bucket, count) in buckets.iter().filter(|(bucket, _)| **bucket != ZERO) {
                insert(native(name, bucket), *count, 0);
            }
        }
        samples
    }

    fn insert(&mut self, endpoint: &str, series: String, sample: Sample) {
        let there = self.0.insert((endpoint.to_owned(), series), sample);
        assert_eq!(there, None, "twice in an answer");
    }

    fn insert_histogram(&mut self, endpoint: &str, name: &str, histogram: &Histogram) {
        assert_eq!((histogram.schema, histogram.zero_threshold), (4, 0.0), "{name}");
        // Without a span it would be taken for a classic one.
        assert!(!histogram.spans.is_empty(), "{name}");
        self.insert(endpoint, format!("{name}_count"), integer(histogram.count));
        self.insert(endpoint, format!("{name}_sum"), float(histogram.sum));
        for (bound, count) in &histogram.classic {
            let bound = if bound.is_infinite() { "+Inf".to_owned() } else { format!("{bound:?}") };
            self.insert(endpoint, format!("{name}_bucket,le=\"{bound}\""), integer(*count));
        }
        self.insert(endpoint, native(name, "zero"), integer(histogram.zeros));
        let (mut bucket, mut count, mut all) = (0, 0, histogram.zeros);
        let mut deltas = histogram.deltas.iter();
        for (offset, length) in &histogram.spans {
            bucket += offset;
            for _ in 0..*length {
                count += deltas.next().unwrap();
                let count = u64::try_from(count).unwrap();
                all += count;
                self.insert(endpoint, native(name, bucket), integer(count));
                bucket += 1;
            }
        }
        assert_eq!((deltas.next(), all), (None, histogram.count), "{name}");
    }

    /// The first series that is less than it was, or not there any more.
    pub fn fallen(&self, before: &Self) -> Option<String> {
        before.0.iter().find_map(|(series, before)| {
            let now = self.0.get(series);
            let fell = now.is_none_or(|now| match (now.exact, before.exact) {
                (Some(now), Some(before)) => now < before,
                _ => now.float < before.float,
            });
            fell.then(|| format!("{series:?} fell from {before:?} to {now:?}"))
        })
    }

    /// Those but native buckets, which texts do not have.
    pub fn classic(&self) -> Self {
        Self(self.0.iter().filter(|((_, series), _)| !series.contains(NATIVE)).map(pair).collect())
    }

    /// Those of an endpoint, but for the window's end.
    pub fn of_endpoint(&self, endpoint: &str) -> Self {
        Self(self.0.iter().filter(|((of, series), _)| of == endpoint && series != WINDOW_END).map(pair).collect())
    }

    /// Keeps of each series the most that was seen.
    pub fn raise(&mut self, seen: &Self) {
        for (series, sample) in &seen.0 {
            let most = self.0.entry(series.clone()).or_insert(*sample);
            *most = Sample { exact: most.exact.max(sample.exact), float: most.float.max(sample.float) };
        }
    }

    /// What is different from what must be said, to the last digit, or in protobuf to the nearest float.
    pub fn difference(&self, right: &Self) -> Option<String> {
        let differs = |said: Option<&Sample>, right: Option<&Sample>| match (said, right) {
            (Some(said), Some(right)) => match said.exact {
                Some(exact) => Some(exact) != right.exact,
                None => said.float.to_bits() != right.float.to_bits(),
            },
            _ => true,
        };
        let series = self.0.keys().chain(right.0.keys());
        let mut pairs = series.map(|series| (series, self.0.get(series), right.0.get(series)));
        let (series, said, right) = pairs.find(|(_, said, right)| differs(*said, *right))?;
        Some(format!("{series:?} is {said:?}, not {right:?}"))
    }

    pub fn exact(&self, endpoint: &str, series: &str) -> u128 {
        self.0[&(endpoint.to_owned(), series.to_owned())].exact.unwrap()
    }

    pub fn window_end(&self, endpoint: &str) -> i64 {
        self.exact(endpoint, WINDOW_END).try_into().unwrap()
    }
}

/// The values of a reply, and the times from which counters are said to count, which protobuf alone says.
pub fn samples(reply: &Reply) -> (Samples, Vec<Option<i64>>) {
    if reply.header("content-type").starts_with("application/vnd.google.protobuf") {
        Samples::of_protobuf(&reply.bytes)
    } else {
        (Samples::of_text(&reply.body), Vec::new())
    }
}

const NATIVE: &str = ",native=";

fn native(name: &str, bucket: impl std::fmt::Display) -> String {
    format!("{name}{NATIVE}{bucket}")
}

fn pair<K: Clone, V: Clone>((key, value): (&K, &V)) -> (K, V) {
    (key.clone(), value.clone())
}

fn float(float: f64) -> Sample {
    Sample { exact: None, float }
}

#[expect(clippy::cast_precision_loss, reason = "as a scraper takes it")]
fn integer(count: u64) -> Sample {
    Sample { exact: Some(count.into()), float: count as f64 }
}

/// The decimal places of a series; `None` of one that is not looked at.
fn decimals(name: &str) -> Option<u32> {
    if name == WINDOW_END || COUNTERS.contains(&name) {
        return Some(0);
    }
    let (_, decimals, ..) = HISTOGRAMS.into_iter().find(|(histogram, ..)| name.starts_with(histogram))?;
    Some(if name.ends_with("_sum") { decimals } else { 0 })
}

/// A decimal number in units of its last place.
fn units(value: &str, decimals: u32) -> u128 {
    let (whole, rest) = value.split_once('.').unwrap_or((value, ""));
    let width = decimals as usize;
    assert!(rest.len() <= width, "{value} has more than {decimals} decimal places");
    format!("{whole}{rest:0<width$}").parse().unwrap()
}
