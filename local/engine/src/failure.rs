//! The engine's errors, in Athena's words.

use athena_endpoint::{Failure, FailureKind};
use datafusion::arrow::error::ArrowError;
use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;

use crate::file::BadData;

pub fn failure(error: &DataFusionError) -> Failure {
    let root = error.find_root();
    let (cause, detail) = match root {
        DataFusionError::SQL(parser, _) => (FailureKind::Syntax, parser.to_string()),
        DataFusionError::SchemaError(schema, _) => match schema.as_ref() {
            SchemaError::FieldNotFound { field, .. } => {
                (FailureKind::ColumnNotFound, format!("Column '{}' cannot be resolved", field.flat_name()))
            }
            other => (FailureKind::Syntax, other.to_string()),
        },
        DataFusionError::Plan(message) => planning(message),
        DataFusionError::NotImplemented(message) => (FailureKind::NotSupported, message.clone()),
        DataFusionError::ArrowError(arrow, _) => match arrow.as_ref() {
            ArrowError::DivideByZero => (FailureKind::DivisionByZero, "Division by zero".to_owned()),
            ArrowError::CastError(message) => (FailureKind::InvalidCast, message.clone()),
            ArrowError::ParquetError(message) => (FailureKind::BadData, message.clone()),
            other => (FailureKind::Internal, other.to_string()),
        },
        DataFusionError::ParquetError(parquet) => (FailureKind::BadData, parquet.to_string()),
        DataFusionError::ObjectStore(store) => (FailureKind::CannotOpenFile, store.to_string()),
        DataFusionError::IoError(io) => (FailureKind::CannotOpenFile, io.to_string()),
        DataFusionError::ResourcesExhausted(message) => (FailureKind::OutOfMemory, message.clone()),
        DataFusionError::External(cause) if cause.is::<BadData>() => (FailureKind::BadData, cause.to_string()),
        other => (FailureKind::Internal, other.strip_backtrace()),
    };
    Failure::new(cause, detail)
}

/// The engine tells these apart by their wording alone.
fn planning(message: &str) -> (FailureKind, String) {
    if let Some(table) = message.strip_prefix("table '").and_then(|rest| rest.strip_suffix("' not found")) {
        let detail = format!("Table '{table}' does not exist");
        (FailureKind::TableNotFound, detail)
    } else if message.starts_with("Invalid function") {
        (FailureKind::FunctionNotFound, message.to_owned())
    } else {
        (FailureKind::Syntax, message.to_owned())
    }
}
