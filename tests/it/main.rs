//! The functions as their callers and operators see them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod layout;
mod wire;
