//! `type: event`: a name and properties. The properties are kept as sent.

use model::submission::{Content, RejectReason, is_reserved_event};
use model::{RawJson, limit};
use std::borrow::Cow;

use super::{audit, audit_member, present};
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

/// An event of an SDK, which raises the system's events too: its users cannot. Nobody who could mend it
/// is told what is wrong, so properties that break a rule are left out, and the rest is taken. Beside it
/// stands why.
pub(crate) fn decode_sdk<'a>(
    name: Option<Value<'a>>,
    data: Option<Value<'a>>,
) -> Result<(Content<'a>, Option<RejectReason>), RejectReason> {
    let name = event_name(name)?;
    let reason = match of_name(name.clone(), data) {
        Ok(content) => return Ok((content, None)),
        Err(reason) => reason,
    };
    let data = present(data).filter(|it| it.kind == Kind::Object && !it.facts.key_twice);
    let properties = data.map(|it| sound_properties(&name, it)).ok_or(reason)?;
    Ok((event(name, properties), Some(reason)))
}

/// The properties of an event that break no rule, as many as an event may have.
fn sound_properties(event: &str, data: Value<'_>) -> RawJson {
    let (mut text, mut count) = (String::from("{"), 0_usize);
    data.members(|key, value| {
        let key = key.decode().unwrap_or_default();
        let has_too_many_items =
            event == "Charged" && key == "Items" && value.facts.members > CHARGED_ITEMS_MAX;
        let is_sound = !has_too_many_items && audit_member(&key, &value, LEVELS_MAX).is_ok();
        if is_sound
            && count < limit::EVENT_PROPERTIES_MAX
            && let Ok(quoted) = serde_json::to_string(&*key)
        {
            text.push_str(if count > 0 { "," } else { "" });
            text.push_str(&quoted);
            text.push(':');
            text.push_str(value.text);
            count = count.saturating_add(1);
        }
    });
    text.push('}');
    RawJson::from_checked(&text)
}

fn of_name<'a>(name: Cow<'a, str>, data: Option<Value<'a>>) -> Result<Content<'a>, RejectReason> {
    let properties = match super::data(data) {
        None => RawJson::empty_object(),
        Some(data) => {
            properties(&data)?;
            if name == "Charged" {
                charged_items(&data)?;
            }
            RawJson::from_checked(data.text)
        }
    };
    Ok(event(name, properties))
}

const fn event(name: Cow<'_, str>, properties: RawJson) -> Content<'_> {
    Content::Event {
        name,
        properties,
        session: None,
        context: None,
    }
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
