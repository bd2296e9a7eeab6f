//! An Athena endpoint over a folder of Parquet request logs, for a machine without AWS.
//!
//! It speaks AWS JSON 1.1, so that an unmodified Athena client can run its queries here: they run in
//! the background and are polled, stopped and paged through as on AWS. The engine is `DataFusion`,
//! set up to read Trino's SQL the way Athena does.

mod engine;
mod executions;
mod failure;
mod protocol;
mod table;
mod text;

use std::io;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use engine::Engine;
use executions::{Executions, Submission};
use protocol::{Command, Fault, Start};

/// An Athena with one database and one table in it.
#[derive(Debug)]
pub struct Athena {
    engine: Arc<Engine>,
    executions: Executions,
}

/// Why an [`Athena`] could not be made.
#[derive(Debug, thiserror::Error)]
pub enum AthenaError {
    /// The folder's name cannot be made absolute, or is no valid path.
    #[error("{folder} cannot be used as the folder of request logs: {reason}")]
    Folder {
        /// As it was given.
        folder: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The query engine refused its settings.
    #[error("the query engine cannot be set up: {0}")]
    Engine(String),
}

impl Athena {
    /// Serves `database`.`table` from `folder`, whose layout is `hour=2026-11-24-20/*.parquet`.
    ///
    /// The folder may be missing or empty: the table then has no rows. It is listed anew by every query.
    ///
    /// # Errors
    ///
    /// When `folder` is no usable path, or the engine cannot be set up.
    pub fn new(folder: &Path, database: &str, table: &str) -> Result<Self, AthenaError> {
        Ok(Self { engine: Arc::new(Engine::new(folder, database, table)?), executions: Executions::default() })
    }

    /// Answers on `listener` until the future is dropped; then running queries are ended, and
    /// connections closed as soon as they are idle.
    ///
    /// # Errors
    ///
    /// When the listener cannot be served.
    pub async fn serve(self, listener: TcpListener) -> io::Result<()> {
        let athena = Arc::new(self);
        let _queries = EndQueriesOnDrop(Arc::clone(&athena));
        // axum runs each connection as a task of its own, which outlives this future but heeds the
        // shutdown signal: dropping the sender with this future is that signal.
        let (_serving, dropped) = oneshot::channel::<()>();
        let router = Router::new().route("/", post(answer)).with_state(athena);
        axum::serve(listener, router)
            .with_graceful_shutdown(async {
                let _ = dropped.await;
            })
            .await
    }

    fn apply(&self, command: Command) -> Result<Value, Fault> {
        match command {
            Command::Start(start) => self.start(start),
            Command::Get { id } => Ok(self.executions.read(&id, protocol::query_execution)?),
            Command::Results { id, page } => self.executions.read(&id, |execution| protocol::results(execution, &page))?,
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

struct EndQueriesOnDrop(Arc<Athena>);

impl Drop for EndQueriesOnDrop {
    fn drop(&mut self) {
        self.0.executions.stop_all();
    }
}

async fn answer(State(athena): State<Arc<Athena>>, headers: HeaderMap, body: Bytes) -> Response {
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
    let (status, reply) = match Command::parse(target, &body).and_then(|command| athena.apply(command)) {
        Ok(reply) => (StatusCode::OK, reply),
        Err(fault) => (StatusCode::BAD_REQUEST, fault.body()),
    };
    let content_type = [(header::CONTENT_TYPE, protocol::CONTENT_TYPE)];
    (status, content_type, reply.to_string()).into_response()
}
