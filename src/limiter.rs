//! The rate limits table: one conditional write a decision, exact however many instances decide.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};
use jiff::Timestamp;

use crate::api_key::KeyHash;
use crate::attributes::{self, AttributeError, Item};
use crate::error::{Cause, ScrapeError};
use crate::keys::Grant;
use crate::rate_limit::{HELD_FOR, RateLimit, SLOTS, frees_at};
use crate::response::RequestId;

/// How many refused keys an instance remembers.
const REMEMBERED: usize = 10_000;

/// Seconds after its last admission when a key's item may be deleted.
const KEPT_SECONDS: i64 = 3_600;

/// Takes slots in the rate limits table. The item of a key holds its last six admissions, `t0` (oldest) to `t5` in Unix
/// milliseconds, and the requests that took them, `i0` to `i5`.
#[derive(Debug)]
pub struct Limiter {
    client: Client,
    table: String,
    update: String,
    condition: String,
    /// When the next slot of a refused key frees. Nothing frees one sooner, so until then a refusal needs no write.
    refused: Mutex<HashMap<KeyHash, Timestamp>>,
}

/// Evidence that a call took a slot. Only [`Limiter::admit`] makes one.
#[derive(Debug)]
pub struct Admission {
    limit: RateLimit,
}

impl Admission {
    /// How the key stands now.
    #[must_use]
    pub const fn limit(&self) -> RateLimit {
        self.limit
    }
}

impl Limiter {
    /// Over the table of that name.
    #[must_use]
    pub fn new(client: Client, table: String) -> Self {
        Self { client, table, update: update_expression(), condition: condition_expression(), refused: Mutex::default() }
    }

    /// Takes a slot for the key of the grant (rows 9 and 10 of the contract). The same request is never charged twice.
    ///
    /// # Errors
    /// `RateLimited`, or `Unavailable`.
    pub async fn admit(&self, grant: &Grant, id: &RequestId, now: Timestamp) -> Result<Admission, ScrapeError> {
        if let Some(frees) = self.remembered(grant.key(), now) {
            return Err(ScrapeError::RateLimited(RateLimit::refused_until(frees, now)));
        }
        let slots = self.take_slot(grant.key(), id, now).await.map_err(|cause| ScrapeError::Unavailable { store: "limiter", cause })?;
        if slots.taken_by(id) {
            return Ok(Admission { limit: RateLimit::of(&slots.taken_at, now) });
        }
        let frees = frees_at(slots.taken_at[0]);
        self.remember(grant.key(), frees, now);
        Err(ScrapeError::RateLimited(RateLimit::refused_until(frees, now)))
    }

    /// The slots after the write, or as they were where the condition refused it.
    async fn take_slot(&self, key: &KeyHash, id: &RequestId, now: Timestamp) -> Result<Slots, Cause> {
        let now_ms = now.as_millisecond();
        let answer = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("key_hash", AttributeValue::S(key.as_str().to_owned()))
            .update_expression(&self.update)
            .condition_expression(&self.condition)
            .expression_attribute_values(":now", number(now_ms))
            .expression_attribute_values(":free", number(now_ms - millis(HELD_FOR)))
            .expression_attribute_values(":never", number(0))
            .expression_attribute_values(":nobody", AttributeValue::S("-".to_owned()))
            .expression_attribute_values(":id", AttributeValue::S(id.as_str().to_owned()))
            .expression_attribute_values(":expires_at", number(now.as_second() + KEPT_SECONDS))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let item = match answer {
            Ok(written) => written.attributes,
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(refusal)) => refusal.item.clone(),
                _ => return Err(error.into()),
            },
        };
        Ok(Slots::read(&item.unwrap_or_default())?)
    }

    fn remembered(&self, key: &KeyHash, now: Timestamp) -> Option<Timestamp> {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.get(key).copied().filter(|frees| *frees > now)
    }

    fn remember(&self, key: &KeyHash, frees: Timestamp, now: Timestamp) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if refused.len() >= REMEMBERED {
            refused.retain(|_, frees| *frees > now);
        }
        if refused.len() < REMEMBERED {
            refused.insert(key.clone(), frees);
        }
    }
}

/// The last six admissions, oldest first.
struct Slots {
    taken_at: [Timestamp; SLOTS],
    taken_by: [String; SLOTS],
}

impl Slots {
    fn read(item: &Item) -> Result<Self, AttributeError> {
        let mut slots = Self { taken_at: [Timestamp::UNIX_EPOCH; SLOTS], taken_by: Default::default() };
        for (slot, (time, id)) in TIMES.into_iter().zip(IDS).enumerate() {
            let milliseconds = attributes::required(time, attributes::number(item, time)?)?;
            slots.taken_at[slot] = Timestamp::from_millisecond(milliseconds).map_err(|_| AttributeError::out_of_range(time))?;
            attributes::required(id, attributes::string(item, id)?)?.clone_into(&mut slots.taken_by[slot]);
        }
        Ok(slots)
    }

    fn taken_by(&self, id: &RequestId) -> bool {
        self.taken_by.iter().any(|taker| taker == id.as_str())
    }
}

const TIMES: [&str; SLOTS] = ["t0", "t1", "t2", "t3", "t4", "t5"];
const IDS: [&str; SLOTS] = ["i0", "i1", "i2", "i3", "i4", "i5"];

/// Each slot takes over from the next and the last is the new admission. Every right-hand side reads the item as it was, so
/// the shift is atomic; a slot never taken dates from 1970.
fn update_expression() -> String {
    let mut update = String::from("SET expires_at = :expires_at, t5 = :now, i5 = :id");
    for (older, newer) in (0..SLOTS).zip(1..SLOTS) {
        // Writing to a String cannot fail.
        let _ = write!(update, ", t{older} = if_not_exists(t{newer}, :never), i{older} = if_not_exists(i{newer}, :nobody)");
    }
    update
}

/// The oldest slot is free, and this request has taken none: a retry after a lost answer must not be charged again.
fn condition_expression() -> String {
    let takers = IDS.map(|taker| format!("{taker} = :id")).join(" OR ");
    format!("(attribute_not_exists(t0) OR t0 <= :free) AND NOT ({takers})")
}

fn number(value: i64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

fn millis(duration: jiff::SignedDuration) -> i64 {
    duration.as_secs() * 1000 + i64::from(duration.subsec_millis())
}
