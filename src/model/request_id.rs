//! The name of one call.

use std::fmt::{self, Write};

use sha2::{Digest, Sha256};

/// `req_` and 12 hex digits; also the limiter's proof of who took a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(String);

impl RequestId {
    /// Derives it from the invocation's own id, so that either is found by the other.
    pub fn from_invocation(id: &str) -> Self {
        let mut text = String::from("req_");
        for byte in Sha256::digest(id.as_bytes()).iter().take(6) {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        Self(text)
    }

    /// The text of `x-request-id`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
