//! The query engine: one statement in, one result out.

use std::path::Path;
use std::sync::Arc;

use datafusion::error::DataFusionError;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::physical_plan::{ExecutionPlan, collect};
use datafusion::prelude::{SessionConfig, SessionContext};

use super::AthenaError;
use super::failure::Failure;
use super::table::RequestLogs;
use super::text::ResultSet;

/// Athena's own name for its catalog, as queries may spell it.
const CATALOG: &str = "awsdatacatalog";

/// For the rows that sorts and groups hold; a sort beyond it goes to disk.
const MEMORY_BYTES: usize = 512 * 1024 * 1024;

/// More would only take the processor from whatever else runs on a developer's machine.
const PARTITIONS: usize = 2;

/// Runs read-only SQL in Trino's dialect over the one table.
pub struct Engine {
    context: SessionContext,
    database: String,
}

/// A query's result, and what it read for it.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// Columns and rows.
    pub result: ResultSet,
    /// Bytes of Parquet read.
    pub scanned_bytes: u64,
}

impl Engine {
    /// An engine over `folder`; see [`super::Athena::new`].
    pub fn new(folder: &Path, database: &str, table: &str) -> Result<Self, AthenaError> {
        let settings = |error: DataFusionError| AthenaError::Engine(error.strip_backtrace());
        let mut config = SessionConfig::new().with_target_partitions(PARTITIONS).with_default_catalog_and_schema(CATALOG, database);
        // Trino puts NULLs last in either direction.
        "nulls_last".clone_into(&mut config.options_mut().sql_parser.default_null_ordering);
        let runtime = RuntimeEnvBuilder::new().with_memory_limit(MEMORY_BYTES, 1.0).build_arc().map_err(settings)?;
        let context = SessionContext::new_with_config_rt(config, runtime);
        context.register_table(table, Arc::new(RequestLogs::new(folder)?)).map_err(settings)?;
        Ok(Self { context, database: database.to_owned() })
    }

    /// Runs `query`, whose unqualified tables are looked up in `database` (by default the only one).
    ///
    /// # Errors
    ///
    /// As Athena would word them, when the query cannot be planned or run; statements that would
    /// change anything cannot.
    pub async fn run(&self, query: &str, database: Option<&str>) -> Result<Answer, Failure> {
        if let Some(other) = database.filter(|name| !name.eq_ignore_ascii_case(&self.database)) {
            return Err(Failure::schema_not_found(other));
        }
        let read_only = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
        let frame = self.context.sql_with_options(query, read_only).await?;
        let task = Arc::new(frame.task_ctx());
        let plan = frame.create_physical_plan().await?;
        let batches = collect(Arc::clone(&plan), task).await?;
        let result = ResultSet::write(&plan.schema(), &batches).map_err(DataFusionError::from)?;
        Ok(Answer { result, scanned_bytes: scanned_bytes(plan.as_ref()) })
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Engine").field("database", &self.database).finish_non_exhaustive()
    }
}

fn scanned_bytes(plan: &dyn ExecutionPlan) -> u64 {
    let own = plan
        .metrics()
        .and_then(|metrics| metrics.sum_by_name("bytes_scanned"))
        .map_or(0, |bytes| u64::try_from(bytes.as_usize()).unwrap_or(u64::MAX));
    plan.children().into_iter().map(|child| scanned_bytes(child.as_ref())).fold(own, u64::saturating_add)
}
