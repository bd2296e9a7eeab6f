//! The API keys table: who a caller is, and what the key may ask for.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;

use crate::api_key::KeyHash;
use crate::attributes::{self, AttributeError, Item};
use crate::error::{InvalidApiKey, ScrapeError};
use crate::host::Host;
use crate::request::Request;

/// Reads the API keys table.
#[derive(Clone, Debug)]
pub struct Keys {
    client: Client,
    table: String,
}

/// Evidence that a key is good and owns every endpoint asked for. Only [`Keys::authorize`] makes one.
#[derive(Debug)]
pub struct Grant {
    key: KeyHash,
    endpoints: Vec<Host>,
}

impl Grant {
    /// Whose it is.
    #[must_use]
    pub const fn key(&self) -> &KeyHash {
        &self.key
    }

    /// What it lets read, in the order asked.
    #[must_use]
    pub fn endpoints(&self) -> &[Host] {
        &self.endpoints
    }
}

/// A key's record, checked.
struct Record {
    kind: Kind,
    endpoints: Vec<String>,
    revoked: bool,
    /// Unix seconds.
    expires_at: Option<f64>,
}

enum Kind {
    /// May scrape: `dedicated` and `metrics` differ elsewhere only.
    Dedicated,
    Serverless,
}

impl Keys {
    /// Over the table of that name.
    #[must_use]
    pub const fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }

    /// Looks the key up, with one read, and judges rows 5 to 8 of the contract.
    ///
    /// # Errors
    /// `Unavailable`, `InvalidApiKey`, `DedicatedOnly` or `EndpointForbidden`.
    pub async fn authorize(&self, request: &Request, now: Timestamp) -> Result<Grant, ScrapeError> {
        let item = self.record(&request.key).await?.ok_or(InvalidApiKey::Unknown)?;
        let record = Record::read(&item).map_err(|error| InvalidApiKey::Record(error.into()))?;
        if record.revoked {
            return Err(InvalidApiKey::Revoked.into());
        }
        if record.expires_at.is_some_and(|expiry| seconds(now) >= expiry) {
            return Err(InvalidApiKey::Expired.into());
        }
        if matches!(record.kind, Kind::Serverless) {
            return Err(ScrapeError::DedicatedOnly);
        }
        let owns = |host: &Host| record.endpoints.iter().any(|own| own.eq_ignore_ascii_case(host.as_str()));
        if !request.endpoints.iter().all(owns) {
            return Err(ScrapeError::EndpointForbidden);
        }
        Ok(Grant { key: request.key.clone(), endpoints: request.endpoints.clone() })
    }

    /// Eventually consistent: half the price, and a change is seen within a second as a rule.
    async fn record(&self, key: &KeyHash) -> Result<Option<Item>, ScrapeError> {
        let key = AttributeValue::S(key.as_str().to_owned());
        let answer = self.client.get_item().table_name(&self.table).key("key_hash", key).send().await;
        answer.map(|found| found.item).map_err(|error| ScrapeError::Unavailable { store: "key store", cause: error.into() })
    }
}

impl Record {
    fn read(item: &Item) -> Result<Self, AttributeError> {
        let kind = match attributes::required("kind", attributes::string(item, "kind")?)? {
            "dedicated" | "metrics" => Kind::Dedicated,
            "serverless" => Kind::Serverless,
            _ => return Err(AttributeError::out_of_range("kind")),
        };
        Ok(Self {
            kind,
            endpoints: attributes::string_set(item, "endpoints")?.unwrap_or_default().to_vec(),
            revoked: attributes::boolean(item, "revoked")?.unwrap_or(false),
            expires_at: attributes::number(item, "expires_at")?,
        })
    }
}

#[expect(clippy::cast_precision_loss, reason = "Unix seconds are far below 2^53")]
fn seconds(time: Timestamp) -> f64 {
    time.as_millisecond() as f64 / 1000.0
}
