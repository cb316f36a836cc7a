//! An object's members as they stand in its text.

use model::RawJson;
use serde::Deserializer as _;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// An object's members, each value as its text.
pub(super) fn of(object: &RawJson) -> Option<Vec<(Cow<'_, str>, &RawValue)>> {
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

/// The object of these members.
pub(super) fn text(members: &[(Cow<'_, str>, &RawValue)]) -> RawJson {
    let mut text = String::from("{");
    for (name, value) in members {
        // A string is always written.
        let Ok(name) = serde_json::to_string(name) else {
            continue;
        };
        if text.len() > 1 {
            text.push(',');
        }
        text.push_str(&name);
        text.push(':');
        text.push_str(value.get());
    }
    text.push('}');
    RawJson::from_checked(&text)
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
