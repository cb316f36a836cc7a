//! Profiles of people: the changes of all their keys folded in order, and how often they did what.

use governance::{Profile, Stretch};
use model::record::Table;
use model::{PersonKey, PersonMap, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::reader::PeopleReader;
use crate::events::EventsQuery;
use crate::memory::Room;
use crate::{Engine, Error, ReadPolicy, Result};

/// How far ahead of ours the clock of somebody who is active now may be.
const CLOCKS_DIFFER: Duration = Duration::from_secs(5 * 60);

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
    /// What is known of them; masked properties are replaced. Of the identities those that aliases have
    /// replaced come first.
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

/// When somebody first and last did something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) first: Timestamp,
    pub(crate) last: Timestamp,
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
        if matches!(lookup, Lookup::Email(_)) && policy.masks_person("Email") {
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
        may_be_asked(policy, property)?;
        self.with_snapshot(policy, &TABLES, move |snapshot| async move {
            let mut reader = PeopleReader::new(self, &snapshot, policy).await?;
            reader.having(property, wanted).await
        })
        .await
    }

    /// As [`Engine::people_having`]; and by person when `changed` was last changed, as far as it ever was. That
    /// may be ahead of our clock.
    ///
    /// # Errors
    /// As [`Engine::people_having`].
    pub async fn people_to_change(
        &self,
        policy: &ReadPolicy,
        property: &str,
        wanted: &BTreeSet<String>,
        changed: &str,
    ) -> Result<(Vec<(String, PersonView)>, PersonMap<Timestamp>)> {
        may_be_asked(policy, property)?;
        self.with_snapshot(policy, &TABLES, move |snapshot| async move {
            let mut reader = PeopleReader::new(self, &snapshot, policy).await?;
            let changed = Some(changed);
            reader.having_and_when(property, wanted, changed).await
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
            let received_until = after.map(|it| it.cut_off);
            let from = after.map(|it| it.person);
            // One more than the page has room for tells whether there are more.
            let room = limit.saturating_add(1);
            let first = reader.first_of(query, received_until, from, room);
            let mut page = first.await?;
            let more = page.len() > limit;
            page.truncate(limit);
            let next = page.last().filter(|_| more).map(|last| PeoplePosition {
                person: *last,
                cut_off,
            });
            let mut found = reader.read(&page, parts).await?;
            let people = page.iter().filter_map(|it| found.remove(it)).collect();
            Ok(PeoplePage { people, next })
        })
        .await
    }

    /// The keys of all people of whom `query` is true, in order, and what they take of the memory that all
    /// queries share.
    pub(crate) async fn people(
        &self,
        policy: &ReadPolicy,
        query: &EventsQuery,
    ) -> Result<(Vec<PersonKey>, Room)> {
        self.with_snapshot(policy, &TABLES, move |snapshot| async move {
            let mut reader = PeopleReader::new(self, &snapshot, policy).await?;
            reader.people_of(query, None).await
        })
        .await
    }

    /// The profiles of some people, in their order. Somebody who was deleted since is left out.
    pub(crate) async fn profiles(
        &self,
        policy: &ReadPolicy,
        people: &[PersonKey],
    ) -> Result<Vec<PersonView>> {
        let parts = ProfileParts {
            profile: true,
            events: false,
        };
        self.with_snapshot(policy, &TABLES, move |snapshot| async move {
            let mut reader = PeopleReader::new(self, &snapshot, policy).await?;
            let mut found = reader.read(people, parts).await?;
            Ok(people.iter().filter_map(|it| found.remove(it)).collect())
        })
        .await
    }

    /// How many people did what `query` says.
    ///
    /// # Errors
    /// As [`Engine::people_page`].
    pub async fn count_people(&self, policy: &ReadPolicy, query: &EventsQuery) -> Result<u64> {
        self.with_snapshot(policy, &TABLES, move |snapshot| async move {
            let mut reader = PeopleReader::new(self, &snapshot, policy).await?;
            let (people, _room) = reader.people_of(query, None).await?;
            Ok(people.len() as u64)
        })
        .await
    }

    /// How many people did anything since `since`; what a clock that is far ahead has said is not yet.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`.
    pub async fn active_people(&self, policy: &ReadPolicy, since: Timestamp) -> Result<u64> {
        let query = &EventsQuery {
            from: since,
            to: self.inner.clock.now().plus(CLOCKS_DIFFER),
            ..EventsQuery::default()
        };
        self.with_snapshot(policy, &TABLES, move |snapshot| async move {
            let mut reader = PeopleReader::new(self, &snapshot, policy).await?;
            let (people, _room) = reader.doers(query, None).await?;
            Ok(people.len() as u64)
        })
        .await
    }

    /// All keys of the people whom `keys` name: what a deletion of them covers. A device that
    /// others used too is theirs for a stretch of time only. Somebody whom the reader does not see has
    /// none.
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
                for (key, stretch) in links.keys(person) {
                    if policy.shows(key, stretch)? {
                        found.push((key, stretch));
                    }
                }
            }
            found.sort_unstable_by_key(|(key, stretch)| (*key, stretch.from, stretch.to));
            found.dedup();
            Ok(PersonKeys { keys: found })
        })
        .await
    }
}

impl PeopleReader<'_> {
    /// Of the people of whom `query` is true the first `count` after a key.
    async fn first_of(
        &mut self,
        query: &EventsQuery,
        cut_off: Option<Timestamp>,
        after: Option<PersonKey>,
        count: usize,
    ) -> Result<Vec<PersonKey>> {
        let mut first: BTreeSet<PersonKey> = BTreeSet::new();
        let mut take = |person: PersonKey| {
            let is_after = after.is_none_or(|after| person > after);
            let is_first = first.len() < count || first.last().is_some_and(|last| person < *last);
            if is_after && is_first {
                first.insert(person);
                if first.len() > count {
                    first.pop_last();
                }
            }
        };
        self.each_doer(query, cut_off, &mut take).await?;
        if query.event.is_none() && !query.has_conditions() {
            self.changed(query, cut_off, &mut take).await?;
        }
        Ok(first.into_iter().collect())
    }
}

/// Who is not shown a property cannot find out who has which value of it.
fn may_be_asked(policy: &ReadPolicy, property: &str) -> Result<()> {
    match policy.masks_person(property) {
        true => Err(Error::Masked(format!(
            "property `{property}` is masked: look up by identity"
        ))),
        false => Ok(()),
    }
}

impl PersonView {
    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.changed_at.is_none()
    }

    /// When `key` was theirs: nothing when it never was.
    pub fn stretches(&self, key: PersonKey) -> impl Iterator<Item = Stretch> {
        let theirs = self.keys.iter().filter(move |(it, _)| *it == key);
        theirs.map(|(_, stretch)| *stretch)
    }

    /// When they first and last did something; only where their events were read.
    pub(crate) fn seen(&self) -> Option<Seen> {
        let first = self.events.values().map(|it| it.first_seen).min()?;
        let last = self.events.values().map(|it| it.last_seen).max()?;
        Some(Seen { first, last })
    }
}

impl EventStats {
    pub(crate) const fn of(ts: Timestamp) -> Self {
        Self {
            count: 1,
            first_seen: ts,
            last_seen: ts,
        }
    }

    /// Adds what happened elsewhere.
    pub(crate) fn join(&mut self, other: Self) {
        self.count += other.count;
        self.first_seen = self.first_seen.min(other.first_seen);
        self.last_seen = self.last_seen.max(other.last_seen);
    }

    pub(crate) fn add(&mut self, ts: Timestamp) {
        self.count += 1;
        self.first_seen = self.first_seen.min(ts);
        self.last_seen = self.last_seen.max(ts);
    }
}
