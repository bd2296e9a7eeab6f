//! The table of rollups, as a refresh leaves it.

use aws_sdk_dynamodb::Client;
use dynamodb_endpoint::tables::ROLLUPS;
use wafer_metrics::model::watermark::{Stride, Watermark};
use wafer_metrics::model::window::{Hour, Minute};
use wafer_metrics::stores::rollups::RollupWriter;

pub fn writer(client: &Client) -> RollupWriter {
    RollupWriter::new(client.clone(), ROLLUPS.to_owned())
}

/// A watermark of minutes that are all settled.
pub const fn watermark(through: Minute, sealed: Hour) -> Watermark {
    let stride = Stride::LONGEST;
    Watermark { through, settled: through, sealed, sealing: None, stride, last_row: None, caught_up_at: None }
}
