//! What a scrape must say, straight from the rows.

use std::collections::BTreeMap;

use testing::logs::Row;

use super::tally::{FINE, MINUTE_MS, Tally, duration_seconds, nearest_rank, requests, tokens_per_second, ttft_seconds};

const DAY_MS: i64 = 86_400_000;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Value {
    /// To the last digit.
    Exact(u128),
    /// A ratio of two exact sums.
    Ratio(f64),
    /// Within 0.6 %.
    Quantile(f64),
}

type Measure = fn(&Row) -> Option<f64>;

/// The quantiles that each distribution is shown by.
const QUANTILES: [(&str, &[&str], Measure); 3] = [
    ("wafer_ttft_seconds", &["0.5", "0.9", "0.95", "0.99"], ttft_seconds),
    ("wafer_request_duration_seconds", &["0.5", "0.9", "0.99"], duration_seconds),
    ("wafer_output_tokens_per_second", &["0.1", "0.5", "0.9", "0.99"], tokens_per_second),
];

/// The 24 h series of an endpoint, by name and labels after `endpoint`, for the window that ends there.
fn figures(rows: &[Row], endpoint: &str, window_end_ms: i64) -> BTreeMap<String, Value> {
    let day = requests(rows, endpoint, window_end_ms - DAY_MS, window_end_ms);
    let tally = Tally::of(day.iter().copied(), FINE);
    let mut figures = BTreeMap::new();
    for class in [2, 4, 5] {
        let count = tally.statuses.range(class * 100..class * 100 + 100).map(|(_, count)| count).sum();
        figures.insert(format!("wafer_requests_last_24h,status_class=\"{class}xx\""), Value::Exact(count));
    }
    let [input, output, cached, ..] = tally.sums;
    for (name, sum) in [("input", input), ("output", output), ("cache_read", cached)] {
        figures.insert(format!("wafer_{name}_tokens_last_24h"), Value::Exact(sum));
    }
    if input > 0 {
        #[expect(clippy::cast_precision_loss, reason = "a ratio is not exact")]
        figures.insert("wafer_cache_hit_ratio_last_24h".to_owned(), Value::Ratio(cached as f64 / input as f64));
    }
    for (name, shares, value) in QUANTILES {
        let mut values: Vec<f64> = day.iter().filter_map(|row| value(row)).collect();
        values.sort_by(f64::total_cmp);
        for share in shares {
            if let Some(quantile) = nearest_rank(&values, share.parse().unwrap()) {
                figures.insert(format!("{name},quantile=\"{share}\""), Value::Quantile(quantile));
            }
        }
    }
    let concurrent = requests(rows, endpoint, window_end_ms - 2 * MINUTE_MS, window_end_ms).len();
    figures.insert("wafer_concurrent_requests".to_owned(), Value::Exact(concurrent as u128));
    figures
}

/// What is wrong with a scrape's 24 h series of an endpoint, compared with the rows.
pub fn difference(text: &str, rows: &[Row], endpoint: &str) -> Option<String> {
    let scraped = scraped(text, endpoint);
    let window_end: i64 = scraped["wafer_metrics_window_end_timestamp_seconds"].parse().unwrap();
    let expected = figures(rows, endpoint, window_end * 1000);
    for (series, value) in &expected {
        let Some(text) = scraped.get(series) else { return Some(format!("{endpoint}: no {series}, not {value:?}")) };
        let right = match *value {
            Value::Exact(number) => *text == number.to_string(),
            Value::Ratio(ratio) => (text.parse::<f64>().unwrap() - ratio).abs() < 1e-12,
            Value::Quantile(quantile) => (text.parse::<f64>().unwrap() - quantile).abs() <= 0.006 * quantile,
        };
        if !right {
            return Some(format!("{endpoint}: {series} is {text}, not {value:?}, in the 24 h to {window_end}"));
        }
    }
    let others = ["wafer_engine_", "wafer_metrics_", "wafer_scrape_"];
    let own = scraped
        .keys()
        .find(|series| !others.iter().any(|other| series.starts_with(other)) && !expected.contains_key(*series));
    own.map(|series| format!("{endpoint}: {series} without a sample"))
}

/// What is wrong with a scrape's counts and sums of an endpoint, some of which have these rows and some those, which
/// are more.
pub fn out_of_bounds(text: &str, fewer: &[Row], more: &[Row], endpoint: &str) -> Option<String> {
    let scraped = scraped(text, endpoint);
    let window_end: i64 = scraped["wafer_metrics_window_end_timestamp_seconds"].parse().unwrap();
    let most = figures(more, endpoint, window_end * 1000);
    figures(fewer, endpoint, window_end * 1000).into_iter().find_map(|(series, least)| {
        let (Value::Exact(least), Some(Value::Exact(most))) = (least, most.get(&series)) else { return None };
        let value: u128 = scraped[&series].parse().unwrap();
        let fits = least <= value && value <= *most;
        (!fits).then(|| {
            format!("{endpoint}: {series} is {value}, not from {least} to {most}, in the 24 h to {window_end}")
        })
    })
}

/// The value of each series of an endpoint, by name and labels after `endpoint`.
fn scraped(text: &str, endpoint: &str) -> BTreeMap<String, String> {
    let own = format!("{{endpoint=\"{endpoint}\"");
    let lines = text.lines().filter(|line| !line.starts_with('#')).filter(|line| line.contains(&own));
    let series = lines.map(|line| {
        let (name, value) = line.rsplit_once(' ').unwrap();
        (name.replace(&own, "").replace('}', ""), value.to_owned())
    });
    series.collect()
}
