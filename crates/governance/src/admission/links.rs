//! Which names of a record belong together, and which of these links are news.

use model::record::{Link, LinkKind};
use model::{IdentityKind, PersonKey, RecordId, Timestamp};

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

/// What this upload links.
#[derive(Debug, Default)]
pub(super) struct Links {
    devices: Vec<NewLink>,
    aliases: Vec<[u8; 16]>,
}

impl Links {
    /// Takes a link, and gives it back if it is to be written now. An alias holds for good, so once is
    /// enough. A device may go to and fro: what is written of it is decided when all is known.
    pub(super) fn take(
        &mut self,
        link: NewLink,
        announced: &Announced,
        announcing: &mut Vec<[u8; 16]>,
    ) -> Option<NewLink> {
        if link.kind == LinkKind::Device {
            self.devices.push(link);
            return None;
        }
        let key = pair(link.from, link.to);
        if announced.read().contains(&key) || self.aliases.contains(&key) {
            return None;
        }
        self.aliases.push(key);
        announcing.push(key);
        Some(link)
    }

    /// The links of devices that are to be written. Where a device stays with one identity, the first
    /// and the last moment are enough, whatever other uploads say of it before, after and between; each
    /// change of hands is written, in whatever order the records came.
    pub(super) fn of_devices(mut self) -> Vec<NewLink> {
        // Links of one moment stay in the order in which they came.
        self.devices.sort_by_key(|it| (it.from, it.ts));
        let mut news: Vec<NewLink> = Vec::new();
        for run in self
            .devices
            .chunk_by(|a, b| (a.from, a.to) == (b.from, b.to))
        {
            let [first, .., last] = run else {
                news.extend(run);
                continue;
            };
            news.push(*first);
            if last.ts != first.ts {
                news.push(*last);
            }
        }
        news
    }
}
