//! Which events and properties an account knows, and what becomes of others.
//!
//! Events of the system's own are always known. Values are never changed: a property is kept as sent
//! or left out whole.

use model::RawJson;
use model::submission::{RejectReason, is_system_event};
use serde::Deserializer as _;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What an account knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dictionary {
    /// The events that it knows; of each, the properties.
    pub events: BTreeMap<Box<str>, BTreeSet<Box<str>>>,
    /// What becomes of events that it does not know.
    pub undefined_events: UndefinedEvents,
    /// What becomes of properties that it does not know, of events that it does.
    pub undefined_properties: UndefinedProperties,
}

/// What becomes of events that an account does not know.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum UndefinedEvents {
    /// They are kept.
    #[default]
    Accept,
    /// They are refused.
    Drop,
}

/// What becomes of properties that an account does not know.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum UndefinedProperties {
    /// They are kept.
    #[default]
    Accept,
    /// They are left out, and the event is kept.
    DropProperty,
    /// The event is refused.
    DropEvent,
}

/// What an account makes of one event.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// As it is.
    Keep,
    /// With these properties alone; the names of those that are left out.
    KeepOnly(RawJson, Vec<Box<str>>),
    /// Not at all.
    Refuse(RejectReason),
}

impl Dictionary {
    /// Looks an event up.
    pub(crate) fn judge(&self, event: &str, properties: &RawJson) -> Verdict {
        if is_system_event(event) {
            return Verdict::Keep;
        }
        let Some(known) = self.events.get(event) else {
            return match self.undefined_events {
                UndefinedEvents::Accept => Verdict::Keep,
                UndefinedEvents::Drop => Verdict::Refuse(RejectReason::EventUndefined),
            };
        };
        if self.undefined_properties == UndefinedProperties::Accept {
            return Verdict::Keep;
        }
        // It was read before: it is an object.
        let Some(members) = members(properties) else {
            return Verdict::Refuse(RejectReason::EventDataInvalid);
        };
        let sent = members.len();
        let mut text = String::from("{");
        let mut kept = 0_usize;
        let mut left_out = Vec::new();
        for (name, value) in members {
            if !known.contains(name.as_ref()) {
                left_out.push(Box::from(name.as_ref()));
                continue;
            }
            let Ok(name) = serde_json::to_string(&name) else {
                continue;
            };
            if kept > 0 {
                text.push(',');
            }
            text.push_str(&name);
            text.push(':');
            text.push_str(value.get());
            kept = kept.saturating_add(1);
        }
        text.push('}');
        match self.undefined_properties {
            UndefinedProperties::Accept => Verdict::Keep,
            UndefinedProperties::DropProperty | UndefinedProperties::DropEvent if kept == sent => {
                Verdict::Keep
            }
            UndefinedProperties::DropProperty => {
                Verdict::KeepOnly(RawJson::from_checked(&text), left_out)
            }
            UndefinedProperties::DropEvent => Verdict::Refuse(RejectReason::PropertyUndefined),
        }
    }
}

/// An object's members, each value as its text.
fn members(object: &RawJson) -> Option<Vec<(Cow<'_, str>, &RawValue)>> {
    struct Members;

    impl<'de> Visitor<'de> for Members {
        type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut members = Vec::new();
            while let Some(name) = map.next_key::<Name<'de>>()? {
                members.push((name.0, map.next_value()?));
            }
            Ok(members)
        }
    }

    let mut reader = serde_json::Deserializer::from_str(object.as_str());
    reader.deserialize_map(Members).ok()
}

/// A name, borrowed where it has no escapes.
struct Name<'de>(Cow<'de, str>);

impl<'de> serde::Deserialize<'de> for Name<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Text;

        impl<'de> Visitor<'de> for Text {
            type Value = Cow<'de, str>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Cow::Borrowed(text))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Cow::Owned(text.to_owned()))
            }
        }

        from.deserialize_str(Text).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::{Dictionary, UndefinedEvents, UndefinedProperties, Verdict};
    use model::RawJson;
    use model::submission::RejectReason;

    fn dictionary(events: UndefinedEvents, properties: UndefinedProperties) -> Dictionary {
        let known = ["a", "é\"\\"].map(Box::from).into();
        Dictionary {
            events: [(Box::from("Known"), known)].into(),
            undefined_events: events,
            undefined_properties: properties,
        }
    }

    fn judge(dictionary: &Dictionary, event: &str, properties: &str) -> Verdict {
        dictionary.judge(event, &RawJson::parse(properties).unwrap())
    }

    #[test]
    fn unknown_events_are_kept_or_refused() {
        let accepting = dictionary(UndefinedEvents::Accept, UndefinedProperties::DropEvent);
        let dropping = dictionary(UndefinedEvents::Drop, UndefinedProperties::Accept);
        assert_eq!(judge(&accepting, "New", r#"{"x":1}"#), Verdict::Keep);
        let refused = Verdict::Refuse(RejectReason::EventUndefined);
        assert_eq!(judge(&dropping, "New", "{}"), refused);
        assert_eq!(judge(&dropping, "known", "{}"), refused);
        assert_eq!(judge(&dropping, "Known", r#"{"x":1}"#), Verdict::Keep);
        for name in ["App Launched", "Charged"] {
            assert_eq!(judge(&dropping, name, "{}"), Verdict::Keep);
        }
    }

    #[test]
    fn unknown_properties_are_kept_left_out_or_a_reason_to_refuse() {
        let check = |policy, properties: &str, expect: Verdict| {
            let dictionary = dictionary(UndefinedEvents::Accept, policy);
            assert_eq!(
                judge(&dictionary, "Known", properties),
                expect,
                "{properties}"
            );
        };
        let only =
            |text: &str| Verdict::KeepOnly(RawJson::parse(text).unwrap(), vec![Box::from("x")]);
        let all = r#"{"a":1.50,"x":[1, {"a":2}],"\u00e9\"\\":"\ud800"}"#;
        check(UndefinedProperties::Accept, all, Verdict::Keep);
        check(
            UndefinedProperties::DropProperty,
            all,
            only(r#"{"a":1.50,"é\"\\":"\ud800"}"#),
        );
        check(UndefinedProperties::DropProperty, r#"{"x":1}"#, only("{}"));
        check(
            UndefinedProperties::DropProperty,
            r#"{ "a":1 }"#,
            Verdict::Keep,
        );
        let refused = Verdict::Refuse(RejectReason::PropertyUndefined);
        check(UndefinedProperties::DropEvent, all, refused);
        check(UndefinedProperties::DropEvent, r#"{"a":1}"#, Verdict::Keep);
        check(UndefinedProperties::DropEvent, "{}", Verdict::Keep);
    }
}
