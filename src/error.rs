//! What stands behind a failure, for the log.

use std::error::Error;

use thiserror::Error;

/// Anything that may stand behind a failure.
pub type Cause = Box<dyn Error + Send + Sync>;

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
