//! Reading the query's result rows, all of them text.

use std::collections::HashMap;
use std::str::FromStr;

use aws_sdk_athena::types::{Datum, Row};
use jiff::civil::DateTime;
use jiff::tz::Offset;
use thiserror::Error;

use super::{Answer, MinuteSummary};
use crate::host::Host;
use crate::sketch::{Sketch, SketchError};
use crate::summary::Summary;
use crate::window::Minute;

/// What is wrong with a result.
#[derive(Debug, Error)]
pub enum RowError {
    /// There is no row at all.
    #[error("no header row")]
    NoHeader,
    /// The header row lacks a column.
    #[error("no column '{0}'")]
    NoColumn(&'static str),
    /// A value is missing or of another form than its column's.
    #[error("column '{0}' holds no such value")]
    Value(&'static str),
    /// Buckets and counts make no sketch.
    #[error("column '{name}' is no sketch")]
    Sketch {
        /// The pair's name.
        name: &'static str,
        /// Why.
        #[source]
        fault: SketchError,
    },
}

/// Knows which column stands where, from the header row.
#[derive(Debug)]
pub struct Reader {
    columns: HashMap<String, usize>,
}

impl Reader {
    /// From the first row of the first page.
    pub fn of_header(header: &Row) -> Self {
        let names = header.data().iter().enumerate();
        Self { columns: names.filter_map(|(index, datum)| Some((datum.var_char_value.clone()?, index))).collect() }
    }

    /// Reads rows after the header. A row of no endpoint and minute tells how many rows were skipped, as does one whose endpoint
    /// looked like a host name to the query and is none.
    pub fn read_into(&self, rows: &[Row], answer: &mut Answer) -> Result<(), RowError> {
        for row in rows {
            let row = Values { reader: self, values: row.data() };
            let summary = row.summary()?;
            match row.text("endpoint")?.and_then(Host::parse) {
                Some(endpoint) => answer.minutes.push(MinuteSummary { endpoint, minute: row.minute()?, summary }),
                None => answer.skipped_rows = answer.skipped_rows.saturating_add(summary.requests),
            }
        }
        Ok(())
    }
}

struct Values<'a> {
    reader: &'a Reader,
    values: &'a [Datum],
}

impl<'a> Values<'a> {
    fn text(&self, name: &'static str) -> Result<Option<&'a str>, RowError> {
        let index = self.reader.columns.get(name).ok_or(RowError::NoColumn(name))?;
        Ok(self.values.get(*index).and_then(|datum| datum.var_char_value.as_deref()))
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

    /// Two arrays as text, `[1, 2, 3]`; null when there is no bucket.
    fn sketch(&self, name: &'static str, buckets: &'static str, counts: &'static str) -> Result<Sketch, RowError> {
        let (buckets, counts) = (self.array::<i32>(buckets)?, self.array::<u64>(counts)?);
        if buckets.len() != counts.len() {
            return Err(RowError::Value(name));
        }
        let mut sketch = Sketch::default();
        for (bucket, count) in buckets.into_iter().zip(counts) {
            sketch.add(bucket, count).map_err(|fault| RowError::Sketch { name, fault })?;
        }
        Ok(sketch)
    }

    fn array<T: FromStr>(&self, name: &'static str) -> Result<Vec<T>, RowError> {
        let Some(text) = self.text(name)? else { return Ok(Vec::new()) };
        let list = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).ok_or(RowError::Value(name))?;
        let items = list.split(',').map(str::trim).filter(|item| !item.is_empty());
        items.map(|item| item.parse().map_err(|_| RowError::Value(name))).collect()
    }

    fn summary(&self) -> Result<Summary, RowError> {
        let (codes, counts) = (self.array::<u16>("status_codes")?, self.array::<u64>("status_counts")?);
        if codes.len() != counts.len() {
            return Err(RowError::Value("status_counts"));
        }
        let in_class = |class: std::ops::Range<u16>| {
            let of_class = codes.iter().zip(&counts).filter(|(code, _)| class.contains(code));
            of_class.fold(0_u64, |sum, (_, count)| sum.saturating_add(*count))
        };
        Ok(Summary {
            requests: in_class(0..600),
            requests_2xx: in_class(200..300),
            requests_4xx: in_class(400..500),
            requests_5xx: in_class(500..600),
            input_tokens: self.number("input_tokens")?,
            output_tokens: self.number("output_tokens")?,
            cache_read_tokens: self.number("cache_read_tokens")?,
            ttft: self.sketch("ttft", "ttft_buckets", "ttft_counts")?,
            duration: self.sketch("duration", "duration_buckets", "duration_counts")?,
            speed: self.sketch("speed", "speed_buckets", "speed_counts")?,
        })
    }
}
