//! Reports on events: the most frequent values of a property, and how much happened over time.
//!
//! How many events there were is known without looking at them (see [`crate::tallies`]); everything
//! else is one pass over the events that match. What a pass collects is bounded: a report over more
//! values, or more people, than fit is refused and never cut off in silence.

use model::record::Table;
use model::{PersonKey, PersonMap, PersonSet, RawJson, Timestamp};
use std::cmp::Reverse;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use crate::events::{EventsQuery, Needs, Seen};
use crate::functions::{json_members, json_number, json_text};
use crate::memory::Room;
use crate::people::{PeopleReader, ProfileParts, TABLES};
use crate::tallies::begins_bin;
use crate::{Engine, Error, ReadPolicy, Result};

/// Values, or people of one stretch of time, that one report may hold.
const HELD_MAX: usize = 2_000_000;
/// Bytes of a value that count as one more.
const CELL_BYTES: usize = 64;
/// Bytes of memory of an entry of a table, beside what it points to: tables have twice the room that they
/// need.
const ENTRY_BYTES: usize = 64;

/// What is looked at in each event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// One of its properties.
    Event(String),
    /// Something that the SDK said of device or session.
    Context(String),
    /// A property that its person has now.
    Person(String),
}

/// The type of a value as it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ValueType {
    /// A string.
    Text,
    /// A number without a fraction.
    Integer,
    /// Any other number.
    Float,
    /// True or false.
    Bool,
}

/// How many events had each value, by the value's type. Objects and lists are left out.
pub type ValueCounts = BTreeMap<ValueType, HashMap<Box<str>, u64>>;

/// How many events had which value of a property, over time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Breakdown {
    /// The most frequent values as text, each with how many events there were in each stretch, the
    /// most frequent first.
    pub values: Vec<(Box<str>, Vec<u64>)>,
    /// How many events had any other value.
    pub others: Vec<u64>,
    /// How many did not have the property.
    pub without: Vec<u64>,
}

/// What is measured over time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Measure {
    /// How many events.
    Events,
    /// How many people.
    People,
    /// The sum of one of their properties; what is no number, or one that is too large for a double,
    /// counts as nothing.
    Sum(String),
}

impl Engine {
    /// How often which values occur, for each of `subjects`, in the events that match `query`.
    ///
    /// # Errors
    /// `Denied` for a masked property; `Invalid` when there are too many values; `Unavailable`,
    /// `Corrupt`.
    pub async fn value_counts(
        &self,
        policy: &ReadPolicy,
        query: &EventsQuery,
        subjects: &[Subject],
    ) -> Result<Vec<ValueCounts>> {
        for subject in subjects {
            subject.check(policy)?;
        }
        let needs = Needs {
            person: subjects.iter().any(|it| matches!(it, Subject::Person(_))),
            properties: subjects.iter().filter_map(Subject::property).collect(),
            context: subjects.iter().any(|it| matches!(it, Subject::Context(_))),
        };
        let needs = &needs;
        self.with_snapshot(policy, &TABLES, move |snapshot| async move {
            let mut counts: Vec<ValueCounts> = vec![ValueCounts::new(); subjects.len()];
            let mut people = PeopleReader::new(self, &snapshot, policy).await?;
            let of_people = subjects.iter().any(|it| matches!(it, Subject::Person(_)));
            let mut events_of: PersonMap<u64> = PersonMap::default();
            let links = &mut people.links;
            let mut held = Held::new(self);
            self.each_seen(&snapshot, policy, query, needs, |event| {
                for (subject, counts) in subjects.iter().zip(&mut counts) {
                    if let Some(value) = subject.value(event) {
                        held.add(counts, &value, 1);
                    }
                }
                if of_people {
                    let person = links.person(event.person, event.ts);
                    held.count(&mut events_of, person);
                }
            })
            .await?;
            held.check()?;
            // Whose keys are near each other are read together.
            let mut everybody: Vec<PersonKey> = events_of.keys().copied().collect();
            everybody.sort_unstable();
            let parts = ProfileParts {
                profile: true,
                events: false,
            };
            for some in everybody.chunks(PEOPLE_AT_ONCE) {
                for (person, view) in people.read(some, parts).await? {
                    let times = events_of.get(&person).copied().unwrap_or_default();
                    for (subject, counts) in subjects.iter().zip(&mut counts) {
                        let Subject::Person(name) = subject else {
                            continue;
                        };
                        if let Some(value) = view.profile.properties.get(name.as_str()) {
                            held.add(counts, value, times);
                        }
                    }
                }
            }
            held.check()?;
            Ok(counts)
        })
        .await
    }

    /// `measure` over time: for each list of moments in order, how much there was from each moment
    /// to the next; from the last one to the end of `query`.
    ///
    /// # Errors
    /// `Denied` for a masked property; `Invalid` when there are too many people; `Unavailable`,
    /// `Corrupt`.
    pub async fn trends(
        &self,
        policy: &ReadPolicy,
        query: &EventsQuery,
        measure: &Measure,
        stretches: &[Vec<Timestamp>],
    ) -> Result<Vec<Vec<f64>>> {
        let mut needs = Needs::default();
        if let Measure::Sum(name) = measure {
            Subject::Event(name.clone()).check(policy)?;
            needs.properties.push(name);
        }
        let needs = &needs;
        let is_counted = *measure == Measure::Events && !query.has_conditions();
        let is_cut_well = stretches.iter().flatten().copied().all(begins_bin);
        if is_counted && is_cut_well {
            return self.event_trends(policy, query, stretches).await;
        }
        if *measure == Measure::People {
            return self.people_trends(policy, query, stretches).await;
        }
        self.with_snapshot(policy, &TABLES, move |snapshot| async move {
            let mut sums: Vec<Vec<f64>> = stretches.iter().map(|it| vec![0.0; it.len()]).collect();
            self.each_seen(&snapshot, policy, query, needs, |event| {
                let amount = match measure {
                    Measure::Sum(name) => event
                        .property(name)
                        .and_then(|it| json_number(&json_text(it.as_str())))
                        .filter(|amount| amount.is_finite())
                        .unwrap_or_default(),
                    Measure::Events | Measure::People => 1.0,
                };
                for (starts, sums) in stretches.iter().zip(&mut sums) {
                    let place = stretch_of(starts, event.ts);
                    if let Some(sum) = place.and_then(|it| sums.get_mut(it)) {
                        *sum += amount;
                    }
                }
            })
            .await?;
            Ok(sums)
        })
        .await
    }

    /// How many people, over time.
    async fn people_trends(
        &self,
        policy: &ReadPolicy,
        query: &EventsQuery,
        stretches: &[Vec<Timestamp>],
    ) -> Result<Vec<Vec<f64>>> {
        self.with_snapshot(policy, &TABLES, move |snapshot| async move {
            let mut links = self.links(&snapshot, policy).await?;
            let mut seen: Vec<Vec<PersonSet>> = stretches
                .iter()
                .map(|it| vec![PersonSet::default(); it.len()])
                .collect();
            let mut held = Held::new(self);
            self.each_event(&snapshot, policy, query, None, |key, times| {
                links.each_person(key, times, |person, times| {
                    for (starts, seen) in stretches.iter().zip(&mut seen) {
                        let mut before = None;
                        for ts in times {
                            let place = stretch_of(starts, *ts);
                            if place == before {
                                continue;
                            }
                            before = place;
                            if let Some(people) = place.and_then(|it| seen.get_mut(it)) {
                                held.insert(people, person);
                            }
                        }
                    }
                });
            })
            .await?;
            held.check()?;
            let count = |it: &PersonSet| f64::from(u32::try_from(it.len()).unwrap_or(u32::MAX));
            let counts = seen.iter().map(|it| it.iter().map(count).collect());
            Ok(counts.collect())
        })
        .await
    }

    /// How many events, over time: without filters, and cut where bins begin.
    async fn event_trends(
        &self,
        policy: &ReadPolicy,
        query: &EventsQuery,
        stretches: &[Vec<Timestamp>],
    ) -> Result<Vec<Vec<f64>>> {
        self.with_snapshot(policy, &[Table::Events], move |snapshot| async move {
            // There are fewer than 2^32 events in a quarter of an hour.
            let mut bins: BTreeMap<Timestamp, u64> = BTreeMap::new();
            for counted in self.counted(&snapshot, policy, query).await? {
                for (at, count) in counted.bins(query.event.as_deref()) {
                    *bins.entry(at).or_default() += count;
                }
            }
            let sums = stretches.iter().map(|starts| {
                let mut sums = vec![0.0; starts.len()];
                for (at, count) in &bins {
                    let place = stretch_of(starts, *at);
                    if let Some(sum) = place.and_then(|it| sums.get_mut(it)) {
                        *sum += f64::from(u32::try_from(*count).unwrap_or(u32::MAX));
                    }
                }
                sums
            });
            Ok(sums.collect())
        })
        .await
    }

    /// How many of the events that match `query` had which value of `subject`, in each stretch from
    /// one moment of `starts` to the next, the last one to the end of `query`. The `most` frequent
    /// values are told apart.
    ///
    /// # Errors
    /// `Denied` for a masked property; `Invalid` when there are too many values, and for a property
    /// of people, who have it now and not at the time; `Unavailable`, `Corrupt`.
    pub async fn breakdown(
        &self,
        policy: &ReadPolicy,
        query: &EventsQuery,
        subject: &Subject,
        starts: &[Timestamp],
        most: usize,
    ) -> Result<Breakdown> {
        subject.check(policy)?;
        if matches!(subject, Subject::Person(_)) {
            return Err(Error::Statement(String::from(
                "what people have now says nothing of the time of an event",
            )));
        }
        let needs = Needs {
            person: false,
            properties: subject.property().into_iter().collect(),
            context: matches!(subject, Subject::Context(_)),
        };
        let needs = &needs;
        self.with_snapshot(policy, &[Table::Events], move |snapshot| async move {
            let mut values: HashMap<Box<str>, Vec<u64>> = HashMap::new();
            let mut without = vec![0_u64; starts.len()];
            let mut held = Held::new(self);
            self.each_seen(&snapshot, policy, query, needs, |event| {
                let Some(place) = stretch_of(starts, event.ts) else {
                    return;
                };
                let counts = match subject.value(event) {
                    None => &mut without,
                    Some(value) => {
                        let text = json_text(value.as_str()).into_boxed_str();
                        let bytes = text.len() + starts.len() * size_of::<u64>();
                        match values.entry(text) {
                            Entry::Occupied(known) => known.into_mut(),
                            Entry::Vacant(new) if held.has_room_for(starts.len(), bytes) => {
                                new.insert(vec![0; starts.len()])
                            }
                            Entry::Vacant(_) => return,
                        }
                    }
                };
                if let Some(count) = counts.get_mut(place) {
                    *count += 1;
                }
            })
            .await?;
            held.check()?;
            Ok(Breakdown::of(values, without, most))
        })
        .await
    }
}

/// In which stretch a moment is, of those that begin at `starts`; none before the first.
fn stretch_of(starts: &[Timestamp], ts: Timestamp) -> Option<usize> {
    starts.partition_point(|start| *start <= ts).checked_sub(1)
}

/// People whose profiles are read together.
const PEOPLE_AT_ONCE: usize = 2_000;

impl Breakdown {
    fn of(values: HashMap<Box<str>, Vec<u64>>, without: Vec<u64>, most: usize) -> Self {
        let mut values: Vec<(Box<str>, Vec<u64>)> = values.into_iter().collect();
        values.sort_by_cached_key(|(value, counts)| {
            (Reverse(counts.iter().sum::<u64>()), value.clone())
        });
        let mut others = vec![0_u64; without.len()];
        for (_, counts) in values.iter().skip(most) {
            for (sum, count) in others.iter_mut().zip(counts) {
                *sum += count;
            }
        }
        values.truncate(most);
        Self {
            values,
            others,
            without,
        }
    }
}

impl Subject {
    fn property(&self) -> Option<&str> {
        match self {
            Self::Event(name) => Some(name),
            Self::Context(_) | Self::Person(_) => None,
        }
    }

    fn check(&self, policy: &ReadPolicy) -> Result<()> {
        let (name, is_masked) = match self {
            Self::Event(name) | Self::Context(name) => (name, policy.masks_event(name)),
            Self::Person(name) => (name, policy.masks_person(name)),
        };
        if is_masked {
            return Err(Error::Masked(format!(
                "property `{name}` is masked: it cannot be grouped"
            )));
        }
        Ok(())
    }

    fn value(&self, event: &Seen<'_>) -> Option<RawJson> {
        match self {
            Self::Event(name) => event.property(name),
            Self::Context(name) => {
                let members = json_members(event.context?);
                RawJson::parse(members.get(name)?.get()).ok()
            }
            Self::Person(_) => None,
        }
    }
}

impl ValueType {
    fn of(value: &str) -> Option<Self> {
        match value.as_bytes().first()? {
            b'"' => Some(Self::Text),
            b't' | b'f' => Some(Self::Bool),
            b'-' | b'0'..=b'9' if value.contains(['.', 'e', 'E']) => Some(Self::Float),
            b'-' | b'0'..=b'9' => Some(Self::Integer),
            _ => None,
        }
    }
}

/// Counts what a report holds, and knows when that is too much, or more than there is memory for.
#[derive(Debug)]
pub(crate) struct Held {
    cells: usize,
    has_too_many: bool,
    room: Room,
}

impl Held {
    pub(crate) fn new(engine: &Engine) -> Self {
        Self {
            cells: 0,
            has_too_many: false,
            room: engine.room("what a report holds"),
        }
    }

    fn add(&mut self, counts: &mut ValueCounts, value: &RawJson, times: u64) {
        let Some(kind) = ValueType::of(value.as_str()) else {
            return;
        };
        let counts = counts.entry(kind).or_default();
        let text = json_text(value.as_str()).into_boxed_str();
        let (cells, bytes) = (1 + value.as_str().len() / CELL_BYTES, text.len());
        match counts.entry(text) {
            Entry::Occupied(mut known) => *known.get_mut() += times,
            Entry::Vacant(new) if self.has_room_for(cells, bytes) => {
                new.insert(times);
            }
            Entry::Vacant(_) => {}
        }
    }

    fn count(&mut self, counts: &mut PersonMap<u64>, person: PersonKey) {
        match counts.entry(person) {
            Entry::Occupied(mut known) => *known.get_mut() += 1,
            Entry::Vacant(new) if self.has_room_for(1, 0) => {
                new.insert(1);
            }
            Entry::Vacant(_) => {}
        }
    }

    fn insert(&mut self, people: &mut PersonSet, person: PersonKey) {
        if !people.contains(&person) && self.has_room_for(1, 0) {
            people.insert(person);
        }
    }

    /// Whether there is room for one entry more, of so many cells, with so many bytes of its own.
    pub(crate) fn has_room_for(&mut self, cells: usize, bytes: usize) -> bool {
        let cells = self.cells.saturating_add(cells);
        self.has_too_many |= cells > HELD_MAX;
        let is_taken = !self.has_too_many && self.room.take(ENTRY_BYTES + bytes);
        if is_taken {
            self.cells = cells;
        }
        is_taken
    }

    /// What found no memory may find it another time, so it is told before there is too much.
    pub(crate) fn check(&self) -> Result<()> {
        self.room.check()?;
        match self.has_too_many {
            true => Err(Error::Statement(format!(
                "the report holds more than {HELD_MAX} values or people; ask for fewer days"
            ))),
            false => Ok(()),
        }
    }
}
