//! The rate limits table: one conditional write per decision, exact however many instances decide.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{ReturnValue, ReturnValuesOnConditionCheckFailure};
use jiff::Timestamp;
use thiserror::Error;

use crate::error::Cause;
use crate::model::api_key::KeyHash;
use crate::model::quota::{Quota, RateLimit};
use crate::model::request_id::RequestId;
use crate::stores::api_keys::Grant;
use crate::stores::dynamodb::item::{AttributeError, Item, n, number, required, s, string};

/// How many refused keys an instance remembers.
const MAX_REMEMBERED_KEYS: usize = 10_000;

/// Seconds after its last admission when a key's item may be deleted.
const ITEM_TTL: i64 = 3_600;

/// Takes slots in the rate limits table. The item of a key holds its last admissions, `t0` (oldest), `t1` and so on in
/// Unix milliseconds, and the requests that took them, `i0`, `i1` and so on: as many as the quota has slots.
#[derive(Debug)]
pub struct RateLimits {
    client: Client,
    table: String,
    quota: Quota,
    /// What follows the hash in the keys of a route's items.
    suffix: &'static str,
    update: String,
    condition: String,
    /// When the next slot of a refused key frees. Nothing frees one sooner, so until then a refusal needs no write.
    refused: Mutex<HashMap<KeyHash, Timestamp>>,
}

/// Evidence that a call took a slot. Only [`RateLimits::admit`] makes one.
#[derive(Debug)]
pub struct Admission {
    limit: RateLimit,
}

impl Admission {
    /// How the key stands now.
    pub const fn limit(&self) -> RateLimit {
        self.limit
    }
}

#[derive(Debug, Error)]
pub enum LimitError {
    #[error("over the rate limit")]
    Exceeded(RateLimit),
    #[error("limiter unavailable")]
    Unavailable(#[source] Cause),
}

impl RateLimits {
    /// The limits of a route, whose items have that suffix.
    pub fn new(client: Client, table: String, quota: Quota, suffix: &'static str) -> Self {
        let (update, condition) = (update_expression(quota), condition_expression(quota));
        Self { client, table, quota, suffix, update, condition, refused: Mutex::default() }
    }

    /// Takes a slot for the key of the grant. The same request is never charged twice.
    ///
    /// # Errors
    /// When no slot is free, or the table cannot be written.
    pub async fn admit(&self, grant: &Grant, id: &RequestId, now: Timestamp) -> Result<Admission, LimitError> {
        if let Some(frees) = self.remembered(grant.key(), now) {
            return Err(self.refusal(frees, now));
        }
        let slots = self.take_slot(grant.key(), id, now).await.map_err(LimitError::Unavailable)?;
        if slots.taken_by(id) {
            return Ok(Admission { limit: RateLimit::from_slots(self.quota, &slots.taken_at, now) });
        }
        let frees = slots.taken_at.first().map_or(now, |oldest| self.quota.frees_at(*oldest));
        self.remember(grant.key(), frees, now);
        Err(self.refusal(frees, now))
    }

    fn refusal(&self, frees: Timestamp, now: Timestamp) -> LimitError {
        LimitError::Exceeded(RateLimit::refused_until(self.quota, frees, now))
    }

    /// The slots after the write, or as they were where the condition refused it.
    async fn take_slot(&self, key: &KeyHash, id: &RequestId, now: Timestamp) -> Result<Slots, Cause> {
        let now_ms = now.as_millisecond();
        let held_ms = i64::try_from(self.quota.held_for().as_millis()).unwrap_or(i64::MAX);
        let answer = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("key_hash", s(format!("{}{}", key.as_str(), self.suffix)))
            .update_expression(&self.update)
            .condition_expression(&self.condition)
            .expression_attribute_values(":now", n(now_ms))
            .expression_attribute_values(":free", n(now_ms - held_ms))
            .expression_attribute_values(":never", n(0))
            .expression_attribute_values(":nobody", s("-"))
            .expression_attribute_values(":id", s(id.as_str()))
            .expression_attribute_values(":expires_at", n(now.as_second() + ITEM_TTL))
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
        Ok(Slots::decode(&item.unwrap_or_default(), self.quota)?)
    }

    fn remembered(&self, key: &KeyHash, now: Timestamp) -> Option<Timestamp> {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.get(key).copied().filter(|frees| *frees > now)
    }

    fn remember(&self, key: &KeyHash, frees: Timestamp, now: Timestamp) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if refused.len() >= MAX_REMEMBERED_KEYS {
            refused.retain(|_, frees| *frees > now);
        }
        if refused.len() < MAX_REMEMBERED_KEYS {
            refused.insert(key.clone(), frees);
        }
    }
}

/// The last admissions, oldest first.
struct Slots {
    taken_at: Vec<Timestamp>,
    taken_by: Vec<String>,
}

impl Slots {
    fn decode(item: &Item, quota: Quota) -> Result<Self, AttributeError> {
        let mut slots = Self { taken_at: Vec::new(), taken_by: Vec::new() };
        for slot in 0..quota.slots {
            let milliseconds = required("t", number(item, &format!("t{slot}"))?)?;
            slots
                .taken_at
                .push(Timestamp::from_millisecond(milliseconds).map_err(|_| AttributeError::out_of_range("t"))?);
            slots.taken_by.push(required("i", string(item, &format!("i{slot}"))?)?.to_owned());
        }
        Ok(slots)
    }

    fn taken_by(&self, id: &RequestId) -> bool {
        self.taken_by.iter().any(|taker| taker == id.as_str())
    }
}

/// Each slot takes over from the next and the last is the new admission. Every right-hand side reads the item as it
/// was, so the shift is atomic; a slot never taken dates from 1970.
fn update_expression(quota: Quota) -> String {
    let last = quota.slots - 1;
    let mut update = format!("SET expires_at = :expires_at, t{last} = :now, i{last} = :id");
    for (older, newer) in (0..last).zip(1..) {
        // Writing to a String cannot fail.
        let _ =
            write!(update, ", t{older} = if_not_exists(t{newer}, :never), i{older} = if_not_exists(i{newer}, :nobody)");
    }
    update
}

/// The oldest slot is free, and this request has taken none: a retry after a lost answer must not be charged again.
fn condition_expression(quota: Quota) -> String {
    let takers: Vec<_> = (0..quota.slots).map(|slot| format!("i{slot} = :id")).collect();
    format!("(attribute_not_exists(t0) OR t0 <= :free) AND NOT ({})", takers.join(" OR "))
}
