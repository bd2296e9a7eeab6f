//! Runs the wafer-metrics endpoint on loopback, without AWS: see [`stack`].

pub mod demo;
pub mod demo_keys;
pub mod front;
pub mod functions;
pub mod heartbeats;
pub mod log_writer;
pub mod stack;
pub mod trace;
pub mod traffic;
