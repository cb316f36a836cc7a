//! Finds keys that stand twice in one object.
//!
//! Two spellings of one key (`"a"`, `"\u0061"`) are one key. Each key has a fingerprint of 64 bits;
//! only keys with the same one are compared. It must stay linear in practice and bounded in the
//! worst case: the caller passes at most `KEYS_MAX` keys of one object.

use model::limit;
use std::borrow::Cow;

use super::{Facts, Text};

/// The keys of the objects that are open, the innermost last.
#[derive(Debug, Default)]
pub(super) struct Keys<'a> {
    fingerprints: Vec<u64>,
    keys: Vec<Cow<'a, str>>,
}

impl<'a> Keys<'a> {
    pub(super) const fn len(&self) -> usize {
        self.keys.len()
    }

    pub(super) fn truncate(&mut self, len: usize) {
        self.fingerprints.truncate(len);
        self.keys.truncate(len);
    }

    /// Adds a key of the object whose keys begin at `base`, and notes what is wrong with it.
    pub(super) fn push(&mut self, key: Text<'a>, base: usize, facts: &mut Facts) {
        let Some(key) = key.decode() else {
            facts.key_invalid = true;
            return;
        };
        if key.is_empty() || is_long(&key) {
            facts.key_invalid = true;
        }
        let fingerprint = fingerprint(key.as_bytes());
        let (prints, keys) = (self.fingerprints.get(base..), self.keys.get(base..));
        let mut others = prints
            .unwrap_or_default()
            .iter()
            .zip(keys.unwrap_or_default());
        facts.key_twice |= others.any(|(print, other)| *print == fingerprint && *other == key);
        self.fingerprints.push(fingerprint);
        self.keys.push(key);
    }
}

/// Whether a key has more characters than a property's may have.
fn is_long(key: &str) -> bool {
    let chars_max = limit::PROPERTY_KEY_CHARS_MAX;
    key.len() > chars_max && key.chars().nth(chars_max).is_some()
}

/// Mixes the first eight bytes, the last eight and the length.
fn fingerprint(key: &[u8]) -> u64 {
    let len = u64::try_from(key.len()).unwrap_or(u64::MAX);
    let word = match (key.first_chunk(), key.last_chunk()) {
        (Some(first), Some(last)) => {
            u64::from_le_bytes(*first) ^ u64::from_le_bytes(*last).rotate_left(29)
        }
        _ => key
            .iter()
            .fold(0, |word: u64, byte| word << 8 | u64::from(*byte)),
    };
    word ^ len.rotate_left(57)
}
