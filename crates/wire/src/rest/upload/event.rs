//! `type: event`: a name and properties. The properties are kept as sent.

use model::submission::{Content, RejectReason, is_reserved_event};
use model::{RawJson, limit};
use std::borrow::Cow;

use super::{audit, present};
use crate::json::{Kind, Value};

/// Levels of `evtData`: its own, and three of nesting.
const LEVELS_MAX: u32 = 4;
/// Items of one `Charged` event (protocol).
const CHARGED_ITEMS_MAX: usize = 256;

pub(super) fn decode<'a>(
    name: Option<Value<'a>>,
    data: Option<Value<'a>>,
) -> Result<Content<'a>, RejectReason> {
    let name = event_name(name)?;
    if is_reserved_event(&name) {
        return Err(RejectReason::EventNameReserved);
    }
    of_name(name, data)
}

/// An event of an SDK, which raises the system's events too: its users cannot.
pub(crate) fn decode_sdk<'a>(
    name: Option<Value<'a>>,
    data: Option<Value<'a>>,
) -> Result<Content<'a>, RejectReason> {
    of_name(event_name(name)?, data)
}

fn of_name<'a>(name: Cow<'a, str>, data: Option<Value<'a>>) -> Result<Content<'a>, RejectReason> {
    let properties = match present(data) {
        None => RawJson::empty_object(),
        Some(data) => {
            properties(&data)?;
            if name == "Charged" {
                charged_items(&data)?;
            }
            RawJson::from_checked(data.text)
        }
    };
    Ok(Content::Event {
        name,
        properties,
        session: None,
        context: None,
    })
}

fn event_name(value: Option<Value<'_>>) -> Result<Cow<'_, str>, RejectReason> {
    let value = present(value).ok_or(RejectReason::EventNameMissing)?;
    if value.kind != Kind::String || value.text == "\"\"" {
        return Err(RejectReason::EventNameMissing);
    }
    let name = value.string().ok_or(RejectReason::EventNameInvalid)?;
    let chars_max = limit::EVENT_NAME_CHARS_MAX;
    if name.len() > chars_max && name.chars().nth(chars_max).is_some() {
        return Err(RejectReason::EventNameInvalid);
    }
    Ok(name)
}

fn properties(data: &Value<'_>) -> Result<(), RejectReason> {
    if data.kind != Kind::Object {
        return Err(RejectReason::EventDataInvalid);
    }
    if data.facts.members > limit::EVENT_PROPERTIES_MAX || data.facts.too_many {
        return Err(RejectReason::EventPropertiesTooMany);
    }
    audit(data, LEVELS_MAX)
}

fn charged_items(data: &Value<'_>) -> Result<(), RejectReason> {
    let mut items = 0;
    data.members(|key, value| {
        if value.kind == Kind::Array && key.decode().is_some_and(|key| key == "Items") {
            items = value.facts.members;
        }
    });
    if items > CHARGED_ITEMS_MAX {
        Err(RejectReason::EventPropertiesTooMany)
    } else {
        Ok(())
    }
}
