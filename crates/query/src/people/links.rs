//! Who is who: which keys are one person, and when.
//!
//! An alias joins two identities for good. A device belongs to one identity at a time: from a link
//! until the next link or unlink of that device; what it did before its first link belongs to that
//! first identity too. A person is a set of identities joined by aliases, with their devices'
//! stretches of time; it is called by the smallest of its identity keys.
//!
//! The links of each part are held in memory, so that after a flush those of the new part are read
//! and no others; those of the journal are added for each read. Links of deleted people are looked
//! over at reading.

use futures::StreamExt;
use governance::{Stretch, Suppressions};
use lake::schema::{PERSON_KEY, RECORD_ID, TO_KEY, TS};
use model::record::{LinkKind, Table};
use model::{PartId, PersonKey, PersonMap, PersonSet, RecordId, Timestamp};
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::reads::{self, Read};
use crate::scan::Order;
use crate::snapshot::{Snapshot, TableRows};
use crate::{Engine, ReadPolicy, Result};

/// Links held in memory for all accounts together: about 100 bytes each.
const CACHED_LINKS_MAX: usize = 2_000_000;

/// One link, as its `from` key sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Use {
    ts: Timestamp,
    received_at: Timestamp,
    record: RecordId,
    to: PersonKey,
    kind: LinkKind,
}

/// Links by both ends. A device may be linked to one identity very often: whoever goes from end to end
/// meets each pair once.
#[derive(Debug, Default)]
pub(crate) struct LinkMap {
    by_from: PersonMap<Vec<Use>>,
    /// The devices of an identity.
    devices: PersonMap<PersonSet>,
    /// The older identities that an identity has replaced.
    replaced: PersonMap<PersonSet>,
    count: usize,
}

impl LinkMap {
    fn insert(&mut self, from: PersonKey, link: Use) {
        self.by_from.entry(from).or_default().push(link);
        let by_to = match link.kind {
            LinkKind::Device => Some(&mut self.devices),
            LinkKind::Alias => Some(&mut self.replaced),
            LinkKind::Unlink => None,
        };
        if let Some(by_to) = by_to {
            by_to.entry(link.to).or_default().insert(from);
        }
        self.count += 1;
    }

    /// Whether some link is of this key.
    fn names(&self, key: PersonKey) -> bool {
        self.by_from.contains_key(&key)
            || self.devices.contains_key(&key)
            || self.replaced.contains_key(&key)
    }
}

/// The links of parts, which never change; those that were used longest ago go first.
#[derive(Debug, Default)]
pub(crate) struct LinkCache(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    parts: HashMap<PartId, (Arc<LinkMap>, u64)>,
    links: usize,
    reads: u64,
}

impl LinkCache {
    fn find(&self, part: PartId) -> Option<Arc<LinkMap>> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.reads += 1;
        let now = held.reads;
        let (links, last) = held.parts.get_mut(&part)?;
        *last = now;
        Some(Arc::clone(links))
    }

    fn insert(&self, part: PartId, links: &Arc<LinkMap>) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = held.reads;
        if held.parts.insert(part, (Arc::clone(links), now)).is_none() {
            held.links += links.count.max(1);
        }
        while held.links > CACHED_LINKS_MAX {
            let oldest = held.parts.iter().min_by_key(|(_, (_, last))| *last);
            let Some(oldest) = oldest.map(|(part, _)| *part) else {
                break;
            };
            if let Some((links, _)) = held.parts.remove(&oldest) {
                held.links = held.links.saturating_sub(links.count.max(1));
            }
        }
    }
}

impl Engine {
    /// The links of a snapshot, as `policy` lets them be seen.
    pub(crate) async fn links(&self, snapshot: &Snapshot, policy: &ReadPolicy) -> Result<Links> {
        let rows = snapshot.table(Table::Links)?;
        let mut maps = Vec::with_capacity(rows.parts.len() + 1);
        for part in &rows.parts {
            let map = match self.inner.links.find(part.id) {
                Some(known) => known,
                None => {
                    let map = Arc::new(self.link_map(rows.part_alone(part), policy).await?);
                    self.inner.links.insert(part.id, &map);
                    map
                }
            };
            maps.push(map);
        }
        maps.retain(|it: &Arc<LinkMap>| it.count > 0);
        let tail = rows.tail_alone();
        if !tail.is_empty() {
            maps.push(Arc::new(self.link_map(tail, policy).await?));
        }
        Ok(Links {
            maps,
            suppressed: Arc::clone(&policy.suppressed),
            names: PersonMap::default(),
            uses: PersonMap::default(),
        })
    }

    /// All links of `rows`, deleted people's too.
    async fn link_map(&self, rows: TableRows, policy: &ReadPolicy) -> Result<LinkMap> {
        let everybody = ReadPolicy::new(policy.account, Arc::default());
        let mut found = self
            .read(&Arc::new(rows), &everybody, Order::Any, Read::default())
            .await?
            .batches;
        let mut links = LinkMap::default();
        while let Some(batch) = found.next().await {
            let batch = batch?;
            let (from, to) = (
                reads::keys(&batch, PERSON_KEY)?,
                reads::keys(&batch, TO_KEY)?,
            );
            let ids = reads::keys(&batch, RECORD_ID)?;
            let ts = reads::times(&batch, TS)?;
            let received_at = reads::times(&batch, "received_at")?;
            let kinds = reads::texts(&batch, "kind")?;
            for row in 0..batch.num_rows() {
                let kind = kinds.value(row);
                let Some(kind) = LinkKind::ALL.into_iter().find(|it| it.as_str() == kind) else {
                    continue;
                };
                let link = Use {
                    ts: reads::time(ts, row),
                    received_at: reads::time(received_at, row),
                    record: reads::record(ids, row),
                    to: reads::person(to, row),
                    kind,
                };
                links.insert(reads::person(from, row), link);
            }
        }
        Ok(links)
    }
}

/// The links of one snapshot, and what has been worked out from them.
#[derive(Debug)]
pub(crate) struct Links {
    /// Of each part, and of the journal.
    maps: Vec<Arc<LinkMap>>,
    suppressed: Arc<Suppressions>,
    names: PersonMap<PersonKey>,
    uses: PersonMap<Arc<[Owned]>>,
}

/// A stretch of a device's time, and whose it was; none when it was nobody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owned {
    pub(crate) stretch: Stretch,
    pub(crate) by: Option<PersonKey>,
}

/// Whose what is under one key is.
enum Whose {
    /// One person's.
    Always(PersonKey),
    /// One person's after the other.
    InTurns(Arc<[Owned]>),
}

impl Links {
    /// The person to whom a record under `key` at `ts` belongs.
    pub(crate) fn person(&mut self, key: PersonKey, ts: Timestamp) -> PersonKey {
        match self.whose(key) {
            Whose::Always(person) => person,
            Whose::InTurns(owned) => self.whose_at(key, &owned, ts),
        }
    }

    /// Calls `take` with each person to whom records under `key` belong, and when those were: some of
    /// `times`, in their order.
    pub(crate) fn each_person(
        &mut self,
        key: PersonKey,
        times: &[Timestamp],
        mut take: impl FnMut(PersonKey, &[Timestamp]),
    ) {
        match self.whose(key) {
            Whose::Always(person) => take(person, times),
            Whose::InTurns(owned) => {
                for ts in times {
                    take(self.whose_at(key, &owned, *ts), &[*ts]);
                }
            }
        }
    }

    fn whose(&mut self, key: PersonKey) -> Whose {
        if !self.maps.iter().any(|it| it.names(key)) {
            return Whose::Always(key);
        }
        let owned = self.owned(key);
        match owned.as_ref() {
            [] => Whose::Always(self.name(key)),
            [only] if only.stretch == Stretch::WHOLE => {
                Whose::Always(self.name(only.by.unwrap_or(key)))
            }
            _ => Whose::InTurns(owned),
        }
    }

    fn whose_at(&mut self, key: PersonKey, owned: &[Owned], ts: Timestamp) -> PersonKey {
        let owner = owned
            .iter()
            .find(|it| it.stretch.contains(ts))
            .and_then(|it| it.by);
        self.name(owner.unwrap_or(key))
    }

    /// The keys of one person, each with the stretches of time in which it was theirs.
    pub(crate) fn keys(&mut self, person: PersonKey) -> Vec<(PersonKey, Stretch)> {
        let identities = self.aliases(person);
        let mut keys = Vec::new();
        let mut devices = BTreeSet::new();
        for identity in &identities {
            let owned = self.owned(*identity);
            if owned.is_empty() {
                keys.push((*identity, Stretch::WHOLE));
            }
            // A key that is itself a device: what is nobody's is its own.
            let own = owned.iter().filter(|it| it.by.is_none());
            keys.extend(own.map(|it| (*identity, it.stretch)));
            for map in &self.maps {
                devices.extend(map.devices.get(identity).into_iter().flatten().copied());
            }
        }
        for device in devices {
            let owned = self.owned(device);
            let theirs = |it: &&Owned| it.by.is_some_and(|by| identities.contains(&by));
            keys.extend(owned.iter().filter(theirs).map(|it| (device, it.stretch)));
        }
        keys
    }

    /// The name of the person whose identity `key` is.
    fn name(&mut self, key: PersonKey) -> PersonKey {
        if let Some(name) = self.names.get(&key) {
            return *name;
        }
        let all = self.aliases(key);
        let name = all.first().copied().unwrap_or(key);
        for identity in all {
            self.names.insert(identity, name);
        }
        name
    }

    /// All identities that aliases join to `key`, itself among them.
    fn aliases(&self, key: PersonKey) -> BTreeSet<PersonKey> {
        let mut found = BTreeSet::from([key]);
        let mut next = vec![key];
        while let Some(key) = next.pop() {
            let mut neighbours: Vec<PersonKey> = Vec::new();
            for map in &self.maps {
                let uses = map.by_from.get(&key).into_iter().flatten();
                neighbours.extend(
                    uses.filter(|it| it.kind == LinkKind::Alias && self.seen(key, it))
                        .map(|it| it.to),
                );
            }
            for map in &self.maps {
                let sources = map.replaced.get(&key).into_iter().flatten();
                neighbours.extend(sources.copied().filter(|from| self.is_alias(*from, key)));
            }
            next.extend(neighbours.into_iter().filter(|it| found.insert(*it)));
        }
        found
    }

    /// Whether an alias has put another name in the place of `key`.
    pub(crate) fn is_renamed(&self, key: PersonKey) -> bool {
        self.maps.iter().any(|map| {
            let mut uses = map.by_from.get(&key).into_iter().flatten();
            uses.any(|it| it.kind == LinkKind::Alias && self.seen(key, it))
        })
    }

    fn is_alias(&self, from: PersonKey, to: PersonKey) -> bool {
        self.maps.iter().any(|map| {
            let mut uses = map.by_from.get(&from).into_iter().flatten();
            uses.any(|it| it.kind == LinkKind::Alias && it.to == to && self.seen(from, it))
        })
    }

    /// That a device is nobody's any more is about the device alone: it holds when whose it was is deleted.
    fn seen(&self, from: PersonKey, link: &Use) -> bool {
        let hides = |key| self.suppressed.hides(key, link.ts);
        !hides(from) && (link.kind == LinkKind::Unlink || !hides(link.to))
    }

    /// Whose `key` was over time, when it is a device; empty otherwise.
    fn owned(&mut self, key: PersonKey) -> Arc<[Owned]> {
        if let Some(known) = self.uses.get(&key) {
            return Arc::clone(known);
        }
        let mut uses: Vec<Use> = Vec::new();
        for map in &self.maps {
            let links = map.by_from.get(&key).into_iter().flatten();
            uses.extend(links.filter(|it| it.kind != LinkKind::Alias && self.seen(key, it)));
        }
        let owned: Arc<[Owned]> = stretches(&mut uses).into();
        self.uses.insert(key, Arc::clone(&owned));
        owned
    }
}

/// The stretches that links make. The first one reaches back to the beginning. What was received before
/// an unlink ends there, whatever time it names: the clock that it was told by may have been ahead.
fn stretches(uses: &mut [Use]) -> Vec<Owned> {
    let is_unlink = |it: &&Use| it.kind == LinkKind::Unlink;
    let unlinks: Vec<Use> = uses.iter().filter(is_unlink).copied().collect();
    for link in uses.iter_mut().filter(|it| it.kind != LinkKind::Unlink) {
        let later = unlinks
            .iter()
            .filter(|it| link.received_at <= it.received_at);
        if let Some(end) = later.map(|it| it.ts).min() {
            link.ts = link.ts.min(end.minus(Duration::from_millis(1)));
        }
    }
    uses.sort_unstable();
    let mut owned: Vec<Owned> = Vec::new();
    for link in uses.iter() {
        let by = match link.kind {
            LinkKind::Device => Some(link.to),
            LinkKind::Alias | LinkKind::Unlink => None,
        };
        match owned.last_mut() {
            Some(last) if last.by == by => {}
            Some(last) => {
                last.stretch.to = Some(link.ts);
                let stretch = Stretch {
                    from: Some(link.ts),
                    to: None,
                };
                owned.push(Owned { stretch, by });
            }
            None => owned.push(Owned {
                stretch: Stretch::WHOLE,
                by,
            }),
        }
    }
    owned
}

#[cfg(test)]
mod tests;
