//! What an answer says: a snapshot, the series that are read off it, and the formats they are written in.

pub mod families;
pub mod text;

use crate::model::engine::EngineGauges;
use crate::model::host::Host;
use crate::model::summary::Summary;
use crate::model::window::Minute;

/// Everything one scrape says.
#[derive(Debug)]
pub struct Snapshot {
    /// In the order asked.
    pub endpoints: Vec<EndpointSnapshot>,
    /// Where the 24 h window ends.
    pub window_end: Minute,
    /// Calls the key has left before a slot must free.
    pub budget_remaining: u64,
}

/// What is known of one endpoint.
#[derive(Debug)]
pub struct EndpointSnapshot {
    /// The value of the `endpoint` label.
    pub endpoint: Host,
    /// Over the 24 h window.
    pub window: Summary,
    /// Requests that ended in the window's last 2 minutes.
    pub concurrent_requests: u64,
    /// `None` where heartbeats could not be read.
    pub engine: Option<EngineGauges>,
}

/// The formats a scrape is answered in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextFormat {
    /// Prometheus text 0.0.4.
    Prometheus,
    /// OpenMetrics 1.0.0.
    OpenMetrics,
}

impl TextFormat {
    /// The exact `Content-Type`.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}
