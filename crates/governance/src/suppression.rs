//! Whom deletions hide.
//!
//! Built by `control` from the ledger, used by every read and by admission. It knows keys only,
//! never an identity.

use model::{LedgerPosition, PersonKey, Timestamp};
use std::collections::HashMap;

/// The people of one account who were deleted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Suppressions {
    /// Up to where the ledger is in here.
    pub position: LedgerPosition,
    /// For each key the stretches of time that are hidden.
    pub keys: HashMap<PersonKey, Vec<Stretch>>,
}

/// A stretch of time: from inclusive, to exclusive; none is without bound.
///
/// An identity is hidden whole. A device that several people used is hidden only while the deleted
/// one had it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stretch {
    /// The first moment that is hidden.
    pub from: Option<Timestamp>,
    /// The first moment that is not hidden any more.
    pub to: Option<Timestamp>,
}

impl Stretch {
    /// All of time.
    pub const WHOLE: Self = Self {
        from: None,
        to: None,
    };

    /// Whether `ts` lies in it.
    #[must_use]
    pub fn contains(self, ts: Timestamp) -> bool {
        self.from.is_none_or(|from| from <= ts) && self.to.is_none_or(|to| ts < to)
    }

    /// Whether it is all of time.
    #[must_use]
    pub const fn is_whole(self) -> bool {
        self.from.is_none() && self.to.is_none()
    }
}

impl Suppressions {
    /// Adds one line of the ledger; `position` is the ledger's after it.
    pub fn insert(&mut self, person: PersonKey, stretch: Stretch, position: LedgerPosition) {
        let stretches = self.keys.entry(person).or_default();
        if !stretches.contains(&stretch) {
            stretches.push(stretch);
        }
        self.position = self.position.max(position);
    }

    /// Adds whoever is in `others`.
    pub fn join(&mut self, others: &Self) {
        for (key, stretches) in &others.keys {
            for stretch in stretches {
                self.insert(*key, *stretch, others.position);
            }
        }
        self.position = self.position.max(others.position);
    }

    /// Whether a record of `person` at `ts` must not be seen, nor be kept when it comes again.
    #[must_use]
    pub fn hides(&self, person: PersonKey, ts: Timestamp) -> bool {
        self.keys
            .get(&person)
            .is_some_and(|them| them.iter().any(|it| it.contains(ts)))
    }

    /// Whether `person` is hidden at all times: whatever names them later is not kept.
    #[must_use]
    pub fn hides_whole(&self, person: PersonKey) -> bool {
        self.keys
            .get(&person)
            .is_some_and(|them| them.iter().any(|it| it.is_whole()))
    }

    /// Whether nobody is hidden.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}
