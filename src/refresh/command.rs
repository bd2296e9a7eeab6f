//! What an event asks the refresh to do.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

use crate::model::window::Minute;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Bring the rollups up to now: any event without `from` and `to`, as the schedule's.
    CatchUp,
    /// Read a range again: `{"from": "2026-11-24T10:00:00Z", "to": "2026-11-24T12:00:00Z"}`, widened to whole minutes.
    Recompute {
        /// Its first minute.
        from: Minute,
        /// The minute after its last.
        to: Minute,
    },
}

/// An event that names a range that cannot be recomputed.
#[derive(Debug, Error)]
pub enum CommandError {
    #[error("'from' and 'to' must both be times such as 2026-11-24T10:00:00Z")]
    Times(#[source] serde_json::Error),
    #[error("'from' must be before 'to'")]
    Empty,
}

#[derive(Deserialize)]
struct RangeEvent {
    from: String,
    to: String,
}

impl Command {
    /// Reads an event.
    ///
    /// # Errors
    /// When it holds a `from` or a `to` that are not a range.
    pub fn from_event(event: &Value) -> Result<Self, CommandError> {
        if event.get("from").is_none() && event.get("to").is_none() {
            return Ok(Self::CatchUp);
        }
        let RangeEvent { from, to } = RangeEvent::deserialize(event).map_err(CommandError::Times)?;
        let (from, to) = (time(&from)?, time(&to)?);
        if from >= to {
            return Err(CommandError::Empty);
        }
        Ok(Self::Recompute { from: Minute::floor(from), to: Minute::ceil(to) })
    }
}

fn time(text: &str) -> Result<Timestamp, CommandError> {
    text.parse().map_err(|error: jiff::Error| CommandError::Times(serde::de::Error::custom(error)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_of_the_schedule_asks_to_catch_up() {
        let event =
            json!({"source": "aws.scheduler", "detail-type": "Scheduled Event", "time": "2026-11-24T20:15:00Z"});
        assert_eq!(Command::from_event(&event).unwrap(), Command::CatchUp);
        assert_eq!(Command::from_event(&Value::Null).unwrap(), Command::CatchUp);
    }

    #[test]
    fn a_range_is_widened_to_whole_minutes() {
        let event = json!({"from": "2026-11-24T10:00:30Z", "to": "2026-11-24T10:02:30+00:00"});
        let Command::Recompute { from, to } = Command::from_event(&event).unwrap() else { panic!("no range") };
        assert_eq!((from.to_string(), to.to_string()), ("2026-11-24T10:00".to_owned(), "2026-11-24T10:03".to_owned()));
    }

    #[test]
    fn half_a_range_and_an_empty_one_are_refused() {
        for event in [
            json!({"from": "2026-11-24T10:00:00Z"}),
            json!({"from": "yesterday", "to": "2026-11-24T10:00:00Z"}),
            json!({"from": "2026-11-24T10:00:00Z", "to": 5}),
            json!({"from": "2026-11-24T10:00:00Z", "to": "2026-11-24T10:00:00Z"}),
        ] {
            assert!(Command::from_event(&event).is_err(), "{event}");
        }
    }
}
