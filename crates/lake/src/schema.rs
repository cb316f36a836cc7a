//! The columns of the five tables, as they stand in a part and in rows of the journal.
//!
//! Each table has fixed columns. `events` has besides one column for each property *and type*,
//! named `p:<type>:<name>`, and `overflow` for properties that got no column. This file names
//! things; it must never touch a value.

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use model::catalog::PartMeta;
use model::record::Table;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The person whom a row is about: 16 bytes. In `links` it is the device or older identity.
pub const PERSON_KEY: &str = "person_key";
/// The key that a link leads to.
pub const TO_KEY: &str = "to_key";
/// The record's id: 16 bytes. Rows of one profile change share it.
pub const RECORD_ID: &str = "record_id";
/// The place of a change in its record.
pub const ORDINAL: &str = "ordinal";
/// The table's time: of the event, the change, the link, the request; of receipt in `quarantine`.
pub const TS: &str = "ts";
/// A JSON object of the properties that got no column of their own; null when there are none.
pub const OVERFLOW: &str = "overflow";
/// How the names of property columns begin.
pub const PROPERTY_PREFIX: &str = "p:";

/// The type of a moment: milliseconds, UTC.
#[must_use]
pub fn timestamp_type() -> DataType {
    DataType::Timestamp(TimeUnit::Millisecond, Some(Arc::from("UTC")))
}

/// What a property column holds. A value sits in exactly one column of its property.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum PropertyType {
    /// `i`, Int64: whole numbers written without exponent or fraction.
    Int = 0,
    /// `f`, Float64: decimal fractions that read back exactly as they were written.
    Float = 1,
    /// `s`, Utf8: strings, decoded.
    Text = 2,
    /// `b`, Boolean.
    Bool = 3,
    /// `j`, Utf8: the JSON text as sent, of everything else.
    Json = 4,
}

impl PropertyType {
    /// Every type, in the order of their numbers.
    pub const ALL: [Self; 5] = [Self::Int, Self::Float, Self::Text, Self::Bool, Self::Json];

    /// The letter in the column's name.
    #[must_use]
    pub const fn letter(self) -> char {
        match self {
            Self::Int => 'i',
            Self::Float => 'f',
            Self::Text => 's',
            Self::Bool => 'b',
            Self::Json => 'j',
        }
    }

    /// The type of that letter.
    #[must_use]
    pub fn from_letter(letter: char) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.letter() == letter)
    }

    /// The type of the column's values in Arrow.
    #[must_use]
    pub const fn data_type(self) -> DataType {
        match self {
            Self::Int => DataType::Int64,
            Self::Float => DataType::Float64,
            Self::Text | Self::Json => DataType::Utf8,
            Self::Bool => DataType::Boolean,
        }
    }
}

/// One physical property column.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PropertyColumn {
    /// The property's name, decoded; any text, the empty one included.
    pub name: Box<str>,
    /// What the column holds.
    pub kind: PropertyType,
}

impl PropertyColumn {
    /// The column's name in a part: `p:<type>:<name>`.
    #[must_use]
    pub fn physical_name(&self) -> String {
        format!("{PROPERTY_PREFIX}{}:{}", self.kind.letter(), self.name)
    }

    /// The column of that physical name; none when it is not a property column's.
    #[must_use]
    pub fn parse(physical_name: &str) -> Option<Self> {
        let (letter, name) = physical_name
            .strip_prefix(PROPERTY_PREFIX)?
            .split_once(':')?;
        let mut letters = letter.chars();
        let kind = PropertyType::from_letter(letters.next()?)?;
        letters.next().is_none().then(|| Self {
            name: Box::from(name),
            kind,
        })
    }
}

/// The types in which a property occurs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct PropertyTypes(u8);

impl PropertyTypes {
    /// Adds a type.
    pub const fn insert(&mut self, kind: PropertyType) {
        self.0 |= 1 << kind as u8;
    }

    /// Whether the property occurs in that type.
    #[must_use]
    pub const fn contains(self, kind: PropertyType) -> bool {
        self.0 & (1 << kind as u8) != 0
    }

    /// The types, in the order of their numbers.
    pub fn iter(self) -> impl Iterator<Item = PropertyType> {
        PropertyType::ALL
            .into_iter()
            .filter(move |kind| self.contains(*kind))
    }
}

/// The properties that some parts and batches hold, with their types.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PropertyColumns {
    types: BTreeMap<Box<str>, PropertyTypes>,
    overflow: bool,
}

impl PropertyColumns {
    /// The union over the parts of a view.
    #[must_use]
    pub fn of_parts<'a>(parts: impl IntoIterator<Item = &'a PartMeta>) -> Self {
        let mut columns = Self::default();
        for part in parts {
            part.columns.iter().for_each(|name| columns.add(name));
        }
        columns
    }

    /// Adds a physical column by its name: of a property, or [`OVERFLOW`]; others are no news.
    pub fn add(&mut self, physical_name: &str) {
        if physical_name == OVERFLOW {
            self.overflow = true;
        } else if let Some(column) = PropertyColumn::parse(physical_name) {
            self.types
                .entry(column.name)
                .or_default()
                .insert(column.kind);
        }
    }

    /// Adds the columns of a batch's schema, such as one of [`crate::tail_batches`].
    pub fn add_schema(&mut self, schema: &Schema) {
        schema
            .fields()
            .iter()
            .for_each(|field| self.add(field.name()));
    }

    /// Each property with its types, by name. A property that occurs in overflow only is not here.
    pub fn iter(&self) -> impl Iterator<Item = (&str, PropertyTypes)> {
        self.types.iter().map(|(name, types)| (&**name, *types))
    }

    /// The types of one property; empty for an unknown one.
    #[must_use]
    pub fn types(&self, name: &str) -> PropertyTypes {
        self.types.get(name).copied().unwrap_or_default()
    }

    /// Whether any row may have an overflow: then any property may also be there.
    #[must_use]
    pub const fn has_overflow(&self) -> bool {
        self.overflow
    }

    /// Those of these physical columns that there are, in the order in which [`part_schema`] has them.
    #[must_use]
    pub fn named<'a>(&self, physical_names: impl Iterator<Item = &'a str>) -> Vec<PropertyColumn> {
        let named = physical_names.filter_map(PropertyColumn::parse);
        let mut columns: Vec<PropertyColumn> = named
            .filter(|it| self.types(&it.name).contains(it.kind))
            .collect();
        columns.sort_unstable();
        columns.dedup();
        columns
    }

    /// The physical columns, in the order in which [`part_schema`] has them.
    #[must_use]
    pub fn physical(&self) -> Vec<PropertyColumn> {
        let mut columns = Vec::new();
        for (name, types) in &self.types {
            columns.extend(types.iter().map(|kind| PropertyColumn {
                name: name.clone(),
                kind,
            }));
        }
        columns
    }
}

/// The schema of a part, or of journal rows, of `table`: the fixed columns, then for `events`
/// [`OVERFLOW`] and the property columns given, by name.
#[must_use]
pub fn part_schema(table: Table, properties: &[PropertyColumn]) -> SchemaRef {
    let mut fields = fixed_fields(table);
    if table == Table::Events {
        fields.push(Field::new(OVERFLOW, DataType::Utf8, true));
        fields.extend(
            properties
                .iter()
                .map(|it| Field::new(it.physical_name(), it.kind.data_type(), true)),
        );
    }
    Arc::new(Schema::new(fields))
}

/// The fixed columns of `table`, in order: those that every part has.
#[must_use]
pub fn fixed_fields(table: Table) -> Vec<Field> {
    let key = |name| Field::new(name, DataType::FixedSizeBinary(16), false);
    let text = |name| Field::new(name, DataType::Utf8, false);
    let time = |name| Field::new(name, timestamp_type(), false);
    let number = |name| Field::new(name, DataType::Int64, false);
    match table {
        Table::Events => vec![
            key(PERSON_KEY),
            key(RECORD_ID),
            text("name"),
            time(TS),
            time("received_at"),
            time("ts_sent").with_nullable(true),
            text("source"),
            Field::new("session", DataType::UInt32, true),
            text("context").with_nullable(true),
        ],
        Table::ProfileChanges => vec![
            key(PERSON_KEY),
            key(RECORD_ID),
            Field::new(ORDINAL, DataType::UInt32, false),
            time(TS),
            time("received_at"),
            text("source"),
            text("op"),
            text("property"),
            text("value"),
        ],
        Table::Links => vec![
            key(PERSON_KEY),
            key(TO_KEY),
            key(RECORD_ID),
            time(TS),
            time("received_at"),
            text("from_kind"),
            text("kind"),
        ],
        Table::Requests => vec![
            key(RECORD_ID),
            time(TS),
            text("plane"),
            text("peer"),
            text("peer_hash").with_nullable(true),
            text("tls_version"),
            text("method"),
            text("path"),
            Field::new("status", DataType::Int32, false),
            text("outcome"),
            text("reason"),
            number("size_bytes"),
            number("accepted"),
            number("rejected"),
            number("duration_us"),
        ],
        Table::Quarantine => vec![
            key(RECORD_ID),
            time(TS),
            text("source"),
            key(PERSON_KEY).with_nullable(true),
            Field::new("code", DataType::Int32, false),
            text("error"),
            Field::new("body", DataType::Binary, false),
        ],
    }
}

/// By which columns a part is sorted, ascending, nulls first; also the key of its rows.
#[must_use]
pub const fn sort_columns(table: Table) -> &'static [&'static str] {
    match table {
        Table::Events | Table::Links | Table::Quarantine => &[PERSON_KEY, TS, RECORD_ID],
        Table::ProfileChanges => &[PERSON_KEY, TS, RECORD_ID, ORDINAL],
        Table::Requests => &[TS, RECORD_ID],
    }
}
