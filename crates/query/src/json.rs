//! Rows as JSON: an array of objects, written as the rows come.
//!
//! A column that holds JSON text is marked in its field's metadata and comes out as it stands, so
//! that each property's value is the one that was sent. Times are RFC 3339 in UTC with
//! milliseconds, keys 32 hexadecimal digits, other bytes base64. A number that JSON cannot say
//! (NaN, infinity) is null. It must never change a value that was marked.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{
    DataType, Field, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, Schema,
    TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use std::collections::HashMap;
use std::fmt::Write as _;

use crate::{Error, Result, Rows};
use futures::StreamExt;

/// The key in a field's metadata that says that its text is JSON.
pub const MARK: &str = "strongroom.json";

/// Whether a column holds JSON text.
#[must_use]
pub fn is_marked(field: &Field) -> bool {
    field.metadata().contains_key(MARK)
}

pub(crate) fn mark() -> HashMap<String, String> {
    HashMap::from([(String::from(MARK), String::from("1"))])
}

pub(crate) fn marked(field: Field) -> Field {
    field.with_metadata(mark())
}

/// 32 digits for 16 bytes.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().saturating_mul(2));
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Writes all rows as one JSON array of objects; each piece of text goes to `out`.
///
/// # Errors
/// What the rows end with, or what `out` says. What was written before stays.
pub async fn array(
    mut rows: Rows,
    mut out: impl FnMut(&str) -> std::io::Result<()>,
) -> Result<u64> {
    let schema = std::sync::Arc::clone(&rows.schema);
    let mut count = 0_u64;
    let mut text = String::from("[");
    while let Some(batch) = rows.batches.next().await {
        let batch = batch?;
        for row in 0..batch.num_rows() {
            text.push_str(if count == 0 { "\n" } else { ",\n" });
            object(&schema, &batch, row, &mut text)?;
            count += 1;
        }
        out(&text).map_err(Error::Output)?;
        text.clear();
    }
    text.push_str(if count == 0 { "]\n" } else { "\n]\n" });
    out(&text).map_err(Error::Output)?;
    Ok(count)
}

/// Adds one row as a JSON object. `schema` has the marks, which a batch's own may have lost.
///
/// # Errors
/// `Internal` when a column cannot be shown.
pub fn object(schema: &Schema, batch: &RecordBatch, row: usize, text: &mut String) -> Result<()> {
    text.push('{');
    for (index, (field, array)) in schema.fields().iter().zip(batch.columns()).enumerate() {
        if index > 0 {
            text.push(',');
        }
        push_string(text, field.name());
        text.push(':');
        value(field, array.as_ref(), row, text)?;
    }
    text.push('}');
    Ok(())
}

/// Adds the value of `array` in `row`.
pub(crate) fn value(field: &Field, array: &dyn Array, row: usize, text: &mut String) -> Result<()> {
    if array.is_null(row) {
        text.push_str("null");
        return Ok(());
    }
    match array.data_type() {
        DataType::Utf8 => string(field, array.as_string::<i32>().value(row), text),
        DataType::LargeUtf8 => string(field, array.as_string::<i64>().value(row), text),
        DataType::Utf8View => string(field, array.as_string_view().value(row), text),
        DataType::Boolean => {
            text.push_str(if array.as_boolean().value(row) {
                "true"
            } else {
                "false"
            });
        }
        DataType::Int8 => push(text, array.as_primitive::<Int8Type>().value(row)),
        DataType::Int16 => push(text, array.as_primitive::<Int16Type>().value(row)),
        DataType::Int32 => push(text, array.as_primitive::<Int32Type>().value(row)),
        DataType::Int64 => push(text, array.as_primitive::<Int64Type>().value(row)),
        DataType::UInt8 => push(text, array.as_primitive::<UInt8Type>().value(row)),
        DataType::UInt16 => push(text, array.as_primitive::<UInt16Type>().value(row)),
        DataType::UInt32 => push(text, array.as_primitive::<UInt32Type>().value(row)),
        DataType::UInt64 => push(text, array.as_primitive::<UInt64Type>().value(row)),
        DataType::Float32 => float(text, array.as_primitive::<Float32Type>().value(row).into()),
        DataType::Float64 => float(text, array.as_primitive::<Float64Type>().value(row)),
        DataType::Timestamp(unit, _) => timestamp(*unit, array, row, text),
        DataType::FixedSizeBinary(_) => {
            push_string(text, &hex(array.as_fixed_size_binary().value(row)));
        }
        DataType::Binary => push_string(text, &base64(array.as_binary::<i32>().value(row))),
        DataType::LargeBinary => push_string(text, &base64(array.as_binary::<i64>().value(row))),
        DataType::BinaryView => push_string(text, &base64(array.as_binary_view().value(row))),
        DataType::List(inner) => list(inner, &array.as_list::<i32>().value(row), text)?,
        DataType::Struct(fields) => {
            text.push('{');
            for (index, (field, column)) in
                fields.iter().zip(array.as_struct().columns()).enumerate()
            {
                if index > 0 {
                    text.push(',');
                }
                push_string(text, field.name());
                text.push(':');
                value(field, column.as_ref(), row, text)?;
            }
            text.push('}');
        }
        DataType::Null => text.push_str("null"),
        _ => push_string(text, &shown(array, row)?),
    }
    Ok(())
}

fn list(field: &Field, items: &dyn Array, text: &mut String) -> Result<()> {
    text.push('[');
    for row in 0..items.len() {
        if row > 0 {
            text.push(',');
        }
        value(field, items, row, text)?;
    }
    text.push(']');
    Ok(())
}

/// A value of any other type as text.
pub(crate) fn shown(array: &dyn Array, row: usize) -> Result<String> {
    let failed = |_| Error::Internal("show a value");
    let formatter = ArrayFormatter::try_new(array, &FormatOptions::default()).map_err(failed)?;
    formatter.value(row).try_to_string().map_err(failed)
}

fn string(field: &Field, value: &str, text: &mut String) {
    if is_marked(field) {
        text.push_str(value);
    } else {
        push_string(text, value);
    }
}

pub(crate) fn push_string(text: &mut String, value: &str) {
    // A string always has a JSON text.
    text.push_str(&serde_json::to_string(value).unwrap_or_default());
}

fn push(text: &mut String, value: impl std::fmt::Display) {
    // Writing to a string cannot fail.
    let _ = write!(text, "{value}");
}

fn float(text: &mut String, value: f64) {
    if value.is_finite() {
        text.push_str(&lake::render_float(value));
    } else {
        text.push_str("null");
    }
}

fn timestamp(unit: TimeUnit, array: &dyn Array, row: usize, text: &mut String) {
    push_string(text, &moment(unit, array, row));
}

/// A moment as RFC 3339.
pub(crate) fn moment(unit: TimeUnit, array: &dyn Array, row: usize) -> String {
    let ms = match unit {
        TimeUnit::Second => array
            .as_primitive::<TimestampSecondType>()
            .value(row)
            .saturating_mul(1_000),
        TimeUnit::Millisecond => array.as_primitive::<TimestampMillisecondType>().value(row),
        TimeUnit::Microsecond => array
            .as_primitive::<TimestampMicrosecondType>()
            .value(row)
            .div_euclid(1_000),
        TimeUnit::Nanosecond => array
            .as_primitive::<TimestampNanosecondType>()
            .value(row)
            .div_euclid(1_000_000),
    };
    model::Timestamp::from_ms(ms).to_string()
}

/// Base64 with padding (RFC 4648, section 4).
pub(crate) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |value: u32| {
        let index = usize::try_from(value & 63).unwrap_or_default();
        DIGITS.get(index).map_or('=', |it| char::from(*it))
    };
    let mut text = String::with_capacity(bytes.len().div_ceil(3).saturating_mul(4));
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or_default());
        let group = (byte(0) << 16) | (byte(1) << 8) | byte(2);
        text.push(digit(group >> 18));
        text.push(digit(group >> 12));
        text.push(if chunk.len() > 1 {
            digit(group >> 6)
        } else {
            '='
        });
        text.push(if chunk.len() > 2 { digit(group) } else { '=' });
    }
    text
}
