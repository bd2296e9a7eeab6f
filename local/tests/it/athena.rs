//! The Athena endpoint, as the unmodified AWS client sees it.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use athena_endpoint::Athena;
use aws_sdk_athena::Client;
use aws_sdk_athena::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_athena::operation::get_query_results::GetQueryResultsOutput;
use aws_sdk_athena::types::{ColumnInfo, QueryExecution, QueryExecutionContext, QueryExecutionState};
use datafusion::arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray,
};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::file::properties::WriterProperties;
use jiff::civil::DateTime;
use local_athena::DataFusion;
use tempfile::TempDir;
use testing::{listen, sdk_config};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// The query of the refresh function, over 20:03 to 20:14.
const MINUTES: &str = include_str!("../../../docs/query.sql");

/// Far more work than any test waits for.
const ENDLESS: &str = "SELECT count(*) FROM generate_series(1, 1000000000000) WHERE value % 7 = 3";

pub type Cells<'a> = Vec<Vec<Option<&'a str>>>;

pub struct Fixture {
    folder: TempDir,
    address: std::net::SocketAddr,
    client: Client,
    server: JoinHandle<()>,
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Fixture {
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let engine = DataFusion::new(&folder.path().join("logs"), "wafer", "request_logs").unwrap();
        let athena = Athena::new(engine, Arc::new(jiff::Timestamp::now));
        let (listener, address) = listen().await;
        let server = tokio::spawn(async move { athena.serve(listener).await.unwrap() });
        Self { folder, address, client: Client::new(&sdk_config(address)), server }
    }

    pub fn hour(&self, hour: &str) -> std::path::PathBuf {
        let folder = self.folder.path().join("logs").join(format!("hour={hour}"));
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn write(&self, hour: &str, file: &str, rows: &[Row]) {
        write_parquet(&self.hour(hour).join(file), &batch(rows), None);
    }

    async fn begin(&self, sql: &str) -> String {
        let reply = self
            .client
            .start_query_execution()
            .query_string(sql)
            .query_execution_context(QueryExecutionContext::builder().database("wafer").build())
            .work_group("primary")
            .send()
            .await
            .unwrap();
        reply.query_execution_id.unwrap()
    }

    async fn execution(&self, id: &str) -> QueryExecution {
        let request = self.client.get_query_execution().query_execution_id(id);
        request.send().await.unwrap().query_execution.unwrap()
    }

    async fn reaches(&self, id: &str, wanted: &[QueryExecutionState]) -> QueryExecution {
        let polling = async {
            loop {
                let execution = self.execution(id).await;
                if wanted.contains(&state(&execution)) {
                    return execution;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_mins(1), polling)
            .await
            .unwrap_or_else(|_| panic!("the query never became any of {wanted:?}"))
    }

    pub async fn finish(&self, sql: &str) -> QueryExecution {
        use QueryExecutionState::{Cancelled, Failed, Succeeded};
        let id = self.begin(sql).await;
        self.reaches(&id, &[Succeeded, Failed, Cancelled]).await
    }

    async fn page(&self, id: &str, size: Option<i32>, token: Option<String>) -> GetQueryResultsOutput {
        let request = self.client.get_query_results().query_execution_id(id);
        let request = request.set_max_results(size).set_next_token(token);
        request.send().await.unwrap_or_else(|error| panic!("{}", DisplayErrorContext(error)))
    }

    async fn result(&self, sql: &str) -> GetQueryResultsOutput {
        let execution = self.finish(sql).await;
        assert_eq!(reason(&execution), None, "{sql}");
        self.page(execution.query_execution_id().unwrap(), None, None).await
    }

    /// The first cell of each row after the header.
    pub async fn first_cells(&self, execution: &QueryExecution) -> Vec<String> {
        let result = self.page(execution.query_execution_id().unwrap(), None, None).await;
        cells(&result)[1..].iter().map(|row| row[0].unwrap_or("NULL").to_owned()).collect()
    }

    /// The rows after the header, compared.
    pub async fn answers(&self, sql: &str, expected: Cells<'_>) {
        let result = self.result(sql).await;
        assert_eq!(cells(&result)[1..], expected[..], "{sql}");
    }

    async fn post(&self, operation: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!(
            "POST / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
             content-type: application/x-amz-json-1.1\r\nx-amz-target: {operation}\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).await.unwrap();
        reply
    }
}

fn state(execution: &QueryExecution) -> QueryExecutionState {
    execution.status().unwrap().state().unwrap().clone()
}

pub fn reason(execution: &QueryExecution) -> Option<&str> {
    execution.status().unwrap().state_change_reason()
}

fn scanned(execution: &QueryExecution) -> i64 {
    execution.statistics().unwrap().data_scanned_in_bytes().unwrap()
}

fn cells(result: &GetQueryResultsOutput) -> Cells<'_> {
    let rows = result.result_set().unwrap().rows();
    rows.iter().map(|row| row.data().iter().map(|datum| datum.var_char_value()).collect()).collect()
}

pub fn texts<'a>(row: &[&'a str]) -> Vec<Option<&'a str>> {
    row.iter().map(|text| (*text != "NULL").then_some(*text)).collect()
}

fn code_and_message<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> (&str, &str) {
    (error.code().unwrap(), error.message().unwrap())
}

#[derive(Clone, Default)]
struct Row {
    request_id: Option<&'static str>,
    endpoint: &'static str,
    status_code: i32,
    is_streaming: bool,
    /// At UTC.
    ended_at: Option<&'static str>,
    ttft_ms: Option<f64>,
    total_latency_ms: f64,
    input_tokens: Option<i64>,
    output_tokens: i64,
}

pub fn millis(civil: &str) -> i64 {
    let civil: DateTime = civil.parse().unwrap();
    let time = jiff::tz::TimeZone::UTC.to_timestamp(civil).unwrap();
    time.as_millisecond()
}

pub fn column<A: datafusion::arrow::array::Array + 'static>(array: A) -> ArrayRef {
    Arc::new(array)
}

fn batch(rows: &[Row]) -> RecordBatch {
    let texts = |text: fn(&Row) -> Option<&'static str>| column(rows.iter().map(text).collect::<StringArray>());
    let bigints = |number: fn(&Row) -> Option<i64>| column(rows.iter().map(number).collect::<Int64Array>());
    RecordBatch::try_from_iter_with_nullable([
        ("request_id", texts(|row| row.request_id), true),
        ("endpoint", texts(|row| Some(row.endpoint)), true),
        ("model", texts(|_| Some("m")), true),
        ("status_code", column(rows.iter().map(|row| Some(row.status_code)).collect::<Int32Array>()), true),
        ("is_streaming", column(rows.iter().map(|row| Some(row.is_streaming)).collect::<BooleanArray>()), true),
        (
            "ended_at",
            column(rows.iter().map(|row| row.ended_at.map(millis)).collect::<TimestampMillisecondArray>()),
            true,
        ),
        ("ttft_ms", column(rows.iter().map(|row| row.ttft_ms).collect::<Float64Array>()), true),
        ("total_latency_ms", column(rows.iter().map(|row| Some(row.total_latency_ms)).collect::<Float64Array>()), true),
        ("input_tokens", bigints(|row| row.input_tokens), true),
        ("output_tokens", bigints(|row| Some(row.output_tokens)), true),
        ("cache_read_tokens", bigints(|_| Some(0)), true),
        ("error_code", texts(|_| None), true),
    ])
    .unwrap()
}

pub fn write_parquet(path: &Path, batch: &RecordBatch, rows_per_group: Option<usize>) {
    let properties = WriterProperties::builder().set_max_row_group_row_count(rows_per_group).build();
    let file = File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
}

const COUNT: &str = "SELECT count(*) FROM request_logs";

/// Every kind of row that [`MINUTES`] tells apart.
fn write_rows_of_every_kind(fixture: &Fixture) {
    let first = Row {
        request_id: Some("r1"),
        endpoint: "chat.demo.example",
        status_code: 200,
        is_streaming: true,
        ended_at: Some("2026-11-24T20:05:10.001"),
        ttft_ms: Some(500.0),
        total_latency_ms: 2000.0,
        input_tokens: Some(10),
        output_tokens: 100,
    };
    let row = |request_id, change: fn(&mut Row)| {
        let mut row = Row { request_id, ..first.clone() };
        change(&mut row);
        row
    };
    fixture.write(
        "2026-11-24-20",
        "a.parquet",
        &[
            // A copy of `r1` that differs: the one of the lower status counts.
            row(Some("r1"), |row| row.status_code = 503),
            row(Some("r2"), |row| {
                row.ttft_ms = Some(0.0);
                row.total_latency_ms = 1000.0;
                row.input_tokens = Some(2_000_000_000_000);
                row.output_tokens = 0;
            }),
            row(Some("r3"), |row| {
                row.endpoint = "CHAT.demo.example";
                row.status_code = 500;
                row.input_tokens = Some(5);
            }),
            row(None, |row| row.status_code = 404),
            row(None, |row| row.status_code = 404),
            row(Some(""), |row| row.status_code = 302),
            row(Some(""), |row| row.status_code = 600),
            row(Some("r4"), |row| {
                row.is_streaming = false;
                row.ended_at = Some("2026-11-24T20:06:00");
                row.output_tokens = 64;
            }),
            row(Some("r5"), |row| {
                row.ended_at = Some("2026-11-24T20:06:59.999");
                row.ttft_ms = Some(f64::NAN);
                row.total_latency_ms = f64::INFINITY;
                row.input_tokens = None;
            }),
            row(Some("under a microsecond"), |row| {
                row.ended_at = Some("2026-11-24T20:07:00");
                row.ttft_ms = Some(0.000_9);
                row.total_latency_ms = 0.000_9;
            }),
            row(Some("over 10^9 tokens a second"), |row| {
                row.ended_at = Some("2026-11-24T20:07:00");
                row.total_latency_ms = 0.001;
                row.output_tokens = 1_000_001;
            }),
            row(Some("too early"), |row| row.ended_at = Some("2026-11-24T20:02:59.999")),
            row(Some("too late"), |row| row.ended_at = Some("2026-11-24T20:14:00")),
            row(Some("a broken clock"), |row| row.ended_at = Some("9999-12-30T00:00:00")),
            row(Some("no time"), |row| row.ended_at = None),
            row(Some("an empty label"), |row| row.endpoint = "chat..example"),
            row(Some("a newline"), |row| row.endpoint = "chat.demo.example\n"),
            row(Some("an underscore"), |row| row.endpoint = "chat_demo.example"),
            row(Some("a Kelvin sign"), |row| row.endpoint = "\u{212a}.example"),
            row(Some("a dash at an end"), |row| row.endpoint = "chat-.example"),
            row(Some("no name"), |row| row.endpoint = ""),
        ],
    );
    fixture.write(
        "2026-11-24-19",
        "b.parquet",
        &[
            first.clone(),
            row(Some("r6"), |row| {
                row.endpoint = "code.demo.example";
                row.ended_at = Some("2026-11-24T20:13:59.999");
            }),
            row(Some("r7"), |row| {
                row.endpoint = "code.demo.example";
                row.ended_at = Some("2026-11-24T20:13:00");
            }),
        ],
    );
    fixture.write("2026-11-24-18", "c.parquet", &[row(Some("a folder too early"), |_| ())]);
    fixture.write("2026-11-24-21", "d.parquet", &[row(Some("a folder too late"), |_| ())]);
}

#[tokio::test]
async fn the_query_of_the_refresh_answers_as_computed_by_hand() {
    let fixture = Fixture::start().await;
    write_rows_of_every_kind(&fixture);

    let result = fixture.result(MINUTES).await;

    let header = "endpoint minute status_codes status_counts input_tokens output_tokens cache_read_tokens \
        ttft_sum duration_sum speed_sum ttft_buckets ttft_counts duration_buckets duration_counts \
        speed_buckets speed_counts";
    let rows = [
        // r1, r2, r3 and four rows without an id. TTFT 0 and 0.5 s, duration 1 and 2 s, 50 tokens/s.
        "chat.demo.example | 2026-11-24 20:05:00.000 | [0, 200, 302, 404, 500] | [1, 2, 1, 2, 1] | 55 | 600 | 0 \
         | 500000 | 3000000 | 50000 | [-80000, -64] | [1, 1] | [0, 64] | [1, 1] | [362] | [1]",
        // r4 and r5. No TTFT; duration 2 s, 32 tokens/s.
        "chat.demo.example | 2026-11-24 20:06:00.000 | [200] | [2] | 10 | 164 | 0 \
         | NULL | 2000000 | 32000 | NULL | NULL | [64] | [1] | [320] | [1]",
        // TTFT under a microsecond and 0.5 s, duration under one and of one microsecond; no speed.
        "chat.demo.example | 2026-11-24 20:07:00.000 | [200] | [2] | 20 | 1000101 | 0 \
         | 500000 | 1 | NULL | [-80000, -64] | [1, 1] | [-80000, -1275] | [1, 1] | NULL | NULL",
        // r6 and r7.
        "code.demo.example | 2026-11-24 20:13:00.000 | [200] | [2] | 20 | 200 | 0 \
         | 1000000 | 4000000 | 100000 | [-64] | [2] | [64] | [2] | [362] | [2]",
        // The row without a time, and those of six names that no host has.
        "NULL | NULL | [0] | [7] | NULL | NULL | NULL | NULL | NULL | NULL | NULL | NULL | NULL | NULL | NULL | NULL",
    ];
    let cells = cells(&result);
    assert_eq!(cells[0], texts(&header.split_whitespace().collect::<Vec<_>>()));
    let told: Vec<String> = cells[1..]
        .iter()
        .map(|row| row.iter().map(|cell| cell.unwrap_or("NULL")).collect::<Vec<_>>().join(" | "))
        .collect();
    assert_eq!(told, rows);
    let columns = result.result_set().unwrap().result_set_metadata().unwrap().column_info();
    let types: Vec<&str> = columns.iter().map(ColumnInfo::r#type).collect();
    let (bigint, array) = ("bigint", "array");
    assert_eq!(types[..5], ["varchar", "timestamp", array, array, bigint]);
}

#[tokio::test]
async fn endpoints_beyond_the_busiest_are_counted_together() {
    let fixture = Fixture::start().await;
    let row = |endpoint, ended_at| Row { endpoint, ended_at: Some(ended_at), ..Row::default() };
    let early = "2026-11-24T20:03:00";
    let rows = [
        row("a.example", early),
        row("b.example", early),
        row("b.example", "2026-11-24T20:04:00"),
        row("c.example", early),
        row("c.example", "2026-11-24T20:04:00"),
        row("d.example", early),
        row("no name", early),
        row("no name", early),
        row("no name", early),
    ];
    fixture.write("2026-11-24-20", "a.parquet", &rows);
    assert!(MINUTES.contains(" <= 20000 "));
    for (busiest, expected) in [
        ("4", vec!["a.example 1", "b.example 1", "b.example 1", "c.example 1", "c.example 1", "d.example 1", "- 3"]),
        ("3", vec!["a.example 1", "b.example 1", "b.example 1", "c.example 1", "c.example 1", "- 4"]),
        ("1", vec!["b.example 1", "b.example 1", "- 7"]),
        ("0", vec!["- 9"]),
    ] {
        let result = fixture.result(&MINUTES.replace(" <= 20000 ", &format!(" <= {busiest} "))).await;
        let rows: Vec<String> = cells(&result)[1..]
            .iter()
            .map(|row| format!("{} {}", row[0].unwrap_or("-"), row[3].unwrap().trim_matches(['[', ']'])))
            .collect();
        assert_eq!(rows, expected);
    }
}

#[tokio::test]
async fn trinos_functions_mean_what_they_mean_in_trino() {
    let fixture = Fixture::start().await;
    fixture
        .answers(
            "SELECT translate('a.b-c', 'abc.', ''), length('hôte'), lower('ÄB'),
               log2(8e0), ceil(1.2e0), CAST(ceil(-63.5e0) AS integer),
               date_trunc('hour', TIMESTAMP '2026-11-24 10:59:59'),
               7 / 2, 1e0 / 8, 1 = 1, CAST(NULL AS varchar)",
            vec![texts(&[
                "-",
                "4",
                "äb",
                "3.0",
                "2.0",
                "-63",
                "2026-11-24 10:00:00.000",
                "3",
                "0.125",
                "true",
                "NULL",
            ])],
        )
        .await;
    fixture
        .answers(
            "SELECT n FROM (VALUES (1), (NULL), (2)) AS t(n) ORDER BY n DESC",
            vec![texts(&["2"]), texts(&["1"]), texts(&["NULL"])],
        )
        .await;
    fixture.answers("SELECT array_agg(n) FROM (VALUES (1), (NULL)) AS t(n)", vec![texts(&["[1, null]"])]).await;
}

#[tokio::test]
async fn the_table_goes_by_its_qualified_names_too() {
    let fixture = Fixture::start().await;
    fixture.write("2026-11-24-20", "a.parquet", &[Row::default()]);
    for name in ["wafer.request_logs", "\"wafer\".\"request_logs\"", "AwsDataCatalog.wafer.REQUEST_LOGS"] {
        fixture.answers(&format!("SELECT count(*) FROM {name}"), vec![texts(&["1"])]).await;
    }
}

#[tokio::test]
async fn a_page_starts_with_the_header_only_the_first_time() {
    let fixture = Fixture::start().await;
    let execution = fixture.finish("SELECT * FROM (VALUES (1), (2), (3), (4)) AS t(n) ORDER BY n").await;
    let id = execution.query_execution_id().unwrap();

    let first = fixture.page(id, Some(2), None).await;
    assert_eq!(cells(&first), [[Some("n")], [Some("1")]]);
    let second = fixture.page(id, Some(2), first.next_token).await;
    assert_eq!(cells(&second), [[Some("2")], [Some("3")]]);
    let third = fixture.page(id, Some(2), second.next_token).await;
    assert_eq!(cells(&third), [[Some("4")]]);
    assert_eq!(third.next_token, None);
}

#[tokio::test]
async fn a_page_holds_a_thousand_rows_and_no_more() {
    let fixture = Fixture::start().await;
    let execution = fixture.finish("SELECT value FROM generate_series(1, 1000)").await;
    let id = execution.query_execution_id().unwrap();

    let first = fixture.page(id, None, None).await;
    assert_eq!(cells(&first).len(), 1000);
    let second = fixture.page(id, None, first.next_token).await;
    assert_eq!(cells(&second), [[Some("1000")]]);
    assert_eq!(second.next_token, None);

    for size in [0, 1001] {
        let request = fixture.client.get_query_results().query_execution_id(id);
        let error = request.max_results(size).send().await.unwrap_err();
        assert_eq!(code_and_message(&error), ("InvalidRequestException", "MaxResults must be from 1 to 1000"));
    }
    for token in ["1001", "x"] {
        let request = fixture.client.get_query_results().query_execution_id(id);
        let error = request.next_token(token).send().await.unwrap_err();
        assert_eq!(code_and_message(&error), ("InvalidRequestException", "NextToken is invalid"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_query_is_cancelled() {
    let fixture = Fixture::start().await;
    let id = fixture.begin(ENDLESS).await;
    fixture.reaches(&id, &[QueryExecutionState::Running]).await;
    let request = fixture.client.get_query_results().query_execution_id(&id);
    let error = request.send().await.unwrap_err();
    assert_eq!(
        code_and_message(&error),
        ("InvalidRequestException", "Query has not yet finished. Current state: RUNNING")
    );

    fixture.client.stop_query_execution().query_execution_id(&id).send().await.unwrap();

    let execution = fixture.execution(&id).await;
    assert_eq!(state(&execution), QueryExecutionState::Cancelled);
    assert!(execution.status().unwrap().completion_date_time().is_some());
    let request = fixture.client.get_query_results().query_execution_id(&id);
    let error = request.send().await.unwrap_err();
    assert_eq!(
        code_and_message(&error),
        ("InvalidRequestException", "Query did not finish successfully. Final query state: CANCELLED")
    );
}

#[tokio::test]
async fn stopping_a_finished_query_changes_nothing() {
    let fixture = Fixture::start().await;
    let execution = fixture.finish("SELECT 1").await;
    let id = execution.query_execution_id().unwrap();
    fixture.client.stop_query_execution().query_execution_id(id).send().await.unwrap();
    assert_eq!(fixture.execution(id).await, execution);
    assert_eq!(state(&execution), QueryExecutionState::Succeeded);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_runs_on_after_the_server_was_dropped() {
    let alive = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let fixture = Fixture::start().await;
    let mut idle = TcpStream::connect(fixture.address).await.unwrap();
    // By hand, as the AWS client has tasks of its own.
    let query = format!(r#"{{"QueryString":"{ENDLESS}"}}"#);
    let started = fixture.post("AmazonAthena.StartQueryExecution", &query).await;
    let id = started.rsplit('"').nth(1).unwrap();
    let get = format!(r#"{{"QueryExecutionId":"{id}"}}"#);
    let running = async { while !fixture.post("AmazonAthena.GetQueryExecution", &get).await.contains("RUNNING") {} };
    tokio::time::timeout(Duration::from_secs(30), running).await.unwrap();
    assert!(alive() > 1);

    fixture.server.abort();

    let ended = async {
        while alive() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(idle.read(&mut [0]).await.unwrap(), 0);
    };
    tokio::time::timeout(Duration::from_secs(30), ended).await.unwrap();
    assert!(TcpStream::connect(fixture.address).await.is_err());
}

#[tokio::test]
async fn a_missing_folder_is_an_empty_table() {
    let fixture = Fixture::start().await;
    fixture.answers(COUNT, vec![texts(&["0"])]).await;
    fixture.answers("SELECT hour, endpoint FROM request_logs", vec![]).await;
    fixture.answers(MINUTES, vec![]).await;
}

#[tokio::test]
async fn new_files_are_seen_by_the_next_query() {
    let fixture = Fixture::start().await;
    fixture.write("2026-11-24-20", "a.parquet", &[Row::default()]);
    fixture.answers(COUNT, vec![texts(&["1"])]).await;
    fixture.write("2026-11-24-20", "b.parquet", &[Row::default()]);
    fixture.write("2026-11-24-21", "a.parquet", &[Row::default()]);
    fixture.answers(COUNT, vec![texts(&["3"])]).await;
    // A file that is replaced in place is as new as one that was not there.
    fixture.write("2026-11-24-20", "a.parquet", &[Row::default(), Row::default()]);
    fixture.answers(COUNT, vec![texts(&["4"])]).await;
    fs::remove_file(fixture.hour("2026-11-24-20").join("b.parquet")).unwrap();
    fixture.answers(COUNT, vec![texts(&["3"])]).await;
}

#[tokio::test]
async fn files_still_being_written_are_left_out() {
    let fixture = Fixture::start().await;
    fixture.write("2026-11-24-20", "a.parquet", &[Row::default()]);
    fixture.write("2026-11-24-20", "no-rows.parquet", &[]);
    let hour = fixture.hour("2026-11-24-20");
    for name in [".b.parquet", "_b.parquet", "_SUCCESS"] {
        fs::write(hour.join(name), "half a file").unwrap();
    }
    fs::write(hour.join("no-bytes.parquet"), "").unwrap();
    fs::write(fixture.folder.path().join("logs/stray.parquet"), "no hour").unwrap();
    fixture.answers(COUNT, vec![texts(&["1"])]).await;
}

#[tokio::test]
async fn only_the_hours_asked_for_are_read() {
    let fixture = Fixture::start().await;
    for hour in ["2026-11-24-19", "2026-11-24-20", "2026-11-24-21"] {
        fixture.write(hour, "a.parquet", &[Row::default()]);
    }
    fs::write(fixture.hour("2026-11-24-22").join("a.parquet"), "no Parquet").unwrap();
    let count = |condition| format!("SELECT count(*) FROM request_logs WHERE {condition}");
    for (condition, rows) in [
        ("hour BETWEEN '2026-11-24-20' AND '2026-11-24-21'", "2"),
        ("hour = '2026-11-24-19'", "1"),
        ("hour IN ('2026-11-24-19', '2026-11-24-21')", "2"),
        ("hour < '2026-11-24-20' OR hour = '2026-11-24-21'", "2"),
        ("substr(hour, 12) = '20'", "1"),
        ("hour IS NULL", "0"),
        ("hour = '2026-11-24-23'", "0"),
    ] {
        fixture.answers(&count(condition), vec![texts(&[rows])]).await;
    }
    fixture
        .answers(
            "SELECT hour FROM request_logs WHERE hour <= '2026-11-24-20' ORDER BY hour",
            vec![texts(&["2026-11-24-19"]), texts(&["2026-11-24-20"])],
        )
        .await;

    let execution = fixture.finish(COUNT).await;
    assert!(reason(&execution).unwrap().starts_with("HIVE_BAD_DATA: "));
}

#[tokio::test]
async fn row_groups_outside_the_time_range_are_not_scanned() {
    let fixture = Fixture::start().await;
    let at = |ended_at| Row { ended_at: Some(ended_at), ..Row::default() };
    let rows = [vec![at("2026-11-24T20:00:00"); 5_000], vec![at("2026-11-24T20:30:00"); 5_000]].concat();
    let path = fixture.hour("2026-11-24-20").join("a.parquet");
    write_parquet(&path, &batch(&rows), Some(5_000));
    let sum = |from| {
        format!(
            "SELECT count(request_id), count(endpoint), count(model) FROM request_logs \
             WHERE ended_at >= TIMESTAMP '{from}'"
        )
    };

    let all = scanned(&fixture.finish(&sum("2026-11-24 20:00:00")).await);
    let half = scanned(&fixture.finish(&sum("2026-11-24 20:15:00")).await);
    let none = scanned(&fixture.finish(&sum("2026-11-24 20:45:00")).await);

    let size = i64::try_from(fs::metadata(&path).unwrap().len()).unwrap();
    assert!(none < half && half < all, "{none} {half} {all}");
    assert!(0 < all && all < 2 * size, "{all} of {size}");
}

#[tokio::test]
async fn a_missing_column_reads_as_null() {
    let fixture = Fixture::start().await;
    fixture.write("2026-11-24-20", "new.parquet", &[Row { endpoint: "new", input_tokens: Some(3), ..Row::default() }]);
    let old = RecordBatch::try_from_iter([
        ("endpoint", column(StringArray::from(vec!["old"]))),
        ("forgotten", column(Int64Array::from(vec![1]))),
    ])
    .unwrap();
    write_parquet(&fixture.hour("2026-11-24-20").join("old.parquet"), &old, None);
    fixture
        .answers(
            "SELECT endpoint, input_tokens, ended_at FROM request_logs WHERE ended_at IS NULL ORDER BY endpoint",
            vec![texts(&["new", "3", "NULL"]), texts(&["old", "NULL", "NULL"])],
        )
        .await;
    let execution = fixture.finish("SELECT forgotten FROM request_logs").await;
    assert_eq!(reason(&execution), Some("COLUMN_NOT_FOUND: Column 'forgotten' cannot be resolved"));
}

#[tokio::test]
async fn an_sql_error_fails_the_query_with_athenas_reason() {
    let fixture = Fixture::start().await;
    for (sql, reason_start) in [
        ("SELEC 1", "SYNTAX_ERROR: "),
        ("SELECT 1; SELECT 2", "NOT_SUPPORTED: "),
        ("SELECT nothing FROM request_logs", "COLUMN_NOT_FOUND: Column 'nothing' cannot be resolved"),
        ("SELECT 1 FROM nowhere", "TABLE_NOT_FOUND: Table 'awsdatacatalog.wafer.nowhere' does not exist"),
        ("SELECT nofunction(1)", "FUNCTION_NOT_FOUND: "),
        ("SELECT 1 / (n - 1) FROM (VALUES (1)) AS t(n)", "DIVISION_BY_ZERO: Division by zero"),
        ("SELECT CAST(x AS bigint) FROM (VALUES (1e300)) AS t(x)", "INVALID_CAST_ARGUMENT: "),
        ("DROP TABLE request_logs", "SYNTAX_ERROR: "),
        ("CREATE TABLE t AS SELECT 1", "SYNTAX_ERROR: "),
        ("SET a = 1", "SYNTAX_ERROR: "),
    ] {
        let execution = fixture.finish(sql).await;
        assert_eq!(state(&execution), QueryExecutionState::Failed, "{sql}");
        let told = reason(&execution).unwrap();
        assert!(told.starts_with(reason_start), "{sql}: {told}");
        let error = execution.status().unwrap().athena_error().unwrap();
        assert_eq!((error.error_category(), error.retryable()), (Some(2), false), "{sql}");
        assert_eq!(error.error_message(), Some(told), "{sql}");

        let id = execution.query_execution_id().unwrap();
        let error = fixture.client.get_query_results().query_execution_id(id).send().await.unwrap_err();
        assert_eq!(
            code_and_message(&error),
            ("InvalidRequestException", "Query did not finish successfully. Final query state: FAILED")
        );
    }
    fixture.answers(COUNT, vec![texts(&["0"])]).await;
}

#[tokio::test]
async fn an_unknown_database_fails_the_query() {
    let fixture = Fixture::start().await;
    let context = QueryExecutionContext::builder().database("elsewhere").build();
    let request = fixture.client.start_query_execution().query_string("SELECT 1");
    let started = request.query_execution_context(context).send().await.unwrap();
    let execution = fixture.reaches(started.query_execution_id().unwrap(), &[QueryExecutionState::Failed]).await;
    assert_eq!(reason(&execution), Some("SCHEMA_NOT_FOUND: Schema 'elsewhere' does not exist"));
}

#[tokio::test]
async fn a_token_starts_one_query_however_often_it_is_sent() {
    let fixture = Fixture::start().await;
    let token = "a-token-of-at-least-thirty-two-characters";
    let start = |sql| fixture.client.start_query_execution().query_string(sql).client_request_token(token).send();
    let first = start("SELECT 1").await.unwrap().query_execution_id;
    assert!(first.is_some());
    assert_eq!(start("SELECT 1").await.unwrap().query_execution_id, first);
    let error = start("SELECT 2").await.unwrap_err();
    assert_eq!(code_and_message(&error), ("InvalidRequestException", "Idempotent parameters do not match"));
    assert_ne!(Some(fixture.begin("SELECT 1").await), first);
}

#[tokio::test]
async fn an_execution_tells_its_times_and_what_it_scanned() {
    let fixture = Fixture::start().await;
    fixture.write("2026-11-24-20", "a.parquet", &[Row::default()]);
    let earliest = jiff::Timestamp::now().as_millisecond();
    let execution = fixture.finish("SELECT endpoint FROM request_logs").await;
    let latest = jiff::Timestamp::now().as_millisecond();
    let status = execution.status().unwrap();
    let submitted = status.submission_date_time().unwrap().to_millis().unwrap();
    let completed = status.completion_date_time().unwrap().to_millis().unwrap();
    assert!(earliest - 1 <= submitted && submitted <= completed && completed <= latest);
    let statistics = execution.statistics().unwrap();
    let engine = statistics.engine_execution_time_in_millis().unwrap();
    let total = statistics.total_execution_time_in_millis().unwrap();
    assert!(engine <= total && total <= latest - earliest + 1);
    assert!(scanned(&execution) > 0);
    assert_eq!(scanned(&fixture.finish("SELECT 1").await), 0);
}

#[tokio::test]
async fn an_unknown_id_is_not_found() {
    let fixture = Fixture::start().await;
    let message = "QueryExecution nobody was not found";
    let expected = ("InvalidRequestException", message);
    let client = &fixture.client;
    let error = client.get_query_execution().query_execution_id("nobody").send().await.unwrap_err();
    assert_eq!(code_and_message(&error), expected);
    let error = client.get_query_results().query_execution_id("nobody").send().await.unwrap_err();
    assert_eq!(code_and_message(&error), expected);
    let error = client.stop_query_execution().query_execution_id("nobody").send().await.unwrap_err();
    assert_eq!(code_and_message(&error), expected);
}

#[tokio::test]
async fn a_faulty_request_is_refused_in_athenas_form() {
    let fixture = Fixture::start().await;
    for (operation, body, reply_end) in [
        (
            "AmazonAthena.GetQueryExecution",
            r#"{"QueryExecutionId":"x"}"#,
            r#"{"AthenaErrorCode":"INVALID_INPUT","Message":"QueryExecution x was not found","__type":"InvalidRequestException"}"#,
        ),
        (
            "AmazonAthena.GetQueryExecution",
            "{",
            r#"{"Message":"EOF while parsing an object at line 1 column 1","__type":"SerializationException"}"#,
        ),
        (
            "AmazonAthena.ListWorkGroups",
            "{}",
            r#"{"Message":"unknown operation \"AmazonAthena.ListWorkGroups\"","__type":"UnknownOperationException"}"#,
        ),
        (
            "AmazonAthena.StartQueryExecution",
            r#"{"QueryString":" "}"#,
            r#"{"AthenaErrorCode":"INVALID_INPUT","Message":"QueryString must have 1 to 262144 bytes","__type":"InvalidRequestException"}"#,
        ),
        (
            "AmazonAthena.StartQueryExecution",
            r#"{"QueryString":"SELECT 1","WorkGroup":""}"#,
            r#"{"AthenaErrorCode":"INVALID_INPUT","Message":"WorkGroup must not be empty","__type":"InvalidRequestException"}"#,
        ),
        (
            "AmazonAthena.StartQueryExecution",
            r#"{"QueryString":"SELECT 1","ClientRequestToken":"short"}"#,
            r#"{"AthenaErrorCode":"INVALID_INPUT","Message":"ClientRequestToken must have 32 to 128 characters","__type":"InvalidRequestException"}"#,
        ),
    ] {
        let reply = fixture.post(operation, body).await;
        assert!(reply.starts_with("HTTP/1.1 400 "), "{reply}");
        assert!(reply.contains("content-type: application/x-amz-json-1.1"), "{reply}");
        assert!(reply.ends_with(reply_end), "{reply}");
    }
}
