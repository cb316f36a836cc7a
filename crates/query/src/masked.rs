//! What a reader is shown of JSON objects whose members may be personal information: the properties of
//! an event, what its SDK said, the facts of a device.
//!
//! A member that is masked is replaced; no other value changes. Nothing here is read from anywhere.

use governance::{Masks, PropertyOf};
use model::RawJson;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

use crate::events::EventRow;
use crate::{ReadPolicy, json};

/// The event as a reader sees it.
pub(crate) fn event(row: &EventRow, policy: &ReadPolicy) -> EventRow {
    let mut shown = row.clone();
    if !policy.masks.is_empty() {
        shown.properties = object(shown.properties, policy);
        shown.context = shown.context.map(|it| object(it, policy));
    }
    shown
}

/// The object of an event's properties, or of what its SDK said, with masked members masked.
pub(crate) fn object(object: RawJson, policy: &ReadPolicy) -> RawJson {
    match policy.masks.is_empty() {
        true => object,
        false => members(object.as_str(), &policy.masks),
    }
}

/// As [`object`], of a text. What is no object has no members that could be told apart.
pub(crate) fn members(object: &str, masks: &Masks) -> RawJson {
    let Ok(members) = serde_json::from_str::<BTreeMap<String, &RawValue>>(object) else {
        // A key that is no text cannot be told from a masked one.
        return RawJson::empty_object();
    };
    let mut text = String::from("{");
    for (name, value) in &members {
        if text.len() > 1 {
            text.push(',');
        }
        json::push_string(&mut text, name);
        text.push(':');
        match masks.of(PropertyOf::Event, name) {
            Some(mask) => text.push_str(&mask.json(value.get())),
            None => text.push_str(value.get()),
        }
    }
    text.push('}');
    RawJson::parse(&text).unwrap_or_else(|_| RawJson::empty_object())
}
