//! Why a query failed, in Athena's words.

use datafusion::arrow::error::ArrowError;
use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;

/// A failed query's `StateChangeReason` and `AthenaError`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    cause: Cause,
    detail: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    Syntax,
    SchemaNotFound,
    TableNotFound,
    ColumnNotFound,
    FunctionNotFound,
    NotSupported,
    InvalidCast,
    DivisionByZero,
    BadData,
    CannotOpenFile,
    OutOfMemory,
    Internal,
}

/// Athena's catalog of errors: 1 is the system's fault, 2 the user's.
const SYSTEM: i32 = 1;
const USER: i32 = 2;

impl Failure {
    /// The query's database is none that this endpoint has.
    pub fn schema_not_found(schema: &str) -> Self {
        Self { cause: Cause::SchemaNotFound, detail: format!("Schema '{schema}' does not exist") }
    }

    /// The engine broke; `detail` says how.
    pub fn internal(detail: impl Into<String>) -> Self {
        Self { cause: Cause::Internal, detail: detail.into() }
    }

    /// Such as `COLUMN_NOT_FOUND: Column 'x' cannot be resolved`.
    pub fn reason(&self) -> String {
        format!("{}: {}", self.cause.name(), self.detail)
    }

    /// `AthenaError.ErrorCategory`.
    pub fn category(&self) -> i32 {
        match self.cause {
            Cause::CannotOpenFile | Cause::OutOfMemory | Cause::Internal => SYSTEM,
            _ => USER,
        }
    }

    /// `AthenaError.ErrorType`.
    pub fn error_type(&self) -> i32 {
        match self.cause {
            Cause::OutOfMemory => 1,
            Cause::CannotOpenFile | Cause::Internal => 200,
            Cause::BadData => 1001,
            _ => 1000,
        }
    }

    /// Whether the same query might succeed later: a file may have been replaced, memory freed.
    pub fn retryable(&self) -> bool {
        matches!(self.cause, Cause::CannotOpenFile | Cause::OutOfMemory)
    }
}

impl Cause {
    fn name(self) -> &'static str {
        match self {
            Self::Syntax => "SYNTAX_ERROR",
            Self::SchemaNotFound => "SCHEMA_NOT_FOUND",
            Self::TableNotFound => "TABLE_NOT_FOUND",
            Self::ColumnNotFound => "COLUMN_NOT_FOUND",
            Self::FunctionNotFound => "FUNCTION_NOT_FOUND",
            Self::NotSupported => "NOT_SUPPORTED",
            Self::InvalidCast => "INVALID_CAST_ARGUMENT",
            Self::DivisionByZero => "DIVISION_BY_ZERO",
            Self::BadData => "HIVE_BAD_DATA",
            Self::CannotOpenFile => "HIVE_CANNOT_OPEN_SPLIT",
            Self::OutOfMemory => "EXCEEDED_LOCAL_MEMORY_LIMIT",
            Self::Internal => "GENERIC_INTERNAL_ERROR",
        }
    }
}

impl From<DataFusionError> for Failure {
    fn from(error: DataFusionError) -> Self {
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
            other => (Cause::Internal, other.strip_backtrace()),
        };
        Self { cause, detail }
    }
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
