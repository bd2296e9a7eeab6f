//! The demo's data: traffic after real traces and its request logs, keys, and the heartbeats of workers.

mod delivery;
mod folder;
pub mod heartbeats;
pub mod keys;
pub mod log_writer;
mod swing;
pub mod trace;
pub mod traffic;

pub use delivery::{Demo, Unwritten};
pub use folder::DemoFolder;
