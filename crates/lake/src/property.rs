//! Properties back out of rows: each value as the sender wrote it.
//!
//! The reverse of shredding: numbers, booleans and kept JSON come back to the letter, strings as
//! the same string (an escape may be spelled otherwise). It must never round or retype a value.

use arrow::array::{
    Array, AsArray, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray,
    StringViewArray,
};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use model::RawJson;
use std::fmt::Write as _;

use crate::rows::{push_member, push_string};
use crate::schema::{OVERFLOW, PropertyColumn, PropertyType};
use crate::shred::{self, Key};
use crate::{Error, Result};

/// Reads the properties of the rows of one batch that has the physical columns.
#[derive(Debug)]
pub struct PropertyReader {
    /// By name.
    columns: Vec<(PropertyColumn, Column)>,
    overflow: Option<Text>,
}

#[derive(Debug)]
enum Column {
    Int(Int64Array),
    Float(Float64Array),
    Bool(BooleanArray),
    Text(Text),
    Json(Text),
}

#[derive(Debug)]
enum Text {
    Plain(StringArray),
    View(StringViewArray),
}

impl PropertyReader {
    /// A reader of `batch`: of its property columns and its overflow, as far as it has them.
    ///
    /// # Errors
    /// `Internal` when a column has another type than its name says.
    pub fn new(batch: &RecordBatch) -> Result<Self> {
        let mut columns = Vec::new();
        let mut overflow = None;
        for (field, array) in batch.schema_ref().fields().iter().zip(batch.columns()) {
            if field.name() == OVERFLOW {
                overflow = Some(Text::of(array)?);
            } else if let Some(column) = PropertyColumn::parse(field.name()) {
                let values = Column::of(&column, array)?;
                columns.push((column, values));
            }
        }
        columns.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(Self { columns, overflow })
    }

    /// The value of property `name` in `row`; none when the event has no such property.
    #[must_use]
    pub fn value(&self, row: usize, name: &str) -> Option<RawJson> {
        let mut text = String::new();
        let first = self
            .columns
            .partition_point(|(column, _)| &*column.name < name);
        let same = self
            .columns
            .iter()
            .skip(first)
            .take_while(|(it, _)| &*it.name == name);
        for (_, values) in same {
            if values.push(row, &mut text) {
                return json(&text);
            }
        }
        let overflow = self.overflow.as_ref()?.value(row)?;
        let mut found = None;
        shred::members(overflow, &mut |key, value| {
            if matches!(&key, Key::Name(it) if it == name) {
                found = Some(value);
            }
        });
        found.and_then(json)
    }

    /// All properties of `row` as a JSON object: those of columns by name, then the overflow's.
    #[must_use]
    pub fn object(&self, row: usize) -> RawJson {
        let mut object = String::new();
        let mut value = String::new();
        for (column, values) in &self.columns {
            value.clear();
            if values.push(row, &mut value) {
                push_member(&mut object, &Key::Name((&*column.name).into()), &value);
            }
        }
        if let Some(overflow) = self.overflow.as_ref().and_then(|it| it.value(row)) {
            shred::members(overflow, &mut |key, value| {
                push_member(&mut object, &key, value)
            });
        }
        if object.is_empty() {
            return RawJson::empty_object();
        }
        object.push('}');
        json(&object).unwrap_or_else(RawJson::empty_object)
    }
}

impl Column {
    fn of(column: &PropertyColumn, array: &dyn Array) -> Result<Self> {
        let mistyped = Error::Internal {
            what: "read a property column: it has another type",
        };
        let found = match column.kind {
            PropertyType::Int => array
                .as_primitive_opt::<Int64Type>()
                .map(|it| Self::Int(it.clone())),
            PropertyType::Float => array
                .as_primitive_opt::<Float64Type>()
                .map(|it| Self::Float(it.clone())),
            PropertyType::Bool => array.as_boolean_opt().map(|it| Self::Bool(it.clone())),
            PropertyType::Text => return Text::of(array).map(Self::Text),
            PropertyType::Json => return Text::of(array).map(Self::Json),
        };
        found.ok_or(mistyped)
    }

    /// Adds the JSON text of the value in `row`; false when there is none.
    fn push(&self, row: usize, text: &mut String) -> bool {
        match self {
            Self::Int(values) if values.is_valid(row) => {
                // Writing to a string cannot fail.
                let _ = write!(text, "{}", values.value(row));
                true
            }
            Self::Float(values) if values.is_valid(row) => {
                text.push_str(&shred::render_float(values.value(row)));
                true
            }
            Self::Bool(values) if values.is_valid(row) => {
                text.push_str(if values.value(row) { "true" } else { "false" });
                true
            }
            Self::Text(values) => values.value(row).is_some_and(|it| {
                push_string(text, it);
                true
            }),
            Self::Json(values) => values.value(row).is_some_and(|it| {
                text.push_str(it);
                true
            }),
            Self::Int(_) | Self::Float(_) | Self::Bool(_) => false,
        }
    }
}

impl Text {
    fn of(array: &dyn Array) -> Result<Self> {
        let mistyped = Error::Internal {
            what: "read a text column: it has another type",
        };
        match array.data_type() {
            DataType::Utf8 => array.as_string_opt().map(|it| Self::Plain(it.clone())),
            DataType::Utf8View => array.as_string_view_opt().map(|it| Self::View(it.clone())),
            _ => None,
        }
        .ok_or(mistyped)
    }

    fn value(&self, row: usize) -> Option<&str> {
        match self {
            Self::Plain(it) => it.is_valid(row).then(|| it.value(row)),
            Self::View(it) => it.is_valid(row).then(|| it.value(row)),
        }
    }
}

fn json(text: &str) -> Option<RawJson> {
    RawJson::parse(text).ok()
}
