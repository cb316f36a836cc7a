//! What a flush learns of names on its way: it walks every property once to plan the columns, and
//! counts here in the same walk.
//!
//! It costs one look-up an event more than planning alone. It must never keep a value.

use model::learned::{FaultCounts, KindCounts, Learned, Name, Refused, ValueFault, ValueKind};
use model::record::{ChangeOp, Entry, Event, ProfileChange, Quarantined, Record, Source, Table};
use model::submission::RejectReason;
use model::{AccountId, CommitId, RecordId, Timestamp};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};

use crate::plan::{Counts, Plan};
use crate::schema::PropertyType;
use crate::shred::{self, Key};
use crate::{Lake, Result, faults, flush};

/// The reason of what was refused without a record.
const UNDECODABLE: &str = "undecodable";

/// What was learned of some records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lessons {
    /// Names in use.
    pub learned: Vec<Learned>,
    /// Records that were refused.
    pub refused: Vec<Refused>,
}

/// Lessons after which those of one name are put together.
const LESSONS_MAX: usize = 20_000;
/// Names that are told of one stretch of records of an account, the most used: more than anybody
/// keeps. Columns count all.
const TOLD_MAX: usize = 50_000;

impl Lessons {
    /// Adds what was learned of other records.
    pub fn add(&mut self, more: Self) {
        self.learned.extend(more.learned);
        self.refused.extend(more.refused);
        if self.learned.len() > LESSONS_MAX {
            let mut names: BTreeMap<(AccountId, Source, Name), Learned> = BTreeMap::new();
            for it in self.learned.drain(..) {
                match names.get_mut(&(it.account, it.source, it.name.clone())) {
                    Some(known) => known.add(it),
                    None => drop(names.insert((it.account, it.source, it.name.clone()), it)),
                }
            }
            self.learned = names.into_values().collect();
        }
    }
}

impl Lake {
    /// What is learned of an account's records in a commit of the journal. What is in a part, or among
    /// the records `seen` in commits before, which these join, came again and counts nothing.
    ///
    /// # Errors
    /// `Unavailable` when the catalog or the store does not answer, `Corrupt` when a part cannot be read.
    pub async fn learn(
        &self,
        account: AccountId,
        commit: CommitId,
        entries: &[Entry],
        seen: &mut HashSet<(Table, RecordId)>,
    ) -> Result<Lessons> {
        let own: Vec<&Entry> = entries.iter().filter(|it| it.account == account).collect();
        let probes = flush::probes(own.iter().map(|it| (commit.writer, *it)));
        let stored = self.stored(probes).await?;
        let new = own.into_iter().filter(|it| {
            let (table, id) = (it.record.table(), it.record.id());
            let of_table = stored.get(&(account, table));
            of_table.is_none_or(|stored| !stored.contains(&id)) && seen.insert((table, id))
        });
        Ok(learn(new))
    }
}

/// What is learned of `entries`, in any order; a record that comes twice counts twice.
#[must_use]
pub(crate) fn learn<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Lessons {
    let mut accounts: BTreeMap<AccountId, Vec<&Record>> = BTreeMap::new();
    for entry in entries {
        accounts
            .entry(entry.account)
            .or_default()
            .push(&entry.record);
    }
    let mut learner = Learner::default();
    for (account, records) in accounts {
        drop(learner.learn(account, &records));
    }
    learner.into_lessons()
}

/// Learns.
#[derive(Debug, Default)]
pub(crate) struct Learner {
    lessons: Lessons,
}

impl Learner {
    /// Learns of records of one account; the property columns that they need.
    pub(crate) fn learn(&mut self, account: AccountId, records: &[&Record]) -> Plan {
        let mut events = Names::default();
        let mut people = Names::default();
        let mut refused = Refusals::default();
        for record in records {
            match record {
                Record::Event(event) => events.event(event),
                Record::ProfileChange(change) => people.change(change),
                Record::Quarantined(it) => refused.count(it),
                Record::Link(_) | Record::Request(_) => {}
            }
        }
        let mut counts = Counts::default();
        let mut told = MostUsed::default();
        events.tell(account, Scope::Events, &mut counts, &mut told);
        people.tell(account, Scope::People, &mut Counts::default(), &mut told);
        self.lessons.learned.append(&mut told.into_names());
        refused.tell(account, &mut self.lessons.refused);
        counts.into_plan()
    }

    pub(crate) fn into_lessons(self) -> Lessons {
        self.lessons
    }
}

/// Whose properties.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    Events,
    People,
}

/// The names that were used most. Anybody who may send can make names up: those that nobody uses twice
/// must not crowd out the others.
#[derive(Default)]
struct MostUsed(Vec<Learned>);

impl MostUsed {
    fn add(&mut self, it: Learned) {
        self.0.push(it);
        if self.0.len() >= TOLD_MAX.saturating_mul(2) {
            self.prune();
        }
    }

    fn prune(&mut self) {
        if self.0.len() > TOLD_MAX {
            self.0.select_nth_unstable_by(TOLD_MAX, |a, b| {
                let rare_last = b.count.cmp(&a.count);
                rare_last.then_with(|| (a.source, &a.name).cmp(&(b.source, &b.name)))
            });
            self.0.truncate(TOLD_MAX);
        }
    }

    fn into_names(mut self) -> Vec<Learned> {
        self.prune();
        self.0
    }
}

/// Names by event (none for people) and dialect.
#[derive(Default)]
struct Names<'a>(HashMap<&'a str, [Option<Box<Uses<'a>>>; Source::ALL.len()]>);

struct Uses<'a> {
    span: Span,
    properties: HashMap<Cow<'a, str>, Property>,
}

struct Property {
    span: Span,
    columns: [u64; PropertyType::ALL.len()],
    kinds: KindCounts,
    samples: [Option<RecordId>; ValueKind::ALL.len()],
    faults: FaultCounts,
}

#[derive(Clone, Copy)]
struct Span {
    count: u64,
    sample: RecordId,
    first: Timestamp,
    last: Timestamp,
}

impl Span {
    const fn at(sample: RecordId, ts: Timestamp) -> Self {
        Self {
            count: 0,
            sample,
            first: ts,
            last: ts,
        }
    }

    fn count(&mut self, ts: Timestamp) {
        self.count = self.count.saturating_add(1);
        self.first = self.first.min(ts);
        self.last = self.last.max(ts);
    }
}

impl<'a> Names<'a> {
    fn uses(
        &mut self,
        name: &'a str,
        source: Source,
        id: RecordId,
        ts: Timestamp,
    ) -> &mut Uses<'a> {
        let sources = self.0.entry(name).or_default();
        let [rest @ .., last] = sources;
        // There is a place for each source.
        let place = rest.get_mut(source as usize).unwrap_or(last);
        place.get_or_insert_with(|| {
            Box::new(Uses {
                span: Span::at(id, ts),
                properties: HashMap::new(),
            })
        })
    }

    fn event(&mut self, event: &'a Event) {
        let uses = self.uses(&event.name, event.source, event.id, event.ts);
        uses.span.count(event.ts);
        shred::members(event.properties.as_str(), &mut |key, text| {
            if let Key::Name(name) = key {
                uses.property(name, (text, ValueKind::of(text)), event.id, event.ts);
            }
        });
    }

    fn change(&mut self, change: &'a ProfileChange) {
        let uses = self.uses("", change.source, change.id, change.ts);
        for step in &change.changes {
            let text = step.value.as_str();
            let kind = match step.op {
                ChangeOp::Put | ChangeOp::Incr | ChangeOp::Decr => ValueKind::of(text),
                // One value of a list may stand alone.
                ChangeOp::Set | ChangeOp::Add => ValueKind::List,
                ChangeOp::Remove
                | ChangeOp::Delete
                | ChangeOp::Identify
                | ChangeOp::Token
                | ChangeOp::Device => continue,
            };
            let name = Cow::Borrowed(&*step.property);
            uses.property(name, (text, kind), change.id, change.ts);
        }
    }

    fn tell(self, account: AccountId, scope: Scope, counts: &mut Counts, to: &mut MostUsed) {
        for (event, sources) in self.0 {
            for (source, uses) in Source::ALL.into_iter().zip(sources) {
                let Some(uses) = uses else { continue };
                let told = |name, span: Span| Learned {
                    account,
                    source,
                    name,
                    count: span.count,
                    kinds: KindCounts::default(),
                    samples: Default::default(),
                    faults: FaultCounts::default(),
                    sample: span.sample,
                    first_seen: span.first,
                    last_seen: span.last,
                };
                if scope == Scope::Events {
                    to.add(told(Name::Event(Box::from(event)), uses.span));
                }
                for (name, property) in uses.properties {
                    for (kind, rows) in PropertyType::ALL.into_iter().zip(property.columns) {
                        if rows > 0 {
                            counts.add(&name, kind, rows);
                        }
                    }
                    let mut faults = property.faults;
                    // They have a limit of their own, and nothing in them is nested too widely.
                    if let ("Charged", "Items") = (event, &*name)
                        && let Some(count) = faults.get_mut(ValueFault::TooWide as usize)
                    {
                        *count = 0;
                    }
                    let name = Box::from(name);
                    let name = match scope {
                        Scope::Events => Name::EventProperty(Box::from(event), name),
                        Scope::People => Name::ProfileProperty(name),
                    };
                    to.add(Learned {
                        kinds: property.kinds,
                        samples: property.samples,
                        faults,
                        ..told(name, property.span)
                    });
                }
            }
        }
    }
}

impl<'a> Uses<'a> {
    /// Counts one value: its text, and of what kind it is.
    fn property(
        &mut self,
        name: Cow<'a, str>,
        (text, kind): (&str, ValueKind),
        id: RecordId,
        ts: Timestamp,
    ) {
        let property = match self.properties.get_mut(&*name) {
            Some(property) => property,
            None => self.properties.entry(name).or_insert_with(|| Property {
                span: Span::at(id, ts),
                columns: Default::default(),
                kinds: KindCounts::default(),
                samples: Default::default(),
                faults: FaultCounts::default(),
            }),
        };
        property.span.count(ts);
        let value = shred::value_of(text);
        if let Some(count) = property.columns.get_mut(value.kind() as usize) {
            *count = count.saturating_add(1);
        }
        let kind = kind as usize;
        if let Some(count) = property.kinds.get_mut(kind) {
            if *count == 0
                && let Some(sample) = property.samples.get_mut(kind)
            {
                *sample = Some(id);
            }
            *count = count.saturating_add(1);
        }
        for (sum, more) in property.faults.iter_mut().zip(faults::of(&value)) {
            *sum = sum.saturating_add(more);
        }
    }
}

#[derive(Default)]
struct Refusals(BTreeMap<(&'static str, Source), Span>);

impl Refusals {
    fn count(&mut self, it: &Quarantined) {
        let mut reasons = RejectReason::ALL.iter().map(|reason| reason.as_str());
        let reason = match it.code {
            0 => None,
            _ => reasons.find(|name| *name == &*it.error),
        };
        let key = (reason.unwrap_or(UNDECODABLE), it.source);
        let span = self.0.entry(key);
        span.or_insert_with(|| Span::at(it.id, it.received_at))
            .count(it.received_at);
    }

    fn tell(self, account: AccountId, to: &mut Vec<Refused>) {
        for ((reason, source), span) in self.0 {
            to.push(Refused {
                account,
                source,
                reason: Box::from(reason),
                count: span.count,
                sample: span.sample,
                first_seen: span.first,
                last_seen: span.last,
            });
        }
    }
}
