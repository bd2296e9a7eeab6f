//! Metrics as lines in CloudWatch's embedded metric format, which CloudWatch reads off the log
//! (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>).

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::telemetry::metrics::{Metric, MetricBy};

/// The tracing target whose messages are whole lines of this format.
pub const TARGET: &str = "metrics";

const NAMESPACE: &str = "WaferMetrics";

/// One line: metrics of a function at a time.
#[derive(Clone, Debug)]
pub struct EmfLine {
    at: Timestamp,
    directives: Vec<Value>,
    members: Map<String, Value>,
}

impl EmfLine {
    /// No metrics yet, of the function that Lambda knows by that name.
    #[must_use]
    pub fn new(function: &str, at: Timestamp) -> Self {
        let members = Map::from_iter([("Function".to_owned(), function.into())]);
        Self { at, directives: Vec::new(), members }
    }

    /// Adds metrics under the dimension `Function`; one without a value is left out.
    #[must_use]
    pub fn with(self, metrics: &[(Metric, Option<u64>)]) -> Self {
        self.under(&["Function"], metrics)
    }

    /// Adds a metric under the dimensions `Function` and its own, which has this value.
    #[must_use]
    pub fn with_by(mut self, by: MetricBy, dimension: &str, value: u64) -> Self {
        self.members.insert(by.dimension.to_owned(), dimension.into());
        self.under(&["Function", by.dimension], &[(by.metric, Some(value))])
    }

    fn under(mut self, dimensions: &[&str], metrics: &[(Metric, Option<u64>)]) -> Self {
        let mut definitions = Vec::new();
        for (Metric { name, unit }, value) in metrics {
            if let Some(value) = value {
                definitions.push(json!({"Name": name, "Unit": format!("{unit:?}")}));
                self.members.insert((*name).to_owned(), (*value).into());
            }
        }
        self.directives.push(json!({"Namespace": NAMESPACE, "Dimensions": [dimensions], "Metrics": definitions}));
        self
    }

    pub fn emit(mut self) {
        let about = json!({"Timestamp": self.at.as_millisecond(), "CloudWatchMetrics": self.directives});
        self.members.insert("_aws".to_owned(), about);
        let line = Value::Object(self.members).to_string();
        tracing::info!(target: TARGET, "{line}");
    }
}
