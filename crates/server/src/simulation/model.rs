//! What must, may and must not be read: the reference that a simulated history is judged by.

use std::collections::BTreeMap;

/// People in a history.
pub(super) const PEOPLE: u64 = 10;

/// Whether an event may be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expect {
    /// It was acknowledged, and nobody asked for its deletion.
    Must,
    /// Its outcome, or that of its person's deletion, is unknown.
    May,
    /// Its person is deleted, and the deletion was acknowledged.
    Never,
}

/// What is known of a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Person {
    Here,
    PerhapsDeleted,
    Deleted,
}

/// What a read showed that it must not have, or did not show.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Never sent, sent otherwise, or there twice.
    pub(super) wrong: u64,
    /// Acknowledged and missing.
    pub(super) lost: u64,
    /// Deleted and shown.
    pub(super) deleted_visible: u64,
}

/// The events of one history.
#[derive(Debug)]
pub(super) struct Model {
    events: BTreeMap<u64, (u64, Expect)>,
    people: Vec<Person>,
}

impl Model {
    pub(super) fn new() -> Self {
        Self {
            events: BTreeMap::new(),
            people: (0..PEOPLE).map(|_| Person::Here).collect(),
        }
    }

    /// The number of the next event.
    pub(super) fn next(&self) -> u64 {
        self.events.keys().next_back().map_or(0, |last| last + 1)
    }

    /// The value that goes with an event's number, so that a mixed-up row is known.
    pub(super) fn value(number: u64) -> String {
        format!("value-{:016x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn person(&self, person: u64) -> Person {
        let index = usize::try_from(person).unwrap_or(usize::MAX);
        self.people.get(index).copied().unwrap_or(Person::Here)
    }

    /// Events were sent; `acknowledged` says whether the answer was success.
    pub(super) fn sent(&mut self, events: &[(u64, u64)], acknowledged: bool) {
        for (number, person) in events {
            let expect = match (self.person(*person), acknowledged) {
                (Person::Deleted, _) => Expect::Never,
                (Person::Here, true) => Expect::Must,
                (Person::Here, false) | (Person::PerhapsDeleted, _) => Expect::May,
            };
            self.events.insert(*number, (*person, expect));
        }
    }

    /// The deletion of a person was asked for.
    pub(super) fn deleted(&mut self, person: u64, acknowledged: bool) {
        let state = match (self.person(person), acknowledged) {
            (_, true) | (Person::Deleted, false) => Person::Deleted,
            (Person::Here | Person::PerhapsDeleted, false) => Person::PerhapsDeleted,
        };
        for (of, expect) in self.events.values_mut().filter(|(of, _)| *of == person) {
            debug_assert_eq!(*of, person);
            *expect = match (state, *expect) {
                (Person::Deleted, _) => Expect::Never,
                (_, Expect::Must) => Expect::May,
                (_, expect) => expect,
            };
        }
        let index = usize::try_from(person).unwrap_or(usize::MAX);
        if let Some(known) = self.people.get_mut(index) {
            *known = state;
        }
    }

    /// Whether a read must show something.
    pub(super) fn expects_any(&self) -> bool {
        self.events
            .values()
            .any(|(_, expect)| *expect == Expect::Must)
    }

    /// Judges a complete read: number and value of each event shown.
    pub(super) fn judge(&self, shown: &[(u64, String)]) -> Verdict {
        let mut verdict = Verdict::default();
        let mut times: BTreeMap<u64, u64> = BTreeMap::new();
        for (number, value) in shown {
            *times.entry(*number).or_default() += 1;
            match self.events.get(number) {
                None => verdict.wrong += 1,
                Some(_) if *value != Self::value(*number) => verdict.wrong += 1,
                Some((_, Expect::Never)) => verdict.deleted_visible += 1,
                Some((_, Expect::Must | Expect::May)) => {}
            }
        }
        verdict.wrong += times.values().filter(|times| **times > 1).count() as u64;
        let must = self
            .events
            .iter()
            .filter(|(_, (_, expect))| *expect == Expect::Must);
        verdict.lost = must
            .filter(|(number, _)| !times.contains_key(number))
            .count() as u64;
        verdict
    }
}
