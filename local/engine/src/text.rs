//! Arrow values as the text and the type names of Athena's results.

use athena_endpoint::{ResultColumn, ResultSet};
use datafusion::arrow::array::{Array, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};

/// Writes every value of `batches`, which have the columns of `schema`.
///
/// # Errors
/// When a value has a type or a range that cannot be written.
pub fn result_set(schema: &Schema, batches: &[RecordBatch]) -> Result<ResultSet, ArrowError> {
    let columns = schema
        .fields()
        .iter()
        .map(|field| ResultColumn { name: field.name().clone(), athena_type: athena_type(field.data_type()) })
        .collect();
    let mut rows = Vec::with_capacity(batches.iter().map(RecordBatch::num_rows).sum());
    for batch in batches {
        write_rows(batch, &mut rows)?;
    }
    Ok(ResultSet { columns, rows })
}

fn write_rows(batch: &RecordBatch, rows: &mut Vec<Vec<Option<String>>>) -> Result<(), ArrowError> {
    let format = FormatOptions::new()
        .with_display_error(false)
        .with_null("null")
        .with_timestamp_format(Some("%Y-%m-%d %H:%M:%S%.3f"))
        .with_timestamp_tz_format(Some("%Y-%m-%d %H:%M:%S%.3f UTC"));
    let columns = batch
        .columns()
        .iter()
        .map(|column| Ok((column, ArrayFormatter::try_new(column, &format)?)))
        .collect::<Result<Vec<_>, ArrowError>>()?;
    for row in 0..batch.num_rows() {
        let cells = columns
            .iter()
            .map(|(column, formatter)| {
                let is_value = column.is_valid(row) && column.data_type() != &DataType::Null;
                is_value.then(|| formatter.value(row).try_to_string()).transpose()
            })
            .collect::<Result<_, _>>()?;
        rows.push(cells);
    }
    Ok(())
}

/// What Athena calls a type.
pub fn athena_type(data_type: &DataType) -> &'static str {
    match data_type {
        DataType::Null => "unknown",
        DataType::Boolean => "boolean",
        DataType::Int8 => "tinyint",
        DataType::Int16 | DataType::UInt8 => "smallint",
        DataType::Int32 | DataType::UInt16 => "integer",
        // What the engine counts without a sign, Trino counts in bigint.
        DataType::Int64 | DataType::UInt32 | DataType::UInt64 => "bigint",
        DataType::Float16 | DataType::Float32 => "float",
        DataType::Float64 => "double",
        DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) | DataType::Decimal256(..) => {
            "decimal"
        }
        DataType::Date32 | DataType::Date64 => "date",
        DataType::Time32(_) | DataType::Time64(_) => "time",
        DataType::Timestamp(_, None) => "timestamp",
        DataType::Timestamp(_, Some(_)) => "timestamp with time zone",
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => "varbinary",
        DataType::List(_)
        | DataType::LargeList(_)
        | DataType::ListView(_)
        | DataType::LargeListView(_)
        | DataType::FixedSizeList(..) => "array",
        DataType::Struct(_) => "row",
        DataType::Map(..) => "map",
        DataType::Dictionary(_, values) => athena_type(values),
        _ => "varchar",
    }
}
