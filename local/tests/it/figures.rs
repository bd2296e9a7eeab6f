//! The 24 h figures, against an independent computation from the rows, whatever the logs hold.

use std::collections::BTreeMap;

use testing::logs::Row;

use crate::fixture::{Fixture, at, ms};
use crate::logs::Columns;

const END: &str = "2026-11-24T20:14:00Z";
const START: &str = "2026-11-23T20:14:00Z";

/// A number from a seed: the finalizer of `SplitMix64`.
fn draw(seed: u64) -> u64 {
    let mixed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn pick<T: Clone>(seed: u64, choices: &[T]) -> T {
    choices[usize::try_from(draw(seed)).unwrap() % choices.len()].clone()
}

/// A row with anything in any column, ended at any time around the window.
fn any_row(number: u64) -> Row {
    let seed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let milliseconds = |seed: u64| {
        let exponent = i32::try_from(draw(seed) % 12).unwrap() - 3;
        #[expect(clippy::cast_precision_loss, reason = "any number will do")]
        let mantissa = 1.0 + (draw(seed + 1) % 1_000_000) as f64 / 1e6;
        let plain = mantissa * 10_f64.powi(exponent);
        let odd = [
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            -1.0,
            -0.0,
            0.0,
            1e-310,
            1e9,
            1e9 + 1.0,
            0.001,
            0.000_999,
            f64::MAX,
        ];
        let odd: Vec<Option<f64>> = odd.into_iter().map(Some).chain([None]).collect();
        if draw(seed + 2).is_multiple_of(4) { pick(seed + 3, &odd) } else { Some(plain) }
    };
    let tokens = |seed: u64| {
        let odd =
            [None, Some(-1), Some(0), Some(1_000_000_000_000), Some(1_000_000_000_001), Some(i64::MAX), Some(i64::MIN)];
        let plain = i64::try_from(draw(seed) % 100_000).unwrap();
        if draw(seed + 1).is_multiple_of(4) { pick(seed + 2, &odd) } else { Some(plain) }
    };
    let span_ms = u64::try_from(ms(END) - ms(START)).unwrap() + 1_200_000;
    let nasty = ["quote's \"quote\"", "line\nbreak\r\n", "emoji 🦀", "", "comma,semicolon;", "\u{0}"];
    let endpoints = ["a.example", "b.example", "A.Example", "one-label", "xn--bcher-kva.example", "0.1.2.3"];
    Row {
        // Two requests share an id, which does not make them one.
        request_id: pick(seed + 10, &[None, Some(number / 2), Some(number / 2), Some(number / 2)])
            .map(|id| format!("r{id}")),
        endpoint: Some(pick(seed + 20, &endpoints).to_owned()),
        model: Some(pick(seed + 30, &nasty).to_owned()),
        status_code: pick(
            seed + 40,
            &[
                200,
                200,
                200,
                200,
                200,
                201,
                299,
                101,
                199,
                301,
                399,
                400,
                429,
                499,
                500,
                503,
                599,
                600,
                0,
                -200,
                i32::MAX,
            ]
            .map(Some)
            .into_iter()
            .chain([None])
            .collect::<Vec<_>>(),
        ),
        is_streaming: pick(seed + 50, &[Some(true), Some(true), Some(false), None]),
        ended_at_ms: Some(ms(START) - 600_000 + i64::try_from(draw(seed + 60) % span_ms).unwrap()),
        ttft_ms: milliseconds(seed + 70),
        total_latency_ms: milliseconds(seed + 80),
        input_tokens: tokens(seed + 90),
        output_tokens: tokens(seed + 100),
        cache_read_tokens: tokens(seed + 110),
        error_code: Some(pick(seed + 120, &nasty).to_owned()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_figure_is_right_whatever_the_rows_hold() {
    let mut fixture = Fixture::start().await;
    let rows: Vec<Row> = (0..6_000).map(any_row).collect();
    let mut files: BTreeMap<(i64, u64), Vec<Row>> = BTreeMap::new();
    for (number, row) in (0_u64..).zip(&rows) {
        // A third each by a pipeline of today, an older one, and one that writes more.
        let mut deliver =
            |arrived_at_ms: i64| files.entry((arrived_at_ms / 3_600_000, number % 3)).or_default().push(row.clone());
        // On time, 1 s late or 10 minutes late: the last perhaps in the next hour's partition.
        let arrived_at_ms = row.ended_at_ms.unwrap() + pick(number + 7, &[5_000, 61_000, 600_000]);
        deliver(arrived_at_ms);
        // Delivered again, in the same file, and perhaps in the next hour's.
        if draw(number + 8).is_multiple_of(20) {
            deliver(arrived_at_ms);
        }
        if draw(number + 9).is_multiple_of(20) {
            deliver(arrived_at_ms + 300_000);
        }
    }
    for ((hour, pipeline), mut rows) in files {
        let columns = [Columns::All, Columns::Older, Columns::More][usize::try_from(pipeline).unwrap()];
        // Copies in another file of the same hour.
        let again = rows.iter().step_by(17).cloned().collect();
        let half = rows.split_off(rows.len() / 2);
        for rows in [rows, half, again, Vec::new()] {
            fixture.deliver_as(columns, hour * 3_600_000, rows);
        }
    }
    let report = fixture.catch_up(&fixture.refresher(), at(0)).await;
    assert_eq!(report.through, Some(ms(END) / 1000));
    fixture.check(&["a.example", "b.example", "one-label", "xn--bcher-kva.example", "0.1.2.3"], at(0)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_is_a_copy_only_where_endpoint_id_and_end_are_all_the_same() {
    let mut fixture = Fixture::start().await;
    let ended = ms("2026-11-24T20:10:00Z");
    let row = Row::ok("a.example", "1", ended);
    let unnamed = Row { request_id: None, ..row.clone() };
    let blank = Row::ok("a.example", "", ended);
    let others =
        [Row::ok("b.example", "1", ended), Row::ok("a.example", "2", ended), Row::ok("a.example", "1", ended + 1)];
    fixture.deliver(
        ended,
        [row.clone(), row.clone(), unnamed.clone(), unnamed, blank.clone(), blank].into_iter().chain(others).collect(),
    );
    fixture.deliver(ended + 3_600_000, vec![row]);
    fixture.catch_up(&fixture.refresher(), at(0)).await;
    fixture.check(&["a.example", "b.example"], at(0)).await;
    let (_, text) = fixture.scrape(&fixture.scraper(), &["a.example"], at(0)).await;
    assert!(text.contains("wafer_requests_last_24h{endpoint=\"a.example\",status_class=\"2xx\"} 7\n"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_counts_in_the_minute_in_which_it_ended_and_no_other() {
    let mut fixture = Fixture::start().await;
    let edges = [
        START,
        END,
        "2026-11-24T00:00:00Z",
        "2026-11-24T19:00:00Z",
        "2026-11-24T20:00:00Z",
        "2026-11-24T20:12:00Z",
        "2026-11-24T20:13:00Z",
    ];
    for (number, edge) in edges.into_iter().enumerate() {
        for offset in [-1, 0, 1] {
            let ended = ms(edge) + offset;
            fixture.deliver(ended, vec![Row::ok("edge.example", &format!("{number} {offset}"), ended)]);
        }
    }
    fixture.catch_up(&fixture.refresher(), at(0)).await;
    fixture.check(&["edge.example"], at(0)).await;
    let (_, text) = fixture.scrape(&fixture.scraper(), &["edge.example"], at(0)).await;
    // 7 edges of 3 rows, less the one before the window and the two that are not before its end.
    assert!(text.contains("wafer_requests_last_24h{endpoint=\"edge.example\",status_class=\"2xx\"} 18\n"), "{text}");
    // Those about 20:12, but the one before it, those about 20:13, and the one before the end.
    assert!(text.contains("wafer_concurrent_requests{endpoint=\"edge.example\"} 6\n"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_of_no_host_name_or_no_end_is_skipped_and_counted_and_every_other_endpoint_is_served() {
    let mut fixture = Fixture::start().await;
    let ended = ms("2026-11-24T20:10:00Z");
    let longest = [63, 63, 63, 61].map(|length| "l".repeat(length)).join(".");
    let too_long = format!("{longest}l");
    let skipped = [
        "",
        " ",
        "under_score",
        "a..b",
        ".a",
        "a.",
        "-a",
        "a-",
        "ünï.example",
        "a b",
        "https://a",
        "a:1",
        &"x".repeat(3_000),
        &too_long,
    ];
    let mut rows: Vec<Row> = skipped.iter().map(|endpoint| Row::ok(endpoint, "1", ended)).collect();
    rows.push(Row { endpoint: None, ..Row::ok("", "1", ended) });
    rows.push(Row { ended_at_ms: None, ..Row::ok("good.example", "1", 0) });
    rows.push(Row::ok("good.example", "2", ended));
    rows.push(Row::ok(&longest, "3", ended));
    fixture.deliver(ended, rows);
    let report = fixture.catch_up(&fixture.refresher(), at(0)).await;
    fixture.check(&["good.example", &longest, "idle.example"], at(0)).await;
    // A row without an end is met by each query that looks into its partition.
    assert!(report.skipped_rows >= 16, "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sums_past_2_to_the_53_are_exact() {
    let mut fixture = Fixture::start().await;
    let ended = ms("2026-11-24T19:10:00Z");
    let big = |number: i64| Row {
        input_tokens: Some(1_000_000_000_000),
        output_tokens: Some(999_999_999_999),
        cache_read_tokens: Some(999_999_999_997),
        ..Row::ok("big.example", &number.to_string(), ended + number * 100)
    };
    fixture.deliver(ended, (0..9_101).map(big).collect());
    fixture.catch_up(&fixture.refresher(), at(0)).await;
    fixture.check(&["big.example"], at(0)).await;
    let (_, text) = fixture.scrape(&fixture.scraper(), &["big.example"], at(0)).await;
    assert!(text.contains("wafer_output_tokens_last_24h{endpoint=\"big.example\"} 9100999999990899\n"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_endpoints_are_each_served() {
    let mut fixture = Fixture::start().await;
    let ended = ms("2026-11-24T20:05:00Z");
    let hosts: Vec<String> = (0..2_000).map(|number| format!("h{number}.example")).collect();
    fixture.deliver(
        ended,
        hosts.iter().enumerate().map(|(number, host)| Row::ok(host, &number.to_string(), ended)).collect(),
    );
    let report = fixture.catch_up(&fixture.refresher(), at(0)).await;
    assert_eq!(report.items_written, 2_000);
    let some: Vec<&str> = hosts.iter().step_by(97).map(String::as_str).collect();
    fixture.check(&some, at(0)).await;
    // 2,000 rows and a header come in three pages; only the last range has any.
    let pages = fixture.athena.calls().iter().filter(|call| *call == "GetQueryResults").count();
    assert_eq!(pages, usize::try_from(report.queries).unwrap() + 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_of_one_request_has_that_request_for_every_quantile() {
    let mut fixture = Fixture::start().await;
    let ended = ms("2026-11-24T20:13:59.999Z");
    fixture.deliver(ended, vec![Row::ok("one.example", "1", ended)]);
    fixture.catch_up(&fixture.refresher(), at(0)).await;
    fixture.check(&["one.example"], at(0)).await;
}
