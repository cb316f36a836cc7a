//! Objects like the one before: records of an upload mostly have the same keys in the same order.
//!
//! What stood before each value of the last such object (a comma, the key, its colon) is remembered;
//! where the next object says the same bytes, its key need not be looked at again. Nothing is taken
//! for granted: bytes that differ are scanned like any others, and what comes out is the same as
//! without a memory. It must never outlive its input.

use super::{Facts, KEYS_MAX, Kind, Malformed, Scanner, Text, Value};

/// Members of one object that are remembered.
const MEMBERS_MAX: usize = 64;
/// Bytes that are compared at once.
const HEAD_BYTES: usize = 16;

/// What stood before the values of an object, and what became of each key.
#[derive(Debug)]
pub(crate) struct Familiar<'a, T>(Vec<Member<'a, T>>);

/// One member of the object before.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Member<'a, T> {
    /// What stood before its value.
    gap: &'a [u8],
    /// The gap's first bytes as a number, to compare them at once, and which of its bits count.
    head: u128,
    mask: u128,
    named: T,
}

impl<'a, T> Member<'a, T> {
    fn new(gap: &'a str, named: T) -> Self {
        let gap = gap.as_bytes();
        let mut head = [0; HEAD_BYTES];
        let mut mask = [0; HEAD_BYTES];
        for ((to, bits), from) in head.iter_mut().zip(&mut mask).zip(gap) {
            (*to, *bits) = (*from, 0xff);
        }
        Self {
            gap,
            head: u128::from_le_bytes(head),
            mask: u128::from_le_bytes(mask),
            named,
        }
    }

    /// Whether `rest` begins as this member did.
    fn begins(&self, rest: &[u8]) -> bool {
        match rest.first_chunk() {
            Some(first) if (u128::from_le_bytes(*first) ^ self.head) & self.mask != 0 => false,
            Some(_) if self.gap.len() <= HEAD_BYTES => true,
            Some(_) | None => rest.starts_with(self.gap),
        }
    }
}

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
        mut name: impl FnMut(&mut Self, &[Member<'a, T>], Text<'a>) -> T,
        mut each: impl FnMut(&mut Self, T) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        let Familiar(before) = before;
        let mut place = 0_usize;
        loop {
            let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
            let named = match before.get(place) {
                Some(member) if member.begins(rest) => {
                    self.skip(member.gap.len());
                    member.named
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
                        before.push(Member::new(self.since(start)?, named));
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
                for member in unseen {
                    let key = member.named.key;
                    scanner.keys.push(key, base, &mut Facts::default());
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
                scanner.inner(below, &mut facts)
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
