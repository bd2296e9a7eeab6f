//! Why a query failed, in Athena's words.

/// A failed query's `StateChangeReason` and `AthenaError`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    cause: FailureKind,
    detail: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// The text is not SQL, or not SQL that this engine takes.
    Syntax,
    /// The database of the query's context is another than the one served.
    SchemaNotFound,
    TableNotFound,
    ColumnNotFound,
    FunctionNotFound,
    /// Valid SQL that the engine does not run.
    NotSupported,
    /// A value does not fit the type it is cast to.
    InvalidCast,
    DivisionByZero,
    /// A file does not hold what its table declares.
    BadData,
    CannotOpenFile,
    OutOfMemory,
    Internal,
}

/// Athena's catalog of errors: 1 is the system's fault, 2 the user's.
const SYSTEM: i32 = 1;
const USER: i32 = 2;

impl Failure {
    /// The text of `detail` follows the cause's name in the reason.
    pub fn new(cause: FailureKind, detail: impl Into<String>) -> Self {
        Self { cause, detail: detail.into() }
    }

    /// Such as `COLUMN_NOT_FOUND: Column 'x' cannot be resolved`.
    #[must_use]
    pub fn reason(&self) -> String {
        format!("{}: {}", self.cause.name(), self.detail)
    }

    /// `AthenaError.ErrorCategory`.
    #[must_use]
    pub fn category(&self) -> i32 {
        match self.cause {
            FailureKind::CannotOpenFile | FailureKind::OutOfMemory | FailureKind::Internal => SYSTEM,
            _ => USER,
        }
    }

    /// `AthenaError.ErrorType`.
    #[must_use]
    pub fn error_type(&self) -> i32 {
        match self.cause {
            FailureKind::OutOfMemory => 1,
            FailureKind::CannotOpenFile | FailureKind::Internal => 200,
            FailureKind::BadData => 1001,
            _ => 1000,
        }
    }

    /// Whether the same query might succeed later: a file may have been replaced, memory freed.
    #[must_use]
    pub fn retryable(&self) -> bool {
        matches!(self.cause, FailureKind::CannotOpenFile | FailureKind::OutOfMemory)
    }
}

impl FailureKind {
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
