//! Rows as comma-separated values (RFC 4180): a header, CRLF line ends, quotes where needed.
//!
//! JSON columns come out as their JSON text, times as RFC 3339, keys as hexadecimal digits, null as
//! nothing (an empty text is `""`). A spreadsheet takes some texts for formulas
//! ([`model::spreadsheet::runs`]); [`Formulas::Defused`] puts an apostrophe before them. Numbers are
//! never changed.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};

use crate::{Error, Result, Rows, json};
use futures::StreamExt;

/// What becomes of texts that a spreadsheet would run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Formulas {
    /// They stay as they are: for programs.
    #[default]
    Kept,
    /// An apostrophe is put before them: for spreadsheets.
    Defused,
}

/// Writes all rows; each piece of text goes to `out`.
///
/// # Errors
/// What the rows end with, or what `out` says. What was written before stays.
pub async fn table(
    mut rows: Rows,
    formulas: Formulas,
    mut out: impl FnMut(&str) -> std::io::Result<()>,
) -> Result<u64> {
    let schema = std::sync::Arc::clone(&rows.schema);
    let mut text = String::new();
    header(&schema, formulas, &mut text);
    let mut count = 0_u64;
    while let Some(batch) = rows.batches.next().await {
        let batch = batch?;
        for row in 0..batch.num_rows() {
            line(&schema, &batch, row, formulas, &mut text)?;
            count += 1;
        }
        out(&text).map_err(Error::Output)?;
        text.clear();
    }
    out(&text).map_err(Error::Output)?;
    Ok(count)
}

/// Adds the line of column names.
pub fn header(schema: &Schema, formulas: Formulas, text: &mut String) {
    for (index, field) in schema.fields().iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        push(text, field.name(), formulas);
    }
    text.push_str("\r\n");
}

/// Adds the line of one row.
///
/// # Errors
/// `Internal` when a column cannot be shown.
pub fn line(
    schema: &Schema,
    batch: &RecordBatch,
    row: usize,
    formulas: Formulas,
    text: &mut String,
) -> Result<()> {
    for (index, (field, array)) in schema.fields().iter().zip(batch.columns()).enumerate() {
        if index > 0 {
            text.push(',');
        }
        value(field, array.as_ref(), row, formulas, text)?;
    }
    text.push_str("\r\n");
    Ok(())
}

fn value(
    field: &Field,
    array: &dyn Array,
    row: usize,
    formulas: Formulas,
    text: &mut String,
) -> Result<()> {
    if array.is_null(row) {
        return Ok(());
    }
    // JSON text is no formula unless it is a negative number, which stays one.
    let formulas = if json::is_marked(field) {
        Formulas::Kept
    } else {
        formulas
    };
    match array.data_type() {
        DataType::Utf8 => push(text, array.as_string::<i32>().value(row), formulas),
        DataType::LargeUtf8 => push(text, array.as_string::<i64>().value(row), formulas),
        DataType::Utf8View => push(text, array.as_string_view().value(row), formulas),
        DataType::Timestamp(unit, _) => text.push_str(&json::moment(*unit, array, row)),
        DataType::FixedSizeBinary(_) => {
            text.push_str(&json::hex(array.as_fixed_size_binary().value(row)));
        }
        DataType::Binary => text.push_str(&json::base64(array.as_binary::<i32>().value(row))),
        DataType::Float64 | DataType::Float32 => {
            let mut shown = String::new();
            json::value(field, array, row, &mut shown)?;
            text.push_str(if shown == "null" { "" } else { &shown });
        }
        DataType::List(_) | DataType::Struct(_) => {
            let mut shown = String::new();
            json::value(field, array, row, &mut shown)?;
            push(text, &shown, formulas);
        }
        _ => push(text, &json::shown(array, row)?, Formulas::Kept),
    }
    Ok(())
}

fn push(text: &mut String, value: &str, formulas: Formulas) {
    let is_formula = model::spreadsheet::runs(value);
    let defuse = is_formula && formulas == Formulas::Defused;
    let quote = defuse
        || value.is_empty()
        || value.starts_with(' ')
        || value.ends_with(' ')
        || value.contains([',', '"', '\r', '\n']);
    if !quote {
        text.push_str(value);
        return;
    }
    text.push('"');
    if defuse {
        text.push('\'');
    }
    for part in value.split_inclusive('"') {
        text.push_str(part);
        if part.ends_with('"') {
            text.push('"');
        }
    }
    text.push('"');
}
