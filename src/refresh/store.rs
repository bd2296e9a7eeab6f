//! Storing what was read of one endpoint: its minutes and its total together, or not at all.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use futures_util::future::try_join;
use jiff::Timestamp;
use tokio::time::{Instant, sleep, timeout_at};

use super::changes::{Changes, changes};
use super::{Refresh, RefreshError};
use crate::error::Cause;
use crate::model::host::Host;
use crate::model::summary::Summary;
use crate::model::window::{Hour, Minute};
use crate::stores::rollups::{HourChange, MinuteChange, PutOutcome, Stored, Transaction, Versioned};

/// Pauses before a write is repeated that another was in the way of.
pub const FIRST_PAUSE: Duration = Duration::from_millis(10);
pub const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// What becomes of hour items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hours {
    /// They are sealed later.
    Leave,
    /// The item of this hour, which the range lies in, is made the sum of its minutes.
    Keep(Hour),
    /// The item of this hour, which is the range, is made from the logs alone; minutes and totals stay as they are.
    FromLogs(Hour),
}

/// Stores one range of minutes, endpoint by endpoint.
#[derive(Clone, Copy, Debug)]
pub struct Store<'a> {
    pub refresh: &'a Refresh,
    pub range: &'a Range<Minute>,
    pub as_of: Timestamp,
    /// Up to where minutes have been read before; `None` where the write cache is not to be asked.
    pub cached_through: Option<Minute>,
    pub hours: Hours,
    pub by: Instant,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct StoreReport {
    pub written: u64,
    pub unchanged: u64,
    pub superseded: u64,
    pub late_rows: u64,
}

impl StoreReport {
    pub fn add(&mut self, other: Self) {
        self.written += other.written;
        self.unchanged += other.unchanged;
        self.superseded += other.superseded;
        self.late_rows += other.late_rows;
    }
}

/// What an endpoint's items are found to be, and what is to be made of them.
struct Comparison {
    changes: Changes,
    hour: Option<HourChange>,
    total: Option<u64>,
    /// The stored minutes of the range, where they were read.
    stored: BTreeMap<Minute, Stored>,
}

impl Store<'_> {
    /// Stores an endpoint's minutes of the range. A write that another was in the way of is made anew from what is
    /// stored then.
    pub async fn endpoint(self, endpoint: Host, read: Vec<(Minute, Summary)>) -> Result<StoreReport, RefreshError> {
        let stored = async {
            match self.hours {
                Hours::FromLogs(hour) => self.hour_from_logs(&endpoint, hour, &read).await,
                Hours::Leave | Hours::Keep(_) => self.until_stored(&endpoint, &read).await,
            }
        };
        timeout_at(self.by, stored).await.map_err(|_| RefreshError::OutOfTime)?.map_err(RefreshError::Rollups)
    }

    async fn hour_from_logs(
        self,
        endpoint: &Host,
        hour: Hour,
        read: &[(Minute, Summary)],
    ) -> Result<StoreReport, Cause> {
        let sum = sum_of(read.iter().map(|(_, summary)| summary));
        let mut pause = FIRST_PAUSE;
        loop {
            let item = self.refresh.rollups.hour(endpoint, hour).await?;
            if item.as_ref().is_some_and(|item| item.as_of > self.as_of) {
                return Ok(StoreReport { superseded: 1, ..StoreReport::default() });
            }
            if item.as_ref().is_some_and(|item| item.summary == sum) {
                return Ok(StoreReport { unchanged: 1, ..StoreReport::default() });
            }
            let change = HourChange { period: hour, summary: sum.clone(), replaces: item.map(|item| item.version) };
            if self.refresh.rollups.put_hour(endpoint, &change, self.as_of).await? == PutOutcome::Stored {
                return Ok(StoreReport { written: 1, ..StoreReport::default() });
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn until_stored(self, endpoint: &Host, read: &[(Minute, Summary)]) -> Result<StoreReport, Cause> {
        let mut known = self.known(endpoint, read);
        let mut pause = FIRST_PAUSE;
        loop {
            let comparison = match known.take() {
                Some(known) => known,
                None => self.compare(endpoint, read).await?,
            };
            if self.write(endpoint, &comparison).await? == PutOutcome::Stored {
                self.remember(endpoint, &comparison);
                let Changes { minutes, unchanged, superseded, late_rows, .. } = comparison.changes;
                let written = minutes.len() as u64 + u64::from(comparison.hour.is_some());
                return Ok(StoreReport { written, unchanged, superseded, late_rows });
            }
            self.refresh.cache().remove(endpoint);
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// The comparison by what this instance knows without asking.
    fn known(&self, endpoint: &Host, read: &[(Minute, Summary)]) -> Option<Comparison> {
        let through = self.cached_through.filter(|_| self.hours == Hours::Leave)?;
        let known = self.refresh.cache().lookup(endpoint, self.range, through, read)?;
        let new: Vec<_> = known.new.iter().filter_map(|place| read.get(*place).cloned()).collect();
        let mut changes = changes(&new, self.range, &BTreeMap::new(), known.total.as_ref(), self.as_of);
        changes.unchanged = known.unchanged as u64;
        let total = known.total.map(|total| total.version);
        Some(Comparison { changes, hour: None, total, stored: BTreeMap::new() })
    }

    async fn compare(&self, endpoint: &Host, read: &[(Minute, Summary)]) -> Result<Comparison, Cause> {
        let rollups = &self.refresh.rollups;
        let (wanted, hour) = match self.hours {
            Hours::Keep(hour) => (hour.start()..hour.end(), Some(hour)),
            Hours::Leave | Hours::FromLogs(_) => (self.range.clone(), None),
        };
        // The hour is read before its minutes: where one of them is written meanwhile, the hour's version has changed.
        let stored_hour = match hour {
            Some(hour) => rollups.hour(endpoint, hour).await?,
            None => None,
        };
        let (stored, total) = try_join(rollups.minutes(endpoint, &wanted), rollups.total(endpoint)).await?;
        let changes = changes(read, self.range, &stored, total.as_ref(), self.as_of);
        let hour = hour.and_then(|hour| hour_change(hour, stored_hour.as_ref(), &stored, &changes.minutes));
        Ok(Comparison { changes, hour, total: total.map(|total| total.version), stored })
    }

    async fn write(&self, endpoint: &Host, comparison: &Comparison) -> Result<PutOutcome, Cause> {
        let Comparison { changes, hour, total, .. } = comparison;
        if changes.minutes.is_empty() && hour.is_none() {
            return Ok(PutOutcome::Stored);
        }
        let transaction = Transaction {
            minutes: changes.minutes.clone(),
            hour: hour.clone(),
            total: (!changes.minutes.is_empty()).then(|| (changes.total.clone(), *total)),
            as_of: self.as_of,
        };
        self.refresh.rollups.write(endpoint, &transaction).await
    }

    fn remember(&self, endpoint: &Host, comparison: &Comparison) {
        if self.hours != Hours::Leave {
            return;
        }
        let Changes { minutes, total, .. } = &comparison.changes;
        let before = comparison.stored.iter().map(|(minute, stored)| (*minute, &stored.summary));
        let now = minutes.iter().map(|change| (change.period, &change.summary));
        let version =
            if minutes.is_empty() { comparison.total } else { Some(comparison.total.map_or(1, |version| version + 1)) };
        let total = version.map(|version| Versioned { value: total.clone(), version });
        self.refresh.cache().insert(endpoint, self.range, before.chain(now), total.as_ref());
    }
}

/// The hour as the sum of its minutes after a change; `None` where the item says that already.
pub fn hour_change(
    hour: Hour,
    item: Option<&Stored>,
    stored: &BTreeMap<Minute, Stored>,
    changed: &[MinuteChange],
) -> Option<HourChange> {
    let mut minutes: BTreeMap<Minute, &Summary> =
        stored.iter().map(|(minute, stored)| (*minute, &stored.summary)).collect();
    minutes.extend(changed.iter().map(|change| (change.period, &change.summary)));
    let sum = sum_of(minutes.into_values());
    let is_stored = item.map_or(sum == Summary::default(), |item| item.summary == sum);
    (!is_stored).then(|| HourChange { period: hour, summary: sum, replaces: item.map(|item| item.version) })
}

fn sum_of<'s>(summaries: impl Iterator<Item = &'s Summary>) -> Summary {
    let mut sum = Summary::default();
    for summary in summaries {
        sum.merge(summary);
    }
    sum
}
