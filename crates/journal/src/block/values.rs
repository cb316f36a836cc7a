//! The values that are cut out of properties.
//!
//! Values behind the same text (a property's key, mostly) stand in one *place*. Each says only what
//! differs from the one before it in its place. The first of each place are numbered as they come;
//! a value that stands there again is its number. A place whose values hardly ever repeat is given
//! up: looking them up would cost more than it saves.

use std::collections::HashMap;

use super::number::{put_number, wide};

/// Places whose values are remembered: the first of a block.
pub(super) const PLACES_MAX: usize = 256;
/// Values of one place that are numbered: the first.
pub(super) const NUMBERED_MAX: usize = 256;
/// Shared bytes that a tag has room for; more are a number of their own.
pub(super) const SHARED_IN_TAG: u64 = 7;
/// Values of one place that may be looked up in vain, but for those that pay for themselves.
const PATIENCE: i32 = 64;
/// How many look-ups in vain one is worth that is not.
const REWARD: i32 = 2;
/// Bytes of a value that are compared at once.
const HEAD_BYTES: usize = 8;

/// What the values of a block come to.
#[derive(Debug, Default)]
pub(super) struct Values<'e> {
    /// One number a value, or two: see [`Values::push`].
    pub(super) tags: Vec<u8>,
    /// What the tags do not say.
    pub(super) texts: Vec<u8>,
    places: Vec<Place<'e>>,
    by_gap: HashMap<&'e [u8], usize>,
}

/// A value, with its first bytes as a number; zeros stand behind a shorter one.
#[derive(Debug, Clone, Copy, Default)]
struct Value<'e> {
    head: u64,
    bytes: &'e [u8],
}

/// What is remembered of one place.
#[derive(Debug)]
struct Place<'e> {
    /// The last value that was not said by number.
    last: Value<'e>,
    numbered: Vec<Value<'e>>,
    /// The number that a value of some fingerprint may have: whether it has is seen in `numbered`.
    by_print: [u8; NUMBERED_MAX],
    /// Look-ups in vain that are left.
    patience: i32,
}

impl<'e> Values<'e> {
    /// Room for the values of so many events.
    pub(super) fn with_capacity(events: usize) -> Self {
        Self {
            tags: Vec::with_capacity(events.saturating_mul(16)),
            texts: Vec::with_capacity(events.saturating_mul(48)),
            ..Self::default()
        }
    }

    /// The place of the values that stand behind `gap`; none when there are too many.
    pub(super) fn place(&mut self, gap: &'e [u8]) -> Option<usize> {
        if let Some(place) = self.by_gap.get(gap) {
            return Some(*place);
        }
        let place = self.places.len();
        if place >= PLACES_MAX {
            return None;
        }
        self.places.push(Place {
            last: Value::default(),
            numbered: Vec::new(),
            by_print: [0; NUMBERED_MAX],
            patience: PATIENCE,
        });
        self.by_gap.insert(gap, place);
        Some(place)
    }

    /// Writes the value of a place that `text` begins with. Its tag is twice its number and one, or
    /// sixteen times the bytes that follow and twice those that it shares with the one before it.
    pub(super) fn push(&mut self, place: Option<usize>, text: &'e [u8], length: usize) {
        let Some(value) = Value::of(text, length) else {
            return;
        };
        let place = place.and_then(|it| self.places.get_mut(it));
        let mut shared = 0;
        if let Some(place) = place {
            if place.patience > 0 {
                let print = value.print();
                if let Some(number) = place.find(value, print) {
                    place.patience = place.patience.saturating_add(REWARD);
                    put_number(&mut self.tags, u64::from(number) << 1 | 1);
                    return;
                }
                place.patience = place.patience.saturating_sub(1);
                place.add(value, print);
            }
            shared = value.shared_with(place.last);
            place.last = value;
        }
        let rest = value.bytes.get(shared..).unwrap_or_default();
        let shared = wide(shared);
        let in_tag = shared.min(SHARED_IN_TAG);
        put_number(&mut self.tags, wide(rest.len()) << 4 | in_tag << 1);
        if in_tag == SHARED_IN_TAG {
            put_number(&mut self.tags, shared.wrapping_sub(SHARED_IN_TAG));
        }
        self.texts.extend_from_slice(rest);
    }
}

impl<'e> Value<'e> {
    /// The value that `text` begins with.
    fn of(text: &'e [u8], length: usize) -> Option<Self> {
        let bytes = text.get(..length)?;
        let head = match text.first_chunk::<HEAD_BYTES>() {
            Some(first) => {
                let beyond = HEAD_BYTES.saturating_sub(length).wrapping_mul(8);
                let mask = u64::MAX.checked_shr(u32::try_from(beyond).unwrap_or(64));
                u64::from_le_bytes(*first) & mask.unwrap_or(0)
            }
            None => {
                let mut head = [0; HEAD_BYTES];
                for (to, from) in head.iter_mut().zip(bytes) {
                    *to = *from;
                }
                u64::from_le_bytes(head)
            }
        };
        Some(Self { head, bytes })
    }

    /// A fingerprint, good enough to tell the values of one place apart.
    fn print(self) -> u8 {
        const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
        let tail = self
            .bytes
            .last_chunk()
            .map_or(0, |it| u64::from_le_bytes(*it));
        let mixed = self.head ^ tail.rotate_left(29) ^ wide(self.bytes.len());
        let [.., print] = mixed.wrapping_mul(ODD).to_le_bytes();
        print
    }

    fn is(self, other: Self) -> bool {
        self.head == other.head
            && self.bytes.len() == other.bytes.len()
            && (self.bytes.len() <= HEAD_BYTES || self.bytes == other.bytes)
    }

    /// Bytes at the beginning that are the same as those of `other`.
    fn shared_with(self, other: Self) -> usize {
        let differing = self.head ^ other.head;
        let most = self.bytes.len().min(other.bytes.len());
        if differing != 0 {
            let same = usize::try_from(differing.trailing_zeros() >> 3).unwrap_or(0);
            return same.min(most);
        }
        let pairs = self.bytes.iter().zip(other.bytes).skip(HEAD_BYTES);
        let same = pairs.take_while(|(one, two)| one == two).count();
        same.saturating_add(HEAD_BYTES).min(most)
    }
}

impl<'e> Place<'e> {
    fn find(&self, value: Value<'e>, print: u8) -> Option<u8> {
        let number = *self.by_print.get(usize::from(print))?;
        let found = self.numbered.get(usize::from(number))?;
        found.is(value).then_some(number)
    }

    fn add(&mut self, value: Value<'e>, print: u8) {
        let Ok(number) = u8::try_from(self.numbered.len()) else {
            return;
        };
        if let Some(slot) = self.by_print.get_mut(usize::from(print)) {
            *slot = number;
        }
        self.numbered.push(value);
    }
}
