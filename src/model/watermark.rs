//! How far the refresh has come.

use jiff::Timestamp;

use crate::model::host::Host;
use crate::model::window::{Hour, Minute};

/// What has been read and sealed. `through`, `settled` and `sealed` never go back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watermark {
    /// Every minute before it has been read; the end of the window.
    pub through: Minute,
    /// Every minute before it was read when none of its rows could come any more.
    pub settled: Minute,
    /// Every hour before it has its hour items.
    pub sealed: Hour,
    /// Where an hour is half sealed: how far, and what was found.
    pub sealing: Option<Sealing>,
    /// How many minutes one query may read.
    pub stride: Stride,
    /// The newest minute that had a row.
    pub last_row: Option<Minute>,
    /// When more than the usual minutes or hours were last written.
    pub caught_up_at: Option<Timestamp>,
}

/// Progress within the hour that is being sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealing {
    /// The last endpoint done, in the order of names.
    pub endpoint: Host,
    pub too_late: TooLateRows,
}

/// Rows found so far that came too late to be counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TooLateRows {
    /// Of the hour that is sealed.
    pub hour: u64,
    /// Of the same hour a day before.
    pub day_before: u64,
}

/// From 1 to 60 minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stride(i64);

impl Stride {
    pub const SHORTEST: Self = Self(1);
    pub const LONGEST: Self = Self(60);

    #[must_use]
    pub fn from_minutes(minutes: i64) -> Option<Self> {
        let stride = Self(minutes);
        (Self::SHORTEST..=Self::LONGEST).contains(&stride).then_some(stride)
    }

    #[must_use]
    pub const fn minutes(self) -> i64 {
        self.0
    }

    #[must_use]
    pub fn halved(self) -> Self {
        Self(self.0 / 2).max(Self::SHORTEST)
    }

    #[must_use]
    pub fn doubled(self) -> Self {
        Self(self.0 * 2).min(Self::LONGEST)
    }
}
