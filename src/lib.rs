//! The wafer-metrics endpoint: 24 h request figures and live engine state of dedicated LLM endpoints, for Prometheus.
//!
//! Two functions share this library. [`scrape`] answers `GET /v1/endpoints/metrics/prometheus`; [`refresh`] keeps the rollups that it
//! answers from. Imports point one way: binaries, workflows, stores, and what does no I/O.

// What does no I/O.
pub mod api_key;
pub mod clock;
pub mod engine;
pub mod error;
pub mod event;
pub mod exposition;
pub mod host;
pub mod metrics;
pub mod negotiation;
pub mod rate_limit;
pub mod request;
pub mod response;
pub mod settings;
pub mod sketch;
pub mod summary;
pub mod watermark;
pub mod window;

// Stores.
pub mod attributes;
pub mod aws;
pub mod heartbeats;
pub mod keys;
pub mod limiter;
pub mod pages;
pub mod request_logs;
pub mod rollups;

// Workflows.
pub mod refresh;
pub mod scrape;

pub mod logging;
