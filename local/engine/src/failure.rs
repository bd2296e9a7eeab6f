//! The engine's errors, in Athena's words.

use athena_endpoint::{Cause, Failure};
use datafusion::arrow::error::ArrowError;
use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;

use crate::file::BadData;

pub fn failure(error: &DataFusionError) -> Failure {
    let root = error.find_root();
    let (cause, detail) = match root {
        DataFusionError::SQL(parser, _) => (Cause::Syntax, parser.to_string()),
        DataFusionError::SchemaError(schema, _) => match schema.as_ref() {
            SchemaError::FieldNotFound { field, .. } => {
                (Cause::ColumnNotFound, format!("Column '{}' cannot be resolved", field.flat_name()))
            }
            other => (Cause::Syntax, other.to_string()),
        },
        DataFusionError::Plan(message) => planning(message),
        DataFusionError::NotImplemented(message) => (Cause::NotSupported, message.clone()),
        DataFusionError::ArrowError(arrow, _) => match arrow.as_ref() {
            ArrowError::DivideByZero => (Cause::DivisionByZero, "Division by zero".to_owned()),
            ArrowError::CastError(message) => (Cause::InvalidCast, message.clone()),
            ArrowError::ParquetError(message) => (Cause::BadData, message.clone()),
            other => (Cause::Internal, other.to_string()),
        },
        DataFusionError::ParquetError(parquet) => (Cause::BadData, parquet.to_string()),
        DataFusionError::ObjectStore(store) => (Cause::CannotOpenFile, store.to_string()),
        DataFusionError::IoError(io) => (Cause::CannotOpenFile, io.to_string()),
        DataFusionError::ResourcesExhausted(message) => (Cause::OutOfMemory, message.clone()),
        DataFusionError::External(cause) if cause.is::<BadData>() => (Cause::BadData, cause.to_string()),
        other => (Cause::Internal, other.strip_backtrace()),
    };
    Failure::new(cause, detail)
}

/// The engine tells these apart by their wording alone.
fn planning(message: &str) -> (Cause, String) {
    if let Some(table) = message.strip_prefix("table '").and_then(|rest| rest.strip_suffix("' not found")) {
        let detail = format!("Table '{table}' does not exist");
        (Cause::TableNotFound, detail)
    } else if message.starts_with("Invalid function") {
        (Cause::FunctionNotFound, message.to_owned())
    } else {
        (Cause::Syntax, message.to_owned())
    }
}
