//! Every figure straight from the rows, by the words of the contract. It shares no code with the product.

use std::collections::{BTreeMap, HashSet};

use testing::logs::Row;

const DAY_MS: i64 = 86_400_000;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// To the last digit.
    Exact(i128),
    /// A ratio of two exact sums.
    Ratio(f64),
    /// Within 0.6 %.
    Quantile(f64),
}

/// The 24 h series of an endpoint, by name and labels after `endpoint`, for the window that ends there.
pub fn figures(rows: &[Row], endpoint: &str, window_end_ms: i64) -> BTreeMap<String, Value> {
    let day = requests(rows, endpoint, window_end_ms - DAY_MS, window_end_ms);
    let in_class = |class: i32| {
        day.iter().filter(|row| row.status_code.is_some_and(|code| code / 100 == class && code >= 100)).count()
    };
    let mut figures = BTreeMap::new();
    for (name, class) in [("2xx", 2), ("4xx", 4), ("5xx", 5)] {
        let count = i128::try_from(in_class(class)).unwrap();
        figures.insert(format!("wafer_requests_last_24h,status_class=\"{name}\""), Value::Exact(count));
    }
    let input: i128 = day.iter().filter_map(|row| tokens(row.input_tokens)).sum();
    let output: i128 = day.iter().filter_map(|row| tokens(row.output_tokens)).sum();
    let cached: i128 = day.iter().filter_map(|row| cached(row)).sum();
    figures.insert("wafer_input_tokens_last_24h".to_owned(), Value::Exact(input));
    figures.insert("wafer_output_tokens_last_24h".to_owned(), Value::Exact(output));
    figures.insert("wafer_cache_read_tokens_last_24h".to_owned(), Value::Exact(cached));
    if input > 0 {
        #[expect(clippy::cast_precision_loss, reason = "a ratio is not exact")]
        figures.insert("wafer_cache_hit_ratio_last_24h".to_owned(), Value::Ratio(cached as f64 / input as f64));
    }
    let good: Vec<&&Row> =
        day.iter().filter(|row| row.status_code.is_some_and(|code| (200..300).contains(&code))).collect();
    let milliseconds = |value: Option<f64>, least: f64| {
        let value = value.filter(|value| *value >= least && *value <= 1e9)?;
        // Under a microsecond counts as 0.
        Some(if value < 0.001 { 0.0 } else { value })
    };
    let ttft =
        good.iter().filter(|row| row.is_streaming == Some(true)).filter_map(|row| milliseconds(row.ttft_ms, 0.0));
    quantiles(
        &mut figures,
        "wafer_ttft_seconds",
        &["0.5", "0.9", "0.95", "0.99"],
        ttft.map(|ms| ms / 1000.0).collect(),
    );
    let duration = good.iter().filter_map(|row| milliseconds(row.total_latency_ms, 0.0));
    quantiles(
        &mut figures,
        "wafer_request_duration_seconds",
        &["0.5", "0.9", "0.99"],
        duration.map(|ms| ms / 1000.0).collect(),
    );
    let speed = good.iter().filter_map(|row| {
        #[expect(clippy::cast_precision_loss, reason = "within 0.6 %")]
        let output = tokens(row.output_tokens).filter(|tokens| *tokens > 0)? as f64;
        Some(output / (milliseconds(row.total_latency_ms, 0.001)? / 1000.0)).filter(|speed| *speed <= 1e9)
    });
    quantiles(&mut figures, "wafer_output_tokens_per_second", &["0.1", "0.5", "0.9", "0.99"], speed.collect());
    let concurrent = requests(rows, endpoint, window_end_ms - 120_000, window_end_ms).len();
    figures.insert("wafer_concurrent_requests".to_owned(), Value::Exact(i128::try_from(concurrent).unwrap()));
    figures
}

/// The endpoint's requests that ended in that time, each once.
fn requests<'a>(rows: &'a [Row], endpoint: &str, from_ms: i64, to_ms: i64) -> Vec<&'a Row> {
    let mut seen = HashSet::new();
    let ended = |row: &&Row| row.ended_at_ms.is_some_and(|at| from_ms <= at && at < to_ms);
    let own = |row: &&Row| row.endpoint.as_deref().is_some_and(|host| host.to_lowercase() == endpoint);
    let first = |row: &&Row| {
        row.request_id.as_ref().is_none_or(|id| id.is_empty() || seen.insert((id.clone(), row.ended_at_ms)))
    };
    rows.iter().filter(own).filter(ended).filter(first).collect()
}

fn tokens(count: Option<i64>) -> Option<i128> {
    count.filter(|count| (0..=1_000_000_000_000).contains(count)).map(i128::from)
}

fn cached(row: &Row) -> Option<i128> {
    let input = tokens(row.input_tokens)?;
    row.cache_read_tokens.map(i128::from).filter(|cached| (0..=input).contains(cached))
}

fn quantiles(figures: &mut BTreeMap<String, Value>, name: &str, quantiles: &[&str], mut values: Vec<f64>) {
    values.sort_by(f64::total_cmp);
    if values.is_empty() {
        return;
    }
    for quantile in quantiles {
        // Nearest rank: the smallest rank with at least this share of the values at or below it.
        let share: f64 = quantile.parse().unwrap();
        #[expect(clippy::cast_precision_loss, reason = "thousands of values")]
        let rank = (1..=values.len()).find(|rank| *rank as f64 / values.len() as f64 >= share - 1e-12).unwrap();
        figures.insert(format!("{name},quantile=\"{quantile}\""), Value::Quantile(values[rank - 1]));
    }
}

/// Compares a scrape's 24 h series of an endpoint with the rows.
pub fn check(text: &str, rows: &[Row], endpoint: &str) {
    let scraped = scraped(text, endpoint);
    let window_end: i64 = scraped["wafer_metrics_window_end_timestamp_seconds"].parse().unwrap();
    let expected = figures(rows, endpoint, window_end * 1000);
    for (series, value) in &expected {
        let Some(text) = scraped.get(series) else { panic!("{endpoint}: no {series}; expected {value:?}") };
        let right = match *value {
            Value::Exact(number) => *text == number.to_string(),
            Value::Ratio(ratio) => (text.parse::<f64>().unwrap() - ratio).abs() < 1e-12,
            Value::Quantile(quantile) => (text.parse::<f64>().unwrap() - quantile).abs() <= 0.006 * quantile,
        };
        assert!(right, "{endpoint} at {window_end}: {series} is {text}, not {value:?}");
    }
    let others = ["wafer_engine_", "wafer_metrics_", "wafer_scrape_"];
    for series in scraped.keys().filter(|series| !others.iter().any(|other| series.starts_with(other))) {
        assert!(expected.contains_key(series), "{endpoint}: {series} without a sample");
    }
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
