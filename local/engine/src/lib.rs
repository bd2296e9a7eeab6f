//! Runs Athena's queries over a folder of Parquet request logs, for a machine without AWS.
//!
//! The engine is [`DataFusion`], set up to read Trino's SQL the way Athena does.

mod columns;
mod failure;
mod file;
mod folder;
mod scan;
mod table;
mod text;
mod windows;

use std::path::Path;
use std::sync::Arc;

use athena_endpoint::{Answer, Engine, Failure, FailureKind};
use datafusion::error::DataFusionError;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::physical_plan::{ExecutionPlan, collect};
use datafusion::prelude::{SessionConfig, SessionContext};

pub use file::LogFile;
pub use folder::{Found, entries, found_below};
use table::RequestLogs;
pub use table::log_columns;
use windows::AllRowsAtOnce;

/// Athena's own name for its catalog, as queries may spell it.
const CATALOG: &str = "awsdatacatalog";

/// For the rows that sorts and groups hold; a sort beyond it goes to disk.
const MEMORY_BYTES: usize = 512 * 1024 * 1024;

/// More would only take the processor from whatever else runs on a developer's machine.
const PARTITIONS: usize = 2;

/// Runs read-only SQL in Trino's dialect over one database with one table.
pub struct DataFusion {
    context: SessionContext,
    database: String,
}

#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The folder's name cannot be made absolute, or is not a valid path.
    #[error("{folder} cannot be used as the folder of request logs: {reason}")]
    Folder {
        /// As it was given.
        folder: String,
        reason: String,
    },
    #[error("the query engine cannot be set up: {0}")]
    Settings(String),
}

impl DataFusion {
    /// Reads `database`.`table` from `folder`, whose layout is `hour=2026-11-24-20/*.parquet`.
    ///
    /// The folder may be missing or empty: the table then has no rows. It is listed anew by every query.
    ///
    /// # Errors
    /// When `folder` is not a usable path, or the engine cannot be set up.
    pub fn new(folder: &Path, database: &str, table: &str) -> Result<Self, EngineError> {
        let settings = |error: DataFusionError| EngineError::Settings(error.strip_backtrace());
        let mut config =
            SessionConfig::new().with_target_partitions(PARTITIONS).with_default_catalog_and_schema(CATALOG, database);
        // Trino puts NULLs last in either direction.
        "nulls_last".clone_into(&mut config.options_mut().sql_parser.default_null_ordering);
        let runtime = RuntimeEnvBuilder::new().with_memory_limit(MEMORY_BYTES, 1.0).build_arc().map_err(settings)?;
        let state = SessionStateBuilder::new().with_config(config).with_runtime_env(runtime).with_default_features();
        let state = state.with_physical_optimizer_rule(Arc::new(AllRowsAtOnce)).build();
        let context = SessionContext::new_with_state(state);
        context.register_table(table, Arc::new(RequestLogs::new(folder)?)).map_err(settings)?;
        Ok(Self { context, database: database.to_owned() })
    }

    async fn answer(&self, query: &str) -> Result<Answer, DataFusionError> {
        let read_only = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
        let frame = self.context.sql_with_options(query, read_only).await?;
        let task = Arc::new(frame.task_ctx());
        let plan = frame.create_physical_plan().await?;
        let batches = collect(Arc::clone(&plan), task).await?;
        let result = text::result_set(&plan.schema(), &batches)?;
        Ok(Answer { result, scanned_bytes: scanned_bytes(plan.as_ref()) })
    }
}

impl Engine for DataFusion {
    /// Statements that would change anything fail.
    async fn run(&self, query: &str, database: Option<&str>) -> Result<Answer, Failure> {
        if let Some(other) = database.filter(|name| !name.eq_ignore_ascii_case(&self.database)) {
            return Err(Failure::new(FailureKind::SchemaNotFound, format!("Schema '{other}' does not exist")));
        }
        self.answer(query).await.map_err(|error| failure::failure(&error))
    }
}

/// Why a file is refused, in Athena's words.
#[must_use]
pub fn reason(error: &DataFusionError) -> String {
    failure::failure(error).reason()
}

fn scanned_bytes(plan: &dyn ExecutionPlan) -> u64 {
    let own = plan
        .metrics()
        .and_then(|metrics| metrics.sum_by_name(scan::BYTES_SCANNED))
        .map_or(0, |bytes| u64::try_from(bytes.as_usize()).unwrap_or(u64::MAX));
    plan.children().into_iter().map(|child| scanned_bytes(child.as_ref())).fold(own, u64::saturating_add)
}
