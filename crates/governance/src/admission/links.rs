//! Which names of a record belong together, and which of these links are news.

use model::record::{Link, LinkKind};
use model::{IdentityKind, PersonKey, RecordId, Timestamp};
use std::collections::HashMap;

use super::stages::Name;
use crate::Announced;
use crate::announced::pair;

/// A link that a record makes, before it has an id.
#[derive(Debug, Clone, Copy)]
pub(super) struct NewLink {
    pub(super) from: PersonKey,
    pub(super) to: PersonKey,
    from_kind: IdentityKind,
    kind: LinkKind,
    pub(super) ts: Timestamp,
}

impl NewLink {
    pub(super) const fn into_record(self, id: RecordId, received_at: Timestamp) -> Link {
        Link {
            id,
            from: self.from,
            to: self.to,
            ts: self.ts,
            received_at,
            from_kind: self.from_kind,
            kind: self.kind,
        }
    }
}

/// The links of one record: a device belongs to the identity beside it; every other identity is an
/// alias. `profileData.identity` is the newer name, so the primary one points to it.
pub(super) fn of(names: &[Name], primary: PersonKey, ts: Timestamp) -> Vec<NewLink> {
    let Some((first, others)) = names.split_first() else {
        return Vec::new();
    };
    let mut links = Vec::new();
    for other in others {
        let (from, from_kind, to) = if other.alias {
            (primary, first.kind, other.key)
        } else {
            (other.key, other.kind, primary)
        };
        let kind = match from_kind {
            IdentityKind::ObjectId => LinkKind::Device,
            IdentityKind::Identity | IdentityKind::Fbid | IdentityKind::Gpid => LinkKind::Alias,
        };
        links.push(NewLink {
            from,
            to,
            from_kind,
            kind,
            ts,
        });
    }
    links
}

/// What this upload has linked so far.
#[derive(Debug, Default)]
pub(super) struct Links {
    devices: HashMap<PersonKey, (PersonKey, Timestamp)>,
    aliases: Vec<[u8; 16]>,
}

impl Links {
    /// Whether a link must be written. An alias holds for good, so once is enough. A device may go
    /// to and fro, and other nodes see it too: only a repetition within one upload, not earlier
    /// than the first, is no news.
    pub(super) fn is_news(
        &mut self,
        link: &NewLink,
        announced: &Announced,
        announcing: &mut Vec<[u8; 16]>,
    ) -> bool {
        match link.kind {
            LinkKind::Alias => {
                let key = pair(link.from, link.to);
                if announced.read().contains(&key) || self.aliases.contains(&key) {
                    return false;
                }
                self.aliases.push(key);
                announcing.push(key);
                true
            }
            LinkKind::Device => {
                let known = self.devices.get(&link.from);
                if known.is_some_and(|&(to, since)| to == link.to && since <= link.ts) {
                    return false;
                }
                self.devices.insert(link.from, (link.to, link.ts));
                true
            }
            LinkKind::Unlink => true,
        }
    }
}
