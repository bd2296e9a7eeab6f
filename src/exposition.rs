//! What an answer says: a snapshot, the series that are read off it, and the formats they are written in.

pub mod families;
pub mod family;
mod histogram;
pub mod json;
mod protobuf;
pub mod targets;
mod text;

use crate::model::engine::EngineGauges;
use crate::model::host::Host;
use crate::model::summary::{Summary, Total};
use crate::model::window::Minute;

/// Which figures a call asks for, and which of them a family is among.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// Those of the 24 h window.
    Window,
    /// Counters and histograms.
    Counters,
    Both,
}

impl View {
    /// The view of that name. Both have none: they are named one after the other.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "window" => Some(Self::Window),
            "counters" => Some(Self::Counters),
            _ => None,
        }
    }

    /// What asks for it.
    pub const fn parameter(self) -> &'static str {
        match self {
            Self::Window => "window",
            Self::Counters => "counters",
            Self::Both => "window,counters",
        }
    }

    pub const fn has_window(self) -> bool {
        matches!(self, Self::Window | Self::Both)
    }

    pub const fn has_counters(self) -> bool {
        matches!(self, Self::Counters | Self::Both)
    }

    /// What either asks for.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        if self == other { self } else { Self::Both }
    }

    const fn shows(self, family: Self) -> bool {
        self.has_window() && family.has_window() || self.has_counters() && family.has_counters()
    }
}

#[derive(Debug)]
pub struct Snapshot {
    /// In the order asked.
    pub endpoints: Vec<EndpointSnapshot>,
    /// Where the figures end.
    pub window_end: Minute,
    /// From when on counters count, where the format says so.
    pub counting_since: Option<Minute>,
    /// Unix seconds at which the key expires.
    pub key_expires_at: Option<f64>,
    /// Calls the key has left before a slot must free.
    pub budget_remaining: u64,
}

#[derive(Debug)]
pub struct EndpointSnapshot {
    pub endpoint: Host,
    pub figures: EndpointFigures,
    /// Requests that ended in the window's last 2 minutes.
    pub concurrent_requests: u64,
    /// `None` where heartbeats could not be read.
    pub engine: Option<EngineGauges>,
}

#[derive(Debug)]
pub enum EndpointFigures {
    /// Over the 24 h window.
    Window(Summary),
    /// Ever counted.
    Counters(Total),
    Both(Box<(Summary, Total)>),
}

impl EndpointFigures {
    const fn view(&self) -> View {
        match self {
            Self::Window(_) => View::Window,
            Self::Counters(_) => View::Counters,
            Self::Both(_) => View::Both,
        }
    }

    const fn window(&self) -> Option<&Summary> {
        match self {
            Self::Window(window) => Some(window),
            Self::Both(both) => Some(&both.0),
            Self::Counters(_) => None,
        }
    }

    const fn counters(&self) -> Option<&Total> {
        match self {
            Self::Counters(counters) => Some(counters),
            Self::Both(both) => Some(&both.1),
            Self::Window(_) => None,
        }
    }
}

/// The formats a scrape is answered in, from the least preferred to the most where a caller takes several alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// Prometheus text 0.0.4.
    Text,
    /// OpenMetrics 1.0.0.
    OpenMetrics,
    /// Prometheus protobuf, each family with its length before it.
    Protobuf,
}

impl Format {
    /// The exact `Content-Type`.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
            }
        }
    }
}

/// A snapshot as it is written.
#[derive(Debug)]
pub enum Written {
    Text(String),
    Binary(Vec<u8>),
}

/// Writes every family that has a value, each with those of all endpoints.
pub fn write(snapshot: &Snapshot, format: Format) -> Written {
    match format {
        Format::Text => Written::Text(text::write(snapshot, text::Dialect::Prometheus)),
        Format::OpenMetrics => Written::Text(text::write(snapshot, text::Dialect::OpenMetrics)),
        Format::Protobuf => Written::Binary(protobuf::write(snapshot)),
    }
}
