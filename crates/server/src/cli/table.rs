//! Rows for people: aligned columns, a head line, nothing wider than it must be.

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;
use std::fmt;

use super::Paint;

/// Longer cells are cut in tables; `--json` has all of them. A key or a digest of 32 bytes is whole.
const CELL_CHARS_MAX: usize = 64;

/// A table being filled.
#[derive(Debug)]
pub(super) struct Table {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns.
    pub(super) fn new<S: Into<String>>(head: impl IntoIterator<Item = S>) -> Self {
        Self {
            head: head.into_iter().map(|it| printable(&it.into())).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row.
    pub(super) fn push<S: Into<String>>(&mut self, row: impl IntoIterator<Item = S>) {
        self.rows.push(
            row.into_iter()
                .map(|cell| printable(&cell.into()))
                .collect(),
        );
    }

    /// The objects of a list, one a row: of each column the head, and the member that stands under it.
    pub(super) fn of(list: &Value, columns: &[(&str, &str)]) -> Self {
        let mut table = Self::new(columns.iter().map(|(head, _)| *head));
        for row in list.as_array().into_iter().flatten() {
            let of = |member: &str| row.get(member).map(cell).unwrap_or_default();
            table.push(columns.iter().map(|(_, member)| of(member)));
        }
        table
    }

    /// Whether it has no row yet.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table as text; numbers stand to the right.
    pub(super) fn render(&self, paint: Paint) -> String {
        let cell_of =
            |row: &Vec<String>, column: usize| row.get(column).cloned().unwrap_or_default();
        let columns: Vec<(usize, bool)> = (0..self.head.len())
            .map(|column| {
                let cells = self.rows.iter().map(|row| cell_of(row, column));
                let width = cells
                    .clone()
                    .chain([cell_of(&self.head, column)])
                    .map(|cell| cell.chars().count())
                    .max();
                let is_number = |cell: &String| cell.parse::<f64>().is_ok();
                let numeric = !self.rows.is_empty() && cells.clone().all(|cell| is_number(&cell));
                (width.unwrap_or(0), numeric)
            })
            .collect();
        let line = |row: &Vec<String>| {
            let cells = columns
                .iter()
                .enumerate()
                .map(|(column, (width, numeric))| {
                    let cell = cell_of(row, column);
                    if *numeric {
                        format!("{cell:>width$}")
                    } else {
                        format!("{cell:<width$}")
                    }
                });
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        let mut text = paint.bold(&line(&self.head)) + "\n";
        for row in &self.rows {
            text.push_str(&line(row));
            text.push('\n');
        }
        text
    }
}

/// One cell: no control characters (they could drive the terminal), and not too long.
fn printable(cell: &str) -> String {
    let mut text: String = cell.chars().map(tamed).take(CELL_CHARS_MAX).collect();
    if cell.chars().count() > CELL_CHARS_MAX {
        text.pop();
        text.push('…');
    }
    text
}

/// Text of any length that drives no terminal; its lines stay.
pub(super) fn harmless(text: &str) -> String {
    text.chars()
        .map(|c| if c == '\n' { c } else { tamed(c) })
        .collect()
}

/// What stands for a character that could drive the terminal, or turn the text around it; any other as
/// it is.
fn tamed(c: char) -> char {
    match c {
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        c if c.is_control() => '\u{fffd}',
        c => c,
    }
}

/// A JSON value as a cell: text without its quotes, nothing for null, lists and objects as they are
/// said.
pub(crate) fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(", "),
        Value::Object(members) => {
            let said = members
                .iter()
                .map(|(name, value)| format!("{name}: {}", cell(value)));
            said.collect::<Vec<_>>().join(", ")
        }
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

/// One object of a result: its members in order, their values as written.
#[derive(Debug, Default)]
pub(super) struct Row(pub(super) Vec<(String, Box<RawValue>)>);

impl Row {
    /// The value of a column as a cell.
    pub(super) fn cell(&self, column: &str) -> String {
        let Some((_, value)) = self.0.iter().find(|(name, _)| name == column) else {
            return String::new();
        };
        match serde_json::from_str::<Value>(value.get()) {
            Ok(Value::Null) => String::new(),
            Ok(Value::String(text)) => text,
            _ => value.get().to_owned(),
        }
    }
}

impl<'de> Deserialize<'de> for Row {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Row;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Row, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Row(members))
            }
        }

        deserializer.deserialize_map(Members)
    }
}

/// Bytes for people: three digits and a unit.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut unit = 0;
    let mut whole = count;
    let mut tenths = 0;
    while whole >= 1_024 && unit + 1 < UNITS.len() {
        tenths = (whole % 1_024) * 10 / 1_024;
        whole /= 1_024;
        unit += 1;
    }
    let unit = UNITS.get(unit).copied().unwrap_or("B");
    if whole < 100 && unit != "B" {
        format!("{whole}.{tenths} {unit}")
    } else {
        format!("{whole} {unit}")
    }
}
