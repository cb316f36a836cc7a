//! What is wrong with records, by their names. The names of errors are stable; `docs/wire/rest.md`
//! lists them.

use governance::{AccountRules, DeclaredKind, Unfit, UnfitProperty};
use model::learned::{Learned, LeftOut, LeftOutReason, Name, Refused, ValueFault, ValueKind};
use model::record::Source;
use model::submission::{is_predefined_property, is_system_event};
use model::{AccountId, RecordId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

use super::store::Before;
use super::{EVENTS_MAX, ErrorView, hex, parts};

/// Characters that the protocol forbids in names of events and properties.
const FORBIDDEN: &[char] = &[
    '%', '>', '<', '!', '|', '&', '.', ':', ';', '$', '\'', '"', '\\',
];

model::named! {
    /// What was wrong with records that were kept, or kept in part. What was refused has the name of its reason.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum ErrorName {
        const ALL, fn as_str;
        /// Kept: the account knows other events.
        EventUndefinedAccepted = "event_undefined_accepted",
        /// Kept: the account knows other properties of the event.
        PropertyUndefinedAccepted = "property_undefined_accepted",
        /// Kept: the account knows other properties of people.
        ProfileUndefinedAccepted = "profile_undefined_accepted",
        /// Left out: the account knows other properties of the event.
        PropertyUndefinedDropped = "property_undefined_dropped",
        /// Left out: the account knows other properties of people.
        ProfileUndefinedDropped = "profile_undefined_dropped",
        /// Kept: a value of another kind, of an event.
        PropertyMismatchAccepted = "property_type_mismatch_accepted",
        /// Kept: a value of another kind, of a person.
        ProfileMismatchAccepted = "profile_type_mismatch_accepted",
        /// Left out: a value of another kind, of an event.
        PropertyMismatchDropped = "property_type_mismatch_dropped",
        /// Left out: a value of another kind, of a person.
        ProfileMismatchDropped = "profile_type_mismatch_dropped",
        /// Characters that the protocol forbids, in the name of an event.
        EventNameCharacters = "event_name_characters",
        /// … in a key of an event.
        PropertyKeyCharacters = "property_key_characters",
        /// … in a key of a person.
        ProfileKeyCharacters = "profile_key_characters",
        /// A text that is longer than the protocol has it, of an event.
        PropertyValueTooLong = "property_value_too_long",
        /// … of a person.
        ProfileValueTooLong = "profile_value_too_long",
        /// Characters that the protocol forbids in values, of an event.
        PropertyValueCharacters = "property_value_characters",
        /// … of a person.
        ProfileValueCharacters = "profile_value_characters",
        /// Lists and objects that are larger than the protocol has them, of an event.
        PropertyValueTooWide = "property_value_too_wide",
        /// … of a person.
        ProfileValueTooWide = "profile_value_too_wide",
        /// More events than the protocol has.
        EventsTooMany = "events_too_many",
        /// More names than are learned.
        NamesTooMany = "names_too_many",
        /// An event that is known and that nobody sends any more.
        EventUnused = "event_unused",
    }
}

/// Something wrong, counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) error: Box<str>,
    pub(super) source: Option<Source>,
    pub(super) name: Option<Name>,
    pub(super) count: u64,
    pub(super) first_seen: Timestamp,
    pub(super) last_seen: Timestamp,
    pub(super) sample: Option<RecordId>,
}

impl Finding {
    fn of(error: ErrorName, it: &Learned, count: u64, sample: Option<RecordId>) -> Self {
        Self {
            error: Box::from(error.as_str()),
            source: Some(it.source),
            name: Some(it.name.clone()),
            count,
            first_seen: it.first_seen,
            last_seen: it.last_seen,
            sample,
        }
    }

    pub(super) fn add(&mut self, more: Self) {
        self.count = self.count.saturating_add(more.count);
        self.first_seen = self.first_seen.min(more.first_seen);
        if more.last_seen >= self.last_seen {
            self.last_seen = more.last_seen;
            self.sample = more.sample.or(self.sample);
        }
    }

    pub(super) fn view(self) -> ErrorView {
        let named = self.name.as_ref().map(parts);
        let (_, event, property) = named.unwrap_or_default();
        ErrorView {
            event: event.map(str::to_owned),
            property: property.map(str::to_owned),
            error: self.error.into(),
            source: self.source.map(|it| it.as_str().to_owned()),
            count: self.count,
            first_seen: self.first_seen,
            last_seen: self.last_seen,
            sample: self.sample.map(hex),
        }
    }
}

/// What the names of kept records say: not known to the account, not of the first kind, with
/// characters, lengths or widths that the protocol forbids. All of it was kept.
pub(super) fn of_names(
    rules: Option<&AccountRules>,
    learned: &[&Learned],
    kind: &dyn Fn(&Name) -> Option<ValueKind>,
) -> Vec<Finding> {
    let mut found = Vec::new();
    for it in learned {
        let sample = Some(it.sample);
        if let Some(error) = undefined(rules, &it.name) {
            found.push(Finding::of(error, it, it.count, sample));
        }
        let (_, event, property) = parts(&it.name);
        let is_own = !event.is_some_and(is_system_event);
        let text = property.or(event).unwrap_or_default();
        let is_profile = matches!(it.name, Name::ProfileProperty(_));
        let is_forbidden = |letter| FORBIDDEN.contains(&letter) || (is_profile && letter == '#');
        if is_own && text.contains(is_forbidden) {
            let error = match it.name {
                Name::Event(_) => ErrorName::EventNameCharacters,
                Name::EventProperty(..) => ErrorName::PropertyKeyCharacters,
                Name::ProfileProperty(_) => ErrorName::ProfileKeyCharacters,
            };
            found.push(Finding::of(error, it, it.count, sample));
        }
        for (fault, count) in ValueFault::ALL.into_iter().zip(it.faults) {
            if count > 0 && (is_own || fault != ValueFault::Characters) {
                let error = of_value(fault, is_profile);
                found.push(Finding::of(error, it, count, sample));
            }
        }
        mismatches(it, declared(rules, &it.name), kind(&it.name), &mut found);
    }
    found
}

const fn of_value(fault: ValueFault, is_profile: bool) -> ErrorName {
    match (fault, is_profile) {
        (ValueFault::TooLong, true) => ErrorName::ProfileValueTooLong,
        (ValueFault::TooLong, false) => ErrorName::PropertyValueTooLong,
        (ValueFault::Characters, true) => ErrorName::ProfileValueCharacters,
        (ValueFault::Characters, false) => ErrorName::PropertyValueCharacters,
        (ValueFault::TooWide, true) => ErrorName::ProfileValueTooWide,
        (ValueFault::TooWide, false) => ErrorName::PropertyValueTooWide,
    }
}

/// What the account has declared of a property's values.
fn declared(rules: Option<&AccountRules>, name: &Name) -> Option<DeclaredKind> {
    let dictionary = &rules?.dictionary;
    match name {
        Name::Event(_) => None,
        Name::EventProperty(event, property) => dictionary.events.get(event)?.get(property)?.kind,
        Name::ProfileProperty(property) => dictionary.profile.get(property)?.kind,
    }
}

/// Values that were kept though they are not of the declared kind or, where none is declared, of the
/// kind that the property had first.
fn mismatches(
    it: &Learned,
    declared: Option<DeclaredKind>,
    first: Option<ValueKind>,
    found: &mut Vec<Finding>,
) {
    let takes = |kind: ValueKind| match (declared, first) {
        (Some(declared), _) => declared.takes(kind),
        (None, Some(first)) => kind.agrees(first),
        (None, None) => true,
    };
    let error = match it.name {
        Name::ProfileProperty(_) => ErrorName::ProfileMismatchAccepted,
        Name::Event(_) | Name::EventProperty(..) => ErrorName::PropertyMismatchAccepted,
    };
    for ((kind, count), sample) in ValueKind::ALL.into_iter().zip(it.kinds).zip(it.samples) {
        if count > 0 && !takes(kind) {
            found.push(Finding::of(error, it, count, sample));
        }
    }
}

/// Whether an account that has said which names it knows does not know this one. What it has refused
/// or left out is not here: it was not kept.
fn undefined(rules: Option<&AccountRules>, name: &Name) -> Option<ErrorName> {
    let dictionary = &rules?.dictionary;
    let policy = dictionary.policy;
    let is_found = match name {
        Name::Event(event) | Name::EventProperty(event, _)
            if dictionary.events.is_empty() || is_system_event(event) =>
        {
            false
        }
        Name::Event(event) => {
            policy.undefined_events == Unfit::Accept && !dictionary.events.contains_key(event)
        }
        Name::EventProperty(event, property) => {
            let known = dictionary.events.get(event);
            policy.undefined_properties == UnfitProperty::Accept
                && known.is_some_and(|known| !known.contains_key(property))
        }
        Name::ProfileProperty(property) => {
            policy.undefined_profile == Unfit::Accept
                && !dictionary.profile.is_empty()
                && !is_predefined_property(property)
                && !dictionary.profile.contains_key(property)
        }
    };
    is_found.then_some(match name {
        Name::Event(_) => ErrorName::EventUndefinedAccepted,
        Name::EventProperty(..) => ErrorName::PropertyUndefinedAccepted,
        Name::ProfileProperty(_) => ErrorName::ProfileUndefinedAccepted,
    })
}

/// What was refused, by the names of the reasons.
pub(super) fn of_refusals(refused: &[&Refused]) -> Vec<Finding> {
    let found = refused.iter().map(|it| Finding {
        error: it.reason.clone(),
        source: Some(it.source),
        name: None,
        count: it.count,
        first_seen: it.first_seen,
        last_seen: it.last_seen,
        sample: Some(it.sample),
    });
    found.collect()
}

/// New names beyond what the protocol, and what is kept here, allow.
pub(super) fn of_too_many(learned: &[&Learned], before: &Before) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut events = before.events;
    let mut counted = BTreeSet::new();
    for it in learned
        .iter()
        .filter(|it| !before.kinds.contains_key(&it.name))
    {
        let sample = Some(it.sample);
        if matches!(it.name, Name::Event(_)) && events >= EVENTS_MAX {
            found.push(Finding::of(ErrorName::EventsTooMany, it, it.count, sample));
        }
        if before.left_out.contains(&it.name) {
            let finding = Finding::of(ErrorName::NamesTooMany, it, it.count, sample);
            found.push(Finding {
                name: None,
                ..finding
            });
        }
        if matches!(it.name, Name::Event(_)) && counted.insert(&it.name) {
            events = events.saturating_add(1);
        }
    }
    found
}

/// Events that the account knows and that nobody has sent since `before`. Not those that nobody ever
/// sent: since when they are known is not written down.
pub(super) fn of_unused(
    rules: Option<&AccountRules>,
    last_seen: &BTreeMap<&str, Timestamp>,
    before: Timestamp,
) -> Vec<Finding> {
    let known = rules.map(|rules| &rules.dictionary.events);
    let mut found = Vec::new();
    for event in known.into_iter().flat_map(BTreeMap::keys) {
        if let Some(last) = last_seen.get(&**event).filter(|last| **last < before) {
            found.push(Finding {
                error: Box::from(ErrorName::EventUnused.as_str()),
                source: None,
                name: Some(Name::Event(event.clone())),
                count: 1,
                first_seen: *last,
                last_seen: *last,
                sample: None,
            });
        }
    }
    found
}

/// What was left out, by account.
pub(super) fn of_left_out(left_out: Vec<LeftOut>) -> BTreeMap<AccountId, Vec<Finding>> {
    let mut found: BTreeMap<AccountId, Vec<Finding>> = BTreeMap::new();
    for it in left_out {
        let error = match (&it.name, it.reason) {
            (Name::ProfileProperty(_), LeftOutReason::Undefined) => {
                ErrorName::ProfileUndefinedDropped
            }
            (Name::ProfileProperty(_), LeftOutReason::Mismatch) => {
                ErrorName::ProfileMismatchDropped
            }
            (_, LeftOutReason::Undefined) => ErrorName::PropertyUndefinedDropped,
            (_, LeftOutReason::Mismatch) => ErrorName::PropertyMismatchDropped,
        };
        found.entry(it.account).or_default().push(Finding {
            error: Box::from(error.as_str()),
            source: Some(it.source),
            name: Some(it.name),
            count: it.count,
            first_seen: it.first_seen,
            last_seen: it.last_seen,
            sample: None,
        });
    }
    found
}

/// One finding for each error, source and name; the most frequent first.
pub(super) fn together(found: Vec<Finding>) -> Vec<Finding> {
    type Key = (Box<str>, Option<Source>, Option<Name>);
    let mut sums: BTreeMap<Key, Finding> = BTreeMap::new();
    for it in found {
        let key = (it.error.clone(), it.source, it.name.clone());
        match sums.get_mut(&key) {
            Some(sum) => sum.add(it),
            None => drop(sums.insert(key, it)),
        }
    }
    let mut found: Vec<_> = sums.into_values().collect();
    found.sort_by_key(|it| std::cmp::Reverse(it.count));
    found
}
