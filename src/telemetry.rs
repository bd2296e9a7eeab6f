//! What operators see: log lines, and CloudWatch metrics as log lines.

pub mod emf;
pub mod log;
pub mod metrics;
