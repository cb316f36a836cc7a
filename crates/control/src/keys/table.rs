//! The rows of the key table in memory, and the questions they answer.

use model::{AccountId, KeyId, PersonKeySecret, Secret};
use std::collections::{BTreeMap, HashMap, HashSet};

use super::format::{Change, Use};

/// Every row that is durable, and what this run has done with them.
#[derive(Debug, Default)]
pub(super) struct Table {
    rows: HashMap<KeyId, (Use, Secret<[u8; 32]>)>,
    by_path: HashMap<Box<str>, Vec<KeyId>>,
    /// By sequence.
    journal: BTreeMap<u64, (i64, KeyId)>,
    people: HashMap<AccountId, KeyId>,
    /// Made by this run, durable, and given to nobody yet.
    spare: Vec<KeyId>,
    /// Given to an object by this run, and not yet written down.
    unrecorded: HashMap<KeyId, Box<str>>,
    /// Every key that this run has made: others without a path may have been used by an earlier
    /// run, so they are never given out.
    made_here: HashSet<KeyId>,
}

impl Table {
    /// Applies changes that are durable.
    pub(super) fn apply(&mut self, changes: Vec<Change>) {
        for change in changes {
            match change {
                Change::Put(id, usage, secret) => self.put(id, usage, secret),
                Change::Assign(id, path) => {
                    self.unrecorded.remove(&id);
                    if let Some((usage, _)) = self.rows.get_mut(&id) {
                        *usage = Use::Object(Some(path.clone()));
                        let ids = self.by_path.entry(path).or_default();
                        if !ids.contains(&id) {
                            ids.push(id);
                        }
                    }
                }
                Change::Remove(id) => self.remove(id),
            }
        }
    }

    fn put(&mut self, id: KeyId, usage: Use, secret: Secret<[u8; 32]>) {
        match &usage {
            Use::Object(Some(path)) => self.by_path.entry(path.clone()).or_default().push(id),
            Use::Object(None) => {}
            Use::Journal { sequence, hour } => {
                self.journal.insert(*sequence, (*hour, id));
            }
            Use::Person(account) => {
                self.people.insert(*account, id);
            }
        }
        self.rows.insert(id, (usage, secret));
    }

    fn remove(&mut self, id: KeyId) {
        self.unrecorded.remove(&id);
        self.made_here.remove(&id);
        self.spare.retain(|spare| *spare != id);
        match self.rows.remove(&id) {
            Some((Use::Object(Some(path)), _)) => {
                if let Some(ids) = self.by_path.get_mut(&path) {
                    ids.retain(|other| *other != id);
                    if ids.is_empty() {
                        self.by_path.remove(&path);
                    }
                }
            }
            Some((Use::Journal { sequence, .. }, _)) => {
                self.journal.remove(&sequence);
            }
            Some((Use::Person(account), _)) => {
                self.people.remove(&account);
            }
            Some((Use::Object(None), _)) | None => {}
        }
    }

    /// Makes the durable keys `ids` of this run available to objects.
    pub(super) fn stock(&mut self, ids: Vec<KeyId>) {
        self.made_here.extend(&ids);
        self.spare.extend(ids);
    }

    /// Gives a spare key to the object at `path`: to it and to no other.
    pub(super) fn give(&mut self, path: &str) -> Option<(KeyId, Secret<[u8; 32]>)> {
        let id = self.spare.pop()?;
        let (_, secret) = self.rows.get(&id)?;
        let secret = secret.clone();
        self.unrecorded.insert(id, Box::from(path));
        Some((id, secret))
    }

    /// How many keys can be given without making more.
    pub(super) const fn spare_count(&self) -> usize {
        self.spare.len()
    }

    /// What this run knows of keys and objects and has not written down.
    pub(super) fn unrecorded(&self) -> Vec<Change> {
        self.unrecorded
            .iter()
            .map(|(id, path)| Change::Assign(*id, path.clone()))
            .collect()
    }

    /// The secret of one row.
    pub(super) fn secret(&self, id: KeyId) -> Option<Secret<[u8; 32]>> {
        self.rows.get(&id).map(|(_, secret)| secret.clone())
    }

    /// The secret of an account's person keys.
    pub(super) fn person_secret(&self, account: AccountId) -> Option<PersonKeySecret> {
        self.people.get(&account).and_then(|id| self.secret(*id))
    }

    /// The newest journal key that is meant for `hour` or an hour before it; the hour that counts
    /// never goes back below the one that the newest keys were made for.
    pub(super) fn journal_key(&self, hour: i64) -> Option<(i64, KeyId)> {
        let newest = self
            .journal
            .last_key_value()
            .map_or(i64::MIN, |(_, (hour, _))| *hour);
        let hour = hour.max(newest.saturating_sub(1));
        self.journal
            .values()
            .rev()
            .find(|(from, _)| *from <= hour)
            .copied()
    }

    /// The last hour that a journal key was made for.
    pub(super) fn last_journal_hour(&self) -> Option<i64> {
        self.journal.last_key_value().map(|(_, (hour, _))| *hour)
    }

    /// The sequence that the next journal key gets.
    pub(super) fn next_journal_sequence(&self) -> u64 {
        self.journal
            .last_key_value()
            .map_or(1, |(sequence, _)| sequence.saturating_add(1))
    }

    /// The removal of the keys of the objects whose paths are `meant`, written down or not.
    pub(super) fn removals_of_objects(&self, meant: impl Fn(&str) -> bool) -> Vec<Change> {
        let recorded = self
            .by_path
            .iter()
            .filter(|(path, _)| meant(path))
            .flat_map(|(_, ids)| ids);
        let unrecorded = self
            .unrecorded
            .iter()
            .filter(|(_, path)| meant(path))
            .map(|(id, _)| id);
        recorded
            .chain(unrecorded)
            .copied()
            .map(Change::Remove)
            .collect()
    }

    /// The first of `paths` whose object has no key here, written down or not.
    pub(super) fn first_without_key<'p>(&self, paths: &'p [String]) -> Option<&'p str> {
        let unrecorded: HashSet<&str> = self.unrecorded.values().map(|path| &**path).collect();
        paths
            .iter()
            .map(String::as_str)
            .find(|path| !self.by_path.contains_key(*path) && !unrecorded.contains(*path))
    }

    /// The removal of the journal keys made before `sequence`.
    pub(super) fn removals_of_journal(&self, sequence: u64) -> Vec<Change> {
        self.journal
            .range(..sequence)
            .map(|(_, (_, id))| Change::Remove(*id))
            .collect()
    }

    /// The removal of keys of earlier runs of which nobody knows whether an object has them: such
    /// an object was never published.
    pub(super) fn removals_of_strays(&self) -> Vec<Change> {
        self.rows
            .iter()
            .filter(|(id, (usage, _))| *usage == Use::Object(None) && !self.made_here.contains(*id))
            .map(|(id, _)| Change::Remove(*id))
            .collect()
    }

    /// Every row, in the order of their ids.
    pub(super) fn all(&self) -> Vec<Change> {
        let mut rows: Vec<Change> = self
            .rows
            .iter()
            .map(|(id, (usage, secret))| Change::Put(*id, usage.clone(), secret.clone()))
            .collect();
        rows.sort_by_key(|change| match change {
            Change::Put(id, ..) | Change::Assign(id, _) | Change::Remove(id) => *id,
        });
        rows
    }

    /// How many rows there are.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether `rows` are exactly the durable rows of this table.
    pub(super) fn is_exactly(&self, rows: &[Change]) -> bool {
        rows.len() == self.rows.len()
            && rows.iter().all(|change| match change {
                Change::Put(id, usage, secret) => {
                    self.rows.get(id).is_some_and(|(own_use, own)| {
                        own_use == usage && seal::same(own.expose(), secret.expose())
                    })
                }
                Change::Assign(..) | Change::Remove(_) => false,
            })
    }
}
