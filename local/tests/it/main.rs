//! The local stack and, end to end, both functions on it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod athena;
mod athena_files;
mod check;
mod figures;
mod fixture;
mod http;
mod logs;
mod oracle;
mod program;
mod schema;
mod stack;
