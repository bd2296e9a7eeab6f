//! The queries over the request logs. They use only what Trino documents, so that Athena's engine 3 runs them as they
//! stand; `DuckDB` and `DataFusion` take the same text. No function in them fails on a value, since one such row would
//! stop the figures of everybody. Only identifiers that the settings let through and times formatted here enter a text.

use std::ops::{Range, RangeInclusive};

use crate::model::sketch::{BUCKETS_PER_DOUBLING, ZERO_BUCKET};
use crate::model::window::{Hour, Minute};

/// More tokens than this in one request is a broken counter, and would overflow the sum for everybody.
const MAX_TOKENS: u64 = 1_000_000_000_000;

/// More endpoints than this in one reading are a flood of invented names.
const MAX_ENDPOINTS: u32 = 20_000;

/// Whether `endpoint` is a host name. Not every function on text takes bytes that are not UTF-8 (Trino's `translate`
/// does not); these do, and all engines have them. Each label is matched with a dot before it.
const IS_HOST: &str = r"length(endpoint) <= 253
      AND regexp_replace('.' || endpoint, '\A(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)+\z', '') = ''";

/// The sums of a minute, in the order of the result.
const SUMS: [&str; 6] = ["input_tokens", "output_tokens", "cache_read_tokens", "ttft_sum", "duration_sum", "speed_sum"];

/// The sketches of a minute, each as two arrays.
const BUCKETS: [&str; 6] =
    ["ttft_buckets", "ttft_counts", "duration_buckets", "duration_counts", "speed_buckets", "speed_counts"];

/// Every minute of a range, one row per endpoint and minute, all minutes of an endpoint together. Rows without a good
/// endpoint or `ended_at`, and those of all endpoints but the busiest, are counted in one last row of neither.
///
/// One pass over the rows, pruned by partition and by `ended_at`. Of the copies of a row one counts, the same in every
/// reading; rows without a `request_id` have no copies. GROUPING SETS count each minute by status code (0 for none) and
/// by each kind of bucket; `per_minute` makes one row of each endpoint and minute. Sums of times are in microseconds,
/// those of speeds in thousandths.
///
/// A number is kept by comparing it, which NaN, infinity and null fail; CASE keeps `log2` from zero. `TRY_CAST` is for
/// engines that leave a comparison out where a file's statistics, which know of no NaN, say it always holds, as
/// `DuckDB` does.
pub fn minutes(table: &str, range: &Range<Minute>, folders: &RangeInclusive<Hour>) -> String {
    let folders = in_folders(folders);
    let range = ended_in(range);
    let measures = [
        measure("ttft", "ttft_ms", "1e-3", "ttft_ms / 1e3"),
        measure("duration", "duration_ms", "1e-3", "duration_ms / 1e3"),
        measure("speed", "tokens_per_second", "1e-6", "tokens_per_second"),
    ]
    .join(",\n    ");
    let sums = |sum: fn(&str) -> String| SUMS.map(sum).join(",\n    ");
    let counted_sums = sums(|name| format!("sum({name}) AS {name}"));
    let minute_sums = sums(|name| format!("sum(CASE WHEN kind = 7 THEN {name} END) AS {name}"));
    let minute_buckets = [buckets("ttft", 11), buckets("duration", 13), buckets("speed", 14)].join(",\n    ");
    let kept = |name: &&str| format!("CASE WHEN kept THEN {name} END AS {name}");
    let figures = SUMS.iter().chain(&BUCKETS).map(kept).collect::<Vec<_>>().join(",\n  ");
    format!(
        "\
WITH delivered AS (
  SELECT
    CASE WHEN ended_at IS NOT NULL
      AND {IS_HOST}
      THEN lower(endpoint) END AS endpoint,
    nullif(request_id, '') AS request_id,
    ended_at,
    CASE WHEN status_code BETWEEN 100 AND 599 THEN status_code ELSE 0 END AS status_code,
    CASE WHEN input_tokens BETWEEN 0 AND {MAX_TOKENS} THEN input_tokens END AS input_tokens,
    CASE WHEN output_tokens BETWEEN 0 AND {MAX_TOKENS} THEN output_tokens END AS output_tokens,
    CASE WHEN input_tokens <= {MAX_TOKENS} AND cache_read_tokens BETWEEN 0 AND input_tokens
      THEN cache_read_tokens END AS cache_read_tokens,
    CASE WHEN status_code BETWEEN 200 AND 299 AND is_streaming AND ttft_ms BETWEEN 0 AND 1e9
      THEN ttft_ms END AS ttft_ms,
    CASE WHEN status_code BETWEEN 200 AND 299 AND total_latency_ms BETWEEN 0 AND 1e9
      THEN total_latency_ms END AS duration_ms
  FROM {table}
  WHERE {folders}
    AND (({range})
      OR ended_at IS NULL)
), numbered AS (
  SELECT *,
    CASE WHEN endpoint IS NOT NULL THEN date_trunc('minute', ended_at) END AS minute,
    CASE WHEN output_tokens > 0 AND duration_ms >= 1e-3
      THEN output_tokens / (duration_ms / 1e3) END AS tokens_per_second,
    row_number() OVER (
      PARTITION BY endpoint, request_id, ended_at
      ORDER BY status_code, input_tokens, output_tokens, cache_read_tokens, ttft_ms, duration_ms) AS copy
  FROM delivered
), measured AS (
  SELECT endpoint, minute, status_code, input_tokens, output_tokens, cache_read_tokens,
    {measures}
  FROM numbered
  WHERE copy = 1 OR request_id IS NULL OR endpoint IS NULL
), counted AS (
  SELECT endpoint, minute, status_code, ttft, duration, speed,
    grouping(status_code, ttft, duration, speed) AS kind,
    count(*) AS n,
    {counted_sums}
  FROM measured
  GROUP BY GROUPING SETS (
    (endpoint, minute, status_code), (endpoint, minute, ttft), (endpoint, minute, duration), (endpoint, minute, speed))
), per_minute AS (
  SELECT endpoint, minute,
    sum(CASE WHEN kind = 7 THEN n END) AS requests,
    array_agg(status_code ORDER BY status_code) FILTER (WHERE kind = 7) AS status_codes,
    array_agg(n ORDER BY status_code) FILTER (WHERE kind = 7) AS status_counts,
    {minute_sums},
    {minute_buckets}
  FROM counted
  GROUP BY endpoint, minute
), summed AS (
  SELECT *, CASE WHEN endpoint IS NOT NULL THEN sum(requests) OVER (PARTITION BY endpoint) END AS endpoint_requests
  FROM per_minute
), ranked AS (
  SELECT *, endpoint IS NOT NULL
    AND dense_rank() OVER (ORDER BY endpoint_requests DESC NULLS LAST, endpoint) <= {MAX_ENDPOINTS} AS kept
  FROM summed
), parted AS (
  SELECT *,
    row_number() OVER (PARTITION BY kept ORDER BY endpoint, minute) AS place,
    sum(requests) OVER (PARTITION BY kept) AS part_requests
  FROM ranked
)
SELECT
  CASE WHEN kept THEN endpoint END AS endpoint,
  CASE WHEN kept THEN minute END AS minute,
  CASE WHEN kept THEN status_codes ELSE ARRAY[0] END AS status_codes,
  CASE WHEN kept THEN status_counts ELSE ARRAY[part_requests] END AS status_counts,
  {figures}
FROM parted
WHERE kept OR place = 1
ORDER BY endpoint, minute"
    )
}

/// A value's bucket and what it adds to the sum, from the `least` value that is not taken for zero up to 1e9; null
/// beyond.
fn measure(name: &str, value: &str, least: &str, in_unit: &str) -> String {
    let bucket = format!("ceil(log2({in_unit}) * {BUCKETS_PER_DOUBLING})");
    format!(
        "CASE WHEN {value} BETWEEN {least} AND 1e9 THEN TRY_CAST({bucket} AS integer)
      WHEN {value} < {least} THEN {ZERO_BUCKET} END AS {name},
    CASE WHEN {value} BETWEEN {least} AND 1e9 THEN TRY_CAST(round({value} * 1e3) AS bigint)
      WHEN {value} < {least} THEN 0 END AS {name}_sum"
    )
}

/// The buckets that a minute has, and how many values each holds.
fn buckets(name: &str, kind: u8) -> String {
    let of_kind = format!("FILTER (WHERE kind = {kind} AND {name} IS NOT NULL)");
    format!(
        "array_agg({name} ORDER BY {name}) {of_kind} AS {name}_buckets,
    array_agg(n ORDER BY {name}) {of_kind} AS {name}_counts"
    )
}

/// The requests of an hour, and where `day_before` also those of the same hour a day before, one row per endpoint with
/// any: the busiest of the hour, by name. Looks into the folders from the hour before each to `last_folder`.
pub fn hour(table: &str, hour: Hour, day_before: bool, last_folder: Hour) -> String {
    let day_earlier = |minute: Minute| minute.plus(-24 * 60);
    let (from, to) = (hour.start(), hour.end());
    let (first, ranges) = if day_before {
        let earlier = day_earlier(from)..day_earlier(to);
        (earlier.start.hour(), format!("(({}) OR ({}))", ended_in(&earlier), ended_in(&(from..to))))
    } else {
        (hour, ended_in(&(from..to)))
    };
    let counted = counted(table, &(first.previous()..=last_folder), &ranges);
    let from = sql_time(from);
    format!(
        "\
{counted}, per_endpoint AS (
  SELECT endpoint,
    sum(CASE WHEN ended_at >= TIMESTAMP '{from}' THEN n ELSE 0 END) AS requests,
    sum(CASE WHEN ended_at < TIMESTAMP '{from}' THEN n ELSE 0 END) AS requests_day_before
  FROM counted
  GROUP BY endpoint
  ORDER BY requests DESC, endpoint
  LIMIT {MAX_ENDPOINTS}
)
SELECT endpoint, requests, requests_day_before FROM per_endpoint ORDER BY endpoint"
    )
}

/// How many requests a range of minutes has, of all endpoints together.
pub fn count(table: &str, range: &Range<Minute>, folders: &RangeInclusive<Hour>) -> String {
    let counted = counted(table, folders, &ended_in(range));
    format!("{counted}\nSELECT coalesce(sum(n), 0) AS requests FROM counted")
}

/// `n` requests per endpoint and `ended_at`, the copies of a row counted once, as [`minutes`] counts them.
fn counted(table: &str, folders: &RangeInclusive<Hour>, ranges: &str) -> String {
    let folders = in_folders(folders);
    format!(
        "\
WITH counted AS (
  SELECT lower(endpoint) AS endpoint, ended_at, CASE WHEN nullif(request_id, '') IS NULL THEN count(*) ELSE 1 END AS n
  FROM {table}
  WHERE {folders}
    AND {ranges}
    AND {IS_HOST}
  GROUP BY lower(endpoint), nullif(request_id, ''), ended_at
)"
    )
}

fn in_folders(folders: &RangeInclusive<Hour>) -> String {
    format!("hour BETWEEN '{}' AND '{}'", folders.start().partition(), folders.end().partition())
}

fn ended_in(range: &Range<Minute>) -> String {
    format!("ended_at >= TIMESTAMP '{}' AND ended_at < TIMESTAMP '{}'", sql_time(range.start), sql_time(range.end))
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

    fn hour(text: &str) -> Hour {
        minute(text).hour()
    }

    #[test]
    fn the_query_in_the_documentation_is_the_one_that_is_sent() {
        let range = minute("2026-11-24T20:03:00Z")..minute("2026-11-24T20:14:00Z");
        let folders = hour("2026-11-24T19:00:00Z")..=hour("2026-11-24T20:00:00Z");
        let documented = include_str!("../../../docs/query.sql");
        assert_eq!(documented.trim_end(), minutes("request_logs", &range, &folders));
    }

    #[test]
    fn rows_of_an_hour_are_looked_for_from_the_folder_before_it_to_the_last() {
        let text = super::hour("request_logs", hour("2026-11-24T20:00:00Z"), false, hour("2026-11-24T22:00:00Z"));
        assert!(text.contains("hour BETWEEN '2026-11-24-19' AND '2026-11-24-22'"), "{text}");
        let range = "ended_at >= TIMESTAMP '2026-11-24 20:00:00' AND ended_at < TIMESTAMP '2026-11-24 21:00:00'";
        assert!(text.contains(&format!("\n    AND {range}\n")), "{text}");
    }

    #[test]
    fn rows_of_an_hour_a_day_before_are_looked_for_from_the_folder_before_that() {
        let text = super::hour("request_logs", hour("2026-11-24T00:00:00Z"), true, hour("2026-11-24T02:00:00Z"));
        assert!(text.contains("hour BETWEEN '2026-11-22-23' AND '2026-11-24-02'"), "{text}");
        let earlier = "ended_at >= TIMESTAMP '2026-11-23 00:00:00' AND ended_at < TIMESTAMP '2026-11-23 01:00:00'";
        let range = "ended_at >= TIMESTAMP '2026-11-24 00:00:00' AND ended_at < TIMESTAMP '2026-11-24 01:00:00'";
        assert!(text.contains(&format!("\n    AND (({earlier}) OR ({range}))\n")), "{text}");
    }

    #[test]
    fn requests_are_counted_in_the_folders_and_the_minutes_handed_in() {
        let range = minute("2026-11-24T20:45:00Z")..minute("2026-11-24T20:51:00Z");
        let text = count("request_logs", &range, &(hour("2026-11-24T19:00:00Z")..=hour("2026-11-24T21:00:00Z")));
        assert!(text.contains("hour BETWEEN '2026-11-24-19' AND '2026-11-24-21'"), "{text}");
        let range = "ended_at >= TIMESTAMP '2026-11-24 20:45:00' AND ended_at < TIMESTAMP '2026-11-24 20:51:00'";
        assert!(text.contains(&format!("\n    AND {range}\n")), "{text}");
    }
}
