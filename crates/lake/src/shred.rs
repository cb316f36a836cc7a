//! One JSON object into typed values, without a tree: each value is looked at where it stands.
//!
//! The rule is that nothing is lost: a number becomes typed only when printing it gives its text
//! again, a string only when it decodes; everything else is kept as text. It must never fail on
//! what it is given: text that is no object is one value, kept under the empty name.

use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

use crate::schema::PropertyType;

/// One value, typed where that is exact.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value<'a> {
    /// Its text is the number in decimal.
    Int(i64),
    /// Its text is [`render_float`] of the number.
    Float(f64),
    /// A string, decoded.
    Text(Cow<'a, str>),
    /// True or false.
    Bool(bool),
    /// The text of anything else.
    Json(&'a str),
}

impl Value<'_> {
    /// Which column the value goes to.
    pub(crate) const fn kind(&self) -> PropertyType {
        match self {
            Self::Int(_) => PropertyType::Int,
            Self::Float(_) => PropertyType::Float,
            Self::Text(_) => PropertyType::Text,
            Self::Bool(_) => PropertyType::Bool,
            Self::Json(_) => PropertyType::Json,
        }
    }
}

/// A property's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Key<'a> {
    /// Decoded.
    Name(Cow<'a, str>),
    /// The key's own text, quotes included: it has an escape that is no character.
    Raw(&'a str),
}

/// The text of a number in a Float64 column, exactly as it was sent.
///
/// It is the shortest text that reads back as `value`, without exponent. Only numbers for which
/// this is so get into such a column.
#[must_use]
pub fn render_float(value: f64) -> String {
    format!("{value:?}")
}

/// Types one well-formed JSON value.
pub(crate) fn value_of(text: &str) -> Value<'_> {
    match text.as_bytes().first() {
        Some(b'"') => string_of(text).map_or(Value::Json(text), Value::Text),
        Some(b't') => Value::Bool(true),
        Some(b'f') => Value::Bool(false),
        Some(b'-' | b'0'..=b'9') => number_of(text),
        _ => Value::Json(text),
    }
}

/// Decodes the text of a JSON string; none when an escape in it is no character.
pub(crate) fn string_of(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('\\') {
        return Some(Cow::Borrowed(text.strip_prefix('"')?.strip_suffix('"')?));
    }
    serde_json::from_str::<String>(text).ok().map(Cow::Owned)
}

fn number_of(text: &str) -> Value<'_> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.bytes().all(|b| b.is_ascii_digit()) {
        // JSON knows no leading zero, so only minus zero would not come back as it was.
        return match text.parse() {
            Ok(number) if text != "-0" => Value::Int(number),
            _ => Value::Json(text),
        };
    }
    if digits.bytes().any(|b| b == b'e' || b == b'E') {
        return Value::Json(text);
    }
    match text.parse::<f64>() {
        // Zero may lose its sign in a dictionary.
        Ok(number) if is_exact(text, number) && text != "-0.0" => Value::Float(number),
        _ => Value::Json(text),
    }
}

/// Whether `number`, read from `text` (which has a point and no exponent), prints as `text` again.
fn is_exact(text: &str, number: f64) -> bool {
    // Up to 15 significant digits always survive, if the text has no needless zero at its end;
    // below 0.0001 an exponent may be printed.
    let short = text.len() <= 15 && !text.ends_with('0') && number.abs() >= 0.001;
    short || render_float(number) == text
}

/// Calls `visit` with each member of the object that `text` is, in order. Text that is no object
/// is visited as one value under the empty name.
pub(crate) fn members<'a>(text: &'a str, visit: &mut dyn FnMut(Key<'a>, &'a str)) {
    let mut reader = serde_json::Deserializer::from_str(text);
    if reader.deserialize_map(Members { visit }).is_err() {
        visit(Key::Name(Cow::Borrowed("")), text);
    }
}

/// Calls `visit` with each element of the list that `text` is, in order.
pub(crate) fn elements<'a>(text: &'a str, visit: &mut dyn FnMut(&'a str)) {
    let mut reader = serde_json::Deserializer::from_str(text);
    // What is no list has no elements.
    let _read = reader.deserialize_seq(Elements { visit });
}

struct Elements<'v, 'a> {
    visit: &'v mut dyn FnMut(&'a str),
}

impl<'a> Visitor<'a> for Elements<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(element) = list.next_element::<&RawValue>()? {
            (self.visit)(element.get());
        }
        Ok(())
    }
}

struct Members<'v, 'a> {
    visit: &'v mut dyn FnMut(Key<'a>, &'a str),
}

impl<'a> Visitor<'a> for Members<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some((key, value)) = map.next_entry::<&RawValue, &RawValue>()? {
            let key = string_of(key.get()).map_or_else(|| Key::Raw(key.get()), Key::Name);
            (self.visit)(key, value.get());
        }
        Ok(())
    }
}
