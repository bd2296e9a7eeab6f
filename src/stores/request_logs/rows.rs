//! Reading the result rows of the queries, all of them text.

use std::collections::HashMap;
use std::str::FromStr;

use aws_sdk_athena::types::{Datum, Row};
use jiff::civil::DateTime;
use jiff::tz::Offset;
use thiserror::Error;

use super::{HourCount, MinuteRow, MinuteSummary};
use crate::model::host::Host;
use crate::model::sketch::{FINE, Sketch, SketchError};
use crate::model::summary::{Distribution, StatusCounts, Summary};
use crate::model::window::Minute;

#[derive(Debug, Error)]
pub enum RowError {
    #[error("no header row")]
    NoHeader,
    #[error("no column '{0}'")]
    NoColumn(&'static str),
    /// A value is missing or of another form than its column's.
    #[error("column '{0}' holds another kind of value")]
    Value(&'static str),
    /// Buckets and counts are not a sketch.
    #[error("column '{name}' is not a valid sketch")]
    Sketch {
        name: &'static str,
        #[source]
        fault: SketchError,
    },
}

/// Which column stands where, from the header row.
#[derive(Debug)]
pub struct Columns(HashMap<String, usize>);

impl Columns {
    /// From the first row of the first page.
    pub fn from_header(header: &Row) -> Self {
        let names = header.data().iter().enumerate();
        Self(names.filter_map(|(index, datum)| Some((datum.var_char_value.clone()?, index))).collect())
    }
}

pub trait FromRow: Sized {
    fn from_row(row: &Values<'_>) -> Result<Self, RowError>;
}

pub struct Values<'a> {
    columns: &'a Columns,
    values: &'a [Datum],
}

impl FromRow for MinuteRow {
    fn from_row(row: &Values<'_>) -> Result<Self, RowError> {
        let summary = row.summary()?;
        // What looked like a host name to the query may still be none.
        Ok(match row.host()? {
            Some(endpoint) => Self::Summary(Box::new(MinuteSummary { endpoint, minute: row.minute()?, summary })),
            None => Self::Skipped(summary.requests()),
        })
    }
}

impl FromRow for Option<HourCount> {
    fn from_row(row: &Values<'_>) -> Result<Self, RowError> {
        let (requests, day_before) = (row.number("requests")?, row.number("requests_day_before")?);
        Ok(row.host()?.map(|endpoint| HourCount { endpoint, requests, day_before }))
    }
}

impl FromRow for u64 {
    fn from_row(row: &Values<'_>) -> Result<Self, RowError> {
        row.number("requests")
    }
}

impl<'a> Values<'a> {
    pub fn new(columns: &'a Columns, row: &'a Row) -> Self {
        Self { columns, values: row.data() }
    }

    fn text(&self, name: &'static str) -> Result<Option<&'a str>, RowError> {
        let index = self.columns.0.get(name).ok_or(RowError::NoColumn(name))?;
        Ok(self.values.get(*index).and_then(|datum| datum.var_char_value.as_deref()))
    }

    fn host(&self) -> Result<Option<Host>, RowError> {
        Ok(self.text("endpoint")?.and_then(Host::parse))
    }

    /// A count or a sum; a sum over no valid value is null.
    fn number<T: FromStr + Default>(&self, name: &'static str) -> Result<T, RowError> {
        self.text(name)?.map_or_else(|| Ok(T::default()), |text| text.parse().map_err(|_| RowError::Value(name)))
    }

    /// Engines print `2026-11-24 10:00:00.000`, `2026-11-24 10:00:00` or `2026-11-24T10:00:00`.
    fn minute(&self) -> Result<Minute, RowError> {
        let text = self.text("minute")?.ok_or(RowError::Value("minute"))?;
        let time: DateTime = text.parse().map_err(|_| RowError::Value("minute"))?;
        let time = Offset::UTC.to_timestamp(time).map_err(|_| RowError::Value("minute"))?;
        Ok(Minute::floor(time))
    }

    /// Two arrays of equal length as text, `[1, 2, 3]`; null when there is nothing.
    fn pairs<K: FromStr>(&self, keys: &'static str, counts: &'static str) -> Result<Vec<(K, u64)>, RowError> {
        let (found, counts) = (self.array::<K>(keys)?, self.array::<u64>(counts)?);
        if found.len() == counts.len() {
            Ok(found.into_iter().zip(counts).collect())
        } else {
            Err(RowError::Value(keys))
        }
    }

    fn array<T: FromStr>(&self, name: &'static str) -> Result<Vec<T>, RowError> {
        let Some(text) = self.text(name)? else { return Ok(Vec::new()) };
        let list = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).ok_or(RowError::Value(name))?;
        let items = list.split(',').map(str::trim).filter(|item| !item.is_empty());
        items.map(|item| item.parse().map_err(|_| RowError::Value(name))).collect()
    }

    fn distribution(
        &self,
        sum: &'static str,
        buckets: &'static str,
        counts: &'static str,
    ) -> Result<Distribution<Sketch<FINE>>, RowError> {
        let mut sketch = Sketch::default();
        for (bucket, count) in self.pairs(buckets, counts)? {
            sketch.add(bucket, count).map_err(|fault| RowError::Sketch { name: buckets, fault })?;
        }
        Ok(Distribution { sketch, sum: self.number(sum)? })
    }

    fn summary(&self) -> Result<Summary, RowError> {
        let mut statuses = StatusCounts::default();
        for (code, count) in self.pairs("status_codes", "status_counts")? {
            statuses.add(code, count);
        }
        Ok(Summary {
            statuses,
            input_tokens: self.number("input_tokens")?,
            output_tokens: self.number("output_tokens")?,
            cache_read_tokens: self.number("cache_read_tokens")?,
            ttft: self.distribution("ttft_sum", "ttft_buckets", "ttft_counts")?,
            duration: self.distribution("duration_sum", "duration_buckets", "duration_counts")?,
            speed: self.distribution("speed_sum", "speed_buckets", "speed_counts")?,
        })
    }
}
