//! Events as lines of a page.

use model::RawJson;
use query::EventRow;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

use super::staff::Staff;
use super::view::{Moment, Times};

/// Characters of a value on a line.
const VALUE_CHARS_MAX: usize = 160;
/// Properties on a line.
const PROPERTIES_MAX: usize = 24;

/// One event.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) at: Moment,
    /// What its person is called, and their page when the reader may see it.
    pub(crate) person: String,
    pub(crate) href: Option<String>,
    pub(crate) source: &'static str,
    pub(crate) properties: Vec<(String, String)>,
    /// How many properties more it has.
    pub(crate) more: usize,
}

/// The lines of some events.
pub(crate) fn lines(staff: &Staff, times: &Times, rows: &[EventRow]) -> Vec<Line> {
    let sees_people = staff.may(control::Act::ReadPeople);
    let line = |row: &EventRow| {
        let mut properties = members(&row.properties);
        let more = properties.len().saturating_sub(PROPERTIES_MAX);
        properties.truncate(PROPERTIES_MAX);
        let key = row.person.key.unwrap_or(row.key);
        let identity = row.person.profile.identity().filter(|_| sees_people);
        let identity = identity.filter(|it| *it != governance::PLACEHOLDER);
        Line {
            name: row.name.to_string(),
            at: times.at(row.ts),
            person: identity.map_or_else(|| short(&key.to_string()), str::to_owned),
            href: sees_people.then(|| format!("/a/{}/people/{key}", staff.account())),
            source: row.source.as_str(),
            properties,
            more,
        }
    };
    rows.iter().map(line).collect()
}

/// The first digits of a key: enough to tell people apart on a page.
pub(crate) fn short(key: &str) -> String {
    key.chars().take(8).collect()
}

/// The members of a JSON object, each value as text.
pub(crate) fn members(object: &RawJson) -> Vec<(String, String)> {
    let Ok(members) = serde_json::from_str::<BTreeMap<String, &RawValue>>(object.as_str()) else {
        return Vec::new();
    };
    members
        .into_iter()
        .map(|(name, value)| (name, shown(value.get())))
        .collect()
}

/// A JSON value as it is shown: a string without its quotes, anything else as it was sent; cut when
/// it is long.
pub(crate) fn shown(value: &str) -> String {
    let text = serde_json::from_str::<String>(value).unwrap_or_else(|_| value.to_owned());
    match text.char_indices().nth(VALUE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::{members, shown};
    use model::RawJson;

    #[test]
    fn values_are_shown_as_they_were_sent() {
        let cases = [
            (r#""a\"b""#, "a\"b"),
            ("1.0", "1.0"),
            ("1e400", "1e400"),
            ("[1, \"x\"]", "[1, \"x\"]"),
            ("null", "null"),
            (r#""\ud800""#, r#""\ud800""#),
        ];
        for (value, expect) in cases {
            assert_eq!(shown(value), expect);
        }
        let long = format!("\"{}\"", "ü".repeat(200));
        assert_eq!(shown(&long).chars().count(), 161);
    }

    #[test]
    fn members_come_by_name() {
        let object = RawJson::parse(r#"{"b":1,"a":"x"}"#).unwrap();
        let found = members(&object);
        assert_eq!(found, [("a".into(), "x".into()), ("b".into(), "1".into())]);
        assert!(members(&RawJson::parse("[1]").unwrap()).is_empty());
    }
}
