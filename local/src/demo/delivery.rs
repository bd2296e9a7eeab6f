//! The demo's request logs, delivered as time goes on.

use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};

use crate::demo::log_writer::{self, LogWriteError};
use crate::demo::traffic::Traffic;

/// Written before the first refresh: the window, its partial first hour, and some.
pub const FILLED_HOURS: u32 = 26;

/// Traffic, and the folder its logs are delivered to.
#[derive(Debug)]
pub struct Demo {
    traffic: Vec<Traffic>,
    folder: PathBuf,
    delivered_to: Timestamp,
}

impl Demo {
    /// Traffic of which nothing has been delivered but what came [`FILLED_HOURS`] ago or earlier.
    #[must_use]
    pub fn new(traffic: Vec<Traffic>, folder: &Path, now: Timestamp) -> Self {
        let delivered_to = now - SignedDuration::from_hours(FILLED_HOURS.into());
        Self { traffic, folder: folder.to_owned(), delivered_to }
    }

    /// Delivers the rows up to `now`, one new file per endpoint.
    ///
    /// # Errors
    /// When a file cannot be written; the next delivery starts over from there.
    pub fn deliver(&mut self, now: Timestamp) -> Result<(), LogWriteError> {
        for traffic in &self.traffic {
            let name = format!("{}-{}", traffic.endpoint(), now.as_millisecond());
            log_writer::write(&self.folder, &name, traffic.rows_delivered_between(self.delivered_to, now))?;
        }
        self.delivered_to = now;
        Ok(())
    }
}
