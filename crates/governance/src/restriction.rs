//! People whose processing is restricted.

use model::{PersonKey, Timestamp};

use crate::{Stretch, Suppressions};

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
    pub fn is_of(&self, keys: &[(PersonKey, Stretch)], deleted: &Suppressions) -> bool {
        let mut keys = keys.iter();
        !self.has_lost_its_person(deleted)
            && keys.any(|(key, stretch)| *key == self.person && stretch.contains(self.since))
    }

    /// Whether whoever had the key at that moment was deleted and it is somebody else's since: without
    /// the deleted one's links, what it did before seems to be theirs too.
    #[must_use]
    pub fn has_lost_its_person(&self, deleted: &Suppressions) -> bool {
        deleted.hides(self.person, self.since) && !deleted.hides_whole(self.person)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::LedgerPosition;

    #[test]
    fn a_restriction_by_a_device_of_somebody_deleted_is_not_of_whoever_has_it_next() {
        let at = Timestamp::from_ms;
        let device = PersonKey([3; 16]);
        let until = |to: i64| Stretch {
            from: None,
            to: Some(at(to)),
        };
        let mut deleted = Suppressions::default();
        let is_of = |since: i64, deleted: &Suppressions| {
            let restricted = Restricted {
                person: device,
                since: at(since),
            };
            restricted.is_of(&[(device, Stretch::WHOLE)], deleted)
        };
        assert!(is_of(5, &deleted));
        deleted.insert(device, until(10), LedgerPosition(1));
        assert!(!is_of(5, &deleted));
        assert!(is_of(10, &deleted));
        // Nobody has it next: the history of whoever was deleted stays theirs.
        deleted.insert(device, Stretch::WHOLE, LedgerPosition(2));
        assert!(is_of(5, &deleted));
    }
}
