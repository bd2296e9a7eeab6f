//! What the local Athena makes of the files of many writers; `make trino` holds the same against a real Trino.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BinaryArray, Date32Array, Decimal128Array, FixedSizeBinaryArray, Float32Array, Float64Array, Int16Array,
    Int32Array, Int64Array, LargeStringArray, ListArray, RecordBatch, StringArray, TimestampMicrosecondArray,
    TimestampMillisecondArray, TimestampNanosecondArray, UInt32Array, UInt64Array,
};
use datafusion::arrow::datatypes::Int32Type;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::basic::{Compression, ZstdLevel};
use datafusion::parquet::data_type::{ByteArray, ByteArrayType, Int96, Int96Type};
use datafusion::parquet::file::properties::WriterProperties;
use datafusion::parquet::file::writer::SerializedFileWriter;
use datafusion::parquet::schema::parser::parse_message_type;

use crate::athena::{Fixture, column, millis, reason, texts, write_parquet};

const HOUR: &str = "2026-11-24-20";

fn only(name: &str, values: ArrayRef) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable([(name, values, true)]).unwrap()
}

/// What a file of one column of these values answers.
async fn read(name: &str, values: ArrayRef) -> Result<Vec<String>, String> {
    let fixture = Fixture::start().await;
    write_parquet(&fixture.hour(HOUR).join("other.parquet"), &only(name, values), None);
    fixture.column(name).await
}

impl Fixture {
    async fn column(&self, name: &str) -> Result<Vec<String>, String> {
        let execution = self.finish(&format!("SELECT {name} FROM request_logs")).await;
        match reason(&execution) {
            Some(reason) => Err(reason.to_owned()),
            None => Ok(self.first_cells(&execution).await),
        }
    }
}

#[tokio::test]
async fn columns_of_these_types_read_as_the_table_declares_them() {
    let decimal = |digits| column(Decimal128Array::from(vec![200, 1]).with_precision_and_scale(digits, 0).unwrap());
    for (name, values, expected) in [
        ("status_code", column(Int16Array::from(vec![200, 1])), ["200", "1"]),
        ("status_code", column(Int64Array::from(vec![200, 1])), ["200", "1"]),
        ("status_code", column(UInt32Array::from(vec![200, u32::MAX])), ["200", "-1"]),
        ("status_code", decimal(5), ["200", "1"]),
        ("status_code", decimal(18), ["200", "1"]),
        ("input_tokens", column(Int32Array::from(vec![200, -1])), ["200", "-1"]),
        ("input_tokens", column(UInt64Array::from(vec![200, u64::MAX])), ["200", "-1"]),
        ("input_tokens", column(TimestampMicrosecondArray::from(vec![200, 1])), ["200", "1"]),
        ("total_latency_ms", column(Float32Array::from(vec![1.5, 2.0])), ["1.5", "2.0"]),
        ("total_latency_ms", column(Int64Array::from(vec![200, 1])), ["200.0", "1.0"]),
        ("endpoint", column(LargeStringArray::from(vec!["a", "b"])), ["a", "b"]),
        ("endpoint", column(BinaryArray::from_vec(vec![b"a", b"b"])), ["a", "b"]),
        ("endpoint", column(FixedSizeBinaryArray::try_from_iter([b"ab", b"cd"].iter()).unwrap()), ["ab", "cd"]),
        ("endpoint", column(Int64Array::from(vec![200, 1])), ["200", "1"]),
        ("endpoint", column(StringArray::from(vec!["a", "b"])), ["a", "b"]),
    ] {
        let stored = values.data_type().clone();
        assert_eq!(
            read(name, values).await.as_deref(),
            Ok(expected.map(str::to_owned).as_slice()),
            "{stored} for {name}"
        );
    }
}

#[tokio::test]
async fn a_column_of_another_type_is_refused_naming_file_and_column() {
    let text = || column(StringArray::from(vec!["200"]));
    let decimal =
        |digits, scale| column(Decimal128Array::from(vec![200]).with_precision_and_scale(digits, scale).unwrap());
    let number = || column(Int64Array::from(vec![200]));
    for (name, values, stored, declared) in [
        ("status_code", text(), "BYTE_ARRAY", "integer"),
        ("status_code", column(Float64Array::from(vec![200.0])), "DOUBLE", "integer"),
        ("status_code", column(Date32Array::from(vec![200])), "INT32", "integer"),
        ("status_code", column(TimestampMillisecondArray::from(vec![200])), "INT64", "integer"),
        ("status_code", decimal(5, 2), "INT32", "integer"),
        ("status_code", decimal(20, 0), "FIXED_LEN_BYTE_ARRAY", "integer"),
        ("input_tokens", text(), "BYTE_ARRAY", "bigint"),
        ("input_tokens", column(Float64Array::from(vec![200.0])), "DOUBLE", "bigint"),
        ("total_latency_ms", text(), "BYTE_ARRAY", "double"),
        ("total_latency_ms", decimal(10, 3), "INT64", "double"),
        ("is_streaming", number(), "INT64", "boolean"),
        ("is_streaming", text(), "BYTE_ARRAY", "boolean"),
        ("ended_at", text(), "BYTE_ARRAY", "timestamp"),
        ("ended_at", number(), "INT64", "timestamp"),
        ("ended_at", column(Date32Array::from(vec![200])), "INT32", "timestamp"),
        ("endpoint", column(Date32Array::from(vec![200])), "INT32", "varchar"),
        ("endpoint", column(ListArray::from_iter_primitive::<Int32Type, _, _>([Some([Some(1)])])), "GROUP", "varchar"),
    ] {
        let kind = values.data_type().clone();
        let refusal = read(name, values).await.unwrap_err();
        let start = format!("HIVE_BAD_DATA: Field {name}'s type {stored} in parquet file ");
        let end = format!("/hour={HOUR}/other.parquet is incompatible with type {declared} defined in table schema");
        assert!(refusal.starts_with(&start) && refusal.ends_with(&end), "{kind} for {name}: {refusal}");
    }
}

#[tokio::test]
async fn a_value_that_does_not_fit_is_refused_naming_file_and_column() {
    for (name, value) in [("status_code", 1 << 33), ("status_code", -(1 << 33)), ("total_latency_ms", (1 << 53) + 1)] {
        let refusal = read(name, column(Int64Array::from(vec![1, value]))).await.unwrap_err();
        assert!(refusal.starts_with(&format!("HIVE_BAD_DATA: Field {name} in parquet file /")), "{refusal}");
        assert!(refusal.contains("/other.parquet holds a value that is not a valid "), "{refusal}");
    }
}

#[tokio::test]
async fn a_column_that_is_not_asked_for_refuses_nothing() {
    let fixture = Fixture::start().await;
    let batch = RecordBatch::try_from_iter([
        ("endpoint", column(StringArray::from(vec!["a.example"]))),
        ("status_code", column(StringArray::from(vec!["200"]))),
        ("labels", column(ListArray::from_iter_primitive::<Int32Type, _, _>([Some([Some(1)])]))),
    ]);
    write_parquet(&fixture.hour(HOUR).join("a.parquet"), &batch.unwrap(), None);
    assert_eq!(fixture.column("endpoint").await.as_deref(), Ok(["a.example".to_owned()].as_slice()));
    fixture.answers("SELECT count(*) FROM request_logs", vec![texts(&["1"])]).await;
    assert!(fixture.column("status_code").await.is_err());
}

#[tokio::test]
async fn a_column_is_found_in_any_case_and_in_any_place_and_of_two_the_first_counts() {
    for (names, expected) in [
        (["model", "endpoint"], "second"),
        (["model", "Endpoint"], "second"),
        (["ENDPOINT", "model"], "first"),
        (["Endpoint", "endpoint"], "first"),
        (["end_point", "model"], "NULL"),
    ] {
        let fixture = Fixture::start().await;
        let values = ["first", "second"].map(|value| column(StringArray::from(vec![value])));
        let batch = RecordBatch::try_from_iter(names.into_iter().zip(values)).unwrap();
        write_parquet(&fixture.hour(HOUR).join("a.parquet"), &batch, None);
        assert_eq!(fixture.column("endpoint").await.as_deref(), Ok([expected.to_owned()].as_slice()), "{names:?}");
    }
}

#[tokio::test]
async fn files_of_any_name_are_read_in_folders_below_too_but_for_hidden_ones() {
    let fixture = Fixture::start().await;
    let hour = fixture.hour(HOUR);
    let names = [
        "part-0",
        "a.snappy",
        "a.parquet.gz",
        "a.json",
        "below/a",
        "below/deeper/a",
        "_below/a",
        ".below/a",
        "below/_a",
        ".a",
    ];
    for name in names {
        fs::create_dir_all(hour.join(name).parent().unwrap()).unwrap();
        write_parquet(&hour.join(name), &only("endpoint", column(StringArray::from(vec![name]))), None);
    }
    fixture
        .answers(
            "SELECT endpoint FROM request_logs ORDER BY endpoint",
            ["a.json", "a.parquet.gz", "a.snappy", "below/a", "below/deeper/a", "part-0"]
                .map(|name| texts(&[name]))
                .to_vec(),
        )
        .await;
}

#[tokio::test]
async fn a_file_that_is_cut_or_is_not_parquet_is_refused_by_name() {
    let fixture = Fixture::start().await;
    let path = fixture.hour(HOUR).join("odd");
    fs::write(&path, r#"{"endpoint":"a.example"}"#).unwrap();
    let start = format!("HIVE_BAD_DATA: Malformed Parquet file {}: ", path.display());
    let refusal = fixture.column("endpoint").await.unwrap_err();
    assert!(refusal.starts_with(&start), "{refusal}");

    write_parquet(&path, &only("endpoint", column(StringArray::from(vec!["a.example"; 1000]))), None);
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let refusal = fixture.column("endpoint").await.unwrap_err();
    assert!(refusal.starts_with(&start), "{refusal}");

    // Its end is whole, its first page is not.
    let mut damaged = whole;
    damaged[4..40].fill(0xff);
    fs::write(&path, damaged).unwrap();
    let refusal = fixture.column("endpoint").await.unwrap_err();
    assert!(refusal.starts_with(&start), "{refusal}");
}

#[tokio::test]
async fn a_codec_that_trino_does_not_read_is_refused() {
    for (codec, read) in
        [(Compression::SNAPPY, true), (Compression::ZSTD(ZstdLevel::default()), true), (Compression::LZ4_RAW, false)]
    {
        let fixture = Fixture::start().await;
        let batch = only("endpoint", column(StringArray::from(vec!["a.example"])));
        let file = File::create(fixture.hour(HOUR).join("a.parquet")).unwrap();
        let properties = WriterProperties::builder().set_compression(codec).build();
        let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        let answer = fixture.column("endpoint").await;
        assert_eq!(answer.is_ok(), read, "{codec}");
        if let Err(refusal) = answer {
            assert!(refusal.starts_with("HIVE_BAD_DATA: Field endpoint in parquet file /"), "{refusal}");
            assert!(refusal.ends_with("/a.parquet is compressed with LZ4_RAW, which is not supported"), "{refusal}");
        }
    }
}

#[tokio::test]
async fn bytes_that_are_not_utf_8_stop_no_query_and_keep_ids_apart() {
    let fixture = Fixture::start().await;
    let path = fixture.hour(HOUR).join("a.parquet");
    let schema = parse_message_type("message logs { optional binary request_id (STRING); }").unwrap();
    let mut writer = SerializedFileWriter::new(File::create(path).unwrap(), Arc::new(schema), Arc::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut ids = group.next_column().unwrap().unwrap();
    let values =
        [&b"a\xff"[..], b"a\xfe", b"a\xff", b"\xc3", "\u{e4}".as_bytes()].map(|bytes| ByteArray::from(bytes.to_vec()));
    ids.typed::<ByteArrayType>().write_batch(&values, Some(&[1; 5]), None).unwrap();
    ids.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
    fixture
        .answers(
            "SELECT count(*), count(DISTINCT request_id), count(CASE WHEN request_id = '\u{e4}' THEN 1 END) \
             FROM request_logs",
            vec![texts(&["5", "4", "1"])],
        )
        .await;
}

#[tokio::test]
async fn times_of_other_units_are_rounded_half_up_to_milliseconds() {
    let second = millis("2026-11-24T20:15:10") * 1_000;
    let before_1970 = -86_400_000_000;
    for (microseconds, expected) in [
        (second, "2026-11-24 20:15:10.000"),
        (second + 1_499, "2026-11-24 20:15:10.001"),
        (second + 1_500, "2026-11-24 20:15:10.002"),
        (second + 999_500, "2026-11-24 20:15:11.000"),
        (before_1970 - 500, "1969-12-31 00:00:00.000"),
        (before_1970 - 501, "1969-12-30 23:59:59.999"),
    ] {
        let (micros, nanos) = (vec![microseconds], vec![microseconds * 1_000]);
        for values in [
            column(TimestampMicrosecondArray::from(micros.clone())),
            column(TimestampMicrosecondArray::from(micros).with_timezone("UTC")),
            column(TimestampNanosecondArray::from(nanos.clone())),
            column(TimestampNanosecondArray::from(nanos).with_timezone("UTC")),
        ] {
            let stored = values.data_type().clone();
            let read = read("ended_at", values).await;
            assert_eq!(read.as_deref(), Ok([expected.to_owned()].as_slice()), "{stored} of {microseconds}");
        }
    }
}

#[tokio::test]
async fn times_in_the_old_form_are_rounded_too_and_reach_the_year_9999() {
    let fixture = Fixture::start().await;
    let hour = fixture.hour(HOUR);
    write_int96(&hour.join("a.parquet"), "2026-11-24", 72_910_001_499_999);
    write_int96(&hour.join("b.parquet"), "2026-11-24", 72_910_001_500_000);
    write_int96(&hour.join("c.parquet"), "9999-12-30", 0);
    let times = ["2026-11-24 20:15:10.001", "2026-11-24 20:15:10.002", "9999-12-30 00:00:00.000"];
    fixture
        .answers("SELECT ended_at FROM request_logs ORDER BY ended_at", times.map(|time| texts(&[time])).to_vec())
        .await;
}

#[tokio::test]
async fn a_row_is_in_the_range_that_its_rounded_time_is_in() {
    let fixture = Fixture::start().await;
    let minute = millis("2026-11-24T20:15:00") * 1_000;
    let times = [minute - 501, minute - 500, minute, minute + 59_999_499, minute + 59_999_500];
    // A row group each, so that what the file says of it could leave it out.
    write_parquet(
        &fixture.hour(HOUR).join("a.parquet"),
        &only("ended_at", column(TimestampMicrosecondArray::from(times.to_vec()))),
        Some(1),
    );
    let from = "ended_at >= TIMESTAMP '2026-11-24 20:15:00' AND ended_at < TIMESTAMP '2026-11-24 20:16:00'";
    fixture.answers(&format!("SELECT count(*) FROM request_logs WHERE {from}"), vec![texts(&["3"])]).await;
}

fn write_int96(path: &Path, date: &str, nanos_of_day: u64) {
    let schema = parse_message_type("message logs { optional int96 ended_at; }").unwrap();
    let file = File::create(path).unwrap();
    let mut writer = SerializedFileWriter::new(file, Arc::new(schema), Arc::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut ended_at = group.next_column().unwrap().unwrap();
    let days = millis(&format!("{date}T00:00:00")) / 86_400_000;
    let julian_day = u32::try_from(days + 2_440_588).unwrap();
    let mut value = Int96::new();
    let low = u32::try_from(nanos_of_day & u64::from(u32::MAX)).unwrap();
    value.set_data(low, u32::try_from(nanos_of_day >> 32).unwrap(), julian_day);
    ended_at.typed::<Int96Type>().write_batch(&[value], Some(&[1]), None).unwrap();
    ended_at.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
}
