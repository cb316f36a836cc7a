//! Reads people out of one snapshot: whose each row is, their changes folded in order, and how often
//! they did what.

use arrow::datatypes::UInt32Type;
use datafusion::logical_expr::{Expr, lit};
use futures::StreamExt;
use governance::{Profile, PropertyOf, Stretch};
use lake::schema::{ORDINAL, PERSON_KEY, RECORD_ID, TS};
use model::record::{ChangeOp, Table};
use model::{PersonKey, PersonMap, PersonSet, RawJson, RecordId, Timestamp};
use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::profile::{EventStats, PersonView, ProfileParts, Seen};
use crate::events::{self, EventsQuery};
use crate::masked;
use crate::memory::Room;
use crate::people::Links;
use crate::reads::{self, Read};
use crate::scan::Order;
use crate::snapshot::Snapshot;
use crate::tables::column;
use crate::{Engine, Error, ReadPolicy, Result, functions};

/// Reads people out of one snapshot.
#[derive(Debug)]
pub(crate) struct PeopleReader<'a> {
    engine: &'a Engine,
    snapshot: &'a Snapshot,
    policy: &'a ReadPolicy,
    pub(crate) links: Links,
    /// What those take who were read last.
    _held: Option<Room>,
}

/// What somebody takes in a set of people, which has twice the room that it needs, and in the list that
/// is made of it, bytes.
const PERSON_BYTES: usize = 64;

/// What somebody takes in a table of people with their times, which has twice the room that it needs, and
/// in the list that is made of it, bytes.
const KNOWN_BYTES: usize = 3 * size_of::<Known>();

/// What a change takes of which only the key and the time are looked at, in a list that has twice the room
/// that it needs, and in the people that are made of it, bytes.
const HAD_BYTES: usize = 4 * size_of::<(PersonKey, Timestamp)>();

/// What an entry of somebody's takes beside its name and its value, bytes.
pub(super) const ENTRY_BYTES: usize = 96;

/// Somebody, and when they first and last did something.
pub(crate) type Known = (PersonKey, Option<Seen>);

/// One change with what decides its place.
pub(crate) struct Placed {
    pub(crate) place: (Timestamp, Timestamp, RecordId, u32),
    pub(crate) key: PersonKey,
    pub(crate) op: ChangeOp,
    pub(crate) property: Box<str>,
    pub(crate) value: RawJson,
}

impl Placed {
    /// Bytes of memory, twice the change itself: it is moved to its person.
    pub(crate) fn bytes(&self) -> usize {
        self.property.len() + self.value.as_str().len() + 2 * size_of::<Self>()
    }
}

/// Whose key it is, by stretch.
type Owners = PersonMap<Vec<(Stretch, PersonKey)>>;

impl<'a> PeopleReader<'a> {
    pub(crate) async fn new(
        engine: &'a Engine,
        snapshot: &'a Snapshot,
        policy: &'a ReadPolicy,
    ) -> Result<Self> {
        let links = engine.links(snapshot, policy).await?;
        Ok(Self {
            engine,
            snapshot,
            policy,
            links,
            _held: None,
        })
    }

    /// The people named by their keys. What they take of the memory that all queries share is given back
    /// when others are read.
    pub(crate) async fn read(
        &mut self,
        people: &[PersonKey],
        parts: ProfileParts,
    ) -> Result<HashMap<PersonKey, PersonView>> {
        let (found, _) = self.read_and_when(people, parts, None).await?;
        Ok(found)
    }

    /// As [`PeopleReader::read`]; and when `told`, if a property is named, was last changed of whom, as far
    /// as it ever was.
    async fn read_and_when(
        &mut self,
        people: &[PersonKey],
        parts: ProfileParts,
        told: Option<&str>,
    ) -> Result<(HashMap<PersonKey, PersonView>, PersonMap<Timestamp>)> {
        self._held = None;
        let mut room = self.engine.room("profiles of people");
        let mut found = HashMap::new();
        for person in people {
            let view = PersonView {
                key: Some(*person),
                keys: self.links.keys(*person),
                ..PersonView::default()
            };
            found.insert(*person, view);
        }
        let mut changed_at = PersonMap::default();
        if parts.profile {
            changed_at = self.fold(people, &mut found, &mut room, told).await?;
        }
        if parts.events {
            self.count(people, &mut found, &mut room).await?;
        }
        self._held = Some(room);
        Ok((found, changed_at))
    }

    /// Folds the changes of people, of as many at a time as there is memory for; when `told`, if a property
    /// is named, was last changed of whom.
    async fn fold(
        &self,
        people: &[PersonKey],
        found: &mut HashMap<PersonKey, PersonView>,
        room: &mut Room,
        told: Option<&str>,
    ) -> Result<PersonMap<Timestamp>> {
        let mut changed_at = PersonMap::default();
        let (mut rest, mut together) = (people, people.len());
        while !rest.is_empty() {
            let (some, others) = rest.split_at(together.min(rest.len()));
            let mut held = self.engine.room("changes of people");
            let changes = self.changes_of(&owners(some, found), &mut held).await?;
            match held.check() {
                Err(_) if some.len() > 1 => {
                    together = some.len() / 2;
                    continue;
                }
                outcome => outcome?,
            }
            for (person, changes) in changes {
                let Some(view) = found.get_mut(&person) else {
                    continue;
                };
                let of_told = changes.iter().filter(|it| Some(&*it.property) == told);
                if let Some(last) = of_told.map(|it| it.place.0).max() {
                    changed_at.insert(person, last);
                }
                // Folded, they are gone: what they took is there for the profile.
                let own: usize = changes.iter().map(Placed::bytes).sum();
                self.apply(changes, view);
                held.give_back(own);
                room.take(bytes(&view.profile));
            }
            room.check()?;
            rest = others;
        }
        Ok(changed_at)
    }

    /// The changes under some keys, by whose they are; not all of them when there is no room.
    async fn changes_of(&self, owners: &Owners, room: &mut Room) -> Result<PersonMap<Vec<Placed>>> {
        let mut changes: PersonMap<Vec<Placed>> = PersonMap::default();
        if owners.is_empty() {
            return Ok(changes);
        }
        let keys: Vec<PersonKey> = owners.keys().copied().collect();
        let filter = reads::of_persons(PERSON_KEY, &keys);
        self.changes(filter, |placed| {
            let Some(person) = owner(owners, placed.key, placed.place.0) else {
                return true;
            };
            let is_taken = room.take(placed.bytes());
            if is_taken {
                changes.entry(person).or_default().push(placed);
            }
            is_taken
        })
        .await?;
        Ok(changes)
    }

    fn apply(&self, mut changes: Vec<Placed>, view: &mut PersonView) {
        changes.sort_by_key(|it| it.place);
        view.changed_at = changes.last().map(|it| it.place.0);
        for it in changes {
            view.profile.apply(it.key, it.op, &it.property, &it.value);
        }
        let identities = &mut view.profile.identities;
        if identities.len() > 1 {
            // The one in use stands last, whenever it was first seen.
            identities.sort_by_key(|it| !self.links.is_renamed(it.key));
        }
        mask(&mut view.profile, self.policy);
    }

    /// Calls `take` with each change for which `filter` is true, until it says no.
    pub(crate) async fn changes(
        &self,
        filter: Expr,
        mut take: impl FnMut(Placed) -> bool,
    ) -> Result<()> {
        let rows = self.snapshot.table(Table::ProfileChanges)?;
        let read = Read {
            filter: Some(filter),
            ..Read::default()
        };
        let mut batches = self
            .engine
            .read(rows, self.policy, Order::Any, read)
            .await?
            .batches;
        while let Some(batch) = batches.next().await {
            let batch = batch?;
            let keys = reads::keys(&batch, PERSON_KEY)?;
            let ids = reads::keys(&batch, RECORD_ID)?;
            let ordinals = reads::numbers::<UInt32Type>(&batch, ORDINAL)?;
            let ts = reads::times(&batch, TS)?;
            let received_at = reads::times(&batch, "received_at")?;
            let ops = reads::texts(&batch, "op")?;
            let properties = reads::texts(&batch, "property")?;
            let values = reads::texts(&batch, "value")?;
            for row in 0..batch.num_rows() {
                let op = ChangeOp::from_name(ops.value(row));
                let (Some(op), Ok(value)) = (op, RawJson::parse(values.value(row))) else {
                    return Err(Error::Internal(
                        "read a profile change: it is not well-formed",
                    ));
                };
                let goes_on = take(Placed {
                    place: (
                        reads::time(ts, row),
                        reads::time(received_at, row),
                        reads::record(ids, row),
                        ordinals.value(row),
                    ),
                    key: reads::person(keys, row),
                    op,
                    property: Box::from(properties.value(row)),
                    value,
                });
                if !goes_on {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    async fn count(
        &self,
        people: &[PersonKey],
        found: &mut HashMap<PersonKey, PersonView>,
        room: &mut Room,
    ) -> Result<()> {
        let owners = &owners(people, found);
        if owners.is_empty() {
            return Ok(());
        }
        let keys: Vec<PersonKey> = owners.keys().copied().collect();
        let rows = self.snapshot.table(Table::Events)?;
        let columns = [PERSON_KEY, "name", TS].map(String::from).to_vec();
        let filter = Some(reads::of_persons(PERSON_KEY, &keys));
        let read = Read {
            filter,
            columns,
            ..Read::default()
        };
        let mut batches = self
            .engine
            .read(rows, self.policy, Order::Any, read)
            .await?
            .batches;
        while let Some(batch) = batches.next().await {
            let batch = batch?;
            let keys = reads::keys(&batch, PERSON_KEY)?;
            let names = reads::texts(&batch, "name")?;
            let times = reads::times(&batch, TS)?;
            for row in 0..batch.num_rows() {
                let ts = reads::time(times, row);
                let person = owner(owners, reads::person(keys, row), ts);
                let Some(view) = person.and_then(|it| found.get_mut(&it)) else {
                    continue;
                };
                let name = names.value(row);
                match view.events.get_mut(name) {
                    Some(stats) => stats.add(ts),
                    None if room.take(name.len() + ENTRY_BYTES) => {
                        view.events.insert(Box::from(name), EventStats::of(ts));
                    }
                    None => {}
                }
            }
        }
        room.check()
    }

    /// The people who did what `query` says, or everybody when it names no event, in the order of
    /// their keys, and what they take of the memory that all queries share.
    pub(crate) async fn people_of(
        &mut self,
        query: &EventsQuery,
        cut_off: Option<Timestamp>,
    ) -> Result<(Vec<PersonKey>, Room)> {
        let (mut people, mut room) = self.doers(query, cut_off).await?;
        if query.event.is_none() && !query.has_conditions() {
            self.changed(query, cut_off, |person| {
                insert(&mut people, &mut room, person);
            })
            .await?;
            room.check()?;
        }
        let mut people: Vec<PersonKey> = people.into_iter().collect();
        people.sort_unstable();
        // The list may be held for long, the set is gone.
        room.give_back(people.len() * (PERSON_BYTES - size_of::<PersonKey>()));
        Ok((people, room))
    }

    /// Calls `take` with the person of each change in the time that `query` says, or once for several
    /// of one person.
    pub(super) async fn changed(
        &mut self,
        query: &EventsQuery,
        cut_off: Option<Timestamp>,
        mut take: impl FnMut(PersonKey),
    ) -> Result<()> {
        let links = &mut self.links;
        let mut take = |key: PersonKey, times: &[Timestamp]| {
            links.each_person(key, times, |person, _| take(person));
        };
        let mut rows = Arc::clone(self.snapshot.table(Table::ProfileChanges)?);
        if cut_off.is_none() {
            let time = (query.from, query.to);
            let present = self.engine.present(&rows, self.policy, time, &mut take);
            rows = present.await?;
        }
        if rows.is_empty() {
            return Ok(());
        }
        let of_time = EventsQuery {
            from: query.from,
            to: query.to,
            ..EventsQuery::default()
        };
        let filter = events::matching(&of_time, cut_off);
        let columns = [PERSON_KEY, TS].map(String::from).to_vec();
        let read = Read {
            filter: Some(filter),
            columns,
            ..Read::default()
        };
        let mut batches = self
            .engine
            .read(&rows, self.policy, Order::Any, read)
            .await?
            .batches;
        while let Some(batch) = batches.next().await {
            let batch = batch?;
            let (keys, times) = (reads::keys(&batch, PERSON_KEY)?, reads::times(&batch, TS)?);
            for row in 0..batch.num_rows() {
                take(reads::person(keys, row), &[reads::time(times, row)]);
            }
        }
        Ok(())
    }

    /// Everybody of whom anything is known, in the order of their keys, and when they did something; and
    /// what they take of the memory that all queries share.
    pub(crate) async fn everybody(&mut self) -> Result<(Vec<Known>, Room)> {
        let mut people: PersonMap<Option<Seen>> = PersonMap::default();
        let mut room = self.engine.room("everybody");
        let query = EventsQuery::default();
        let links = &mut self.links;
        self.engine
            .each_event(self.snapshot, self.policy, &query, None, |key, times| {
                links.each_person(key, times, |person, times| {
                    let Some(seen) = entry(&mut people, &mut room, person) else {
                        return;
                    };
                    for ts in [times.first(), times.last()].into_iter().flatten() {
                        let (first, last) =
                            seen.map_or((*ts, *ts), |it| (it.first.min(*ts), it.last.max(*ts)));
                        *seen = Some(Seen { first, last });
                    }
                });
            })
            .await?;
        room.check()?;
        self.changed(&query, None, |person| {
            entry(&mut people, &mut room, person);
        })
        .await?;
        room.check()?;
        let mut people: Vec<Known> = people.into_iter().collect();
        people.sort_unstable_by_key(|(person, _)| *person);
        Ok((people, room))
    }

    /// The people with events that match, and what they take of the memory that all queries share.
    pub(crate) async fn doers(
        &mut self,
        query: &EventsQuery,
        cut_off: Option<Timestamp>,
    ) -> Result<(PersonSet, Room)> {
        let (mut people, mut room) = (PersonSet::default(), self.engine.room("people"));
        self.each_doer(query, cut_off, |person| {
            insert(&mut people, &mut room, person);
        })
        .await?;
        room.check()?;
        Ok((people, room))
    }

    /// Calls `take` with the person of each event that matches, or once for several of one person.
    pub(super) async fn each_doer(
        &mut self,
        query: &EventsQuery,
        cut_off: Option<Timestamp>,
        mut take: impl FnMut(PersonKey),
    ) -> Result<()> {
        let links = &mut self.links;
        self.engine
            .each_event(self.snapshot, self.policy, query, cut_off, |key, times| {
                links.each_person(key, times, |person, _| take(person));
            })
            .await
    }

    /// The person whose email is `email` now; the one changed last, when several have it.
    pub(crate) async fn by_email(&mut self, email: &str) -> Result<Option<PersonView>> {
        let wanted = BTreeSet::from([email.to_lowercase()]);
        let found = self.having("Email", &wanted).await?;
        let people = found.iter().map(|(_, person)| person);
        let newest = people.max_by_key(|it| (it.changed_at, it.key));
        let Some(person) = newest.and_then(|it| it.key) else {
            return Ok(None);
        };
        Ok(self
            .read(&[person], ProfileParts::ALL)
            .await?
            .remove(&person))
    }

    /// The people whose `property` is one of the `wanted` texts now, each with that text. These are
    /// in lower case; upper and lower case are the same.
    pub(crate) async fn having(
        &mut self,
        property: &str,
        wanted: &BTreeSet<String>,
    ) -> Result<Vec<(String, PersonView)>> {
        let (people, _) = self.having_and_when(property, wanted, None).await?;
        Ok(people)
    }

    /// As [`PeopleReader::having`]; and when `told`, if a property is named, was last changed of whom, as
    /// far as it ever was.
    pub(crate) async fn having_and_when(
        &mut self,
        property: &str,
        wanted: &BTreeSet<String>,
        told: Option<&str>,
    ) -> Result<(Vec<(String, PersonView)>, PersonMap<Timestamp>)> {
        // Candidates are those who ever had it: a value is text, so its case may differ.
        let text = functions::string().call(vec![column("value")]);
        let lower = datafusion::functions::string::lower();
        let wanted_texts = wanted.iter().map(|it| lit(it.clone())).collect();
        let filter = column("property")
            .eq(lit(property))
            .and(lower.call(vec![text]).in_list(wanted_texts, false));
        let (mut had, mut room) = (Vec::new(), self.engine.room("who had a value"));
        self.changes(filter, |placed| {
            let is_taken = room.take(HAD_BYTES);
            if is_taken {
                had.push((placed.key, placed.place.0));
            }
            is_taken
        })
        .await?;
        room.check()?;
        let people: BTreeSet<PersonKey> = had
            .into_iter()
            .map(|(key, ts)| self.links.person(key, ts))
            .collect();
        let people: Vec<PersonKey> = people.into_iter().collect();
        drop(room);
        let only_profiles = ProfileParts {
            profile: true,
            events: false,
        };
        let read = self.read_and_when(&people, only_profiles, told).await?;
        let (found, changed_at) = read;
        let has = |view: &PersonView| {
            let current = view.profile.properties.get(property)?;
            let current = functions::json_string(current.as_str())?.to_lowercase();
            wanted.contains(&current).then_some(current)
        };
        let found = found.into_values();
        let people = found.filter_map(|view| Some((has(&view)?, view)));
        Ok((people.collect(), changed_at))
    }
}

/// What is known of somebody's times in a table of people; none when there is no room for it.
fn entry<'t>(
    people: &'t mut PersonMap<Option<Seen>>,
    room: &mut Room,
    person: PersonKey,
) -> Option<&'t mut Option<Seen>> {
    match people.entry(person) {
        Entry::Occupied(known) => Some(known.into_mut()),
        Entry::Vacant(new) => room.take(KNOWN_BYTES).then(|| new.insert(None)),
    }
}

fn insert(people: &mut PersonSet, room: &mut Room, person: PersonKey) {
    if !people.contains(&person) && room.take(PERSON_BYTES) {
        people.insert(person);
    }
}

/// Whose the keys of some people are.
fn owners(people: &[PersonKey], found: &HashMap<PersonKey, PersonView>) -> Owners {
    let mut owners = Owners::default();
    for person in people {
        let keys = found.get(person).map(|view| &view.keys);
        for (key, stretch) in keys.into_iter().flatten() {
            owners.entry(*key).or_default().push((*stretch, *person));
        }
    }
    owners
}

/// What a profile takes, bytes.
fn bytes(profile: &Profile) -> usize {
    let properties = profile.properties.iter();
    let properties = properties.map(|(name, value)| name.len() + value.as_str().len());
    let identities = profile.identities.iter().map(|it| it.text.len());
    let devices = profile.devices.values().map(|it| {
        let facts = it.facts.as_ref().map_or(0, |it| it.as_str().len());
        let token = it.token.as_ref().map_or(0, |it| it.value.as_str().len());
        facts + token + 2 * ENTRY_BYTES
    });
    let entries = properties.chain(identities).chain(devices);
    entries.map(|it| it + ENTRY_BYTES).sum()
}

fn owner(owners: &Owners, key: PersonKey, ts: Timestamp) -> Option<PersonKey> {
    let stretches = owners.get(&key)?;
    stretches
        .iter()
        .find(|(stretch, _)| stretch.contains(ts))
        .map(|(_, person)| *person)
}

/// Masks what the reader does not see. The mask of `identity` covers identities in plain text.
fn mask(profile: &mut Profile, policy: &ReadPolicy) {
    if policy.masks.is_empty() {
        return;
    }
    for (name, value) in &mut profile.properties {
        if let Some(mask) = policy.mask(PropertyOf::Person, name) {
            *value = RawJson::from_checked(&mask.json(value.as_str()));
        }
    }
    for identity in &mut profile.identities {
        if let Some(mask) = policy.mask(PropertyOf::Person, identity.kind.as_str()) {
            identity.text = mask.text(&identity.text).into();
        }
    }
    for device in profile.devices.values_mut() {
        if let Some(facts) = &mut device.facts {
            *facts = masked::object(facts.clone(), policy);
        }
    }
}
