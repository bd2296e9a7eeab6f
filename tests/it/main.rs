//! The functions as their callers and operators see them, over a real DynamoDB wire.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod counters;
mod deadline;
mod environment;
mod errors;
mod faults;
mod fixture;
mod hostile;
mod json;
mod limiter;
mod negotiation;
mod openapi;
mod reads;
mod refresh;
mod refresh_log;
mod scrape_log;
mod targets;
mod template;
mod tidy;
