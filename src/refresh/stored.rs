//! What one instance knows to be stored, so that a minute read again and found unchanged is not written again.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::host::Host;
use crate::rollups::Period;
use crate::summary::Summary;
use crate::window::Minute;

/// Minutes that are stored.
#[derive(Debug, Default)]
pub struct Stored {
    /// By endpoint and minute: a digest of the item, and its requests.
    minutes: HashMap<(Host, Minute), (u64, u64)>,
    /// Whether there has been a watermark.
    watermark_seen: bool,
}

impl Stored {
    /// `None` when the item is stored as it is; else how many requests it has that the stored one, where known, had not.
    pub fn difference(&self, endpoint: &Host, period: Period, summary: &Summary) -> Option<u64> {
        let Period::Minute(minute) = period else { return Some(0) };
        match self.minutes.get(&(endpoint.clone(), minute)) {
            Some((digest, _)) if *digest == digest_of(summary) => None,
            Some((_, requests)) => Some(summary.requests.saturating_sub(*requests)),
            None => Some(0),
        }
    }

    /// Notes what has been stored. Hours are not noted: each is written once.
    pub fn remember(&mut self, endpoint: &Host, period: Period, summary: &Summary) {
        if let Period::Minute(minute) = period {
            self.minutes.insert((endpoint.clone(), minute), (digest_of(summary), summary.requests));
        }
    }

    /// Drops the minutes that will not be read again.
    pub fn forget_before(&mut self, first: Minute) {
        self.minutes.retain(|(_, minute), _| *minute >= first);
    }

    /// There is a watermark, or none. Whoever took one away may have taken items too: everything is dropped.
    pub fn see_watermark(&mut self, there: bool) {
        if self.watermark_seen && !there {
            self.forget();
        }
        self.watermark_seen = there;
    }

    /// Drops everything.
    pub fn forget(&mut self) {
        self.minutes.clear();
    }
}

fn digest_of(summary: &Summary) -> u64 {
    let mut hasher = DefaultHasher::new();
    summary.hash(&mut hasher);
    hasher.finish()
}
