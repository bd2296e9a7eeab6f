//! An Athena endpoint on loopback, over any [`Engine`].
//!
//! It speaks AWS JSON 1.1, so that an unmodified Athena client can run its queries here: they run in
//! the background and are polled, stopped and paged through as on AWS.

mod answer;
mod executions;
mod failure;
mod protocol;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

pub use answer::{Answer, ResultColumn, ResultSet};
pub use failure::{Failure, FailureKind};

use executions::{Executions, Submission};
use protocol::{Command, Fault, Start};

/// The time that executions report.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

pub trait Engine: Send + Sync + 'static {
    /// Runs `query`, whose unqualified tables are looked up in `database`.
    ///
    /// # Errors
    /// As Athena would word them.
    fn run(&self, query: &str, database: Option<&str>) -> impl Future<Output = Result<Answer, Failure>> + Send;
}

/// Queries that are finished are forgotten beyond this number, unless told otherwise.
const FINISHED_KEPT: usize = 1_000;

/// The endpoint, before it serves.
pub struct Athena<E> {
    engine: Arc<E>,
    executions: Executions,
    clock: Clock,
    page_delay: Duration,
}

impl<E: Engine> Athena<E> {
    /// Over an engine, at the times of `clock`.
    #[must_use]
    pub fn new(engine: E, clock: Clock) -> Self {
        let executions = Executions::new(Arc::clone(&clock), FINISHED_KEPT);
        Self { engine: Arc::new(engine), executions, clock, page_delay: Duration::ZERO }
    }

    /// Keeps no more than so many finished queries, for results that are large.
    #[must_use]
    pub fn keeping(mut self, finished: usize) -> Self {
        self.executions = Executions::new(Arc::clone(&self.clock), finished);
        self
    }

    /// Answers each page of results after so long.
    #[must_use]
    pub fn with_page_delay(mut self, delay: Duration) -> Self {
        self.page_delay = delay;
        self
    }

    /// Answers on `listener` until the future is dropped; then running queries are ended, and
    /// connections closed as soon as they are idle.
    pub async fn serve(self, listener: TcpListener) -> io::Result<()> {
        let athena = Arc::new(self);
        let _queries = EndQueriesOnDrop(Arc::clone(&athena));
        // axum runs each connection as a task of its own, which outlives this future but heeds the
        // shutdown signal: dropping the sender with this future is that signal.
        let (_serving, dropped) = oneshot::channel::<()>();
        let router = Router::new().route("/", post(reply::<E>)).with_state(athena);
        axum::serve(listener, router)
            .with_graceful_shutdown(async {
                let _ = dropped.await;
            })
            .await
    }

    async fn apply(&self, command: Command) -> Result<Value, Fault> {
        match command {
            Command::Start(start) => self.start(start),
            Command::Get { id } => {
                Ok(self.executions.read(&id, |execution| protocol::query_execution(execution, (self.clock)()))?)
            }
            Command::Results { id, page } => {
                tokio::time::sleep(self.page_delay).await;
                self.executions.read(&id, |execution| protocol::results(execution, &page))?
            }
            Command::Stop { id } => {
                self.executions.stop(&id)?;
                Ok(json!({}))
            }
        }
    }

    fn start(&self, start: Start) -> Result<Value, Fault> {
        let engine = Arc::clone(&self.engine);
        let (query, database) = (start.query.clone(), start.database.clone());
        let id = self.executions.start(
            Submission { query: start.query, token: start.token, database: start.database, workgroup: start.workgroup },
            async move { engine.run(&query, database.as_deref()).await },
        )?;
        Ok(json!({ "QueryExecutionId": id }))
    }
}

struct EndQueriesOnDrop<E>(Arc<Athena<E>>);

impl<E> Drop for EndQueriesOnDrop<E> {
    fn drop(&mut self) {
        self.0.executions.stop_all();
    }
}

async fn reply<E: Engine>(State(athena): State<Arc<Athena<E>>>, headers: HeaderMap, body: Bytes) -> Response {
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
    let done = match Command::parse(target, &body) {
        Ok(command) => athena.apply(command).await,
        Err(fault) => Err(fault),
    };
    let (status, reply) = match done {
        Ok(reply) => (StatusCode::OK, reply),
        Err(fault) => (StatusCode::BAD_REQUEST, fault.body()),
    };
    let content_type = [(header::CONTENT_TYPE, protocol::CONTENT_TYPE)];
    (status, content_type, reply.to_string()).into_response()
}
