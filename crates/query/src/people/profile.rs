//! Profiles of people: the changes of all their keys folded in order, and how often they did what.

use arrow::datatypes::UInt32Type;
use datafusion::logical_expr::{Expr, lit};
use futures::StreamExt;
use governance::{Profile, Stretch};
use lake::schema::{ORDINAL, PERSON_KEY, RECORD_ID, TS};
use model::record::{ChangeOp, Table};
use model::{PersonKey, RawJson, RecordId, Timestamp};
use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::events::EventsQuery;
use crate::people::Links;
use crate::policy::PLACEHOLDER;
use crate::reads::{self, Read};
use crate::scan::Order;
use crate::snapshot::Snapshot;
use crate::tables::{self, column};
use crate::{Engine, Error, ReadPolicy, Result, functions};

/// The tables that reading people needs.
pub(crate) const TABLES: [Table; 3] = [Table::Events, Table::ProfileChanges, Table::Links];

/// How a person is looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    /// By the key of an identity or a device.
    Key(PersonKey),
    /// By the email address that their profile has now; upper and lower case are the same.
    Email(String),
}

/// Which parts of a person are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProfileParts {
    /// What is known of them.
    pub profile: bool,
    /// How often they did what.
    pub events: bool,
}

impl ProfileParts {
    /// Everything.
    pub const ALL: Self = Self {
        profile: true,
        events: true,
    };
}

/// One person.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PersonView {
    /// The smallest of their identity keys: what they are called in pages. It changes when another
    /// identity joins.
    pub key: Option<PersonKey>,
    /// All keys of theirs, each with the stretch of time in which it was theirs.
    pub keys: Vec<(PersonKey, Stretch)>,
    /// What is known of them; masked properties are replaced.
    pub profile: Profile,
    /// For each event's name how often, and when first and last.
    pub events: BTreeMap<Box<str>, EventStats>,
    /// When anything was last changed.
    pub changed_at: Option<Timestamp>,
}

/// How often somebody did something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventStats {
    /// Times.
    pub count: u64,
    /// The first time.
    pub first_seen: Timestamp,
    /// The last time.
    pub last_seen: Timestamp,
}

/// Some people, in the order of their keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeoplePage {
    /// The people.
    pub people: Vec<PersonView>,
    /// Where the next page begins; none after the last.
    pub next: Option<PeoplePosition>,
}

/// A position among people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeoplePosition {
    /// The last person before it.
    pub person: PersonKey,
    /// Only what was received until then counts.
    pub cut_off: Timestamp,
}

/// The keys that name some people, for a deletion.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PersonKeys {
    /// Each key with the stretch of time in which it was theirs.
    pub keys: Vec<(PersonKey, Stretch)>,
}

impl Engine {
    /// One person; none when nothing is known of them.
    ///
    /// # Errors
    /// `Denied` for a lookup by email where emails are masked; `Unavailable`, `Corrupt`.
    pub async fn profile(
        &self,
        policy: &ReadPolicy,
        lookup: &Lookup,
    ) -> Result<Option<PersonView>> {
        if matches!(lookup, Lookup::Email(_)) && policy.masks("Email") {
            return Err(Error::Masked(String::from(
                "the email is masked: look up by identity",
            )));
        }
        self.with_snapshot(policy, &TABLES, move |snapshot| async move {
            let mut reader = PeopleReader::new(self, &snapshot, policy).await?;
            match lookup {
                Lookup::Key(key) => {
                    let person = reader.links.person(*key, self.inner.clock.now());
                    let mut people = reader.read(&[person], ProfileParts::ALL).await?;
                    let found = people.remove(&person);
                    Ok(found.filter(|it| !it.is_empty()))
                }
                Lookup::Email(email) => reader.by_email(email).await,
            }
        })
        .await
    }

    /// The people whose `property` is one of the `wanted` texts now, each with that text; in no
    /// order. The texts are in lower case; upper and lower case are the same. Events are not counted.
    ///
    /// # Errors
    /// `Denied` for a masked property; `Unavailable`, `Corrupt`.
    pub async fn people_having(
        &self,
        policy: &ReadPolicy,
        property: &str,
        wanted: &BTreeSet<String>,
    ) -> Result<Vec<(String, PersonView)>> {
        if policy.masks(property) {
            return Err(Error::Masked(format!(
                "property `{property}` is masked: look up by identity"
            )));
        }
        self.with_snapshot(policy, &TABLES, move |snapshot| async move {
            let mut reader = PeopleReader::new(self, &snapshot, policy).await?;
            reader.having(property, wanted).await
        })
        .await
    }

    /// People who did what `query` says (everybody of whom anything is known when it names no
    /// event), by key, at most `limit`.
    ///
    /// # Errors
    /// `Denied` for a filter on a masked property; `Unavailable`, `Corrupt`.
    pub async fn people_page(
        &self,
        policy: &ReadPolicy,
        query: &EventsQuery,
        parts: ProfileParts,
        after: Option<PeoplePosition>,
        limit: usize,
    ) -> Result<PeoplePage> {
        let cut_off = after.map_or_else(|| self.inner.clock.now(), |it| it.cut_off);
        self.with_snapshot(policy, &TABLES, move |snapshot| async move {
            let mut reader = PeopleReader::new(self, &snapshot, policy).await?;
            let all = reader.people_of(query, cut_off).await?;
            let from = after.map(|it| it.person);
            let mut rest = all
                .into_iter()
                .filter(|it| from.is_none_or(|from| *it > from));
            let page: Vec<PersonKey> = rest.by_ref().take(limit).collect();
            let next = match (page.last(), rest.next()) {
                (Some(last), Some(_)) => Some(PeoplePosition {
                    person: *last,
                    cut_off,
                }),
                _ => None,
            };
            let mut found = reader.read(&page, parts).await?;
            let people = page.iter().filter_map(|it| found.remove(it)).collect();
            Ok(PeoplePage { people, next })
        })
        .await
    }

    /// How many people did what `query` says.
    ///
    /// # Errors
    /// As [`Engine::people_page`].
    pub async fn count_people(&self, policy: &ReadPolicy, query: &EventsQuery) -> Result<u64> {
        let now = self.inner.clock.now();
        self.with_snapshot(policy, &TABLES, move |snapshot| async move {
            let mut reader = PeopleReader::new(self, &snapshot, policy).await?;
            Ok(reader.people_of(query, now).await?.len() as u64)
        })
        .await
    }

    /// How many people did anything since `since`.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`.
    pub async fn active_people(&self, policy: &ReadPolicy, since: Timestamp) -> Result<u64> {
        let query = &EventsQuery {
            from: since,
            ..EventsQuery::default()
        };
        let now = self.inner.clock.now();
        self.with_snapshot(policy, &TABLES, move |snapshot| async move {
            let mut reader = PeopleReader::new(self, &snapshot, policy).await?;
            Ok(reader.doers(query, now).await?.len() as u64)
        })
        .await
    }

    /// All keys of the people whom `keys` name: what a deletion of them covers. A device that
    /// others used too is theirs for a stretch of time only.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`.
    pub async fn person_keys(&self, policy: &ReadPolicy, keys: &[PersonKey]) -> Result<PersonKeys> {
        let now = self.inner.clock.now();
        self.with_snapshot(policy, &[Table::Links], move |snapshot| async move {
            let mut links = self.links(&snapshot, policy).await?;
            let mut found = Vec::new();
            for key in keys {
                let person = links.person(*key, now);
                found.extend(links.keys(person));
            }
            found.sort_unstable_by_key(|(key, stretch)| (*key, stretch.from, stretch.to));
            found.dedup();
            Ok(PersonKeys { keys: found })
        })
        .await
    }
}

impl PersonView {
    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.changed_at.is_none()
    }
}

/// Reads people out of one snapshot.
#[derive(Debug)]
pub(crate) struct PeopleReader<'a> {
    engine: &'a Engine,
    snapshot: &'a Snapshot,
    policy: &'a ReadPolicy,
    pub(crate) links: Links,
}

/// One change with what decides its place.
struct Placed {
    place: (Timestamp, Timestamp, RecordId, u32),
    key: PersonKey,
    op: ChangeOp,
    property: Box<str>,
    value: RawJson,
}

/// Whose key it is, by stretch.
type Owners = HashMap<PersonKey, Vec<(Stretch, PersonKey)>>;

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
        })
    }

    /// The people named by their keys.
    pub(crate) async fn read(
        &mut self,
        people: &[PersonKey],
        parts: ProfileParts,
    ) -> Result<HashMap<PersonKey, PersonView>> {
        let mut found = HashMap::new();
        let mut owners: Owners = HashMap::new();
        for person in people {
            let keys = self.links.keys(*person);
            for (key, stretch) in &keys {
                owners.entry(*key).or_default().push((*stretch, *person));
            }
            let view = PersonView {
                key: Some(*person),
                keys,
                ..PersonView::default()
            };
            found.insert(*person, view);
        }
        if owners.is_empty() {
            return Ok(found);
        }
        if parts.profile {
            self.fold(&owners, &mut found).await?;
        }
        if parts.events {
            self.count(&owners, &mut found).await?;
        }
        Ok(found)
    }

    async fn fold(
        &self,
        owners: &Owners,
        found: &mut HashMap<PersonKey, PersonView>,
    ) -> Result<()> {
        let mut changes: HashMap<PersonKey, Vec<Placed>> = HashMap::new();
        let keys: Vec<PersonKey> = owners.keys().copied().collect();
        let filter = reads::of_persons(PERSON_KEY, &keys);
        self.changes(filter, |placed| {
            if let Some(person) = owner(owners, placed.key, placed.place.0) {
                changes.entry(person).or_default().push(placed);
            }
        })
        .await?;
        for (person, mut changes) in changes {
            let Some(view) = found.get_mut(&person) else {
                continue;
            };
            changes.sort_by_key(|it| it.place);
            view.changed_at = changes.last().map(|it| it.place.0);
            for it in changes {
                view.profile.apply(it.key, it.op, &it.property, &it.value);
            }
            mask(&mut view.profile, self.policy);
        }
        Ok(())
    }

    async fn changes(&self, filter: Expr, mut take: impl FnMut(Placed)) -> Result<()> {
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
                take(Placed {
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
            }
        }
        Ok(())
    }

    async fn count(
        &self,
        owners: &Owners,
        found: &mut HashMap<PersonKey, PersonView>,
    ) -> Result<()> {
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
                    None => {
                        view.events.insert(Box::from(name), EventStats::of(ts));
                    }
                }
            }
        }
        Ok(())
    }

    /// The people who did what `query` says, or everybody when it names no event.
    async fn people_of(
        &mut self,
        query: &EventsQuery,
        cut_off: Timestamp,
    ) -> Result<BTreeSet<PersonKey>> {
        let mut people = self.doers(query, cut_off).await?;
        if query.event.is_some() || !query.filters.is_empty() {
            return Ok(people);
        }
        let rows = self.snapshot.table(Table::ProfileChanges)?;
        let filter = column("received_at")
            .lt_eq(tables::time(cut_off))
            .and(column(TS).gt_eq(tables::time(query.from)))
            .and(column(TS).lt(tables::time(query.to)));
        let columns = [PERSON_KEY, TS].map(String::from).to_vec();
        let read = Read {
            filter: Some(filter),
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
            let (keys, times) = (reads::keys(&batch, PERSON_KEY)?, reads::times(&batch, TS)?);
            for row in 0..batch.num_rows() {
                let ts = reads::time(times, row);
                people.insert(self.links.person(reads::person(keys, row), ts));
            }
        }
        Ok(people)
    }

    /// The people with events that match.
    pub(crate) async fn doers(
        &mut self,
        query: &EventsQuery,
        cut_off: Timestamp,
    ) -> Result<BTreeSet<PersonKey>> {
        let mut people = BTreeSet::new();
        let links = &mut self.links;
        self.engine
            .each_event(self.snapshot, self.policy, query, cut_off, |person, ts| {
                people.insert(links.person(person, ts));
            })
            .await?;
        Ok(people)
    }

    /// The person whose email is `email` now; the one changed last, when several have it.
    async fn by_email(&mut self, email: &str) -> Result<Option<PersonView>> {
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
    async fn having(
        &mut self,
        property: &str,
        wanted: &BTreeSet<String>,
    ) -> Result<Vec<(String, PersonView)>> {
        // Candidates are those who ever had it: a value is text, so its case may differ.
        let text = functions::string().call(vec![column("value")]);
        let lower = datafusion::functions::string::lower();
        let wanted_texts = wanted.iter().map(|it| lit(it.clone())).collect();
        let filter = column("property")
            .eq(lit(property))
            .and(lower.call(vec![text]).in_list(wanted_texts, false));
        let mut had = Vec::new();
        self.changes(filter, |placed| had.push((placed.key, placed.place.0)))
            .await?;
        let people: BTreeSet<PersonKey> = had
            .into_iter()
            .map(|(key, ts)| self.links.person(key, ts))
            .collect();
        let people: Vec<PersonKey> = people.into_iter().collect();
        let only_profiles = ProfileParts {
            profile: true,
            events: false,
        };
        let found = self.read(&people, only_profiles).await?;
        let has = |view: &PersonView| {
            let current = view.profile.properties.get(property)?;
            let current = functions::json_string(current.as_str())?.to_lowercase();
            wanted.contains(&current).then_some(current)
        };
        Ok(found
            .into_values()
            .filter_map(|view| Some((has(&view)?, view)))
            .collect())
    }
}

impl EventStats {
    const fn of(ts: Timestamp) -> Self {
        Self {
            count: 1,
            first_seen: ts,
            last_seen: ts,
        }
    }

    fn add(&mut self, ts: Timestamp) {
        self.count += 1;
        self.first_seen = self.first_seen.min(ts);
        self.last_seen = self.last_seen.max(ts);
    }
}

fn owner(owners: &Owners, key: PersonKey, ts: Timestamp) -> Option<PersonKey> {
    let stretches = owners.get(&key)?;
    stretches
        .iter()
        .find(|(stretch, _)| stretch.contains(ts))
        .map(|(_, person)| *person)
}

/// Replaces what is masked. The mask `identity` covers identities in plain text.
fn mask(profile: &mut Profile, policy: &ReadPolicy) {
    if policy.masked.is_empty() {
        return;
    }
    for (name, value) in &mut profile.properties {
        if policy.masks(name) {
            *value = placeholder();
        }
    }
    for identity in &mut profile.identities {
        if policy.masks(identity.kind.as_str()) {
            identity.text = Box::from(PLACEHOLDER);
        }
    }
}

/// What stands for a masked JSON value.
pub(crate) fn placeholder() -> RawJson {
    RawJson::of(PLACEHOLDER).unwrap_or_else(|_| RawJson::empty_object())
}
