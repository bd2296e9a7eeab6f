//! Reading the attributes of a DynamoDB item, each into the type it must have.

use std::collections::HashMap;
use std::str::FromStr;

use aws_sdk_dynamodb::types::AttributeValue;
use thiserror::Error;

/// An item as the SDK returns it.
pub type Item = HashMap<String, AttributeValue>;

/// An attribute that is missing or of the wrong type or range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("attribute '{name}' is {fault}")]
pub struct AttributeError {
    name: &'static str,
    fault: &'static str,
}

impl AttributeError {
    /// An attribute of the right type that holds what it may not.
    #[must_use]
    pub const fn out_of_range(name: &'static str) -> Self {
        Self { name, fault: "out of range" }
    }

    const fn wrong_type(name: &'static str) -> Self {
        Self { name, fault: "of the wrong type" }
    }
}

/// The value of an attribute that must be there.
///
/// # Errors
/// Where the reader found none.
pub fn required<T>(name: &'static str, value: Option<T>) -> Result<T, AttributeError> {
    value.ok_or(AttributeError { name, fault: "missing" })
}

/// An S attribute.
///
/// # Errors
/// When it is of another type.
pub fn string<'a>(item: &'a Item, name: &'static str) -> Result<Option<&'a str>, AttributeError> {
    let value = item.get(name).map(AttributeValue::as_s);
    value.transpose().map(|text| text.map(String::as_str)).map_err(|_| AttributeError::wrong_type(name))
}

/// An SS attribute.
///
/// # Errors
/// When it is of another type.
pub fn string_set<'a>(item: &'a Item, name: &'static str) -> Result<Option<&'a [String]>, AttributeError> {
    let value = item.get(name).map(AttributeValue::as_ss);
    value.transpose().map(|set| set.map(Vec::as_slice)).map_err(|_| AttributeError::wrong_type(name))
}

/// A BOOL attribute.
///
/// # Errors
/// When it is of another type.
pub fn boolean(item: &Item, name: &'static str) -> Result<Option<bool>, AttributeError> {
    let value = item.get(name).map(AttributeValue::as_bool);
    value.transpose().map(Option::<&bool>::copied).map_err(|_| AttributeError::wrong_type(name))
}

/// A B attribute.
///
/// # Errors
/// When it is of another type.
pub fn binary<'a>(item: &'a Item, name: &'static str) -> Result<Option<&'a [u8]>, AttributeError> {
    let value = item.get(name).map(AttributeValue::as_b);
    value.transpose().map(|blob| blob.map(AsRef::as_ref)).map_err(|_| AttributeError::wrong_type(name))
}

/// An N attribute, as the number type asked for.
///
/// # Errors
/// When it is of another type, or the number does not fit.
pub fn number<T: FromStr>(item: &Item, name: &'static str) -> Result<Option<T>, AttributeError> {
    let Some(value) = item.get(name) else { return Ok(None) };
    let text = value.as_n().map_err(|_| AttributeError::wrong_type(name))?;
    text.parse().map(Some).map_err(|_| AttributeError::out_of_range(name))
}
