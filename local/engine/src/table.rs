//! The request logs as a table, read from Hive-style folders of Parquet files.
//!
//! The engine's own listing table would list every hour to answer for two, keeps listings and statistics between
//! queries, and takes more than Athena does. This one lists the folder anew, hour folders first, and only those whose
//! hour the query lets through, so a file is seen by the first query after it appeared.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::{Array, AsArray, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DFSchema, project_schema};
use datafusion::datasource::TableType;
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::Result;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_optimizer::pruning::{PruningPredicate, PruningPredicateBuilder};
use datafusion::physical_plan::ExecutionPlan;

use crate::EngineError;
use crate::file::LogFile;
use crate::folder::{entries, logs_below};
use crate::scan::Scan;

/// The partition column.
pub const HOUR: &str = "hour";

/// The table of request logs, in one folder of `hour=…` folders.
#[derive(Debug)]
pub struct RequestLogs {
    folder: PathBuf,
    schema: SchemaRef,
}

impl RequestLogs {
    /// Reads from `folder`, which need not exist (yet).
    pub fn new(folder: &Path) -> Result<Self, EngineError> {
        let unusable =
            |error: io::Error| EngineError::Folder { folder: folder.display().to_string(), reason: error.to_string() };
        Ok(Self { folder: std::path::absolute(folder).map_err(unusable)?, schema: schema() })
    }

    /// The hours there are folders for, each with its folder.
    fn hours(&self) -> io::Result<Vec<(String, PathBuf)>> {
        let folders = entries(&self.folder)?.into_iter().filter(|entry| entry.path().is_dir());
        let hour_of = |entry: fs::DirEntry| {
            let hour = entry.file_name().to_str()?.strip_prefix(HOUR)?.strip_prefix('=')?.to_owned();
            Some((hour, entry.path()))
        };
        Ok(folders.filter_map(hour_of).collect())
    }

    /// The files of the hours that pass every one of `about_hours`, without the rows of which their files say that they
    /// do not pass `others`.
    fn files(
        &self,
        state: &dyn Session,
        schema: &SchemaRef,
        about_hours: Vec<Expr>,
        others: Vec<Expr>,
    ) -> Result<Vec<LogFile>> {
        let predicate = self.pruning(state, others)?;
        let mut files = Vec::new();
        for (hour, folder) in passing(state, self.hours()?, about_hours)? {
            for path in logs_below(&folder)? {
                let file = LogFile::open(&path, &hour, schema)?;
                for doubt in file.doubts() {
                    tracing::warn!(file = %path.display(), "{doubt}");
                }
                files.push(match &predicate {
                    Some(predicate) => file.pruned(predicate)?,
                    None => file,
                });
            }
        }
        Ok(files)
    }

    fn pruning(&self, state: &dyn Session, filters: Vec<Expr>) -> Result<Option<PruningPredicate>> {
        let Some(filter) = conjunction(filters) else { return Ok(None) };
        let filter = state.create_physical_expr(filter, &DFSchema::try_from(Arc::clone(&self.schema))?)?;
        let predicate = PruningPredicateBuilder::new().with_file_schema(Arc::clone(&self.schema)).try_build(filter)?;
        Ok(Some(predicate).filter(|predicate| !predicate.always_true()))
    }
}

#[async_trait]
impl TableProvider for RequestLogs {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(filters
            .iter()
            .map(|filter| {
                if is_about_hours(filter) {
                    TableProviderFilterPushDown::Exact
                } else {
                    // Only prunes row groups; the engine still filters the rows.
                    TableProviderFilterPushDown::Inexact
                }
            })
            .collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = project_schema(&self.schema, projection)?;
        let (about_hours, others) = filters.iter().cloned().partition(is_about_hours);
        let files = self.files(state, &schema, about_hours, others)?;
        Ok(DataSourceExec::from_data_source(Scan::new(files, schema, state.config().target_partitions())))
    }
}

/// The columns of a log file. Table, writers and tests are made from this; the template and the contract list the same.
pub fn log_columns() -> [(&'static str, DataType); 12] {
    [
        ("request_id", DataType::Utf8),
        ("endpoint", DataType::Utf8),
        ("model", DataType::Utf8),
        ("status_code", DataType::Int32),
        ("is_streaming", DataType::Boolean),
        ("ended_at", DataType::Timestamp(TimeUnit::Millisecond, None)),
        ("ttft_ms", DataType::Float64),
        ("total_latency_ms", DataType::Float64),
        ("input_tokens", DataType::Int64),
        ("output_tokens", DataType::Int64),
        ("cache_read_tokens", DataType::Int64),
        ("error_code", DataType::Utf8),
    ]
}

/// The table's columns, the partition's last.
fn schema() -> SchemaRef {
    let columns = log_columns().into_iter().chain([(HOUR, DataType::Utf8)]);
    let fields: Vec<Field> = columns.map(|(name, data_type)| Field::new(name, data_type, true)).collect();
    Arc::new(Schema::new(fields))
}

/// Whether the folders' names alone decide `filter`.
fn is_about_hours(filter: &Expr) -> bool {
    let columns = filter.column_refs();
    !columns.is_empty()
        && columns.iter().all(|column| column.name == HOUR)
        && !filter.is_volatile()
        && !holds_subquery(filter)
}

fn holds_subquery(filter: &Expr) -> bool {
    use datafusion::common::tree_node::TreeNode;
    filter
        .exists(|part| {
            Ok(matches!(
                part,
                Expr::ScalarSubquery(_)
                    | Expr::Exists(_)
                    | Expr::InSubquery(_)
                    | Expr::SetComparison(_)
                    | Expr::OuterReferenceColumn(..)
            ))
        })
        .unwrap_or(true)
}

fn passing(state: &dyn Session, hours: Vec<(String, PathBuf)>, filters: Vec<Expr>) -> Result<Vec<(String, PathBuf)>> {
    let Some(filter) = conjunction(filters) else {
        return Ok(hours);
    };
    let schema = Arc::new(Schema::new(vec![Field::new(HOUR, DataType::Utf8, true)]));
    let names = StringArray::from_iter_values(hours.iter().map(|(hour, _)| hour));
    let batch = RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(names)])?;
    let passes =
        state.create_physical_expr(filter, &DFSchema::try_from(schema)?)?.evaluate(&batch)?.into_array(hours.len())?;
    let passes = passes.as_boolean();
    Ok(hours
        .into_iter()
        .enumerate()
        .filter(|(index, _)| passes.is_valid(*index) && passes.value(*index))
        .map(|(_, hour)| hour)
        .collect())
}
