//! The API keys table: who a caller is, and what the key may ask for.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use thiserror::Error;

use crate::error::Cause;
use crate::model::api_key::KeyHash;
use crate::model::host::{Asked, Host};
use crate::stores::dynamodb::item::{AttributeError, Item, boolean, number, required, string, string_set};

#[derive(Clone, Debug)]
pub struct ApiKeys {
    client: Client,
    table: String,
}

/// Evidence that a key is good and owns every endpoint asked for. Only [`ApiKeys::authorize`] makes one.
#[derive(Debug)]
pub struct Grant {
    key: KeyHash,
    endpoints: Vec<Host>,
    expires_at: Option<f64>,
}

impl Grant {
    pub const fn key(&self) -> &KeyHash {
        &self.key
    }

    /// What it lets read: in the order asked, or of names.
    pub fn endpoints(&self) -> &[Host] {
        &self.endpoints
    }

    /// Unix seconds from which the key is expired; `None` where it does not expire.
    pub const fn expires_at(&self) -> Option<f64> {
        self.expires_at
    }
}

#[derive(Debug, Error)]
pub enum KeyError {
    #[error("unknown key")]
    Unknown,
    #[error("revoked key")]
    Revoked,
    #[error("expired key")]
    Expired,
    /// An operator's fault.
    #[error("key record does not fit")]
    Record(#[source] Cause),
    #[error("serverless key")]
    Serverless,
    #[error("not the key's endpoint")]
    NotOwned,
    #[error("the key's endpoints are more than one call may have")]
    TooManyEndpoints,
    #[error("key store unavailable")]
    Unavailable(#[source] Cause),
}

/// The end of the year 9999 in Unix seconds. What lies beyond is milliseconds by mistake, and would never expire.
const LATEST_EXPIRY: f64 = 253_402_300_799.0;

/// A key's record, checked.
struct Record {
    kind: Kind,
    endpoints: BTreeSet<Host>,
    revoked: bool,
    /// Unix seconds.
    expires_at: Option<f64>,
}

enum Kind {
    /// `dedicated` or `metrics`: they differ only elsewhere.
    MayScrape,
    Serverless,
}

impl ApiKeys {
    pub const fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }

    /// Looks the key up, with one read, and checks that it owns what is asked for.
    ///
    /// # Errors
    /// The first that applies, in the contract's order.
    pub async fn authorize(&self, key: KeyHash, asked: Asked, now: Timestamp) -> Result<Grant, KeyError> {
        let item = self.record(&key).await.map_err(KeyError::Unavailable)?.ok_or(KeyError::Unknown)?;
        let record = Record::decode(&item).map_err(|error| KeyError::Record(error.into()))?;
        if record.revoked {
            return Err(KeyError::Revoked);
        }
        if record.expires_at.is_some_and(|expiry| seconds(now) >= expiry) {
            return Err(KeyError::Expired);
        }
        if matches!(record.kind, Kind::Serverless) {
            return Err(KeyError::Serverless);
        }
        let expires_at = record.expires_at;
        Ok(Grant { key, endpoints: granted(asked, record.endpoints)?, expires_at })
    }

    /// Eventually consistent: half the price, and a change is usually seen within a second.
    async fn record(&self, key: &KeyHash) -> Result<Option<Item>, Cause> {
        let key = AttributeValue::S(key.as_str().to_owned());
        Ok(self.client.get_item().table_name(&self.table).key("key_hash", key).send().await?.item)
    }
}

/// What is asked for, where it is among what the key owns.
fn granted(asked: Asked, owned: BTreeSet<Host>) -> Result<Vec<Host>, KeyError> {
    match asked {
        Asked::Named(named) if named.iter().all(|host| owned.contains(host)) => Ok(named),
        Asked::Named(_) => Err(KeyError::NotOwned),
        Asked::AllUpTo(_) if owned.is_empty() => Err(KeyError::NotOwned),
        Asked::AllUpTo(most) if owned.len() > most => Err(KeyError::TooManyEndpoints),
        Asked::AllUpTo(_) | Asked::All => Ok(owned.into_iter().collect()),
    }
}

impl Record {
    fn decode(item: &Item) -> Result<Self, AttributeError> {
        let kind = match required("kind", string(item, "kind")?)? {
            "dedicated" | "metrics" => Kind::MayScrape,
            "serverless" => Kind::Serverless,
            _ => return Err(AttributeError::out_of_range("kind")),
        };
        let endpoints = string_set(item, "endpoints")?.unwrap_or_default().iter().map(|name| Host::parse(name));
        let expires_at: Option<f64> = number(item, "expires_at")?;
        if expires_at.is_some_and(|seconds| seconds > LATEST_EXPIRY) {
            return Err(AttributeError::out_of_range("expires_at"));
        }
        // A set, as names in upper and in lower case are the same.
        let endpoints: Option<BTreeSet<Host>> = endpoints.collect();
        let endpoints = endpoints.ok_or_else(|| AttributeError::out_of_range("endpoints"))?;
        Ok(Self { kind, endpoints, revoked: boolean(item, "revoked")?.unwrap_or(false), expires_at })
    }
}

#[expect(clippy::cast_precision_loss, reason = "Unix seconds are far below 2^53")]
fn seconds(time: Timestamp) -> f64 {
    time.as_millisecond() as f64 / 1000.0
}
