use std::collections::{HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};

use super::*;

const HOUR_MS: i64 = 3_600_000;

fn chat() -> Traffic {
    Traffic::new(CHAT, Trace::chat().unwrap())
}

fn code() -> Traffic {
    Traffic::new(CODE, Trace::code().unwrap())
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn day() -> (Timestamp, Timestamp) {
    (time("2026-11-24T10:20:00Z"), time("2026-11-25T10:20:00Z"))
}

#[expect(clippy::cast_precision_loss, reason = "a day has far fewer than 2^53 rows")]
fn share(rows: &[Row], holds: impl Fn(&Row) -> bool) -> f64 {
    rows.iter().filter(|row| holds(row)).count() as f64 / rows.len() as f64
}

fn assert_near(share: f64, expected: f64) {
    assert!((share / expected - 1.0).abs() < 0.1, "{share} is not near {expected}");
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[test]
fn the_chat_trace_fills_a_day_with_430_to_520_thousand_requests() {
    let (from, to) = day();
    let rows = chat().rows_ended_between(from, to);
    assert!((430_000..=520_000).contains(&rows.len()), "{}", rows.len());
}

#[test]
fn token_counts_and_arrivals_are_those_of_the_trace() {
    let trace = Trace::chat().unwrap();
    let start_ms = 500_000 * trace.period_ms();
    let replayed: Vec<(i64, u32)> = chat()
        .requests(start_ms, start_ms + trace.period_ms())
        .map(|(row, _)| {
            let arrived_ms = row.ended_at_ms - nearest(row.total_latency_ms);
            (arrived_ms - start_ms, u32::try_from(row.input_tokens).unwrap())
        })
        .collect();
    let calls: Vec<(i64, u32)> = trace.calls().iter().map(|call| (call.offset_ms, call.context_tokens)).collect();
    assert_eq!(replayed, calls);
}

#[test]
fn every_row_is_delivered_at_least_once_and_one_in_a_thousand_twice() {
    let (from, to) = (time("2026-11-24T10:00:00Z"), time("2026-11-24T13:00:00Z"));
    let ended = chat().rows_ended_between(from, to);
    let mut copies: HashMap<u64, u32> = HashMap::new();
    for row in chat().rows_delivered_between(from, to + SignedDuration::from_mins(10)) {
        *copies.entry(row.id).or_default() += 1;
    }
    assert!(ended.iter().all(|row| (1..=2).contains(&copies[&row.id])));
    let twice = ended.iter().filter(|row| copies[&row.id] == 2).count();
    assert!((40..=80).contains(&twice), "{twice} of {}", ended.len());
}

#[test]
fn both_copies_of_a_row_say_the_same() {
    let (from, to) = day();
    let pairs: Vec<(Row, Row)> = chat()
        .requests(from.as_millisecond(), to.as_millisecond())
        .filter_map(|(row, second)| Some((row, second?)))
        .collect();
    for (first, second) in &pairs {
        assert!(second.delivered_at_ms > first.delivered_at_ms);
        assert_eq!(Row { delivered_at_ms: first.delivered_at_ms, ..*second }, *first);
    }
    let hour = |row: &Row| row.delivered_at_ms / HOUR_MS;
    assert!(pairs.iter().any(|(first, second)| hour(first) != hour(second)));
}

#[test]
fn rows_come_within_a_minute_as_a_rule_and_within_ten_always() {
    let (from, to) = day();
    let rows = chat().rows_delivered_between(from, to);
    let delay_ms = |row: &Row| row.delivered_at_ms - row.ended_at_ms;
    assert!(rows.iter().all(|row| (5_000..540_000).contains(&delay_ms(row))));
    let slow = share(&rows, |row| delay_ms(row) > 50_000);
    assert!((0.0010..0.0020).contains(&slow), "{slow}");
}

#[test]
fn the_traffic_is_the_same_minute_by_minute_and_at_once() {
    let (from, to) = (time("2026-11-24T23:30:00Z"), time("2026-11-25T01:00:00Z"));
    for traffic in [chat(), code()] {
        let mut by_minute = Vec::new();
        let mut minute = from;
        while minute < to {
            let next = minute + SignedDuration::from_mins(1);
            by_minute.extend(traffic.rows_delivered_between(minute, next));
            minute = next;
        }
        let mut at_once = traffic.rows_delivered_between(from, to);
        for rows in [&mut by_minute, &mut at_once] {
            rows.sort_by_key(|row| (row.delivered_at_ms, row.id));
        }
        assert_eq!(by_minute, at_once);
    }
}

#[test]
fn no_two_requests_of_a_day_share_an_identifier() {
    let (from, to) = day();
    let rows = [chat().rows_ended_between(from, to), code().rows_ended_between(from, to)].concat();
    let ids: HashSet<u64> = rows.iter().map(|row| row.id).collect();
    assert_eq!(ids.len(), rows.len());
    assert!(rows.iter().all(|row| row.request_id().len() == "req-0123456789abcdef".len()));
}

#[test]
fn statuses_come_in_their_documented_shares() {
    let (from, to) = day();
    let rows = chat().rows_ended_between(from, to);
    for (status, expected) in [(429, 0.004), (400, 0.001), (503, 0.001), (500, 0.002)] {
        assert_near(share(&rows, |row| row.status_code == status), expected);
    }
    // Some 240 rows each.
    for status in [404, 422] {
        let share = share(&rows, |row| row.status_code == status);
        assert!((0.0004..0.0006).contains(&share), "{status}: {share}");
    }
    for row in &rows {
        assert_eq!(row.error_code.is_none(), row.status_code == 200);
        assert!(row.status_code == 500 || row.status_code == 200 || row.output_tokens == 0);
    }
    assert!(rows.iter().any(|row| row.status_code == 500 && row.output_tokens > 0));
}

#[test]
fn only_streams_that_sent_a_token_have_a_time_to_first_token() {
    let (from, to) = day();
    let rows = chat().rows_ended_between(from, to);
    for row in &rows {
        assert_eq!(row.ttft_ms.is_some(), row.is_streaming && row.output_tokens > 0, "{row:?}");
        assert!(row.ttft_ms.is_none_or(|ttft_ms| 0.0 < ttft_ms && ttft_ms <= row.total_latency_ms));
        assert!((0..=row.input_tokens).contains(&row.cache_read_tokens));
    }
    assert_near(share(&rows, |row| row.is_streaming), 0.7);
    assert_near(share(&code().rows_ended_between(from, to), |row| row.is_streaming), 0.9);
}

#[test]
fn longer_prompts_and_answers_take_longer() {
    let (from, to) = day();
    let rows = chat().rows_ended_between(from, to);
    let ttft = |low: i64, high: i64| {
        let of_size = rows.iter().filter(|row| (low..high).contains(&row.input_tokens));
        median(of_size.filter_map(|row| row.ttft_ms).collect())
    };
    assert!(ttft(3_000, 5_000) > 2.0 * ttft(0, 500));
    let latency = |low: i64, high: i64| {
        let of_size = rows.iter().filter(|row| (low..high).contains(&row.output_tokens));
        median(of_size.map(|row| row.total_latency_ms).collect())
    };
    assert!(latency(400, 800) > 3.0 * latency(20, 100));
}

#[test]
fn latencies_move_over_minutes_with_the_busy_spells_and_with_the_load() {
    let start = time("2026-11-24T10:00:00Z");
    let medians: Vec<f64> = (0..18)
        .map(|five| start + SignedDuration::from_mins(5 * five))
        .map(|from| chat().rows_ended_between(from, from + SignedDuration::from_mins(5)))
        .map(|rows| median(rows.iter().filter_map(|row| row.ttft_ms).collect()))
        .collect();
    for spell in medians.windows(4) {
        let (low, high) = (spell.iter().copied().fold(f64::MAX, f64::min), spell.iter().copied().fold(0.0, f64::max));
        assert!((1.4..6.0).contains(&(high / low)), "{spell:?}");
    }

    let loads = loads(&Trace::chat().unwrap());
    let (low, high) = (loads.iter().copied().fold(f64::MAX, f64::min), loads.iter().copied().fold(0.0, f64::max));
    assert!(low < 0.7 && high > 1.4, "{low} to {high}");
}

#[test]
fn a_load_counts_the_calls_of_the_minute_before_across_the_seam_too() {
    let header = "TIMESTAMP,ContextTokens,GeneratedTokens";
    // Three calls in two minutes, then the next repetition 60 s after the last.
    let calls = ["18:00:00", "18:01:30", "18:02:00"].map(|time| format!("2023-11-16 {time},1,1")).join("\n");
    let trace = Trace::parse("x", format!("{header}\n{calls}").as_bytes()).unwrap();
    assert_eq!(trace.period_ms(), 180_000);
    // A mean minute has one call.
    assert_eq!(loads(&trace), [1.0, 1.0, 2.0]);
}

#[test]
fn a_request_ends_within_the_longest_latency_whatever_the_trace() {
    let header = "TIMESTAMP,ContextTokens,GeneratedTokens";
    let calls = "2023-11-16 18:00:00,4294967295,4294967295\n2023-11-16 18:00:10,1,4294967295";
    let trace = Trace::parse("x", format!("{header}\n{calls}").as_bytes()).unwrap();
    let rows = Traffic::new(CHAT, trace).rows_ended_between(time("2026-11-24T10:00:00Z"), time("2026-11-24T11:00:00Z"));
    // Refused calls do not last, so that one may end on the other side of the hour.
    assert!((355..=365).contains(&rows.len()), "{}", rows.len());
    assert!(rows.iter().all(|row| row.total_latency_ms <= 600_000.0));
}
