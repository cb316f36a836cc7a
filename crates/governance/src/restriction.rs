//! People whose processing is restricted.

use model::{PersonKey, Timestamp};

use crate::Stretch;

/// Somebody whose processing is restricted: whoever had this key at that moment.
///
/// A device may have another owner since, who is not restricted by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Restricted {
    /// One key of theirs.
    pub person: PersonKey,
    /// Since when.
    pub since: Timestamp,
}

impl Restricted {
    /// Whether it is about the person who has these keys, each in its stretch of time.
    #[must_use]
    pub fn is_of(&self, keys: &[(PersonKey, Stretch)]) -> bool {
        let mut keys = keys.iter();
        keys.any(|(key, stretch)| *key == self.person && stretch.contains(self.since))
    }
}
