//! Athena's wire: requests into commands, executions and faults into replies.

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::answer::ResultColumn;
use crate::executions::{Execution, ExecutionError, State};

/// AWS JSON 1.1.
pub const CONTENT_TYPE: &str = "application/x-amz-json-1.1";

const TARGET_PREFIX: &str = "AmazonAthena.";
const DEFAULT_WORKGROUP: &str = "primary";
const QUERY_BYTES: std::ops::RangeInclusive<usize> = 1..=262_144;
const TOKEN_BYTES: std::ops::RangeInclusive<usize> = 32..=128;
const MAX_RESULTS: usize = 1_000;

#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// `StartQueryExecution`.
    Start(Start),
    /// `GetQueryExecution`.
    Get { id: String },
    /// `GetQueryResults`.
    Results { id: String, page: Page },
    /// `StopQueryExecution`.
    Stop { id: String },
}

#[derive(Debug, PartialEq, Eq)]
pub struct Start {
    /// SQL, neither empty nor beyond Athena's limit.
    pub query: String,
    /// Makes a repeated request harmless.
    pub token: Option<String>,
    /// The database of unqualified tables.
    pub database: Option<String>,
    /// Never empty.
    pub workgroup: String,
}

/// A part of a result, in rows, of which the header is the first.
#[derive(Debug, PartialEq, Eq)]
pub struct Page {
    /// Rows that earlier pages have shown.
    pub from: usize,
    /// The most rows to show, from 1 to 1,000.
    pub size: usize,
}

/// Why a request is refused. The text is the reply's `Message`.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Understood, but not to be done.
    #[error("{0}")]
    InvalidRequest(String),
    /// The body is not the operation's JSON.
    #[error("{0}")]
    Serialization(String),
    /// No operation, or none that is offered here.
    #[error("unknown operation {0:?}")]
    UnknownOperation(String),
}

impl From<ExecutionError> for Fault {
    fn from(error: ExecutionError) -> Self {
        Self::InvalidRequest(error.to_string())
    }
}

impl Fault {
    pub fn body(&self) -> Value {
        match self {
            Self::InvalidRequest(message) => json!({
                "__type": "InvalidRequestException",
                "AthenaErrorCode": "INVALID_INPUT",
                "Message": message,
            }),
            Self::Serialization(message) => json!({
                "__type": "SerializationException",
                "Message": message,
            }),
            Self::UnknownOperation(_) => json!({
                "__type": "UnknownOperationException",
                "Message": self.to_string(),
            }),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StartBody {
    query_string: String,
    client_request_token: Option<String>,
    query_execution_context: Option<ContextBody>,
    work_group: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ContextBody {
    database: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ExecutionBody {
    query_execution_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ResultsBody {
    query_execution_id: String,
    next_token: Option<String>,
    max_results: Option<i64>,
}

impl Command {
    /// Reads the `X-Amz-Target` header and the body.
    ///
    /// # Errors
    ///
    /// As Athena checks them, but for its checks of permissions, work groups and result locations.
    pub fn parse(target: &str, body: &[u8]) -> Result<Self, Fault> {
        match target.strip_prefix(TARGET_PREFIX) {
            Some("StartQueryExecution") => Start::parse(decode(body)?).map(Self::Start),
            Some("GetQueryExecution") => {
                decode(body).map(|body: ExecutionBody| Self::Get { id: body.query_execution_id })
            }
            Some("GetQueryResults") => {
                let body: ResultsBody = decode(body)?;
                Ok(Self::Results {
                    page: Page::parse(body.next_token.as_deref(), body.max_results)?,
                    id: body.query_execution_id,
                })
            }
            Some("StopQueryExecution") => {
                decode(body).map(|body: ExecutionBody| Self::Stop { id: body.query_execution_id })
            }
            _ => Err(Fault::UnknownOperation(target.to_owned())),
        }
    }
}

fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, Fault> {
    serde_json::from_slice(body).map_err(|error| Fault::Serialization(error.to_string()))
}

fn invalid(message: impl Into<String>) -> Fault {
    Fault::InvalidRequest(message.into())
}

impl Start {
    fn parse(body: StartBody) -> Result<Self, Fault> {
        if body.query_string.trim().is_empty() || !QUERY_BYTES.contains(&body.query_string.len()) {
            return Err(invalid("QueryString must have 1 to 262144 bytes"));
        }
        let token = body.client_request_token;
        if token.as_ref().is_some_and(|token| !TOKEN_BYTES.contains(&token.len())) {
            return Err(invalid("ClientRequestToken must have 32 to 128 characters"));
        }
        let workgroup = body.work_group.unwrap_or_else(|| DEFAULT_WORKGROUP.to_owned());
        if workgroup.is_empty() {
            return Err(invalid("WorkGroup must not be empty"));
        }
        Ok(Self {
            query: body.query_string,
            token,
            database: body.query_execution_context.and_then(|context| context.database),
            workgroup,
        })
    }
}

impl Page {
    fn parse(token: Option<&str>, max_results: Option<i64>) -> Result<Self, Fault> {
        let size = match max_results.map(usize::try_from) {
            None => MAX_RESULTS,
            Some(Ok(size)) if (1..=MAX_RESULTS).contains(&size) => size,
            Some(_) => return Err(invalid("MaxResults must be from 1 to 1000")),
        };
        let from = match token.map(str::parse) {
            None => 0,
            Some(Ok(from)) => from,
            Some(Err(_)) => return Err(invalid("NextToken is invalid")),
        };
        Ok(Self { from, size })
    }
}

/// The reply to `GetQueryExecution`.
pub fn query_execution(execution: &Execution, now: Timestamp) -> Value {
    let submission = &execution.submission;
    json!({ "QueryExecution": {
        "QueryExecutionId": execution.id,
        "Query": submission.query,
        "StatementType": "DML",
        "QueryExecutionContext": { "Database": submission.database },
        "WorkGroup": submission.workgroup,
        "Status": status(execution),
        "Statistics": statistics(execution, now),
    }})
}

fn status(execution: &Execution) -> Value {
    let mut status = json!({
        "State": state_name(&execution.state),
        "SubmissionDateTime": epoch_seconds(execution.submitted_at),
    });
    if let Some(ended_at) = execution.ended_at {
        status["CompletionDateTime"] = epoch_seconds(ended_at);
    }
    if let State::Failed(failure) = &execution.state {
        let reason = failure.reason();
        status["StateChangeReason"] = json!(reason);
        status["AthenaError"] = json!({
            "ErrorCategory": failure.category(),
            "ErrorType": failure.error_type(),
            "Retryable": failure.retryable(),
            "ErrorMessage": reason,
        });
    }
    status
}

fn statistics(execution: &Execution, now: Timestamp) -> Value {
    let until = execution.ended_at.unwrap_or(now);
    let began_at = execution.began_at.unwrap_or(until);
    let scanned = match &execution.state {
        State::Succeeded(answer) => answer.scanned_bytes,
        _ => 0,
    };
    json!({
        "EngineExecutionTimeInMillis": millis_between(began_at, until),
        "QueryQueueTimeInMillis": millis_between(execution.submitted_at, began_at),
        "TotalExecutionTimeInMillis": millis_between(execution.submitted_at, until),
        "DataScannedInBytes": scanned,
    })
}

/// The reply to `GetQueryResults`.
///
/// # Errors
///
/// When the execution has no result, or the page begins beyond its end.
pub fn results(execution: &Execution, page: &Page) -> Result<Value, Fault> {
    let result = match &execution.state {
        State::Succeeded(answer) => &answer.result,
        state @ (State::Queued | State::Running) => {
            let state = state_name(state);
            let message = format!("Query has not yet finished. Current state: {state}");
            return Err(Fault::InvalidRequest(message));
        }
        state @ (State::Failed(_) | State::Cancelled) => {
            let state = state_name(state);
            let message = format!("Query did not finish successfully. Final query state: {state}");
            return Err(Fault::InvalidRequest(message));
        }
    };
    let total = result.rows.len() + 1;
    if page.from >= total {
        return Err(invalid("NextToken is invalid"));
    }
    // The header is the first row. Rows that are not shown cost nothing, else a page would cost more than the one
    // before.
    let from = page.from.saturating_sub(1);
    let to = (page.from + page.size - 1).min(result.rows.len());
    let header = || result.columns.iter().map(|column| datum(Some(&column.name))).collect();
    let header: Option<Vec<Value>> = (page.from == 0).then(header);
    let rows = result.rows[from..to].iter().map(|cells| cells.iter().map(|cell| datum(cell.as_deref())).collect());
    let shown: Vec<Value> = header.into_iter().chain(rows).map(|data| json!({ "Data": data })).collect();
    let next = page.from + shown.len();
    let columns: Vec<Value> = result.columns.iter().map(column_info).collect();
    let mut reply = json!({
        "UpdateCount": 0,
        "ResultSet": {
            "Rows": shown,
            "ResultSetMetadata": { "ColumnInfo": columns },
        },
    });
    if next < total {
        reply["NextToken"] = json!(next.to_string());
    }
    Ok(reply)
}

fn datum(text: Option<&str>) -> Value {
    text.map_or_else(|| json!({}), |text| json!({ "VarCharValue": text }))
}

fn column_info(column: &ResultColumn) -> Value {
    json!({
        "CatalogName": "hive",
        "SchemaName": "",
        "TableName": "",
        "Name": column.name,
        "Label": column.name,
        "Type": column.athena_type,
        "Nullable": "UNKNOWN",
        "CaseSensitive": column.athena_type == "varchar",
    })
}

fn state_name(state: &State) -> &'static str {
    match state {
        State::Queued => "QUEUED",
        State::Running => "RUNNING",
        State::Succeeded(_) => "SUCCEEDED",
        State::Failed(_) => "FAILED",
        State::Cancelled => "CANCELLED",
    }
}

fn epoch_seconds(time: Timestamp) -> Value {
    json!(time.as_duration().as_secs_f64())
}

/// Zero where the clock was set back in between.
fn millis_between(from: Timestamp, to: Timestamp) -> i64 {
    let millis = to.duration_since(from).as_millis();
    i64::try_from(millis).unwrap_or(i64::MAX).max(0)
}
