//! What is held of a person, as JSON: every value of a property as it was sent.

use query::PersonView;
use serde::Serialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

use super::{Error, Result};

#[derive(Serialize)]
struct Portrait<'a> {
    person_key: Option<String>,
    identity: Option<&'a str>,
    identities: Vec<Identity<'a>>,
    devices: Vec<Device<'a>>,
    profile: BTreeMap<&'a str, &'a RawValue>,
    events: BTreeMap<&'a str, Stats>,
}

#[derive(Serialize)]
struct Identity<'a> {
    kind: &'static str,
    identity: &'a str,
}

#[derive(Serialize)]
struct Device<'a> {
    object_id: Option<&'a str>,
    platform: Option<&'a str>,
}

#[derive(Serialize)]
struct Stats {
    count: u64,
    first_seen: String,
    last_seen: String,
}

/// One object, of one line. No value goes through a number type: 1e400, 1.0 and integers of any
/// length come out as they went in.
///
/// # Errors
/// When a value is no JSON (any more).
pub fn of(view: &PersonView) -> Result<String> {
    let profile = &view.profile;
    let identities = profile.identities.iter().map(|it| Identity {
        kind: it.kind.as_str(),
        identity: &it.text,
    });
    let devices = profile.devices.values().map(|it| Device {
        object_id: it.object_id.as_deref(),
        platform: it.platform.as_deref(),
    });
    let events = view.events.iter().map(|(name, stats)| {
        let of = Stats {
            count: stats.count,
            first_seen: stats.first_seen.to_string(),
            last_seen: stats.last_seen.to_string(),
        };
        (&**name, of)
    });
    let properties = profile.properties.iter();
    let properties = properties.map(|(name, value)| {
        let value: &RawValue = serde_json::from_str(value.as_str())?;
        Ok((&**name, value))
    });
    let properties: serde_json::Result<_> = properties.collect();
    let portrait = Portrait {
        person_key: view.key.map(|key| key.to_string()),
        identity: profile.identity(),
        identities: identities.collect(),
        devices: devices.collect(),
        profile: properties.map_err(|_| Error::Row("a person's properties"))?,
        events: events.collect(),
    };
    serde_json::to_string(&portrait).map_err(|_| Error::Row("a person"))
}

#[cfg(test)]
mod tests {
    use model::RawJson;
    use query::PersonView;

    #[test]
    fn values_are_shown_as_they_were_sent() {
        let values = [
            "1e400",
            "1.0",
            "1",
            "12345678901234567890123",
            "-0",
            "[1.50]",
            "\"\\ud800\"",
        ];
        for value in values {
            let mut view = PersonView::default();
            let value = RawJson::parse(value).unwrap();
            view.profile.properties.insert("x".into(), value.clone());
            let shown = super::of(&view).unwrap();
            let expect = format!("\"profile\":{{\"x\":{}}}", value.as_str());
            assert!(shown.contains(&expect), "{shown}");
        }
    }
}
