//! Request logs as Parquet files.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray,
};
use datafusion::parquet::arrow::ArrowWriter;
use jiff::Timestamp;
use testing::logs::Row;

/// Writes a file into the partition of the hour in which its rows arrived. `columns` says which there are.
pub fn write(folder: &Path, arrived_at_ms: i64, name: &str, rows: &[Row], columns: Columns) {
    let hour = Timestamp::from_millisecond(arrived_at_ms).unwrap().strftime("hour=%Y-%m-%d-%H").to_string();
    let folder = folder.join(hour);
    fs::create_dir_all(&folder).unwrap();
    let batch = batch(rows, columns);
    // Under a hidden name first, as pipelines do: a query must not meet half a file.
    let hidden = folder.join(format!(".{name}"));
    let mut writer = ArrowWriter::try_new(File::create(&hidden).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    fs::rename(hidden, folder.join(format!("{name}.parquet"))).unwrap();
}

#[derive(Clone, Copy)]
pub enum Columns {
    All,
    /// As an older pipeline wrote them: no cache tokens and no streaming flag.
    Older,
    /// One that nobody knows.
    More,
}

fn batch(rows: &[Row], columns: Columns) -> RecordBatch {
    let texts =
        |text: fn(&Row) -> &Option<String>| -> ArrayRef { Arc::new(rows.iter().map(text).collect::<StringArray>()) };
    let counts =
        |count: fn(&Row) -> Option<i64>| -> ArrayRef { Arc::new(rows.iter().map(count).collect::<Int64Array>()) };
    let numbers =
        |number: fn(&Row) -> Option<f64>| -> ArrayRef { Arc::new(rows.iter().map(number).collect::<Float64Array>()) };
    let mut fields: Vec<(&str, ArrayRef)> = vec![
        ("request_id", texts(|row| &row.request_id)),
        ("endpoint", texts(|row| &row.endpoint)),
        ("model", texts(|row| &row.model)),
        ("status_code", Arc::new(rows.iter().map(|row| row.status_code).collect::<Int32Array>())),
        ("ended_at", Arc::new(rows.iter().map(|row| row.ended_at_ms).collect::<TimestampMillisecondArray>())),
        ("ttft_ms", numbers(|row| row.ttft_ms)),
        ("total_latency_ms", numbers(|row| row.total_latency_ms)),
        ("input_tokens", counts(|row| row.input_tokens)),
        ("output_tokens", counts(|row| row.output_tokens)),
        ("error_code", texts(|row| &row.error_code)),
    ];
    if !matches!(columns, Columns::Older) {
        fields.push(("is_streaming", Arc::new(rows.iter().map(|row| row.is_streaming).collect::<BooleanArray>())));
        fields.push(("cache_read_tokens", counts(|row| row.cache_read_tokens)));
    }
    if matches!(columns, Columns::More) {
        fields.insert(0, ("region", texts(|row| &row.model)));
    }
    RecordBatch::try_from_iter_with_nullable(fields.into_iter().map(|(name, values)| (name, values, true))).unwrap()
}
