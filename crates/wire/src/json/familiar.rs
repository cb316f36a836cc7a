//! Objects like the one before: records of an upload mostly have the same keys in the same order.
//!
//! What stood before each value of the last such object (a comma, the key, its colon) is remembered;
//! where the next object says the same bytes, its key need not be looked at again. Nothing is taken
//! for granted: bytes that differ are scanned like any others, and what comes out is the same as
//! without a memory. It must never outlive its input.

use super::{Facts, KEYS_MAX, Kind, Malformed, Scanner, Text, Value};

/// Members of one object that are remembered.
const MEMBERS_MAX: usize = 64;

/// What stood before the values of an object, and what became of each key.
#[derive(Debug)]
pub(crate) struct Familiar<'a, T>(Vec<(&'a str, T)>);

impl<T> Default for Familiar<'_, T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

/// A key whose object has been audited up to it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Audited<'a> {
    key: Text<'a>,
    /// What is wrong with it, given the keys before it.
    facts: Facts,
}

impl<'a> Scanner<'a> {
    /// An object like those that `before` remembers: `name` is asked about every key that is not
    /// familiar at its place, and `each` is called with the answer, before the value, and consumes
    /// it.
    pub(crate) fn object_like<T: Copy>(
        &mut self,
        before: &mut Familiar<'a, T>,
        mut name: impl FnMut(&mut Self, &[(&'a str, T)], Text<'a>) -> T,
        mut each: impl FnMut(&mut Self, T) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        let Familiar(before) = before;
        let mut place = 0_usize;
        loop {
            let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
            let named = match before.get(place) {
                Some((gap, named)) if rest.starts_with(gap.as_bytes()) => {
                    self.skip(gap.len());
                    *named
                }
                _ => {
                    let start = self.at;
                    if !self.next_member(place)? {
                        return Ok(());
                    }
                    let key = self.string()?;
                    self.expect(b':')?;
                    self.peek();
                    before.truncate(place);
                    let named = name(self, before, key);
                    if place < MEMBERS_MAX {
                        before.push((self.since(start)?, named));
                    }
                    named
                }
            };
            each(self, named)?;
            place = place.saturating_add(1);
        }
    }

    /// Goes to the key of the member at `place`; false when the object ends instead.
    fn next_member(&mut self, place: usize) -> Result<bool, Malformed> {
        let next = self.peek();
        let begins = match next {
            Some(b'{') if place == 0 => true,
            Some(b',') if place > 0 => false,
            Some(b'}') if place > 0 => {
                self.skip(1);
                return Ok(false);
            }
            _ => return Err(Malformed),
        };
        self.skip(1);
        if self.peek() == Some(b'}') && begins {
            self.skip(1);
            return Ok(false);
        }
        Ok(true)
    }

    /// Any value with at most `depth` levels; an object is expected to be like those before.
    pub(crate) fn value_like(
        &mut self,
        before: &mut Familiar<'a, Audited<'a>>,
        depth: usize,
    ) -> Result<Value<'a>, Malformed> {
        if self.peek() != Some(b'{') {
            return self.value(depth);
        }
        let start = self.at;
        let below = depth.checked_sub(1).ok_or(Malformed)?;
        let mut facts = Facts {
            levels: 1,
            ..Facts::default()
        };
        let base = self.keys.len();
        // Keys that were familiar are compared with others only when one comes that is not.
        let mut looked_at = 0_usize;
        self.object_like(
            before,
            |scanner, before, key| {
                let unseen = before.get(looked_at..).unwrap_or_default();
                for (_, audited) in unseen {
                    scanner.keys.push(audited.key, base, &mut Facts::default());
                }
                let place = before.len().max(looked_at);
                looked_at = place.saturating_add(1);
                let mut facts = Facts::default();
                if place < KEYS_MAX {
                    scanner.keys.push(key, base, &mut facts);
                } else {
                    facts.key_twice = true;
                }
                Audited { key, facts }
            },
            |scanner, audited| {
                facts.members = facts.members.saturating_add(1);
                facts.key_twice |= audited.facts.key_twice;
                facts.key_invalid |= audited.facts.key_invalid;
                facts.merge(&scanner.value(below)?);
                Ok(())
            },
        )?;
        self.keys.truncate(base);
        Ok(Value {
            kind: Kind::Object,
            text: self.since(start)?,
            escaped: false,
            facts,
        })
    }
}
