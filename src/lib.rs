//! The wafer-metrics endpoint: request figures and live engine state of dedicated LLM endpoints, for Prometheus.
//!
//! Two functions share this library. [`answer`] answers calls from what the stores hold; [`refresh`] keeps the rollups
//! that it answers from.
//!
//! # Layout
//!
//! Imports point one way, from the first of these to the last:
//!
//! - `bin/`: settings, clients, run; nothing else.
//! - [`answer`], [`refresh`]: the workflows, each read from top to bottom.
//! - [`http`]: from API Gateway's event to a well-formed request, and from an answer or an error to a reply.
//! - [`exposition`]: the series, and how they are written.
//! - [`stores`]: one for each table of the contract. They know no HTTP.
//! - [`model`]: what is counted and compared, without I/O.
//! - [`telemetry`], [`settings`], [`clock`], [`error`].

pub mod answer;
pub mod clock;
pub mod error;
pub mod exposition;
pub mod http;
pub mod model;
pub mod refresh;
pub mod settings;
pub mod stores;
pub mod telemetry;
