use aws_sdk_athena::Client;
use aws_sdk_athena::operation::get_query_results::GetQueryResultsOutput;
use aws_sdk_athena::types::{QueryExecution, QueryExecutionState};
use jiff::SignedDuration;

use super::*;
use crate::sdk_config;

const MINUTES: &str = "SELECT … ttft_buckets … FROM request_logs
  WHERE hour BETWEEN '2026-11-24-19' AND '2026-11-24-21'
    AND regexp_replace('.' || endpoint, '\\A(\\.[A-Za-z0-9]+)+\\z', '') = ''
    AND ended_at >= TIMESTAMP '2026-11-24 20:03:00' AND ended_at < TIMESTAMP '2026-11-24 20:14:00'";

const SEAL: &str = "SELECT endpoint, count(*) FILTER (WHERE ended_at >= TIMESTAMP '2026-11-24 20:00:00') AS requests,
    count(*) FILTER (WHERE ended_at < TIMESTAMP '2026-11-23 21:00:00') AS requests_day_before
  WHERE (hour BETWEEN '2026-11-24-19' AND '2026-11-24-21'
      AND ended_at >= TIMESTAMP '2026-11-24 20:00:00' AND ended_at < TIMESTAMP '2026-11-24 21:00:00')
    OR (hour BETWEEN '2026-11-23-19' AND '2026-11-24-21'
      AND ended_at >= TIMESTAMP '2026-11-23 20:00:00' AND ended_at < TIMESTAMP '2026-11-23 21:00:00')";

fn time(text: &str) -> Timestamp {
    format!("2026-11-24T{text}Z").parse().unwrap()
}

fn ms(text: &str) -> i64 {
    time(text).as_millisecond()
}

/// At a quarter past 20 h.
fn athena() -> ScriptedAthena {
    ScriptedAthena::new(Clock::new(time("20:15:30")))
}

/// How a query of that text ended, and the first page of its result.
async fn run(athena: &ScriptedAthena, text: &str) -> (QueryExecution, Option<GetQueryResultsOutput>) {
    let client = Client::new(&sdk_config(athena.start().await));
    let started = client.start_query_execution().query_string(text).send().await.unwrap();
    let id = started.query_execution_id.unwrap();
    loop {
        let execution =
            client.get_query_execution().query_execution_id(&id).send().await.unwrap().query_execution.unwrap();
        match execution.status.as_ref().unwrap().state.as_ref().unwrap() {
            QueryExecutionState::Succeeded => {
                return (execution, Some(client.get_query_results().query_execution_id(&id).send().await.unwrap()));
            }
            QueryExecutionState::Failed => return (execution, None),
            _ => tokio::task::yield_now().await,
        }
    }
}

/// The rows after the header, with `NULL` for what is null.
async fn rows(athena: &ScriptedAthena, text: &str) -> Vec<String> {
    let (_, result) = run(athena, text).await;
    let rows = result.unwrap().result_set.unwrap().rows.unwrap();
    let line = |row: &aws_sdk_athena::types::Row| {
        row.data()
            .iter()
            .map(|datum| datum.var_char_value().unwrap_or("NULL").to_owned())
            .collect::<Vec<_>>()
            .join(" | ")
    };
    rows.iter().skip(1).map(line).collect()
}

#[tokio::test]
async fn minutes_are_counted_as_the_contract_has_it() {
    let athena = athena();
    let row = |id: &str| Row::ok("a.example", id, ms("20:13:59.999"));
    athena.deliver(
        time("20:15:00"),
        vec![
            Row { ttft_ms: Some(500.0), total_latency_ms: Some(2_000.0), output_tokens: Some(100), ..row("1") },
            // Every value at its bound.
            Row { ttft_ms: Some(0.0), total_latency_ms: Some(1e9), output_tokens: Some(1_000_000_000_000), ..row("2") },
            // Every value beyond it.
            Row {
                ttft_ms: Some(-0.1),
                total_latency_ms: Some(1e9 + 1.0),
                input_tokens: Some(1_000_000_000_001),
                output_tokens: Some(-1),
                ..row("3")
            },
            Row { ttft_ms: Some(0.000_9), total_latency_ms: Some(f64::NAN), cache_read_tokens: Some(101), ..row("4") },
            // Too fast to be true.
            Row { is_streaming: Some(false), total_latency_ms: Some(0.001), output_tokens: Some(1_001), ..row("5") },
            Row { status_code: Some(429), ..row("6") },
            Row { status_code: Some(600), ..row("7") },
            Row { status_code: None, ended_at_ms: Some(ms("20:03:00")), ..row("8") },
            Row { endpoint: Some("B.Example".to_owned()), total_latency_ms: Some(0.0), ttft_ms: None, ..row("9") },
            Row {
                endpoint: Some("b.example".to_owned()),
                total_latency_ms: Some(1e3),
                ttft_ms: None,
                output_tokens: Some(0),
                ..row("16")
            },
            // Outside the range.
            Row { ended_at_ms: Some(ms("20:02:59.999")), ..row("10") },
            Row { ended_at_ms: Some(ms("20:14:00")), ..row("11") },
            // Of no host or no time.
            Row { endpoint: Some("a_b.example".to_owned()), ..row("12") },
            Row { endpoint: Some("a.example\n".to_owned()), ..row("13") },
            Row { endpoint: Some("-a.example".to_owned()), ..row("14") },
            Row { endpoint: None, ..row("14") },
            Row { ended_at_ms: None, ..row("15") },
        ],
    );
    assert_eq!(
        rows(&athena, MINUTES).await,
        [
            "a.example | 2026-11-24 20:03:00.000 | [0] | [1] | 100 | 50 | 25 | NULL | NULL | NULL \
             | NULL | NULL | NULL | NULL | NULL | NULL",
            "a.example | 2026-11-24 20:13:00.000 | [0, 200, 429] | [1, 5, 1] | 600 | 1000000001251 | 125 \
             | 500000 | 1000002000001 | 1000050000 \
             | [-80000, -64] | [2, 1] | [-1275, 64, 1276] | [1, 1, 1] | [362, 1276] | [1, 1]",
            "b.example | 2026-11-24 20:13:00.000 | [200] | [2] | 200 | 50 | 50 | NULL | 1000000 | NULL \
             | NULL | NULL | [-80000, 0] | [1, 1] | NULL | NULL",
            "NULL | NULL | [0] | [5] | NULL | NULL | NULL | NULL | NULL | NULL | NULL | NULL | NULL | NULL | NULL \
             | NULL",
        ]
    );
}

#[tokio::test]
async fn of_copies_that_differ_the_same_one_counts_whatever_file_comes_first() {
    let copy = |tokens| Row { input_tokens: tokens, ..Row::ok("a.example", "1", ms("20:05:00")) };
    let none = |id: Option<&str>| Row { request_id: id.map(str::to_owned), ..copy(Some(1_000)) };
    let files = [
        vec![copy(None)],
        vec![copy(Some(7)), none(None), none(Some(""))],
        vec![copy(Some(30)), none(None), none(Some(""))],
    ];
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let athena = athena();
        for file in order {
            athena.deliver(time("20:06:00"), files[file].clone());
        }
        let rows = rows(&athena, MINUTES).await;
        assert!(rows[0].starts_with("a.example | 2026-11-24 20:05:00.000 | [200] | [5] | 4007 |"), "{rows:?}");
    }
}

#[tokio::test]
async fn a_file_is_seen_from_its_arrival_on_where_its_folder_is_read() {
    let athena = athena();
    let row = |id: &str| vec![Row::ok("a.example", id, ms("20:05:00"))];
    athena.deliver(time("20:15:30"), row("here"));
    athena.deliver(time("20:15:31"), row("a second later"));
    athena.deliver_into("2026-11-24-19", time("20:15:00"), row("an hour before"));
    athena.deliver_into("2026-11-24-18", time("20:15:00"), row("two hours before"));
    athena.deliver_into("2026-11-24-22", time("20:15:00"), row("two hours after"));
    let count = MINUTES.replace("… ttft_buckets …", "count(*) AS requests");
    assert_eq!(rows(&athena, &count).await, ["2"]);
    athena.clock.advance(SignedDuration::from_secs(1));
    assert_eq!(rows(&athena, &count).await, ["3"]);
    assert_eq!(athena.rows(athena.clock.now()).len(), 5);
}

#[tokio::test]
async fn a_file_may_be_written_anew_and_deleted() {
    let athena = athena();
    let row = |id: &str| Row::ok("a.example", id, ms("20:05:00"));
    let file = athena.deliver(time("20:06:00"), vec![row("1"), row("2")]);
    let count = MINUTES.replace("… ttft_buckets …", "count(*) AS requests");
    athena.replace(file, vec![row("1")]);
    assert_eq!(rows(&athena, &count).await, ["1"]);
    athena.delete(file);
    assert_eq!(rows(&athena, &count).await, ["0"]);
}

#[tokio::test]
async fn a_seal_tells_the_requests_of_both_hours() {
    let athena = athena();
    athena.clock.set(time("21:12:00"));
    let row = |host: &str, id: &str, ended| Row::ok(host, id, ended);
    let day = 86_400_000;
    athena.deliver(
        time("20:01:00"),
        vec![row("a.example", "1", ms("20:00:00")), row("b.example", "2", ms("20:59:59.999"))],
    );
    athena
        .deliver(time("21:01:00"), vec![row("a.example", "1", ms("20:00:00")), row("b.example", "3", ms("21:00:00"))]);
    athena.deliver_into(
        "2026-11-23-20",
        time("20:00:00") - SignedDuration::from_hours(23),
        vec![row("b.example", "4", ms("20:30:00") - day), row("c.example", "5", ms("20:00:00") - day)],
    );
    assert_eq!(rows(&athena, SEAL).await, ["a.example | 1 | 0", "b.example | 1 | 1", "c.example | 0 | 1"]);
    let alone = "SELECT endpoint, count(*) AS requests, CAST(0 AS bigint) AS requests_day_before
      WHERE hour BETWEEN '2026-11-24-19' AND '2026-11-24-21'
        AND ended_at >= TIMESTAMP '2026-11-24 20:00:00' AND ended_at < TIMESTAMP '2026-11-24 21:00:00'";
    assert_eq!(rows(&athena, alone).await, ["a.example | 1 | 0", "b.example | 1 | 0"]);
}

#[tokio::test]
async fn the_busiest_endpoints_are_kept_and_the_others_rows_are_skipped() {
    let athena = athena();
    let host = |number: usize| format!("h{number:05}.example");
    let mut rows: Vec<Row> = (0..20_002).map(|number| Row::ok(&host(number), "1", ms("20:05:00"))).collect();
    rows.extend([1, 20_000].map(|number| Row::ok(&host(number), "2", ms("20:05:00"))));
    athena.deliver(time("20:06:00"), rows);
    let query = Query::parse(MINUTES).unwrap();
    let rows = athena.answer(&query).result.rows;
    assert_eq!(rows.len(), 20_001);
    assert_eq!(rows[19_998][0].as_deref(), Some("h19998.example"));
    assert_eq!(rows[19_999][0].as_deref(), Some("h20000.example"));
    assert_eq!(rows[20_000][..4], [None, None, Some("[0]".to_owned()), Some("[2]".to_owned())]);
}

#[tokio::test]
async fn a_result_comes_in_pages_of_a_thousand_rows_with_one_header() {
    let athena = athena();
    athena.deliver(
        time("20:06:00"),
        (0..1_000).map(|number| Row::ok(&format!("h{number}.example"), "1", ms("20:05:00"))).collect(),
    );
    let client = Client::new(&sdk_config(athena.start().await));
    let id = client.start_query_execution().query_string(MINUTES).send().await.unwrap().query_execution_id.unwrap();
    let page = |token| {
        let get = client.get_query_results().query_execution_id(&id).set_next_token(token);
        async { get.send().await }
    };
    let first = loop {
        if let Ok(first) = page(None).await {
            break first;
        }
    };
    let sizes = |page: &GetQueryResultsOutput| page.result_set().unwrap().rows().len();
    assert_eq!(sizes(&first), 1_000);
    let second = page(first.next_token).await.unwrap();
    assert_eq!((sizes(&second), second.next_token), (1, None));
}

#[tokio::test]
async fn an_execution_is_submitted_at_the_time_of_the_tests_clock() {
    let (execution, _) = run(&athena(), MINUTES).await;
    let status = execution.status.unwrap();
    assert_eq!(status.submission_date_time.unwrap().to_millis().unwrap(), ms("20:15:30"));
    assert_eq!(status.completion_date_time.unwrap().to_millis().unwrap(), ms("20:15:30"));
}

#[tokio::test]
async fn a_query_takes_the_time_or_fails_as_its_script_says() {
    let athena = athena();
    athena.on_query(|query| match query.kind {
        Kind::Minutes => Ok(Duration::from_millis(200)),
        _ => Err(Failure::new(FailureKind::OutOfMemory, "too many rows")),
    });
    let started = std::time::Instant::now();
    run(&athena, MINUTES).await;
    assert!(started.elapsed() >= Duration::from_millis(200));
    let (execution, result) = run(&athena, SEAL).await;
    let reason = execution.status.unwrap().state_change_reason.unwrap();
    assert_eq!((reason.as_str(), result), ("EXCEEDED_LOCAL_MEMORY_LIMIT: too many rows", None));
}

#[test]
fn the_documented_query_is_known_with_its_bounds() {
    let query = Query::parse(include_str!("../../../docs/query.sql")).unwrap();
    assert_eq!((query.kind, query.ended.as_slice()), (Kind::Minutes, &[time("20:03:00")..time("20:14:00")][..]));
    assert!(query.reads("2026-11-24-20") && !query.reads("2026-11-24-22"));
}

#[tokio::test]
async fn a_text_that_is_not_a_query_of_the_refresh_fails() {
    for text in ["SELECT 1", "SELECT ttft_buckets WHERE hour BETWEEN '2026-11-24-19' AND '2026-11-24-21'"] {
        let (execution, _) = run(&athena(), text).await;
        assert!(execution.status.unwrap().state_change_reason.unwrap().starts_with("SYNTAX_ERROR: "), "{text}");
    }
}
