//! The request logs as a table, read from Hive-style folders of Parquet files.
//!
//! The engine's own listing table would list every hour to answer for two, and keeps listings and
//! statistics between queries. This one lists the folder anew, hour folders first, and only those
//! whose hour the query lets through, so a file is seen by the first query after it appeared.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::{Array, AsArray, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::config::TableParquetOptions;
use datafusion::common::{DFSchema, project_schema};
use datafusion::datasource::TableType;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::Result;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::object_store::path::Path as StorePath;
use datafusion::object_store::{ObjectMeta, ObjectStore};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::scalar::ScalarValue;

use crate::EngineError;

/// The partition column.
const HOUR: &str = "hour";

/// The table of request logs, in one folder of `hour=…` folders.
#[derive(Debug)]
pub struct RequestLogs {
    folder: StorePath,
    schema: TableSchema,
}

impl RequestLogs {
    /// Reads from `folder`, which need not exist (yet).
    pub fn new(folder: &Path) -> Result<Self, EngineError> {
        let unusable = |reason: String| EngineError::Folder { folder: folder.display().to_string(), reason };
        let absolute = std::path::absolute(folder).map_err(|error| unusable(error.to_string()))?;
        let folder = StorePath::from_absolute_path(absolute).map_err(|error| unusable(error.to_string()))?;
        Ok(Self {
            folder,
            schema: TableSchema::builder(file_schema())
                .with_table_partition_cols(vec![Field::new(HOUR, DataType::Utf8, true)])
                .build(),
        })
    }

    /// The hours there are folders for, each with its folder.
    async fn hours(&self, store: &dyn ObjectStore) -> Result<Vec<(String, StorePath)>> {
        let listing = store.list_with_delimiter(Some(&self.folder)).await?;
        let hour_of = |folder: StorePath| {
            let hour = folder.filename()?.strip_prefix(HOUR)?.strip_prefix('=')?;
            Some((hour.to_owned(), folder))
        };
        Ok(listing.common_prefixes.into_iter().filter_map(hour_of).collect())
    }

    /// The files of the hours that pass every one of `filters`.
    async fn files(&self, state: &dyn Session, filters: &[Expr]) -> Result<Vec<PartitionedFile>> {
        let store = state.runtime_env().object_store(ObjectStoreUrl::local_filesystem())?;
        let hours = self.hours(store.as_ref()).await?;
        let mut files = Vec::new();
        for (hour, folder) in passing(state, hours, filters)? {
            let listing = store.list_with_delimiter(Some(&folder)).await?;
            files.extend(
                listing.objects.into_iter().filter(is_log).map(|file| {
                    PartitionedFile::from(file).with_partition_values(vec![ScalarValue::from(hour.as_str())])
                }),
            );
        }
        Ok(files)
    }
}

#[async_trait]
impl TableProvider for RequestLogs {
    fn schema(&self) -> SchemaRef {
        Arc::clone(self.schema.table_schema())
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
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let about_hours: Vec<Expr> = filters.iter().filter(|f| is_about_hours(f)).cloned().collect();
        let files = self.files(state, &about_hours).await?;
        if files.is_empty() {
            let schema = project_schema(self.schema.table_schema(), projection)?;
            return Ok(Arc::new(EmptyExec::new(schema)));
        }
        let mut options = TableParquetOptions {
            global: state.config_options().execution.parquet.clone(),
            ..TableParquetOptions::default()
        };
        // INT96 holds nanoseconds, whose range ends in 2262; read at the table's own unit, no date overflows.
        options.global.coerce_int96 = Some("ms".to_owned());
        let source = ParquetSource::new(self.schema.clone()).with_table_parquet_options(options);
        let scan = FileScanConfigBuilder::new(ObjectStoreUrl::local_filesystem(), Arc::new(source))
            .with_file_groups(FileGroup::new(files).split_files(state.config().target_partitions()))
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(scan))
    }
}

fn file_schema() -> SchemaRef {
    let columns = [
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
    ];
    let fields: Vec<Field> = columns.into_iter().map(|(name, data_type)| Field::new(name, data_type, true)).collect();
    Arc::new(Schema::new(fields))
}

/// Hive leaves out names that begin with a dot or an underscore, so that a writer can finish a file
/// under such a name and then rename it; Athena leaves out what has no bytes.
fn is_log(file: &ObjectMeta) -> bool {
    file.size > 0
        && file.location.filename().is_some_and(|name| name.ends_with(".parquet") && !name.starts_with(['.', '_']))
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

fn passing(state: &dyn Session, hours: Vec<(String, StorePath)>, filters: &[Expr]) -> Result<Vec<(String, StorePath)>> {
    let Some(filter) = conjunction(filters.iter().cloned()) else {
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
