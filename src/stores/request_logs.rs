//! The request logs, asked through Athena: one query per range of minutes, for all endpoints together.

pub mod query;
mod rows;

use std::marker::PhantomData;
use std::time::Duration;

use aws_sdk_athena::Client;
use aws_sdk_athena::types::{QueryExecution, QueryExecutionContext, QueryExecutionState, QueryExecutionStatus};
use jiff::Timestamp;
use thiserror::Error;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::error::Cause;
use crate::model::host::Host;
use crate::model::summary::Summary;
use crate::model::window::Minute;
use rows::{Columns, FromRow, RowError, Values};

/// How long a query that must end is given to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// Pauses between looks at a query: the first, and the longest.
#[derive(Clone, Copy, Debug)]
pub struct Polling {
    pub first: Duration,
    pub longest: Duration,
}

impl Default for Polling {
    /// A trivial query takes 1 to 2 s on Athena.
    fn default() -> Self {
        Self { first: Duration::from_millis(50), longest: Duration::from_secs(1) }
    }
}

#[derive(Clone, Debug)]
pub struct RequestLogs {
    client: Client,
    database: String,
    workgroup: String,
    polling: Polling,
}

/// The answer of a query that succeeded, read page by page.
#[derive(Debug)]
pub struct Answer<'a, R> {
    client: &'a Client,
    id: String,
    next: Next,
    /// By Athena's clock.
    pub submitted_at: Timestamp,
    /// What the query is billed for.
    pub scanned_bytes: u64,
    rows: PhantomData<R>,
}

#[derive(Debug)]
enum Next {
    First,
    Page(Columns, String),
    End,
}

/// A row of [`query::minutes`].
#[derive(Debug)]
pub enum MinuteRow {
    Summary(Box<MinuteSummary>),
    /// So many rows had no `ended_at`, no endpoint that is a host name, or an endpoint beyond the busiest.
    Skipped(u64),
}

/// What ended in one endpoint's minute.
#[derive(Debug)]
pub struct MinuteSummary {
    pub endpoint: Host,
    pub minute: Minute,
    pub summary: Summary,
}

/// A row of [`query::hour`]: how many requests of an endpoint ended in an hour, and in the same hour a day before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HourCount {
    pub endpoint: Host,
    pub requests: u64,
    pub day_before: u64,
}

#[derive(Debug, Error)]
pub enum QueryError {
    #[error("{call} failed")]
    Call {
        call: &'static str,
        #[source]
        cause: Cause,
    },
    /// Athena ended the query: FAILED or CANCELLED, in Athena's own words.
    #[error("query {id} {state}: {reason}")]
    Ended { id: String, state: String, reason: String },
    /// The time given ran out, and the query was stopped.
    #[error("query {id} stopped: no time left")]
    OutOfTime { id: String },
    /// The time given ran out before Athena said that it has the query. If it has, the query runs to its end unread.
    #[error("query not started: no time left")]
    NotStarted,
    #[error("the answer of query {id} cannot be read")]
    Unreadable {
        id: String,
        #[source]
        cause: Cause,
    },
}

impl RequestLogs {
    #[must_use]
    pub const fn new(client: Client, database: String, workgroup: String, polling: Polling) -> Self {
        Self { client, database, workgroup, polling }
    }

    /// Runs a query of [`query::minutes`].
    ///
    /// # Errors
    /// When it has not succeeded by the deadline; if it was started, it is stopped then.
    pub async fn minutes(&self, text: String, deadline: Instant) -> Result<Answer<'_, MinuteRow>, QueryError> {
        self.run(text, deadline).await
    }

    /// Runs a query of [`query::hour`].
    pub async fn hour(&self, text: String, deadline: Instant) -> Result<Answer<'_, Option<HourCount>>, QueryError> {
        self.run(text, deadline).await
    }

    /// Runs a query of [`query::count`].
    pub async fn count(&self, text: String, deadline: Instant) -> Result<u64, QueryError> {
        let mut answer = self.run::<u64>(text, deadline).await?;
        let mut count = 0;
        while let Some(page) = answer.page(deadline).await? {
            count += page.into_iter().sum::<u64>();
        }
        Ok(count)
    }

    async fn run<R>(&self, text: String, deadline: Instant) -> Result<Answer<'_, R>, QueryError> {
        let id = timeout_at(deadline, self.start(text)).await.map_err(|_| QueryError::NotStarted)??;
        if let Ok(succeeded) = timeout_at(deadline, self.succeeded(&id)).await {
            let Succeeded { submitted_at, scanned_bytes } = succeeded?;
            let client = &self.client;
            return Ok(Answer { client, id, next: Next::First, submitted_at, scanned_bytes, rows: PhantomData });
        }
        // A query that cannot be stopped ends by the workgroup's own limit.
        let stop = timeout(STOP_TIMEOUT, self.client.stop_query_execution().query_execution_id(&id).send()).await;
        if !matches!(stop, Ok(Ok(_))) {
            tracing::warn!(query = id, "query not stopped");
        }
        Err(QueryError::OutOfTime { id })
    }

    /// The SDK makes the `ClientRequestToken` and keeps it over its own retries: a lost answer starts no second query.
    async fn start(&self, text: String) -> Result<String, QueryError> {
        let context = QueryExecutionContext::builder().database(&self.database).build();
        let start = self.client.start_query_execution().query_string(text).query_execution_context(context);
        let started = start.work_group(&self.workgroup).send().await;
        let started = started.map_err(|error| call("StartQueryExecution", error))?;
        started.query_execution_id.ok_or_else(|| call("StartQueryExecution", "no query execution id"))
    }

    async fn succeeded(&self, id: &str) -> Result<Succeeded, QueryError> {
        let mut pause = self.polling.first;
        loop {
            sleep(pause).await;
            pause = (pause * 3 / 2).min(self.polling.longest);
            let answer = self.client.get_query_execution().query_execution_id(id).send().await;
            let execution = answer.map_err(|error| call("GetQueryExecution", error))?.query_execution;
            if let Some(succeeded) = outcome(id, execution)? {
                return Ok(succeeded);
            }
        }
    }
}

impl<R: FromRow> Answer<'_, R> {
    /// The rows of the next page; `None` after the last.
    ///
    /// # Errors
    /// When the page does not come by the deadline or cannot be read.
    pub async fn page(&mut self, deadline: Instant) -> Result<Option<Vec<R>>, QueryError> {
        let (columns, token) = match std::mem::replace(&mut self.next, Next::End) {
            Next::First => (None, None),
            Next::Page(columns, token) => (Some(columns), Some(token)),
            Next::End => return Ok(None),
        };
        let get = self.client.get_query_results().query_execution_id(&self.id).set_next_token(token);
        let page = timeout_at(deadline, get.send()).await.map_err(|_| QueryError::OutOfTime { id: self.id.clone() })?;
        let page = page.map_err(|error| call("GetQueryResults", error))?;
        let rows = page.result_set.and_then(|set| set.rows).unwrap_or_default();
        // The first row of the first page is the header. Without one this is not a result, and taking it as empty would
        // be a hole in the window.
        let (columns, rows) = match (columns, rows.as_slice()) {
            (Some(columns), rows) => (columns, rows),
            (None, [header, rows @ ..]) => (Columns::from_header(header), rows),
            (None, []) => return Err(self.unreadable(RowError::NoHeader)),
        };
        let read = rows.iter().map(|row| R::from_row(&Values::new(&columns, row))).collect::<Result<_, _>>();
        let read = read.map_err(|error| self.unreadable(error))?;
        if let Some(token) = page.next_token {
            self.next = Next::Page(columns, token);
        }
        Ok(Some(read))
    }

    fn unreadable(&self, error: RowError) -> QueryError {
        QueryError::Unreadable { id: self.id.clone(), cause: error.into() }
    }
}

struct Succeeded {
    submitted_at: Timestamp,
    scanned_bytes: u64,
}

/// `None` while the query goes on.
fn outcome(id: &str, execution: Option<QueryExecution>) -> Result<Option<Succeeded>, QueryError> {
    let Some(execution) = execution else { return Ok(None) };
    let status = execution.status.unwrap_or_else(|| QueryExecutionStatus::builder().build());
    match status.state {
        Some(QueryExecutionState::Succeeded) => {
            let scanned =
                execution.statistics.and_then(|statistics| statistics.data_scanned_in_bytes).unwrap_or_default();
            let submitted = status.submission_date_time.and_then(|time| time.to_millis().ok());
            let submitted_at = submitted.and_then(|time| Timestamp::from_millisecond(time).ok());
            let submitted_at = submitted_at.ok_or_else(|| call("GetQueryExecution", "no submission time"))?;
            Ok(Some(Succeeded { submitted_at, scanned_bytes: u64::try_from(scanned).unwrap_or_default() }))
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
