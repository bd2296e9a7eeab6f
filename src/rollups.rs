//! The rollups table: one item an endpoint and minute or hour, and the watermark that says which of them count.
//!
//! Its keys carry the format's version, `m1#`, `h1#` and `watermark1`: a release with another format fills items of its own, and
//! either can be backed out.

mod reader;
mod writer;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use thiserror::Error;

use crate::attributes::{self, AttributeError, Item, number, required};
use crate::error::Cause;
use crate::sketch::{Sketch, SketchError};
use crate::summary::Summary;
use crate::window::{Hour, Minute};

pub use reader::{Day, RollupReader};
pub use writer::{Advance, Put, RollupWriter};

/// How long an item outlives the start of its minute or hour, in seconds: the window, its broken first hour, and some.
const KEPT_SECONDS: i64 = 26 * 3_600;

/// How far the refresh has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watermark {
    /// Every minute before it has been read; the end of the window.
    pub through: Minute,
    /// Every hour of the window before it has its hour item, and changes no more.
    pub sealed: Hour,
    /// When more than the usual minute was last caught up or recomputed.
    pub caught_up_at: Option<Timestamp>,
}

/// The minute or hour that an item is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Period {
    /// One minute.
    Minute(Minute),
    /// One hour.
    Hour(Hour),
}

impl Period {
    fn key(self) -> String {
        match self {
            Self::Minute(minute) => format!("m1#{minute}"),
            Self::Hour(hour) => format!("h1#{hour}"),
        }
    }

    const fn expires_at(self) -> i64 {
        let start = match self {
            Self::Minute(minute) => minute,
            Self::Hour(hour) => hour.start(),
        };
        start.as_second() + KEPT_SECONDS
    }
}

/// An item that cannot be read.
#[derive(Debug, Error)]
pub enum RollupError {
    /// An attribute is missing or of the wrong type.
    #[error(transparent)]
    Attribute(#[from] AttributeError),
    /// A sketch does not decode.
    #[error("attribute '{name}' is no sketch")]
    Sketch {
        /// Which.
        name: &'static str,
        /// Why.
        #[source]
        fault: SketchError,
    },
}

const WATERMARK_ENDPOINT: &str = "#refresh";
const WATERMARK_PERIOD: &str = "watermark1";

fn watermark_key() -> [(&'static str, AttributeValue); 2] {
    [("endpoint", text(WATERMARK_ENDPOINT)), ("period", text(WATERMARK_PERIOD))]
}

async fn watermark(client: &Client, table: &str) -> Result<Option<Watermark>, Cause> {
    let get = client.get_item().table_name(table).consistent_read(true);
    let answer = get.set_key(Some(watermark_key().map(|(name, value)| (name.to_owned(), value)).into())).send().await?;
    Ok(answer.item.as_ref().map(Watermark::read).transpose()?)
}

impl Watermark {
    fn read(item: &Item) -> Result<Self, AttributeError> {
        let minute = |name| {
            let second = required(name, number(item, name)?)?;
            Minute::from_second(second).ok_or(AttributeError::out_of_range(name))
        };
        let caught_up_at = number(item, "caught_up_at")?.map(Timestamp::from_millisecond).transpose();
        Ok(Self {
            through: minute("through")?,
            sealed: minute("sealed")?.hour(),
            caught_up_at: caught_up_at.map_err(|_| AttributeError::out_of_range("caught_up_at"))?,
        })
    }
}

impl Summary {
    fn read(item: &Item) -> Result<Self, RollupError> {
        let count = |name| required(name, number(item, name)?);
        let sum = |name| required(name, number(item, name)?);
        let sketch = |name| {
            let bytes = required(name, attributes::binary(item, name)?)?;
            Sketch::decode(bytes).map_err(|fault| RollupError::Sketch { name, fault })
        };
        Ok(Self {
            requests: count("requests")?,
            requests_2xx: count("requests_2xx")?,
            requests_4xx: count("requests_4xx")?,
            requests_5xx: count("requests_5xx")?,
            input_tokens: sum("input_tokens")?,
            output_tokens: sum("output_tokens")?,
            cache_read_tokens: sum("cache_read_tokens")?,
            ttft: sketch("ttft")?,
            duration: sketch("duration")?,
            speed: sketch("speed")?,
        })
    }

    fn attributes(&self) -> [(&'static str, AttributeValue); 10] {
        [
            ("requests", decimal(self.requests)),
            ("requests_2xx", decimal(self.requests_2xx)),
            ("requests_4xx", decimal(self.requests_4xx)),
            ("requests_5xx", decimal(self.requests_5xx)),
            ("input_tokens", decimal(self.input_tokens)),
            ("output_tokens", decimal(self.output_tokens)),
            ("cache_read_tokens", decimal(self.cache_read_tokens)),
            ("ttft", AttributeValue::B(Blob::new(self.ttft.encode()))),
            ("duration", AttributeValue::B(Blob::new(self.duration.encode()))),
            ("speed", AttributeValue::B(Blob::new(self.speed.encode()))),
        ]
    }
}

fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

fn decimal(value: impl std::fmt::Display) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_reads_back_as_it_was_written() {
        let mut summary = Summary { requests: u64::MAX, input_tokens: 10_u128.pow(30), ..Summary::default() };
        summary.ttft.add(-7, 3).unwrap();
        let item: Item = summary.attributes().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        assert_eq!(Summary::read(&item).unwrap(), summary);
    }

    #[test]
    fn a_sketch_of_another_version_is_a_loud_error() {
        let mut item: Item = Summary::default().attributes().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        item.insert("speed".to_owned(), AttributeValue::B(Blob::new([2])));
        assert_eq!(Summary::read(&item).unwrap_err().to_string(), "attribute 'speed' is no sketch");
    }

    #[test]
    fn keys_sort_as_their_times_do() {
        let minute = Minute::floor("2026-11-24T20:15:00Z".parse().unwrap());
        assert_eq!(Period::Minute(minute).key(), "m1#2026-11-24T20:15");
        assert_eq!(Period::Hour(minute.hour()).key(), "h1#2026-11-24T20");
    }
}
