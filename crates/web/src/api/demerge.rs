//! `POST /1/demerge/profiles.json`: the devices of people become people of their own.
//!
//! From now on: what a device sends next belongs to nobody but itself, until it is named beside an
//! identity again. What it sent before stays where it was recorded. Each device's history has the
//! event `Identity Reset`.

use axum::extract::{Request, State as Of};
use axum::response::Response;
use collect::Call;
use control::Action;
use governance::Scope;
use model::record::{ChangeOp, Event, Link, LinkKind, Record, Source};
use model::{IdentityKind, PersonKey, RawJson, RecordId, Timestamp};
use query::Lookup;
use std::collections::BTreeMap;
use wire::rest::{answers, delete};

use super::{change, enter_for, own_policy, profile_change, respond};
use crate::{Result, State};

pub(crate) const PATH: &str = "/1/demerge/profiles.json";

/// The identities of the people.
pub(crate) async fn post(Of(state): Of<State>, request: Request) -> Response {
    match enter_for(&state, PATH, Scope::Upload, request).await {
        Ok(call) => respond(answer(&state, &call).await, call.facts),
        Err(response) => response,
    }
}

async fn answer(state: &State, call: &Call) -> Result<String> {
    let identities = delete::decode_demerge(call.bytes())?;
    let rules = &call.caller.rules;
    let now = state.clock().now();
    let mut devices: BTreeMap<PersonKey, Option<Box<str>>> = BTreeMap::new();
    for identity in &identities {
        let key = rules.person_key(IdentityKind::Identity, identity);
        let found = state
            .engine()
            .profile(&own_policy(call), &Lookup::Key(key))
            .await?;
        for person in found.iter() {
            let profile = &person.profile;
            let is_identity = |key: &PersonKey| profile.identities.iter().any(|it| it.key == *key);
            let current = person.keys.iter().filter(|(_, it)| it.contains(now));
            for (device, _) in current.filter(|(it, _)| *it != key && !is_identity(it)) {
                let known = profile.devices.get(device);
                let object_id = known.and_then(|it| it.object_id.clone());
                devices.insert(*device, object_id);
            }
        }
    }
    let ids = state.collect().record_ids().batch();
    let mut id = {
        let mut next = 0_u32;
        move || {
            let id = ids(next);
            next = next.saturating_add(1);
            id
        }
    };
    let mut records = Vec::new();
    for (device, object_id) in &devices {
        records.push(unlink(id(), *device, now));
        // Its name is in the time of whose it was; from here on it is a person of its own.
        let name = object_id.as_deref().and_then(|it| RawJson::of(it).ok());
        if let Some(name) = name {
            let (property, op) = (IdentityKind::ObjectId.as_str(), ChangeOp::Identify);
            let name = profile_change(id(), (*device, now), now, property, op, name.as_str());
            records.push(name);
        }
        records.push(reset(id(), *device, now));
    }
    let about = format!("{} devices of {} people", devices.len(), identities.len());
    change(
        state,
        call,
        Action::PeopleDemerged,
        &about,
        records,
        &call.facts,
    )
    .await?;
    Ok(answers::success())
}

/// The end of whose a device is. It names nobody else: who is deleted does not take it along.
fn unlink(id: RecordId, device: PersonKey, now: Timestamp) -> Record {
    Record::Link(Link {
        id,
        from: device,
        to: device,
        ts: now,
        received_at: now,
        from_kind: IdentityKind::ObjectId,
        kind: LinkKind::Unlink,
    })
}

fn reset(id: RecordId, device: PersonKey, now: Timestamp) -> Record {
    Record::Event(Event {
        id,
        person: device,
        name: Box::from("Identity Reset"),
        ts: now,
        received_at: now,
        ts_sent: None,
        source: Source::Rest,
        session: None,
        properties: RawJson::empty_object(),
        context: None,
    })
}
