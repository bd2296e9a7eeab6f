//! The HTTP edge: API Gateway's types stop here.

pub mod event;
pub mod negotiation;
pub mod parameters;
pub mod problem;
pub mod reply;
pub mod request;
mod user_agent;
