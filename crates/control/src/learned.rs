//! The dictionary's ingest side: names that records use, and what was wrong with records.
//!
//! A flush counts names on its way and hands them over in its publication, so that each record is
//! counted once, whatever crashes. Anybody who may send can choose a name: names lie in the database
//! as sealed fields, found by keyed hashes. What was wrong follows from the names, from what the
//! account says of them, and from the kind of values that a property had first.

mod errors;
mod store;

use governance::Rules;
use model::learned::{KindCounts, Learned, LeftOut, Name, Refused, ValueKind};
use model::{AccountId, RecordId, Timestamp};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::control::Control;
use crate::database::Session;
use crate::sealer::Sealer;
use crate::{Actor, Result};
pub use errors::ErrorName;
use errors::Finding;

/// Names of one account that are kept.
pub const NAMES_MAX: usize = 20_000;
/// Kinds of errors of one account, by source and name, that are kept apart; of others the names are
/// not kept.
const ERRORS_MAX: usize = 5_000;
/// Events after which an account has too many (protocol).
const EVENTS_MAX: usize = 512;
/// How long an event that is known may be unused.
const UNUSED: Duration = Duration::from_secs(90 * 86_400);

/// A name in use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NameView {
    /// `event`, `event_property` or `profile_property`.
    pub scope: &'static str,
    /// The event; none for a property of people.
    pub event: Option<String>,
    /// The property; none for an event itself.
    pub property: Option<String>,
    /// How often it was used.
    pub count: u64,
    /// Of a property: the kind of value that it had first.
    pub kind: Option<&'static str>,
    /// Of a property: how often with which kind of value.
    pub kinds: BTreeMap<&'static str, u64>,
    /// The earliest time of a record that uses it.
    pub first_seen: Timestamp,
    /// The latest.
    pub last_seen: Timestamp,
}

/// Something that was wrong with records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ErrorView {
    /// What: a stable name.
    pub error: String,
    /// By which dialect the records came; none where no record is at fault.
    pub source: Option<String>,
    /// The event, where it is about one.
    pub event: Option<String>,
    /// The property, where it is about one.
    pub property: Option<String>,
    /// How many values or records.
    pub count: u64,
    /// When first.
    pub first_seen: Timestamp,
    /// When last.
    pub last_seen: Timestamp,
    /// The id of one such record, 32 hexadecimal digits.
    pub sample: Option<String>,
}

/// What is known of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    count: u64,
    kind: Option<ValueKind>,
    kinds: KindCounts,
    first_seen: Timestamp,
    last_seen: Timestamp,
}

impl Known {
    /// Its kind follows from all that is learned of the name.
    fn of(learned: &Learned) -> Self {
        Self {
            count: learned.count,
            kind: None,
            kinds: learned.kinds,
            first_seen: learned.first_seen,
            last_seen: learned.last_seen,
        }
    }

    fn add(&mut self, more: &Self) {
        self.count = self.count.saturating_add(more.count);
        self.kind = self.kind.or(more.kind);
        for (sum, more) in self.kinds.iter_mut().zip(more.kinds) {
            *sum = sum.saturating_add(more);
        }
        self.first_seen = self.first_seen.min(more.first_seen);
        self.last_seen = self.last_seen.max(more.last_seen);
    }
}

/// The kind that a property is taken to have: what most of the first values are, or agree with; of as
/// many the first kind of [`ValueKind::ALL`].
fn first_kind(kinds: &KindCounts) -> Option<ValueKind> {
    let counted = || {
        let counted = ValueKind::ALL.into_iter().zip(*kinds);
        counted.filter(|(kind, count)| *count > 0 && *kind != ValueKind::Null)
    };
    let agreeing = |kind: ValueKind| -> u64 {
        let agreeing = counted().filter(|(other, _)| kind.agrees(*other));
        agreeing.fold(0, |sum, (_, count)| sum.saturating_add(count))
    };
    counted()
        .rev()
        .max_by_key(|(kind, count)| (agreeing(*kind), *count))
        .map(|it| it.0)
}

/// Names of one account, each with all its sources together.
fn by_name<'a>(learned: impl IntoIterator<Item = &'a Learned>) -> BTreeMap<&'a Name, Known> {
    let mut names: BTreeMap<&Name, Known> = BTreeMap::new();
    for it in learned {
        let more = Known::of(it);
        match names.get_mut(&it.name) {
            Some(known) => known.add(&more),
            None => drop(names.insert(&it.name, more)),
        }
    }
    for known in names.values_mut() {
        known.kind = first_kind(&known.kinds);
    }
    names
}

/// The kind that a property had first, by what was there before and what comes now.
fn kind_at_first(before: Option<ValueKind>, now: Option<&Known>) -> Option<ValueKind> {
    before.or_else(|| now.and_then(|known| known.kind))
}

/// Counts what a publication brings, in its transaction.
///
/// # Errors
/// [`model::ErrorKind::Unavailable`] when the file does not answer.
pub(crate) async fn count(
    session: &mut Session,
    sealer: &Sealer,
    rules: &Rules,
    learned: &[Learned],
    refused: &[Refused],
) -> Result<()> {
    let mut accounts: BTreeMap<AccountId, (Vec<&Learned>, Vec<&Refused>)> = BTreeMap::new();
    for it in learned {
        accounts.entry(it.account).or_default().0.push(it);
    }
    for it in refused {
        accounts.entry(it.account).or_default().1.push(it);
    }
    for (account, (learned, refused)) in accounts {
        let names = by_name(learned.iter().copied());
        let stored = store::Names::of(sealer, account, &names);
        let before = stored.save(session, sealer, account).await?;
        let kind = |name: &Name| {
            let before = before.kinds.get(name).copied().flatten();
            kind_at_first(before, names.get(name))
        };
        let rules = rules.account(account).map(|it| &**it);
        let mut found = errors::of_names(rules, &learned, &kind);
        found.extend(errors::of_refusals(&refused));
        found.extend(errors::of_too_many(&learned, &before));
        store::save_errors(session, sealer, account, found).await?;
    }
    Ok(())
}

impl Control {
    /// Every name that an account's records use: those counted so far, and those of `fresh` records,
    /// which are not in parts yet.
    ///
    /// # Errors
    /// As [`Control::account`].
    pub async fn names_in_use(
        &self,
        actor: &Actor,
        id: AccountId,
        fresh: &[Learned],
    ) -> Result<Vec<NameView>> {
        self.account(actor, id).await?;
        let mut names = self.known_names(id).await?;
        for (name, more) in by_name(fresh.iter().filter(|it| it.account == id)) {
            match names.get_mut(name) {
                Some(known) => known.add(&more),
                None => drop(names.insert(name.clone(), more)),
            }
        }
        Ok(names.iter().map(view).collect())
    }

    /// What was wrong with an account's records: what was counted so far, and what `fresh` records
    /// and refusals, which are not in parts yet, add.
    ///
    /// # Errors
    /// As [`Control::account`].
    pub async fn schema_errors(
        &self,
        actor: &Actor,
        id: AccountId,
        fresh: (&[Learned], &[Refused]),
    ) -> Result<Vec<ErrorView>> {
        self.account(actor, id).await?;
        let names = self.known_names(id).await?;
        let sealer = Arc::clone(&self.sealer);
        let mut found = self
            .database
            .read(move |session| {
                Box::pin(async move { store::read_errors(session, &sealer, id).await })
            })
            .await?;
        let learned: Vec<_> = fresh.0.iter().filter(|it| it.account == id).collect();
        let refused: Vec<_> = fresh.1.iter().filter(|it| it.account == id).collect();
        let new = by_name(learned.iter().copied());
        let kind = |name: &Name| {
            let before = names.get(name).and_then(|known| known.kind);
            kind_at_first(before, new.get(name))
        };
        let rules = Arc::clone(&self.rules().borrow());
        let rules = rules.account(id).map(|it| &**it);
        found.extend(errors::of_names(rules, &learned, &kind));
        found.extend(errors::of_refusals(&refused));
        let mut last_seen: BTreeMap<&str, Timestamp> = BTreeMap::new();
        let events = names.iter().filter_map(|(name, known)| match name {
            Name::Event(event) => Some((&**event, known.last_seen)),
            Name::EventProperty(..) | Name::ProfileProperty(_) => None,
        });
        last_seen.extend(events);
        for it in &learned {
            if let Name::Event(event) = &it.name {
                let last = last_seen.entry(event).or_insert(it.last_seen);
                *last = (*last).max(it.last_seen);
            }
        }
        let now = self.clock.now();
        found.extend(errors::of_unused(rules, &last_seen, now.minus(UNUSED)));
        Ok(errors::together(found)
            .into_iter()
            .map(Finding::view)
            .collect())
    }

    /// Counts properties that were left out of records before those were kept, and takes them out of
    /// `left_out`: what is in it afterwards is not counted.
    ///
    /// # Errors
    /// [`model::ErrorKind::Unavailable`] when they cannot be made durable. If `left_out` is empty all the
    /// same, they are in the database, and on the volumes before anything else is.
    pub async fn count_left_out(&self, left_out: &mut Vec<LeftOut>) -> Result<()> {
        let (sealer, waiting) = (Arc::clone(&self.sealer), left_out.clone());
        let ((), shipped) = self
            .database
            .commit(move |session| {
                Box::pin(async move {
                    for (account, found) in errors::of_left_out(waiting) {
                        store::save_errors(session, &sealer, account, found).await?;
                    }
                    Ok(())
                })
            })
            .await?;
        left_out.clear();
        shipped
    }

    async fn known_names(&self, id: AccountId) -> Result<BTreeMap<Name, Known>> {
        let sealer = Arc::clone(&self.sealer);
        self.database
            .read(move |session| Box::pin(async move { store::read(session, &sealer, id).await }))
            .await
    }
}

fn view((name, known): (&Name, &Known)) -> NameView {
    let (scope, event, property) = parts(name);
    let kinds = ValueKind::ALL.into_iter().zip(known.kinds);
    NameView {
        scope,
        event: event.map(str::to_owned),
        property: property.map(str::to_owned),
        count: known.count,
        kind: known.kind.map(ValueKind::as_str),
        kinds: kinds
            .filter(|(_, count)| *count > 0)
            .map(|(kind, count)| (kind.as_str(), count))
            .collect(),
        first_seen: known.first_seen,
        last_seen: known.last_seen,
    }
}

/// The scope, the event and the property of a name.
fn parts(name: &Name) -> (&'static str, Option<&str>, Option<&str>) {
    match name {
        Name::Event(event) => ("event", Some(event), None),
        Name::EventProperty(event, property) => ("event_property", Some(event), Some(property)),
        Name::ProfileProperty(property) => ("profile_property", None, Some(property)),
    }
}

fn hex(id: RecordId) -> String {
    hex::encode(id.0)
}
