//! What a log writer's files are said to be before the gateway points at them.

use std::fs;
use std::path::Path;
use std::process::Command;

use datafusion::arrow::array::{
    ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampNanosecondArray,
};
use local_stack::check::{Totals, check};
use testing::logs::Row;

use crate::athena::{column, write_parquet};
use crate::fixture::ms;
use crate::logs::{self, Columns};

fn deliver(folder: &Path, name: &str, rows: &[Row], columns: Columns) {
    logs::write(folder, ms("2026-11-24T20:00:00Z"), name, rows, columns);
}

fn file(path: &Path, columns: Vec<(&str, ArrayRef)>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let columns = columns.into_iter().map(|(name, values)| (name, values, true));
    write_parquet(path, &RecordBatch::try_from_iter_with_nullable(columns).unwrap(), None);
}

fn checked(folder: &Path) -> (Totals, String) {
    let mut lines = Vec::new();
    let totals = check(folder, &mut lines).unwrap();
    (totals, String::from_utf8(lines).unwrap().replace(folder.to_str().unwrap(), "DIR"))
}

#[test]
fn each_file_is_said_to_be_refused_or_what_of_it_counts_and_why_the_rest_does_not() {
    let logs = tempfile::tempdir().unwrap();
    let folder = logs.path();
    let hour = folder.join("hour=2026-11-24-20");
    let row = |id: &str, ended_at: &str| Row::ok("chat.example", id, ms(ended_at));
    deliver(folder, "a-good", &[row("1", "2026-11-24T19:50:00Z"), row("2", "2026-11-24T21:59:59.999Z")], Columns::All);
    deliver(folder, "b-more", &[row("1", "2026-11-24T20:10:00Z")], Columns::More);
    deliver(folder, "c-older", &[row("1", "2026-11-24T20:10:00Z")], Columns::Older);
    deliver(
        folder,
        "d-skipped",
        &[
            row("1", "2026-11-24T19:49:59.999Z"),
            row("2", "2026-11-24T22:00:00Z"),
            row("3", "1970-01-21T18:45:51Z"),
            Row { endpoint: Some("under_score".to_owned()), ..row("4", "2026-11-24T20:10:00Z") },
            Row { endpoint: None, ..row("5", "2026-11-24T20:10:00Z") },
            Row { ended_at_ms: None, ..row("6", "2026-11-24T20:10:00Z") },
            row("7", "2026-11-24T20:10:00Z"),
        ],
        Columns::All,
    );
    fs::write(hour.join("e-cut.parquet"), "PAR1 and no more").unwrap();
    let text = || column(StringArray::from(vec!["200"]));
    file(
        &hour.join("f-types.parquet"),
        vec![("status_code", text()), ("Ended_At", text()), ("input_tokens", column(Float64Array::from(vec![1.0])))],
    );
    file(&hour.join("g-value.parquet"), vec![("status_code", column(Int64Array::from(vec![1_i64 << 33])))]);
    file(
        &hour.join("below/h-nanoseconds.parquet"),
        vec![
            ("endpoint", column(StringArray::from(vec!["chat.example"]))),
            ("ended_at", column(TimestampNanosecondArray::from(vec![ms("2026-11-24T20:10:00Z") * 1_000_000]))),
            ("endedAt", text()),
        ],
    );
    fs::write(hour.join("_SUCCESS"), "").unwrap();
    fs::write(hour.join(".half.parquet"), "PAR1").unwrap();
    fs::write(hour.join("z-empty.parquet"), "").unwrap();
    fs::create_dir_all(folder.join("2026/11/24/20")).unwrap();
    fs::write(folder.join("stray.parquet"), "PAR1").unwrap();

    let (totals, lines) = checked(folder);
    assert!(!totals.is_good());
    insta::assert_snapshot!(lines, @r#"
    ignored	2026	it is not a folder named hour=yyyy-MM-dd-HH
    ignored	hour=2026-11-24-20/.half.parquet	its name begins with . or _
    ignored	hour=2026-11-24-20/_SUCCESS	its name begins with . or _
    counted	hour=2026-11-24-20/a-good.parquet	2 of 2 rows
    unknown	hour=2026-11-24-20/b-more.parquet	region: it is not read
    counted	hour=2026-11-24-20/b-more.parquet	1 of 1 rows
    missing	hour=2026-11-24-20/below/h-nanoseconds.parquet	request_id: it reads as null
    missing	hour=2026-11-24-20/below/h-nanoseconds.parquet	model: it reads as null
    missing	hour=2026-11-24-20/below/h-nanoseconds.parquet	status_code: it reads as null
    missing	hour=2026-11-24-20/below/h-nanoseconds.parquet	is_streaming: it reads as null
    missing	hour=2026-11-24-20/below/h-nanoseconds.parquet	ttft_ms: it reads as null
    missing	hour=2026-11-24-20/below/h-nanoseconds.parquet	total_latency_ms: it reads as null
    missing	hour=2026-11-24-20/below/h-nanoseconds.parquet	input_tokens: it reads as null
    missing	hour=2026-11-24-20/below/h-nanoseconds.parquet	output_tokens: it reads as null
    missing	hour=2026-11-24-20/below/h-nanoseconds.parquet	cache_read_tokens: it reads as null
    missing	hour=2026-11-24-20/below/h-nanoseconds.parquet	error_code: it reads as null
    unknown	hour=2026-11-24-20/below/h-nanoseconds.parquet	endedAt: it is not read
    doubtful	hour=2026-11-24-20/below/h-nanoseconds.parquet	ended_at: older versions of Athena do not read nanoseconds
    counted	hour=2026-11-24-20/below/h-nanoseconds.parquet	1 of 1 rows
    missing	hour=2026-11-24-20/c-older.parquet	is_streaming: it reads as null
    missing	hour=2026-11-24-20/c-older.parquet	cache_read_tokens: it reads as null
    counted	hour=2026-11-24-20/c-older.parquet	1 of 1 rows
    skipped	hour=2026-11-24-20/d-skipped.parquet	1 of 7 rows: ended_at is later than the hour after the folder's; first: 2026-11-24T22:00:00Z, request_id "2"
    skipped	hour=2026-11-24-20/d-skipped.parquet	2 of 7 rows: ended_at is more than 10 minutes before the folder's hour; first: 2026-11-24T19:49:59.999Z, request_id "1"
    skipped	hour=2026-11-24-20/d-skipped.parquet	1 of 7 rows: ended_at is null; first: null, request_id "6"
    skipped	hour=2026-11-24-20/d-skipped.parquet	2 of 7 rows: endpoint is not a valid host name; first: "under_score", request_id "4"
    counted	hour=2026-11-24-20/d-skipped.parquet	1 of 7 rows
    refused	hour=2026-11-24-20/e-cut.parquet	HIVE_BAD_DATA: Malformed Parquet file DIR/hour=2026-11-24-20/e-cut.parquet: Parquet error: Invalid Parquet file. Corrupt footer
    refused	hour=2026-11-24-20/f-types.parquet	HIVE_BAD_DATA: Field Ended_At's type BYTE_ARRAY in parquet file DIR/hour=2026-11-24-20/f-types.parquet is incompatible with type timestamp defined in table schema
    refused	hour=2026-11-24-20/f-types.parquet	HIVE_BAD_DATA: Field input_tokens's type DOUBLE in parquet file DIR/hour=2026-11-24-20/f-types.parquet is incompatible with type bigint defined in table schema
    refused	hour=2026-11-24-20/f-types.parquet	HIVE_BAD_DATA: Field status_code's type BYTE_ARRAY in parquet file DIR/hour=2026-11-24-20/f-types.parquet is incompatible with type integer defined in table schema
    refused	hour=2026-11-24-20/g-value.parquet	HIVE_BAD_DATA: Field status_code in parquet file DIR/hour=2026-11-24-20/g-value.parquet holds a value that is not a valid integer: Cast error: Can't cast value 8589934592 to type Int32
    ignored	hour=2026-11-24-20/z-empty.parquet	it is empty
    ignored	stray.parquet	it is not a folder named hour=yyyy-MM-dd-HH
    total	8 files, 3 refused; 12 rows, 6 skipped
    "#);
}

#[test]
fn logs_of_which_everything_counts_are_good_and_a_folder_without_logs_is_not() {
    let logs = tempfile::tempdir().unwrap();
    assert!(!checked(logs.path()).0.is_good());
    deliver(logs.path(), "a", &[Row::ok("chat.example", "1", ms("2026-11-24T20:10:00Z"))], Columns::Older);
    let (totals, lines) = checked(logs.path());
    assert!(totals.is_good(), "{lines}");
}

#[test]
fn the_exit_code_says_whether_everything_counts() {
    let logs = tempfile::tempdir().unwrap();
    let check = || Command::new(env!("CARGO_BIN_EXE_local-stack")).arg("check").arg(logs.path()).output().unwrap();
    deliver(logs.path(), "a", &[Row::ok("chat.example", "1", ms("2026-11-24T20:10:00Z"))], Columns::All);
    assert!(check().status.success());
    deliver(logs.path(), "b", &[Row::ok("chat.example:443", "1", ms("2026-11-24T20:10:00Z"))], Columns::All);
    let said = check();
    assert_eq!(said.status.code(), Some(1));
    assert!(String::from_utf8(said.stdout).unwrap().ends_with("total\t2 files, 0 refused; 2 rows, 1 skipped\n"));
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let check = Command::new(env!("CARGO_BIN_EXE_local-stack")).args(["check", "no/such/folder"]).output().unwrap();
    assert_eq!(check.status.code(), Some(1));
    assert_eq!(String::from_utf8(check.stderr).unwrap(), "no/such/folder is not a folder\n");
}
