//! Reading files, a few at once.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::Statistics;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::source::DataSource;
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricBuilder};
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::physical_plan::{DisplayFormatType, Partitioning};

use crate::file::LogFile;

pub const BYTES_SCANNED: &str = "bytes_scanned";

/// Batches that may wait for whoever reads them.
const BATCHES_AHEAD: usize = 2;

/// The rows of some files, in no order.
#[derive(Debug)]
pub struct Scan {
    /// The files that are read one after the other.
    partitions: Vec<Vec<LogFile>>,
    schema: SchemaRef,
    metrics: ExecutionPlanMetricsSet,
}

impl Scan {
    /// Over files that all have the columns of `schema`, at most so many at once.
    pub fn new(files: Vec<LogFile>, schema: SchemaRef, at_once: usize) -> Self {
        let mut partitions = vec![Vec::new(); at_once.min(files.len()).max(1)];
        let count = partitions.len();
        for (number, file) in files.into_iter().enumerate() {
            partitions[number % count].push(file);
        }
        Self { partitions, schema, metrics: ExecutionPlanMetricsSet::new() }
    }
}

impl DataSource for Scan {
    fn open(&self, partition: usize, _context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let files = self.partitions[partition].clone();
        let scanned = MetricBuilder::new(&self.metrics).counter(BYTES_SCANNED, partition);
        let mut rows = RecordBatchReceiverStreamBuilder::new(Arc::clone(&self.schema), BATCHES_AHEAD);
        let output = rows.tx();
        rows.spawn_blocking(move || {
            for file in files {
                scanned.add(file.bytes());
                for batch in file.read()? {
                    if output.blocking_send(batch).is_err() {
                        return Ok(());
                    }
                }
            }
            Ok(())
        });
        Ok(rows.build())
    }

    fn fmt_as(&self, _kind: DisplayFormatType, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(formatter, "files={}", self.partitions.iter().map(Vec::len).sum::<usize>())
    }

    fn output_partitioning(&self) -> Partitioning {
        Partitioning::UnknownPartitioning(self.partitions.len())
    }

    fn eq_properties(&self) -> EquivalenceProperties {
        EquivalenceProperties::new(Arc::clone(&self.schema))
    }

    fn partition_statistics(&self, _partition: Option<usize>) -> Result<Arc<Statistics>> {
        Ok(Arc::new(Statistics::new_unknown(&self.schema)))
    }

    fn with_fetch(&self, _limit: Option<usize>) -> Option<Arc<dyn DataSource>> {
        None
    }

    fn fetch(&self) -> Option<usize> {
        None
    }

    fn metrics(&self) -> ExecutionPlanMetricsSet {
        self.metrics.clone()
    }

    fn try_swapping_with_projection(&self, _projection: &ProjectionExprs) -> Result<Option<Arc<dyn DataSource>>> {
        Ok(None)
    }

    fn apply_expressions(
        &self,
        _visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }
}
