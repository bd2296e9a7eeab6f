//! A DynamoDB endpoint on loopback, in memory, and the tables of the product in it.

pub mod tables;

use std::sync::Arc;

use jiff::Timestamp;
use tokio::net::TcpListener;

pub use dynoxide::DynoxideError;

/// The time by which items expire.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// A database without tables. Clones share it.
#[derive(Clone)]
pub struct DynamoDb(dynoxide::Database);

impl DynamoDb {
    /// Items expire by `clock`.
    pub fn new(clock: Clock) -> Result<Self, DynoxideError> {
        dynoxide::Database::memory_with_clock(Arc::new(DatabaseClock(clock))).map(Self)
    }

    /// Answers on `listener` until the future is dropped.
    pub async fn serve(self, listener: TcpListener) {
        dynoxide::server::serve_on(listener, self.0).await;
    }

    /// Deletes the items that have expired, which happens at no other time. Blocks.
    pub fn delete_expired(&self) -> Result<(), DynoxideError> {
        self.0.sweep_ttl().map(|_| ())
    }
}

struct DatabaseClock(Clock);

impl dynoxide::storage_backend::Clock for DatabaseClock {
    fn now_unix_secs(&self) -> u64 {
        u64::try_from((self.0)().as_second()).unwrap_or_default()
    }

    #[expect(clippy::cast_precision_loss, reason = "Unix milliseconds are far below 2^53")]
    fn now_unix_secs_f64(&self) -> f64 {
        (self.0)().as_millisecond() as f64 / 1e3
    }
}
