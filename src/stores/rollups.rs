//! The rollups table: what is known of each endpoint's minutes and hours, its running total, and how far the refresh
//! has come.
//!
//! Keys carry the format's version (`m2#`, `h2#`, `total2`, `watermark2`, `since2`): a release with another format
//! fills items of its own, and either can be backed out. Every write is on condition of the `version` that was read.

mod format;
mod reader;
mod writer;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use thiserror::Error;

use crate::error::Cause;
use crate::model::host::Host;
use crate::model::sketch::CountByBucket;
use crate::model::summary::{Figures, Summary};
use crate::model::watermark::{Sealing, Stride, TooLateRows, Watermark};
use crate::model::window::{Hour, Minute};
use crate::stores::dynamodb::item::{AttributeError, Item, binary, n, number, required, s, string};

pub use format::{FormatError, decode, decode_onto, encode};
pub use reader::{BinSummaries, RollupReader, WindowSummary};
pub use writer::{HourChange, MinuteChange, PutOutcome, RollupWriter, Transaction};

/// Days that a minute's item is kept after its minute or its writing, whichever is later: a day more than a refresh
/// reaches back.
const MINUTE_DAYS: i64 = 8;
/// Days that an hour's item is kept after the hour.
const HOUR_DAYS: i64 = 32;
const DAY_SECONDS: i64 = 86_400;

/// A value and how often its item has been written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versioned<T> {
    pub value: T,
    pub version: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    pub summary: Summary,
    /// When the query behind it was submitted.
    pub as_of: Timestamp,
    pub version: u64,
}

/// What an item of an endpoint is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Period {
    Minute(Minute),
    Hour(Hour),
    /// Everything that was ever counted.
    Total,
}

impl Period {
    fn key(self) -> String {
        match self {
            Self::Minute(minute) => format!("m2#{minute}"),
            Self::Hour(hour) => format!("h2#{hour}"),
            Self::Total => "total2".to_owned(),
        }
    }

    /// The minute of a minute's key.
    fn minute_of(key: &str) -> Option<Minute> {
        Minute::from_key(key.strip_prefix("m2#")?)
    }

    fn from_key(key: &str) -> Option<Self> {
        if key == Self::Total.key() {
            return Some(Self::Total);
        }
        let hour = || Hour::from_key(key.strip_prefix("h2#")?);
        Self::minute_of(key).map(Self::Minute).or_else(|| hour().map(Self::Hour))
    }

    /// Unix seconds after which the item may go.
    fn expires_at(self, written_at: Timestamp) -> Option<i64> {
        match self {
            Self::Minute(minute) => Some(minute.as_second().max(written_at.as_second()) + MINUTE_DAYS * DAY_SECONDS),
            Self::Hour(hour) => Some(hour.start().as_second() + HOUR_DAYS * DAY_SECONDS),
            Self::Total => None,
        }
    }
}

#[derive(Debug, Error)]
pub enum RollupError {
    #[error(transparent)]
    Attribute(#[from] AttributeError),
    #[error("attribute 'summary' cannot be read")]
    Format(#[from] FormatError),
}

/// The partition of what is not an endpoint's; no host name starts with `#`.
const REFRESH: &str = "#refresh";
const WATERMARK: &str = "watermark2";
const SINCE: &str = "since2";

fn refresh_key(period: &str) -> [(String, AttributeValue); 2] {
    [("endpoint".to_owned(), s(REFRESH)), ("period".to_owned(), s(period))]
}

async fn watermark(client: &Client, table: &str) -> Result<Option<Versioned<Watermark>>, Cause> {
    let get = client.get_item().table_name(table).consistent_read(true).set_key(Some(refresh_key(WATERMARK).into()));
    Ok(get.send().await?.item.as_ref().map(decode_watermark).transpose()?)
}

async fn since(client: &Client, table: &str) -> Result<Option<Minute>, Cause> {
    let get = client.get_item().table_name(table).consistent_read(true).set_key(Some(refresh_key(SINCE).into()));
    let item = get.send().await?.item;
    Ok(item.as_ref().map(|item| required("since", minute(item, "since")?)).transpose()?)
}

fn decode_watermark(item: &Item) -> Result<Versioned<Watermark>, AttributeError> {
    let moment = |name| {
        let milliseconds: Option<i64> = number(item, name)?;
        milliseconds
            .map(|time| Timestamp::from_millisecond(time).map_err(|_| AttributeError::out_of_range(name)))
            .transpose()
    };
    let sealing = string(item, "sealing")?.map(|name| {
        let endpoint = Host::parse(name).ok_or(AttributeError::out_of_range("sealing"))?;
        let too_late = TooLateRows {
            hour: number(item, "too_late_rows")?.unwrap_or_default(),
            day_before: number(item, "too_late_rows_day_before")?.unwrap_or_default(),
        };
        Ok(Sealing { endpoint, too_late })
    });
    let value = Watermark {
        through: required("through", minute(item, "through")?)?,
        settled: required("settled", minute(item, "settled")?)?,
        sealed: required("sealed", minute(item, "sealed")?)?.hour(),
        sealing: sealing.transpose()?,
        stride: Stride::from_minutes(required("stride", number(item, "stride")?)?)
            .ok_or(AttributeError::out_of_range("stride"))?,
        last_row: minute(item, "last_row")?,
        caught_up_at: moment("caught_up_at")?,
    };
    Ok(Versioned { value, version: required("version", number(item, "version")?)? })
}

fn watermark_item(mark: &Watermark, version: u64) -> Item {
    let mut item = Item::from(refresh_key(WATERMARK));
    item.extend([
        ("through".to_owned(), n(mark.through.as_second())),
        ("settled".to_owned(), n(mark.settled.as_second())),
        ("sealed".to_owned(), n(mark.sealed.start().as_second())),
        ("stride".to_owned(), n(mark.stride.minutes())),
        ("version".to_owned(), n(version)),
    ]);
    if let Some(Sealing { endpoint, too_late }) = &mark.sealing {
        item.insert("sealing".to_owned(), s(endpoint.as_str()));
        item.insert("too_late_rows".to_owned(), n(too_late.hour));
        item.insert("too_late_rows_day_before".to_owned(), n(too_late.day_before));
    }
    if let Some(minute) = mark.last_row {
        item.insert("last_row".to_owned(), n(minute.as_second()));
    }
    if let Some(at) = mark.caught_up_at {
        item.insert("caught_up_at".to_owned(), n(at.as_millisecond()));
    }
    item
}

/// An attribute of Unix seconds on the minute.
fn minute(item: &Item, name: &'static str) -> Result<Option<Minute>, AttributeError> {
    let second: Option<i64> = number(item, name)?;
    second.map(|second| Minute::from_second(second).ok_or(AttributeError::out_of_range(name))).transpose()
}

fn decode_figures<S: CountByBucket<SCHEMA> + Default, const SCHEMA: u32>(
    item: &Item,
) -> Result<Figures<S>, RollupError> {
    Ok(decode(encoded(item)?)?)
}

/// The bytes of the figures.
fn encoded(item: &Item) -> Result<&[u8], AttributeError> {
    required("summary", binary(item, "summary")?)
}

fn decode_stored(item: &Item) -> Result<Stored, RollupError> {
    let as_of = required("as_of", number(item, "as_of")?)?;
    Ok(Stored {
        summary: decode_figures(item)?,
        as_of: Timestamp::from_millisecond(as_of).map_err(|_| AttributeError::out_of_range("as_of"))?,
        version: required("version", number(item, "version")?)?,
    })
}

fn item_of(endpoint: &Host, period: Period, summary: Vec<u8>, version: u64, as_of: Timestamp) -> Item {
    let mut item = Item::from([
        ("endpoint".to_owned(), s(endpoint.as_str())),
        ("period".to_owned(), s(period.key())),
        ("summary".to_owned(), AttributeValue::B(Blob::new(summary))),
        ("version".to_owned(), n(version)),
        ("as_of".to_owned(), n(as_of.as_millisecond())),
    ]);
    if let Some(seconds) = period.expires_at(as_of) {
        item.insert("expires_at".to_owned(), n(seconds));
    }
    item
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(time: &str) -> Timestamp {
        time.parse().unwrap()
    }

    #[test]
    fn keys_sort_as_their_times_do_and_read_back() {
        let minute = Minute::floor(at("2026-11-24T20:15:00Z"));
        assert_eq!(Period::Minute(minute).key(), "m2#2026-11-24T20:15");
        assert_eq!(Period::Hour(minute.hour()).key(), "h2#2026-11-24T20");
        assert_eq!(Period::minute_of("m2#2026-11-24T20:15"), Some(minute));
        for period in [Period::Minute(minute), Period::Hour(minute.hour()), Period::Total] {
            assert_eq!(Period::from_key(&period.key()), Some(period));
        }
        assert_eq!(Period::from_key("h2#2026-11-24T20:15"), None);
        for key in ["h2#2026-11-24T20", "m2#", "m2#2026-11-24T20:15:30", "m1#2026-11-24T20:15", "total2"] {
            assert_eq!(Period::minute_of(key), None, "{key}");
        }
    }

    #[test]
    fn a_minute_is_kept_8_days_from_the_later_of_itself_and_its_writing() {
        let minute = Period::Minute(Minute::floor(at("2026-11-01T00:00:00Z")));
        assert_eq!(minute.expires_at(at("2026-11-01T00:02:00Z")), Some(at("2026-11-09T00:02:00Z").as_second()));
        assert_eq!(minute.expires_at(at("2026-11-08T00:02:00Z")), Some(at("2026-11-16T00:02:00Z").as_second()));
        let hour = Period::Hour(Minute::floor(at("2026-11-01T00:00:00Z")).hour());
        assert_eq!(hour.expires_at(at("2026-11-20T00:00:00Z")), Some(at("2026-12-03T00:00:00Z").as_second()));
        assert_eq!(Period::Total.expires_at(at("2026-11-20T00:00:00Z")), None);
    }

    #[test]
    fn a_watermark_reads_back_as_it_was_written() {
        let minute = Minute::floor(at("2026-11-24T20:15:00Z"));
        let mut mark = Watermark {
            through: minute,
            settled: minute.plus(-10),
            sealed: minute.hour(),
            sealing: None,
            stride: Stride::LONGEST,
            last_row: None,
            caught_up_at: None,
        };
        assert_eq!(decode_watermark(&watermark_item(&mark, 7)).unwrap(), Versioned { value: mark.clone(), version: 7 });
        mark.sealing = Some(Sealing {
            endpoint: Host::parse("a.example").unwrap(),
            too_late: TooLateRows { hour: 3, day_before: 5 },
        });
        mark.last_row = Some(minute.plus(-1));
        mark.caught_up_at = Some(at("2026-11-24T20:16:30.125Z"));
        assert_eq!(decode_watermark(&watermark_item(&mark, 8)).unwrap(), Versioned { value: mark, version: 8 });
    }
}
