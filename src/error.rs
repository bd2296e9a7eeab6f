//! Why a scrape is refused or fails: one variant for each code of the contract, the cause kept for the log.

use std::error::Error;

use thiserror::Error;

use crate::rate_limit::RateLimit;

/// Anything that may stand behind a failure.
pub type Cause = Box<dyn Error + Send + Sync>;

/// Why a scrape got no exposition.
#[derive(Debug, Error)]
pub enum ScrapeError {
    /// Another path.
    #[error("no such path")]
    NotFound,
    /// Another method.
    #[error("no such method")]
    MethodNotAllowed,
    /// No key, or none that is good.
    #[error(transparent)]
    InvalidApiKey(#[from] InvalidApiKey),
    /// The `endpoint` parameter is missing, malformed or over the number allowed.
    #[error("invalid endpoint parameter")]
    InvalidEndpoint,
    /// The key store or the limiter failed or hung.
    #[error("{store} unavailable")]
    Unavailable {
        /// Which of the two.
        store: &'static str,
        /// What it said.
        #[source]
        cause: Cause,
    },
    /// A serverless key.
    #[error("serverless key")]
    DedicatedOnly,
    /// An endpoint that is not the key's own.
    #[error("not the key's endpoint")]
    EndpointForbidden,
    /// Over the limit.
    #[error("over the rate limit")]
    RateLimited(RateLimit),
    /// The 24 h summary cannot be had.
    #[error("no summary")]
    SummaryFailed(#[source] Cause),
    /// The deadline came while the summary was being read.
    #[error("reads not done by the deadline")]
    SummaryTimeout,
}

/// Why a key is no good. Callers are not told which.
#[derive(Debug, Error)]
pub enum InvalidApiKey {
    /// No `Authorization`.
    #[error("no authorization header")]
    Missing,
    /// An `Authorization` that is not `Bearer` and a key.
    #[error("malformed authorization header")]
    Malformed,
    /// The key has no record.
    #[error("unknown key")]
    Unknown,
    /// The record says so.
    #[error("revoked key")]
    Revoked,
    /// The record's time has come.
    #[error("expired key")]
    Expired,
    /// An operator's fault.
    #[error("key record does not fit")]
    Record(#[source] Cause),
}

/// A step took longer than it may.
#[derive(Clone, Copy, Debug, Error)]
#[error("no answer by the deadline")]
pub struct DeadlinePassed;

/// An error and what stands behind it, in one line. SDK errors are shown by code and message, never by `Debug`: that prints
/// whole responses, in which keys' hashes may stand.
#[must_use]
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut line = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !line.ends_with(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        next = cause.source();
    }
    line
}
