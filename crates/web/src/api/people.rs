//! People and events as the protocol shows them.

use jiff::tz::TimeZone;
use model::{IdentityKind, PersonKey, RawJson};
use query::{EventRow, PersonView};
use serde::Deserialize;
use std::collections::BTreeMap;
use wire::rest::export::With;
use wire::rest::record::{self, Device, EventCount, EventRecord, Person};

/// One person's record.
pub(super) fn person(view: &PersonView, with: With) -> String {
    shown(view, None, |person| record::person(&person, with))
}

/// One event's record.
pub(super) fn event(row: &EventRow, with: With, time_zone: &TimeZone) -> String {
    shown(&row.person, Some(row.key), |person| {
        let event = EventRecord {
            ts: row.ts,
            properties: &row.properties,
            context: row.context.as_ref(),
            person,
        };
        record::event(&event, with, time_zone)
    })
}

/// The person in the protocol's terms; the device that has the key `first`, if one has, comes first. Devices
/// that are somebody else's by now are left out: who sends to their tokens would reach that one.
fn shown<T>(view: &PersonView, first: Option<PersonKey>, show: impl FnOnce(Person<'_>) -> T) -> T {
    let profile = &view.profile;
    let is_theirs = |key: &PersonKey| view.stretches(*key).any(|it| it.to.is_none());
    let devices = profile.devices.iter();
    let devices = devices.filter(|(key, _)| Some(**key) == first || is_theirs(key));
    let mut devices: Vec<_> = devices.collect();
    devices.sort_by_key(|(key, _)| Some(**key) != first);
    let tokens: Vec<Option<String>> = devices
        .iter()
        .map(|(_, device)| {
            device
                .token
                .as_ref()
                .and_then(|token| token_id(&token.value))
        })
        .collect();
    let devices: Vec<Device<'_>> = devices
        .iter()
        .zip(&tokens)
        .map(|((_, device), token)| Device {
            object_id: device.object_id.as_deref(),
            platform: device.platform.as_deref(),
            facts: device.facts.as_ref(),
            push_token: token.as_deref(),
        })
        .collect();
    let events: BTreeMap<Box<str>, EventCount> = view
        .events
        .iter()
        .map(|(name, stats)| {
            let (first_seen, last_seen) = (stats.first_seen, stats.last_seen);
            (
                name.clone(),
                EventCount {
                    count: stats.count,
                    first_seen,
                    last_seen,
                },
            )
        })
        .collect();
    let identities = &profile.identities;
    // The one in use stands last.
    let identity = identities
        .iter()
        .rev()
        .find(|it| it.kind == IdentityKind::Identity);
    show(Person {
        identity: identity.map(|it| &*it.text),
        object_id: devices.first().and_then(|it| it.object_id),
        properties: &profile.properties,
        events: &events,
        devices: &devices,
    })
}

/// The `id` of a push token.
fn token_id(token: &RawJson) -> Option<String> {
    #[derive(Deserialize)]
    struct Token {
        id: String,
    }
    serde_json::from_str::<Token>(token.as_str())
        .ok()
        .map(|token| token.id)
}
