//! A person's profile, made from the changes in order: a pure function.
//!
//! Values stay as they were sent; only operators make new ones. What an operator cannot do (adding
//! to a text, say) it leaves undone: the change is in the history, the profile keeps its value.

mod list;
mod superseded;
#[cfg(test)]
mod tests;

use model::record::{ChangeOp, ProfileChange};
use model::{IdentityKind, PersonKey, RawJson};
use std::collections::BTreeMap;

use crate::number;
pub use superseded::{Step, superseded};

/// What is known of one person.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Profile {
    /// Properties by name, the protocol's own (`Name`, `Email`, …) among them.
    pub properties: BTreeMap<Box<str>, RawJson>,
    /// Identities (not devices), in the order in which they were first seen.
    pub identities: Vec<Identity>,
    /// Devices, by the key of their object id.
    pub devices: BTreeMap<PersonKey, Device>,
}

/// One identity in plain text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The key that stands for it in tables.
    pub key: PersonKey,
    /// Of what kind.
    pub kind: IdentityKind,
    /// The identity itself.
    pub text: Box<str>,
}

/// One device of a person.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Device {
    /// Its object id, once that is known.
    pub object_id: Option<Box<str>>,
    /// `Android`, `iOS`, `Web`, … as the SDK says.
    pub platform: Option<Box<str>>,
    /// What the SDK says of it: a JSON object.
    pub facts: Option<RawJson>,
    /// Its push token.
    pub token: Option<PushToken>,
}

/// A push token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushToken {
    /// The push service: `fcm`, `apns`, …
    pub service: Box<str>,
    /// `{"id","type","keys"?}`, as sent.
    pub value: RawJson,
}

/// The profile that `changes` make. They come in the order in which they are to be applied: by
/// time, then time of receipt, then record id. Changes under several keys of one person may be
/// mixed.
pub fn fold<'a>(changes: impl IntoIterator<Item = &'a ProfileChange>) -> Profile {
    let mut profile = Profile::default();
    for record in changes {
        for change in &record.changes {
            profile.apply(record.person, change.op, &change.property, &change.value);
        }
    }
    profile
}

impl Profile {
    /// Applies one change that was made under the key `person`.
    pub fn apply(&mut self, person: PersonKey, op: ChangeOp, property: &str, value: &RawJson) {
        match op {
            ChangeOp::Put => self.put(property, value.clone()),
            ChangeOp::Set => self.list(property, list::set(value)),
            ChangeOp::Add => {
                let list = list::add(self.properties.get(property), value);
                self.list(property, list);
            }
            ChangeOp::Remove => {
                if let Some(list) = list::remove(self.properties.get(property), value) {
                    self.list(property, Some(list));
                }
            }
            ChangeOp::Incr => self.count(property, number::add, value),
            ChangeOp::Decr => self.count(property, number::subtract, value),
            ChangeOp::Delete => {
                self.properties.remove(property);
            }
            ChangeOp::Identify => self.identify(person, property, value),
            ChangeOp::Token => {
                let token = PushToken {
                    service: Box::from(property),
                    value: value.clone(),
                };
                self.devices.entry(person).or_default().token = Some(token);
            }
            ChangeOp::Device => {
                let device = self.devices.entry(person).or_default();
                device.platform = Some(Box::from(property));
                device.facts = Some(value.clone());
            }
        }
    }

    /// The identity that the company itself uses, when one is known: the newest.
    #[must_use]
    pub fn identity(&self) -> Option<&str> {
        let own = |it: &&Identity| it.kind == IdentityKind::Identity;
        self.identities
            .iter()
            .rev()
            .find(own)
            .or_else(|| self.identities.last())
            .map(|it| &*it.text)
    }

    /// Object ids of the devices that are known by name.
    pub fn object_ids(&self) -> impl Iterator<Item = &str> {
        self.devices
            .values()
            .filter_map(|it| it.object_id.as_deref())
    }

    fn put(&mut self, property: &str, value: RawJson) {
        match self.properties.get_mut(property) {
            Some(current) => *current = value,
            None => {
                self.properties.insert(Box::from(property), value);
            }
        }
    }

    /// Puts a list; an empty one removes the property.
    fn list(&mut self, property: &str, list: Option<list::List>) {
        match list.map(|it| it.into_json()) {
            Some(Some(json)) => self.put(property, json),
            Some(None) => {
                self.properties.remove(property);
            }
            None => {}
        }
    }

    fn count(
        &mut self,
        property: &str,
        operation: fn(&str, &str) -> Option<RawJson>,
        operand: &RawJson,
    ) {
        let current = match self.properties.get(property).map(RawJson::as_str) {
            None | Some("null") => "0",
            Some(text) => text,
        };
        if let Some(result) = operation(current, operand.as_str()) {
            self.put(property, result);
        }
    }

    fn identify(&mut self, person: PersonKey, kind: &str, value: &RawJson) {
        let Ok(text) = serde_json::from_str::<Box<str>>(value.as_str()) else {
            return;
        };
        let kind = match kind {
            "identity" => IdentityKind::Identity,
            "FBID" => IdentityKind::Fbid,
            "GPID" => IdentityKind::Gpid,
            "objectId" => {
                self.devices.entry(person).or_default().object_id = Some(text);
                return;
            }
            _ => return,
        };
        if self.identities.iter().all(|it| it.key != person) {
            self.identities.push(Identity {
                key: person,
                kind,
                text,
            });
        }
    }
}
