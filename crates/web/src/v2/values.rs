//! Values that several operations take and give: moments, rights, names.

use control::Action;
use governance::access::{Component, Level, Rights};
use jiff::fmt::temporal::{Pieces, PiecesOffset};
use jiff::tz::Offset;
use model::Timestamp;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::collections::BTreeMap;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{
    AdditionalProperties, Array, ArrayBuilder, KnownFormat, Object, ObjectBuilder, Schema,
    SchemaFormat, Type,
};
use utoipa::{PartialSchema, ToSchema};

/// A moment, as RFC 3339 writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment(pub(super) Timestamp);

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(from)?;
        moment(&text).map(Self).ok_or_else(|| {
            D::Error::custom("a moment is written as RFC 3339 has it: 2026-09-21T14:13:20Z")
        })
    }
}

/// Reads a moment. One that is further away than can be told apart is the furthest one.
fn moment(text: &str) -> Option<Timestamp> {
    let pieces = Pieces::parse(text).ok()?;
    let is_exact = text.len() > 10 && matches!(text.as_bytes().get(10), Some(b'T' | b't'));
    let offset = match pieces.offset()? {
        PiecesOffset::Zulu => Offset::UTC,
        PiecesOffset::Numeric(numeric) => numeric.offset(),
        _ => return None,
    };
    let time = pieces.time().filter(|_| is_exact)?;
    if pieces.time_zone_annotation().is_some() {
        return None;
    }
    let furthest = match pieces.date().year() > 0 {
        true => jiff::Timestamp::MAX,
        false => jiff::Timestamp::MIN,
    };
    let at = offset.to_timestamp(pieces.date().to_datetime(time));
    Some(at.map_or_else(
        |_| Timestamp::from_seconds(furthest.as_second()),
        |at| Timestamp::from_ms(at.as_millisecond()),
    ))
}

impl PartialSchema for Moment {
    fn schema() -> RefOr<Schema> {
        let text = ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)));
        text.build().into()
    }
}

impl ToSchema for Moment {}

/// One level for each component, by name; what is not named is `none`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RightsByComponent(pub(super) Rights);

impl Serialize for RightsByComponent {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let levels = Component::ALL.map(|it| (it.as_str(), self.0.level(it)));
        let held = levels
            .into_iter()
            .filter(|(_, level)| *level != Level::None);
        to.collect_map(held.map(|(name, level)| (name, level.as_str())))
    }
}

impl<'de> Deserialize<'de> for RightsByComponent {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let named = BTreeMap::<String, String>::deserialize(from)?;
        let mut levels = Vec::with_capacity(named.len());
        for (name, level) in &named {
            let component = Component::from_name(name)
                .ok_or_else(|| D::Error::custom(format!("there is no component `{name}`")))?;
            let level = Level::from_name(level)
                .ok_or_else(|| D::Error::custom(format!("there is no level `{level}`")))?;
            levels.push((component, level));
        }
        Ok(Self(Rights::of(&levels)))
    }
}

impl PartialSchema for RightsByComponent {
    fn schema() -> RefOr<Schema> {
        let level = || one_of(Level::ALL.map(Level::as_str));
        let levels = Component::ALL.into_iter();
        let object = levels.fold(ObjectBuilder::new().schema_type(Type::Object), |all, it| {
            all.property(it.as_str(), level())
        });
        object
            .additional_properties(Some(AdditionalProperties::FreeForm(false)))
            .build()
            .into()
    }
}

impl ToSchema for RightsByComponent {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Rights")
    }
}

/// A number in a query string. One that is empty is none of the document's, and no number that was
/// not said.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(transparent)]
pub(super) struct Number<N>(pub(super) N);

/// The schema of one word out of several.
pub(super) fn one_of<const N: usize>(words: [&'static str; N]) -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(words))
        .build()
}

/// The schema of the actions that the audit log knows.
pub(super) fn actions() -> Array {
    let names = Action::ALL.iter().map(|it| it.as_str());
    let name = ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(names));
    ArrayBuilder::new().items(name).build()
}

/// An action by its name.
#[derive(Debug, Clone, Copy)]
pub(super) struct ActionName(pub(super) Action);

impl<'de> Deserialize<'de> for ActionName {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let name = Cow::<'de, str>::deserialize(from)?;
        Action::from_name(&name)
            .map(Self)
            .ok_or_else(|| D::Error::custom(format!("there is no action `{name}`")))
    }
}

#[cfg(test)]
mod tests {
    use super::moment;

    #[test]
    fn moments_are_read_as_rfc_3339_writes_them() {
        for (text, expect) in [
            ("2026-09-21T14:13:20Z", Some("2026-09-21T14:13:20.000Z")),
            (
                "2026-09-21t14:13:20.5+05:30",
                Some("2026-09-21T08:43:20.500Z"),
            ),
            ("2016-12-31T23:59:60Z", Some("2016-12-31T23:59:59.000Z")),
            (
                "9999-12-31T23:59:59-12:00",
                Some("9999-12-30T22:00:00.000Z"),
            ),
            ("2026-09-21", None),
            ("2026-09-21T14:13:20", None),
            ("2026-09-21 14:13:20Z", None),
            ("2026-09-21T14:13:20Z[UTC]", None),
            ("", None),
            ("x", None),
        ] {
            let found = moment(text).map(|it| it.to_string());
            assert_eq!(found.as_deref(), expect, "{text}");
        }
    }
}
