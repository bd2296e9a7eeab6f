//! Windows over many small partitions, such as the copies of each row.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::Result;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec};
use datafusion::physical_plan::{ExecutionPlan, InputOrderMode};

/// Computes windows over all rows at once. As the rows come, which is what the engine chooses where it can, a partition
/// costs many times what its few rows cost.
#[derive(Debug)]
pub struct AllRowsAtOnce;

impl PhysicalOptimizerRule for AllRowsAtOnce {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|plan| {
            let Some(window) = plan.downcast_ref::<BoundedWindowAggExec>() else { return Ok(Transformed::no(plan)) };
            if window.input_order_mode != InputOrderMode::Sorted {
                return Ok(Transformed::no(plan));
            }
            let (expressions, input) = (window.window_expr().to_vec(), Arc::clone(window.input()));
            let at_once = WindowAggExec::try_new(expressions, input, !window.partition_keys().is_empty())?;
            Ok(Transformed::yes(Arc::new(at_once)))
        })
        .data()
    }

    fn name(&self) -> &'static str {
        "AllRowsAtOnce"
    }

    fn schema_check(&self) -> bool {
        true
    }
}
