//! What one instance knows to be stored of the minutes that are still to be read again, so that what is found unchanged
//! costs neither a read nor a write. A cache: nothing goes wrong where it is empty, and a write on its word is
//! conditional.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;

use crate::model::host::Host;
use crate::model::summary::{Summary, Total};
use crate::model::window::Minute;
use crate::stores::rollups::{Versioned, decode, encode};

/// An endpoint that would take more is not kept.
const MAX_ENTRY_BYTES: usize = 4_096;
const DIGEST_BYTES: usize = size_of::<(Minute, u64)>();

/// Stored minutes and totals, by endpoint.
#[derive(Debug, Default)]
pub struct WriteCache {
    entries: HashMap<Host, Entry>,
    /// The watermark that this instance put last: what is known holds as long as nobody has put another.
    watermark_version: Option<u64>,
}

#[derive(Debug)]
struct Entry {
    /// Every stored minute of these is known.
    known: Range<Minute>,
    minutes: HashMap<Minute, u64>,
    /// Encoded, since that is small.
    total: Option<Versioned<Vec<u8>>>,
}

/// What is known of an endpoint's stored minutes and total.
#[derive(Debug)]
pub struct Known {
    /// Minutes that are read as they are stored.
    pub unchanged: usize,
    /// Places in the list of minutes asked for that have no item.
    pub new: Vec<usize>,
    pub total: Option<Versioned<Total>>,
}

impl WriteCache {
    /// Keeps what is known only where the watermark found is the one that this instance put last.
    pub fn observe_watermark(&mut self, version: Option<u64>) {
        if version.is_none() || version != self.watermark_version {
            self.clear();
        }
    }

    /// Notes the watermark that this instance has put, and drops the minutes that will not be read again.
    pub fn advance(&mut self, version: u64, settled: Minute) {
        self.watermark_version = Some(version);
        self.entries.retain(|_, entry| {
            entry.minutes.retain(|minute, _| *minute >= settled);
            !entry.minutes.is_empty()
        });
    }

    pub fn clear(&mut self) {
        self.entries.clear();
        self.watermark_version = None;
    }

    /// What is known of the minutes of an endpoint that were read in a range, of which those from `through` on were
    /// never read before; `None` where the store must be asked, since a stored minute is unknown, differs from what was
    /// read, or was not read at all.
    pub fn lookup(
        &self,
        endpoint: &Host,
        range: &Range<Minute>,
        through: Minute,
        read: &[(Minute, Summary)],
    ) -> Option<Known> {
        let is_known = |known: &Range<Minute>| known.start <= range.start && range.end.min(through) <= known.end;
        let entry = self.entries.get(endpoint).filter(|entry| is_known(&entry.known))?;
        let mut known = Known { unchanged: 0, new: Vec::new(), total: None };
        for (place, (minute, summary)) in read.iter().enumerate() {
            match entry.minutes.get(minute) {
                Some(digest) if *digest == digest_of(summary) => known.unchanged += 1,
                Some(_) => return None,
                None => known.new.push(place),
            }
        }
        let stored = entry.minutes.keys().filter(|minute| range.contains(minute)).count();
        if stored > known.unchanged {
            return None;
        }
        known.total = match &entry.total {
            Some(total) => Some(Versioned { value: decode(&total.value).ok()?, version: total.version }),
            None => None,
        };
        Some(known)
    }

    /// Notes what is stored of an endpoint in a range.
    pub fn insert<'s>(
        &mut self,
        endpoint: &Host,
        range: &Range<Minute>,
        minutes: impl Iterator<Item = (Minute, &'s Summary)>,
        total: Option<&Versioned<Total>>,
    ) {
        let total = total.map(|total| Versioned { value: encode(&total.value), version: total.version });
        let joins = |known: &Range<Minute>| known.start <= range.start && range.start <= known.end;
        let mut entry = self.entries.remove(endpoint).filter(|entry| joins(&entry.known)).unwrap_or_else(|| Entry {
            known: range.clone(),
            minutes: HashMap::new(),
            total: None,
        });
        entry.known.end = entry.known.end.max(range.end);
        entry.minutes.extend(minutes.map(|(minute, summary)| (minute, digest_of(summary))));
        entry.total = total;
        let bytes = entry.total.as_ref().map_or(0, |total| total.value.len()) + entry.minutes.len() * DIGEST_BYTES;
        if bytes <= MAX_ENTRY_BYTES {
            self.entries.insert(endpoint.clone(), entry);
        }
    }

    pub fn remove(&mut self, endpoint: &Host) {
        self.entries.remove(endpoint);
    }
}

fn digest_of(summary: &Summary) -> u64 {
    let mut hasher = DefaultHasher::new();
    summary.hash(&mut hasher);
    hasher.finish()
}
