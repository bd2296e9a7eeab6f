//! The functions as their callers and operators see them, over a real DynamoDB wire.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod deadline;
mod faults;
mod judgement;
mod limiter;
mod log;
mod log_lines;
mod negotiation;
mod reads;
mod refresh;
mod refresh_log;
mod setup;
mod template;
mod tidy;
