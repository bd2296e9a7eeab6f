//! Which Parquet types Athena takes for a column of the table, and what it makes of their values.
//!
//! Athena's engine is Trino; `make trino` holds this against a real one. Annotations other than those named here do not
//! matter to it: it reads unsigned integers as signed, bytes as text, and text that is not UTF-8 as it is.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, StringArray};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{DataType, Int64Type, TimeUnit, TimestampMillisecondType};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::util::display::FormatOptions;
use datafusion::parquet::basic::{ConvertedType, LogicalType, Repetition, Type as Physical};
use datafusion::parquet::schema::types::{Type, TypePtr};

/// The most digits of a decimal that still is a `bigint`.
const BIGINT_DIGITS: i32 = 18;

/// Beyond them not every integer is a double.
const EXACT_DOUBLES: std::ops::RangeInclusive<i64> = -(1 << 53)..=1 << 53;

/// The last of Unicode's private characters; one stands for each byte that is not part of a character.
const FIRST_STAND_IN: u32 = 0x0010_ff00;

/// What an annotation says of a column's values.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Meaning {
    /// As the physical type has it.
    Plain,
    Decimal {
        digits: i32,
        scale: i32,
    },
    Date,
    Time,
    Timestamp,
}

/// How a column stored as `stored` is read where the table declares `declared`: the type without the annotations that
/// do not matter. `None` where Athena refuses the file.
pub fn taken(stored: &Type, declared: &DataType) -> Option<TypePtr> {
    if !stored.is_primitive() || stored.get_basic_info().repetition() == Repetition::REPEATED {
        return None;
    }
    let (physical, meaning) = (stored.get_physical_type(), meaning(stored));
    let is_integer = matches!(physical, Physical::INT32 | Physical::INT64);
    let is_whole = matches!(meaning, Meaning::Decimal { digits, scale: 0 } if digits <= BIGINT_DIGITS);
    let as_it_is = match declared {
        DataType::Boolean => physical == Physical::BOOLEAN,
        DataType::Int32 | DataType::Int64 => is_whole,
        DataType::Float64 => matches!(physical, Physical::FLOAT | Physical::DOUBLE),
        DataType::Timestamp(..) => physical == Physical::INT96 || meaning == Meaning::Timestamp,
        DataType::Utf8 => {
            matches!(physical, Physical::FLOAT | Physical::DOUBLE | Physical::INT96)
                || matches!(meaning, Meaning::Decimal { .. })
        }
        _ => false,
    };
    let unannotated = match declared {
        DataType::Int32 | DataType::Float64 => is_integer && meaning == Meaning::Plain,
        DataType::Int64 => match meaning {
            Meaning::Plain => is_integer,
            Meaning::Time | Meaning::Timestamp => physical == Physical::INT64,
            Meaning::Date | Meaning::Decimal { .. } => false,
        },
        DataType::Utf8 => {
            meaning == Meaning::Plain
                && (is_integer || matches!(physical, Physical::BYTE_ARRAY | Physical::FIXED_LEN_BYTE_ARRAY))
        }
        _ => false,
    };
    if as_it_is {
        Some(Arc::new(stored.clone()))
    } else if unannotated {
        without_annotation(stored)
    } else {
        None
    }
}

fn meaning(stored: &Type) -> Meaning {
    let info = stored.get_basic_info();
    match (info.logical_type_ref(), info.converted_type()) {
        (Some(LogicalType::Decimal(decimal)), _) => {
            Meaning::Decimal { digits: decimal.precision, scale: decimal.scale }
        }
        (Some(LogicalType::Date), _) | (None, ConvertedType::DATE) => Meaning::Date,
        (Some(LogicalType::Time(_)), _) | (None, ConvertedType::TIME_MILLIS | ConvertedType::TIME_MICROS) => {
            Meaning::Time
        }
        (Some(LogicalType::Timestamp(_)), _)
        | (None, ConvertedType::TIMESTAMP_MILLIS | ConvertedType::TIMESTAMP_MICROS) => Meaning::Timestamp,
        (None, ConvertedType::DECIMAL) => {
            Meaning::Decimal { digits: stored.get_precision(), scale: stored.get_scale() }
        }
        _ => Meaning::Plain,
    }
}

fn without_annotation(stored: &Type) -> Option<TypePtr> {
    let length = match stored {
        Type::PrimitiveType { type_length, .. } => *type_length,
        Type::GroupType { .. } => return None,
    };
    let plain = Type::primitive_type_builder(stored.name(), stored.get_physical_type())
        .with_repetition(stored.get_basic_info().repetition())
        .with_length(length);
    plain.build().ok().map(Arc::new)
}

/// The values as the table declares them.
pub fn converted(values: &ArrayRef, declared: &DataType) -> Result<ArrayRef, ArrowError> {
    match (values.data_type(), declared) {
        (DataType::Timestamp(unit, _), DataType::Timestamp(TimeUnit::Millisecond, None)) => rounded(values, *unit),
        (DataType::Binary, DataType::Utf8) => Ok(match StringArray::try_from_binary(values.as_binary().clone()) {
            Ok(texts) => Arc::new(texts),
            Err(_) => Arc::new(values.as_binary::<i32>().iter().map(|value| value.map(text)).collect::<StringArray>()),
        }),
        (DataType::FixedSizeBinary(_), DataType::Utf8) => {
            Ok(Arc::new(values.as_fixed_size_binary().iter().map(|value| value.map(text)).collect::<StringArray>()))
        }
        (DataType::Int64, DataType::Float64) => {
            let inexact =
                values.as_primitive::<Int64Type>().iter().flatten().find(|value| !EXACT_DOUBLES.contains(value));
            inexact.map_or_else(
                || strictly(values, declared),
                |value| Err(ArrowError::CastError(format!("{value} is not a double"))),
            )
        }
        (DataType::Timestamp(..), DataType::Utf8) => {
            let texts = strictly(values, declared)?;
            let trimmed = texts
                .as_string::<i32>()
                .iter()
                .map(|text| Some(text?.trim_end_matches('0').trim_end_matches('.').to_owned()));
            Ok(Arc::new(trimmed.collect::<StringArray>()))
        }
        (stored, declared) if stored == declared => Ok(Arc::clone(values)),
        _ => strictly(values, declared),
    }
}

fn strictly(values: &ArrayRef, declared: &DataType) -> Result<ArrayRef, ArrowError> {
    let format_options = FormatOptions::new().with_timestamp_format(Some("%Y-%m-%d %H:%M:%S.%9f"));
    cast_with_options(values, declared, &CastOptions { safe: false, format_options })
}

/// Half a millisecond counts as one.
fn rounded(values: &ArrayRef, unit: TimeUnit) -> Result<ArrayRef, ArrowError> {
    let to_milliseconds = |time: i64| match unit {
        TimeUnit::Second => time.saturating_mul(1_000),
        TimeUnit::Millisecond => time,
        TimeUnit::Microsecond => time.saturating_add(500).div_euclid(1_000),
        TimeUnit::Nanosecond => time.saturating_add(500_000).div_euclid(1_000_000),
    };
    let times = strictly(values, &DataType::Int64)?;
    Ok(Arc::new(times.as_primitive::<Int64Type>().unary::<_, TimestampMillisecondType>(to_milliseconds)))
}

/// Different bytes make different texts, as ids must stay apart, whether or not they are UTF-8.
fn text(bytes: &[u8]) -> String {
    let stand_in = |byte: &u8| char::from_u32(FIRST_STAND_IN + u32::from(*byte)).unwrap_or(char::REPLACEMENT_CHARACTER);
    bytes.utf8_chunks().flat_map(|chunk| chunk.valid().chars().chain(chunk.invalid().iter().map(stand_in))).collect()
}
