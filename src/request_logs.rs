//! The request logs, asked through Athena: one query a range of minutes, for all endpoints together.

mod query;
mod rows;

use std::ops::Range;
use std::time::Duration;

use aws_sdk_athena::Client;
use aws_sdk_athena::types::{QueryExecution, QueryExecutionContext, QueryExecutionState, ResultSet};
use thiserror::Error;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::error::{Cause, DeadlinePassed};
use crate::host::Host;
use crate::summary::Summary;
use crate::window::{Hour, Minute};

/// The pause before the first look at a query, and the longest: a trivial query takes 1 to 2 s on Athena.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How long a query that must end is asked to.
const TO_STOP: Duration = Duration::from_secs(2);

/// Queries the request logs.
#[derive(Clone, Debug)]
pub struct RequestLogs {
    client: Client,
    database: String,
    workgroup: String,
    table: String,
}

/// What one query says.
#[derive(Debug, Default)]
pub struct Answer {
    /// Each endpoint's minutes that had a request, in the order of minutes.
    pub minutes: Vec<MinuteSummary>,
    /// Rows that no endpoint could be given: no `ended_at`, or an endpoint that is no host name.
    pub skipped_rows: u64,
    /// What the query is billed for.
    pub scanned_bytes: u64,
}

/// One endpoint's minute.
#[derive(Debug)]
pub struct MinuteSummary {
    /// Whose.
    pub endpoint: Host,
    /// Which.
    pub minute: Minute,
    /// What ended in it.
    pub summary: Summary,
}

/// Why a query gave no answer.
#[derive(Debug, Error)]
pub enum QueryError {
    /// A call to Athena failed.
    #[error("{call} failed")]
    Call {
        /// The operation.
        call: &'static str,
        /// What the SDK said.
        #[source]
        cause: Cause,
    },
    /// Athena ended the query.
    #[error("query {id} {state}: {reason}")]
    Ended {
        /// The query execution's id.
        id: String,
        /// FAILED or CANCELLED.
        state: String,
        /// Athena's own words.
        reason: String,
    },
    /// The time given ran out, and the query was stopped.
    #[error("query {id} stopped: no time left")]
    OutOfTime {
        /// The query execution's id.
        id: String,
    },
    /// The answer has another shape than the query.
    #[error("query {id} answered what cannot be read")]
    Unreadable {
        /// The query execution's id.
        id: String,
        /// What is wrong with it.
        #[source]
        cause: Cause,
    },
}

impl RequestLogs {
    /// Over a table of a database, both plain SQL identifiers, in a workgroup.
    #[must_use]
    pub const fn new(client: Client, database: String, workgroup: String, table: String) -> Self {
        Self { client, database, workgroup, table }
    }

    /// Asks for every minute of a range, of the rows that arrived in the hour `last_arrival` or earlier; the query is stopped at the
    /// deadline.
    ///
    /// # Errors
    /// When there is no whole answer by then.
    pub async fn summaries(&self, range: &Range<Minute>, last_arrival: Hour, deadline: Instant) -> Result<Answer, QueryError> {
        let start = timeout_at(deadline, self.start(query::text(&self.table, range, last_arrival))).await;
        let id = start.unwrap_or_else(|_| Err(call("StartQueryExecution", DeadlinePassed)))?;
        if let Ok(answer) = timeout_at(deadline, self.answer(&id)).await {
            return answer;
        }
        // What cannot be stopped ends by the workgroup's own limit.
        let stop = timeout(TO_STOP, self.client.stop_query_execution().query_execution_id(&id).send()).await;
        if !matches!(stop, Ok(Ok(_))) {
            tracing::warn!(query = id, "query not stopped");
        }
        Err(QueryError::OutOfTime { id })
    }

    /// The SDK makes the `ClientRequestToken` and keeps it over its own retries: a lost answer starts no second query.
    async fn start(&self, text: String) -> Result<String, QueryError> {
        let context = QueryExecutionContext::builder().database(&self.database).build();
        let start = self.client.start_query_execution().query_string(text).query_execution_context(context).work_group(&self.workgroup);
        let started = start.send().await.map_err(|error| call("StartQueryExecution", error))?;
        started.query_execution_id.ok_or_else(|| call("StartQueryExecution", "no query execution id"))
    }

    async fn answer(&self, id: &str) -> Result<Answer, QueryError> {
        let scanned_bytes = self.succeeded(id).await?;
        let mut answer = Answer { scanned_bytes, ..Answer::default() };
        let mut pages = self.client.get_query_results().query_execution_id(id).into_paginator().send();
        let mut reader = None;
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| call("GetQueryResults", error))?;
            let rows = page.result_set.and_then(|ResultSet { rows, .. }| rows).unwrap_or_default();
            // The first row of the first page is the header.
            let (reader, rows) = match (&mut reader, rows.as_slice()) {
                (Some(reader), rows) => (reader, rows),
                (none, [header, rows @ ..]) => (none.insert(rows::Reader::of_header(header)), rows),
                (None, []) => continue,
            };
            reader.read_into(rows, &mut answer).map_err(|error| QueryError::Unreadable { id: id.to_owned(), cause: error.into() })?;
        }
        // Without one this is no result, and taking it as empty would be a hole in the window.
        match reader {
            Some(_) => Ok(answer),
            None => Err(QueryError::Unreadable { id: id.to_owned(), cause: rows::RowError::NoHeader.into() }),
        }
    }

    /// Waits until the query has succeeded; the bytes it scanned.
    async fn succeeded(&self, id: &str) -> Result<u64, QueryError> {
        let mut pause = FIRST_PAUSE;
        loop {
            sleep(pause).await;
            pause = (pause * 3 / 2).min(LONGEST_PAUSE);
            let answer = self.client.get_query_execution().query_execution_id(id).send().await;
            let execution = answer.map_err(|error| call("GetQueryExecution", error))?.query_execution;
            if let Some(scanned) = outcome(id, execution)? {
                return Ok(scanned);
            }
        }
    }
}

/// The bytes scanned once the query has succeeded, `None` while it goes on.
fn outcome(id: &str, execution: Option<QueryExecution>) -> Result<Option<u64>, QueryError> {
    let Some(execution) = execution else { return Ok(None) };
    let status = execution.status.unwrap_or_else(|| aws_sdk_athena::types::QueryExecutionStatus::builder().build());
    match status.state {
        Some(QueryExecutionState::Succeeded) => {
            let scanned = execution.statistics.and_then(|statistics| statistics.data_scanned_in_bytes).unwrap_or_default();
            Ok(Some(u64::try_from(scanned).unwrap_or_default()))
        }
        Some(state @ (QueryExecutionState::Failed | QueryExecutionState::Cancelled)) => Err(QueryError::Ended {
            id: id.to_owned(),
            state: state.as_str().to_owned(),
            reason: status.state_change_reason.unwrap_or_default(),
        }),
        _ => Ok(None),
    }
}

fn call(call: &'static str, cause: impl Into<Cause>) -> QueryError {
    QueryError::Call { call, cause: cause.into() }
}
