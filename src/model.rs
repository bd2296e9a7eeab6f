//! What is counted and compared. No I/O, no HTTP.

pub mod api_key;
mod dense_sketch;
pub mod engine;
pub mod host;
pub mod quota;
pub mod range;
pub mod request_id;
pub mod sketch;
pub mod summary;
pub mod watermark;
pub mod window;
