//! What a reader may see. The caller decides who the reader is; this crate only obeys.

use governance::Suppressions;
use model::{AccountId, PersonKey, Timestamp};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What a masked value is replaced by.
pub const PLACEHOLDER: &str = "***";

/// What one reader may see: no query can be planned without one.
#[derive(Debug, Clone)]
pub struct ReadPolicy {
    /// The account whose tables these are; no other account's rows are ever read.
    pub account: AccountId,
    /// The deleted people of the account: hidden from every table.
    pub suppressed: Arc<Suppressions>,
    /// Properties, of events and of people, whose values are replaced by [`PLACEHOLDER`].
    pub masked: Arc<BTreeSet<String>>,
    /// When given, only events of these names are seen.
    pub events: Option<Arc<BTreeSet<String>>>,
}

impl ReadPolicy {
    /// A reader who may see everything of `account` but its deleted people.
    #[must_use]
    pub fn new(account: AccountId, suppressed: Arc<Suppressions>) -> Self {
        Self {
            account,
            suppressed,
            masked: Arc::default(),
            events: None,
        }
    }

    /// Whether a row about `person` at `ts` is hidden.
    #[must_use]
    pub fn hides(&self, person: PersonKey, ts: Timestamp) -> bool {
        self.suppressed.hides(person, ts)
    }

    /// Whether the values of `property` are hidden.
    #[must_use]
    pub fn masks(&self, property: &str) -> bool {
        self.masked.contains(property)
    }
}
