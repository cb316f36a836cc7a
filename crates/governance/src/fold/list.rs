//! Multi-value properties: lists of unique values, at most a hundred, the oldest go first.

use model::{RawJson, limit};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::HashSet;

/// A multi-value property. Elements keep the form in which they were sent; two are the same when
/// their contents are: `"5"` and `5` are one value.
#[derive(Debug, Default)]
pub(super) struct List(Vec<Box<str>>);

/// The list that `$set` makes.
pub(super) fn set(operand: &RawJson) -> Option<List> {
    let mut list = List::default();
    list.append(elements(operand.as_str())?);
    Some(list)
}

/// The list that `$add` makes of the current value; none when that is no multi-value property.
pub(super) fn add(current: Option<&RawJson>, operand: &RawJson) -> Option<List> {
    let mut list = List::default();
    if let Some(current) = current {
        list.append(promoted(current.as_str())?);
    }
    list.append(elements(operand.as_str())?);
    Some(list)
}

/// The list that `$remove` leaves; none when there is nothing to remove, or the current value is no
/// multi-value property.
pub(super) fn remove(current: Option<&RawJson>, operand: &RawJson) -> Option<List> {
    let current = values(current?.as_str())?;
    let removed = elements(operand.as_str())?;
    let removed: HashSet<Cow<'_, str>> = removed.iter().map(|it| content(it)).collect();
    let kept: Vec<_> = current
        .iter()
        .filter(|it| !removed.contains(&content(it)))
        .cloned()
        .collect();
    (kept.len() < current.len()).then_some(List(kept))
}

impl List {
    /// Appends what is not there yet, then drops the oldest beyond the limit.
    fn append(&mut self, elements: Vec<Box<str>>) {
        let mut present: HashSet<String> =
            self.0.iter().map(|it| content(it).into_owned()).collect();
        for element in elements {
            if present.insert(content(&element).into_owned()) {
                self.0.push(element);
            }
        }
        let excess = self.0.len().saturating_sub(limit::MULTI_VALUES_MAX);
        self.0.drain(..excess);
    }

    /// The JSON array; none when it is empty.
    pub(super) fn into_json(self) -> Option<RawJson> {
        if self.0.is_empty() {
            return None;
        }
        let mut text = String::from("[");
        for (place, element) in self.0.iter().enumerate() {
            if place > 0 {
                text.push(',');
            }
            text.push_str(element);
        }
        text.push(']');
        RawJson::parse(&text).ok()
    }
}

/// The elements of a list, or the one that a scalar is. Null is no element.
fn elements(text: &str) -> Option<Vec<Box<str>>> {
    if text == "null" {
        return Some(Vec::new());
    }
    if text.starts_with('[') {
        let elements: Vec<&RawValue> = serde_json::from_str(text).ok()?;
        return Some(elements.iter().map(|it| Box::from(it.get())).collect());
    }
    Some(vec![Box::from(text)])
}

/// As [`elements`], of what a property has: none of an object, and of a list with objects or lists in it.
/// These are no values that could be told apart, or of which the oldest may go.
fn values(text: &str) -> Option<Vec<Box<str>>> {
    let values = elements(text)?;
    let is_plain = values.iter().all(|it| !it.starts_with(['{', '[']));
    is_plain.then_some(values)
}

/// As [`values`], for a property that becomes a list: a scalar is written as a text.
fn promoted(text: &str) -> Option<Vec<Box<str>>> {
    let scalar = text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | 't' | 'f'));
    if scalar {
        Some(vec![Box::from(format!("\"{text}\""))])
    } else {
        values(text)
    }
}

/// What an element says: the text of a string, the spelling of anything else.
fn content(element: &str) -> Cow<'_, str> {
    let text = element
        .strip_prefix('"')
        .and_then(|it| it.strip_suffix('"'));
    match text {
        Some(plain) if !plain.contains('\\') => Cow::Borrowed(plain),
        Some(_) => {
            serde_json::from_str::<String>(element).map_or(Cow::Borrowed(element), Cow::Owned)
        }
        None => Cow::Borrowed(element),
    }
}
