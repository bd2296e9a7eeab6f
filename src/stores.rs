//! The tables that the functions read and write, and the request logs. No HTTP.

pub mod api_keys;
pub mod aws;
pub mod dynamodb;
pub mod heartbeats;
pub mod rate_limits;
pub mod request_logs;
pub mod rollups;
