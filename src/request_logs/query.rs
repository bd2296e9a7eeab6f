//! The one query. It uses only what Trino documents, so that it runs on Athena's engine 3 as it stands; DuckDB and DataFusion take
//! the same text.

use std::ops::Range;

use crate::sketch::{BUCKETS_PER_DOUBLING, ZERO_BUCKET};
use crate::window::{Hour, Minute};

/// More tokens than this in one request is a broken counter, and would overflow the sum for everybody.
const MAX_TOKENS: u64 = 1_000_000_000_000;

/// The text for a range of minutes whose rows arrived in the hour `last_arrival` or earlier.
///
/// One pass over the rows, pruned by partition and by `ended_at`; every copy of a row but one is dropped; GROUPING SETS count each
/// minute whole and by each kind of bucket; the last step makes one row of each endpoint and minute. Only identifiers that the
/// settings let through and times formatted here enter the text.
///
/// A number is kept by comparing it, which NaN, infinity and null fail; CASE keeps `log2` from zero. `TRY_CAST` is for engines that
/// leave a comparison out where a file's statistics, which know of no NaN, say it always holds, as `DuckDB` does. An endpoint
/// that cannot be a host name is null from the start, however many there are: its rows are only counted.
pub fn text(table: &str, range: &Range<Minute>, last_arrival: Hour) -> String {
    let (from, to) = (sql_time(range.start), sql_time(range.end));
    let first_hour = range.start.hour().partition();
    let last_hour = last_arrival.partition();
    let bucket = |value: &str, name: &str| {
        format!(
            "CASE WHEN {value} > 0 THEN TRY_CAST(ceil(log2({value}) * {BUCKETS_PER_DOUBLING}) AS integer) WHEN {value} = 0 THEN {ZERO_BUCKET} END AS {name}"
        )
    };
    let buckets =
        [bucket("ttft_seconds", "ttft"), bucket("duration_seconds", "duration"), bucket("tokens_per_second", "speed")].join(",\n    ");
    let arrays = |name: &str, kind: u8| {
        let of_kind = format!("FILTER (WHERE kind = {kind} AND {name} IS NOT NULL)");
        format!("array_agg({name} ORDER BY {name}) {of_kind} AS {name}_buckets,\n  array_agg(n ORDER BY {name}) {of_kind} AS {name}_counts")
    };
    let arrays = [arrays("ttft", 3), arrays("duration", 5), arrays("speed", 6)].join(",\n  ");
    format!(
        "\
WITH delivered AS (
  SELECT
    CASE WHEN length(endpoint) BETWEEN 1 AND 253
      AND translate(endpoint, 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-', '') = ''
      THEN lower(endpoint) END AS endpoint,
    request_id, ended_at, status_code, is_streaming, ttft_ms, total_latency_ms,
    CASE WHEN input_tokens BETWEEN 0 AND {MAX_TOKENS} THEN input_tokens END AS input_tokens,
    CASE WHEN output_tokens BETWEEN 0 AND {MAX_TOKENS} THEN output_tokens END AS output_tokens,
    cache_read_tokens
  FROM {table}
  WHERE hour BETWEEN '{first_hour}' AND '{last_hour}'
    AND ((ended_at >= TIMESTAMP '{from}' AND ended_at < TIMESTAMP '{to}') OR ended_at IS NULL)
), numbered AS (
  SELECT *, row_number() OVER (PARTITION BY endpoint, request_id, ended_at) AS copy
  FROM delivered
), measured AS (
  SELECT
    CASE WHEN ended_at IS NOT NULL THEN endpoint END AS endpoint,
    CASE WHEN endpoint IS NOT NULL THEN date_trunc('minute', ended_at) END AS minute,
    status_code, input_tokens, output_tokens,
    CASE WHEN cache_read_tokens BETWEEN 0 AND input_tokens THEN cache_read_tokens END AS cache_read_tokens,
    CASE WHEN status_code BETWEEN 200 AND 299 AND is_streaming AND ttft_ms BETWEEN 0 AND 1e9
      THEN ttft_ms / 1e3 END AS ttft_seconds,
    CASE WHEN status_code BETWEEN 200 AND 299 AND total_latency_ms BETWEEN 0 AND 1e9
      THEN total_latency_ms / 1e3 END AS duration_seconds,
    CASE WHEN status_code BETWEEN 200 AND 299 AND output_tokens > 0 AND total_latency_ms BETWEEN 1e-3 AND 1e9
      THEN output_tokens / (total_latency_ms / 1e3) END AS tokens_per_second
  FROM numbered
  WHERE copy = 1 OR request_id IS NULL OR endpoint IS NULL
), bucketed AS (
  SELECT endpoint, minute, status_code, input_tokens, output_tokens, cache_read_tokens,
    {buckets}
  FROM measured
), counted AS (
  SELECT endpoint, minute, ttft, duration, speed,
    grouping(ttft, duration, speed) AS kind,
    count(*) AS n,
    count(CASE WHEN status_code BETWEEN 200 AND 299 THEN 1 END) AS n_2xx,
    count(CASE WHEN status_code BETWEEN 400 AND 499 THEN 1 END) AS n_4xx,
    count(CASE WHEN status_code BETWEEN 500 AND 599 THEN 1 END) AS n_5xx,
    sum(input_tokens) AS input_tokens,
    sum(output_tokens) AS output_tokens,
    sum(cache_read_tokens) AS cache_read_tokens
  FROM bucketed
  GROUP BY GROUPING SETS (
    (endpoint, minute), (endpoint, minute, ttft), (endpoint, minute, duration), (endpoint, minute, speed))
)
SELECT endpoint, minute,
  max(CASE WHEN kind = 7 THEN n END) AS requests,
  max(CASE WHEN kind = 7 THEN n_2xx END) AS requests_2xx,
  max(CASE WHEN kind = 7 THEN n_4xx END) AS requests_4xx,
  max(CASE WHEN kind = 7 THEN n_5xx END) AS requests_5xx,
  max(CASE WHEN kind = 7 THEN input_tokens END) AS input_tokens,
  max(CASE WHEN kind = 7 THEN output_tokens END) AS output_tokens,
  max(CASE WHEN kind = 7 THEN cache_read_tokens END) AS cache_read_tokens,
  {arrays}
FROM counted
GROUP BY endpoint, minute
ORDER BY minute, endpoint"
    )
}

/// `2026-11-24 20:15:00`.
fn sql_time(minute: Minute) -> String {
    format!("{}:00", minute.to_string().replace('T', " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minute(text: &str) -> Minute {
        Minute::floor(text.parse().unwrap())
    }

    #[test]
    fn rows_are_looked_for_from_their_own_hour_to_the_hour_of_the_latest_arrival() {
        let range = minute("2026-11-24T20:45:00Z")..minute("2026-11-24T20:51:00Z");
        let text = text("request_logs", &range, minute("2026-11-24T21:01:00Z").hour());
        assert!(text.contains("hour BETWEEN '2026-11-24-20' AND '2026-11-24-21'"), "{text}");
        assert!(text.contains("ended_at >= TIMESTAMP '2026-11-24 20:45:00' AND ended_at < TIMESTAMP '2026-11-24 20:51:00'"), "{text}");
    }

    #[test]
    fn the_query_in_the_documentation_is_the_one_that_is_sent() {
        let range = minute("2026-11-24T20:03:00Z")..minute("2026-11-24T20:14:00Z");
        let documented = include_str!("../../docs/query.sql");
        assert_eq!(documented.trim_end(), text("request_logs", &range, range.end.hour()));
    }
}
