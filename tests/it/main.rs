//! The functions as their callers and operators see them, over a real DynamoDB wire.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod deadline;
mod faults;
mod judgement;
mod layout;
mod limiter;
mod log;
mod log_lines;
mod negotiation;
#[allow(dead_code, reason = "shared with the local stack's tests")]
mod proxy;
mod reads;
mod refresh_log;
mod setup;
mod template;
