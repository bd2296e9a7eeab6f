//! Request logs as a log pipeline leaves them: Parquet files in folders by hour of delivery.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray,
};
use datafusion::arrow::datatypes::{Field, Schema};
use datafusion::arrow::error::ArrowError;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::basic::Compression;
use datafusion::parquet::errors::ParquetError;
use datafusion::parquet::file::properties::WriterProperties;
use datafusion::parquet::schema::types::ColumnPath;
use jiff::Timestamp;
use local_athena::log_columns;

use crate::demo::traffic::Row;

/// Rows of a row group: small, so that a reader which wants a few minutes of an hour skips the others by `ended_at`.
const ROW_GROUP_ROWS: usize = 8_192;
const HOUR_MS: i64 = 3_600_000;

/// Columns whose values hardly repeat: a dictionary would cost time and save nothing.
const DISTINCT_COLUMNS: [&str; 4] = ["request_id", "ended_at", "ttft_ms", "total_latency_ms"];

/// Writes `rows` under `directory`, one file `hour=YYYY-MM-DD-HH/<name>.parquet` for each hour (UTC) in which any of
/// them were delivered, rows in order of `ended_at`. Returns the files.
///
/// A file appears whole or not at all: it is written under a name with a leading dot, which readers skip, and then
/// renamed over any file of that name.
///
/// # Errors
///
/// When a folder or file cannot be written, naming it. Files of earlier hours then stay.
pub fn write(directory: &Path, name: &str, mut rows: Vec<Row>) -> Result<Vec<PathBuf>, LogWriteError> {
    let hour = |row: &Row| row.delivered_at_ms.div_euclid(HOUR_MS);
    rows.sort_by_key(|row| (hour(row), row.ended_at_ms));
    rows.chunk_by(|a, b| hour(a) == hour(b))
        .map(|rows| write_hour(&directory.join(partition(hour(&rows[0]))?), name, rows))
        .collect()
}

#[derive(Debug, thiserror::Error)]
pub enum LogWriteError {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{}: {source}", path.display())]
    Parquet { path: PathBuf, source: ParquetError },
    /// A row was delivered before the year -9999 or after 9999.
    #[error("a row has no date: {0}")]
    Date(#[from] jiff::Error),
}

fn partition(hour: i64) -> Result<String, jiff::Error> {
    Ok(Timestamp::from_millisecond(hour * HOUR_MS)?.strftime("hour=%Y-%m-%d-%H").to_string())
}

fn write_hour(folder: &Path, name: &str, rows: &[Row]) -> Result<PathBuf, LogWriteError> {
    let hidden = folder.join(format!(".{name}.parquet"));
    let path = folder.join(format!("{name}.parquet"));
    fs::create_dir_all(folder).map_err(|source| LogWriteError::Io { path: folder.to_owned(), source })?;
    let file = File::create(&hidden).map_err(|source| LogWriteError::Io { path: hidden.clone(), source })?;
    encode(file, rows).map_err(|source| LogWriteError::Parquet { path: hidden.clone(), source })?;
    fs::rename(&hidden, &path).map_err(|source| LogWriteError::Io { path: path.clone(), source })?;
    Ok(path)
}

fn encode(file: File, rows: &[Row]) -> Result<(), ParquetError> {
    let schema = Arc::new(schema());
    let mut writer = ArrowWriter::try_new(file, Arc::clone(&schema), Some(properties()))?;
    for rows in rows.chunks(ROW_GROUP_ROWS) {
        writer.write(&batch(&schema, rows)?)?;
    }
    writer.close()?;
    Ok(())
}

fn properties() -> WriterProperties {
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS));
    DISTINCT_COLUMNS
        .into_iter()
        .fold(properties, |properties, column| {
            properties.set_column_dictionary_enabled(ColumnPath::from(column), false)
        })
        .build()
}

/// What the demo's rows may lack.
const NULLABLE: [&str; 2] = ["ttft_ms", "error_code"];

fn schema() -> Schema {
    let field = |(name, data_type)| Field::new(name, data_type, NULLABLE.contains(&name));
    Schema::new(log_columns().map(field).to_vec())
}

fn batch(schema: &Arc<Schema>, rows: &[Row]) -> Result<RecordBatch, ArrowError> {
    let text = |value: fn(&Row) -> &'static str| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(rows.iter().map(value)))
    };
    let count = |value: fn(&Row) -> i64| -> ArrayRef { Arc::new(Int64Array::from_iter_values(rows.iter().map(value))) };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(rows.iter().map(Row::request_id))),
        text(|row| row.endpoint),
        text(|row| row.model),
        Arc::new(Int32Array::from_iter_values(rows.iter().map(|row| row.status_code))),
        Arc::new(rows.iter().map(|row| Some(row.is_streaming)).collect::<BooleanArray>()),
        Arc::new(TimestampMillisecondArray::from_iter_values(rows.iter().map(|row| row.ended_at_ms))),
        Arc::new(rows.iter().map(|row| row.ttft_ms).collect::<Float64Array>()),
        Arc::new(Float64Array::from_iter_values(rows.iter().map(|row| row.total_latency_ms))),
        count(|row| row.input_tokens),
        count(|row| row.output_tokens),
        count(|row| row.cache_read_tokens),
        Arc::new(rows.iter().map(|row| row.error_code).collect::<StringArray>()),
    ];
    RecordBatch::try_new(Arc::clone(schema), columns)
}

#[cfg(test)]
mod tests {

    use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    use datafusion::parquet::basic::{LogicalType, TimeUnit as ParquetTimeUnit};
    use datafusion::parquet::file::statistics::Statistics;
    use tempfile::TempDir;

    use super::*;
    use crate::demo::trace::Trace;
    use crate::demo::traffic::{CHAT, Traffic};

    fn folder() -> TempDir {
        TempDir::new().unwrap()
    }

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn chat_rows(from: &str, to: &str) -> Vec<Row> {
        Traffic::new(CHAT, Trace::chat().unwrap()).rows_delivered_between(time(from), time(to))
    }

    fn reader(path: &Path) -> ParquetRecordBatchReaderBuilder<File> {
        ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap()
    }

    #[test]
    fn a_file_holds_the_columns_of_a_request_log() {
        let folder = folder();
        let rows = chat_rows("2026-11-24T20:15:00Z", "2026-11-24T20:16:00Z");
        let files = write(folder.path(), "minute", rows.clone()).unwrap();
        assert_eq!(files, [folder.path().join("hour=2026-11-24-20/minute.parquet")]);

        let reader = reader(&files[0]);
        let parquet = reader.parquet_schema();
        let names: Vec<&str> = parquet.columns().iter().map(|column| column.name()).collect();
        assert_eq!(
            names,
            [
                "request_id",
                "endpoint",
                "model",
                "status_code",
                "is_streaming",
                "ended_at",
                "ttft_ms",
                "total_latency_ms",
                "input_tokens",
                "output_tokens",
                "cache_read_tokens",
                "error_code",
            ]
        );
        assert_eq!(parquet.column(5).logical_type_ref(), Some(&LogicalType::timestamp(false, ParquetTimeUnit::MILLIS)));
        let batch = reader.with_batch_size(rows.len()).build().unwrap().next().unwrap().unwrap();
        let mut expected = rows;
        expected.sort_by_key(|row| row.ended_at_ms);
        assert_eq!(batch, super::batch(&batch.schema(), &expected).unwrap());
    }

    #[test]
    fn row_groups_are_small_and_follow_each_other_in_time() {
        let folder = folder();
        let rows = chat_rows("2026-11-24T20:00:00Z", "2026-11-24T21:00:00Z");
        let files = write(folder.path(), "hour", rows).unwrap();
        let reader = reader(&files[0]);
        let mut last_max = i64::MIN;
        for group in reader.metadata().row_groups() {
            assert!(group.num_rows() <= 8_192);
            let Some(Statistics::Int64(ended_at)) = group.column(5).statistics() else {
                panic!("no statistics of ended_at");
            };
            assert!(*ended_at.min_opt().unwrap() >= last_max);
            last_max = *ended_at.max_opt().unwrap();
        }
        assert!(reader.metadata().num_row_groups() > 1);
    }

    #[test]
    fn each_hour_of_delivery_gets_a_file_and_no_hidden_file_is_left() {
        let folder = folder();
        let rows = chat_rows("2026-11-24T23:58:00Z", "2026-11-25T00:02:00Z");
        let files = write(folder.path(), "batch", rows).unwrap();
        assert_eq!(
            files,
            [
                folder.path().join("hour=2026-11-24-23/batch.parquet"),
                folder.path().join("hour=2026-11-25-00/batch.parquet"),
            ]
        );
        for file in files {
            assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 1);
        }
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let folder = folder();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let rows = chat_rows("2026-11-24T20:15:00Z", "2026-11-24T20:16:00Z");
        let message = write(&file, "minute", rows).unwrap_err().to_string();
        assert!(message.contains("file/hour=2026-11-24-20: "), "{message}");
    }
}
