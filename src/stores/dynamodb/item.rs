//! Reading the attributes of a DynamoDB item, each into the type it must have, and writing them.

use std::collections::HashMap;
use std::fmt::Display;
use std::str::FromStr;

use aws_sdk_dynamodb::types::AttributeValue;
use thiserror::Error;

/// An item as the SDK returns it.
pub type Item = HashMap<String, AttributeValue>;

/// An attribute that is missing or of the wrong type or range.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("attribute '{name}' is {fault}")]
pub struct AttributeError {
    name: String,
    fault: &'static str,
}

impl AttributeError {
    /// An attribute of the right type that holds what it may not.
    pub fn out_of_range(name: &str) -> Self {
        Self { name: name.to_owned(), fault: "out of range" }
    }

    fn wrong_type(name: &str) -> Self {
        Self { name: name.to_owned(), fault: "of the wrong type" }
    }
}

/// The value of an attribute that must be there.
pub fn required<T>(name: &str, value: Option<T>) -> Result<T, AttributeError> {
    value.ok_or_else(|| AttributeError { name: name.to_owned(), fault: "missing" })
}

/// An S attribute.
pub fn string<'a>(item: &'a Item, name: &str) -> Result<Option<&'a str>, AttributeError> {
    let value = item.get(name).map(AttributeValue::as_s);
    value.transpose().map(|text| text.map(String::as_str)).map_err(|_| AttributeError::wrong_type(name))
}

/// An SS attribute.
pub fn string_set<'a>(item: &'a Item, name: &str) -> Result<Option<&'a [String]>, AttributeError> {
    let value = item.get(name).map(AttributeValue::as_ss);
    value.transpose().map(|set| set.map(Vec::as_slice)).map_err(|_| AttributeError::wrong_type(name))
}

/// A BOOL attribute.
pub fn boolean(item: &Item, name: &str) -> Result<Option<bool>, AttributeError> {
    let value = item.get(name).map(AttributeValue::as_bool);
    value.transpose().map(Option::<&bool>::copied).map_err(|_| AttributeError::wrong_type(name))
}

/// A B attribute.
pub fn binary<'a>(item: &'a Item, name: &str) -> Result<Option<&'a [u8]>, AttributeError> {
    let value = item.get(name).map(AttributeValue::as_b);
    value.transpose().map(|blob| blob.map(AsRef::as_ref)).map_err(|_| AttributeError::wrong_type(name))
}

/// An N attribute, as the number type asked for.
pub fn number<T: FromStr>(item: &Item, name: &str) -> Result<Option<T>, AttributeError> {
    let Some(value) = item.get(name) else { return Ok(None) };
    let text = value.as_n().map_err(|_| AttributeError::wrong_type(name))?;
    text.parse().map(Some).map_err(|_| AttributeError::out_of_range(name))
}

/// About as many bytes as DynamoDB counts.
pub fn size(item: &Item) -> usize {
    item.iter().map(|(name, value)| name.len() + value_size(value)).sum()
}

fn value_size(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) | AttributeValue::N(text) => text.len(),
        AttributeValue::B(blob) => blob.as_ref().len(),
        AttributeValue::Ss(texts) | AttributeValue::Ns(texts) => texts.iter().map(String::len).sum(),
        AttributeValue::Bs(blobs) => blobs.iter().map(|blob| blob.as_ref().len()).sum(),
        AttributeValue::L(values) => values.iter().map(|value| 1 + value_size(value)).sum(),
        AttributeValue::M(values) => size(values),
        _ => 1,
    }
}

/// An S attribute to write.
pub fn s(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

/// An N attribute to write.
pub fn n(value: impl Display) -> AttributeValue {
    AttributeValue::N(value.to_string())
}
