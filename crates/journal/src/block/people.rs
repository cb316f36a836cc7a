//! Person keys of a block: each is written once, as far as one remembers.

use model::PersonKey;

use super::number::wide;

/// The keys that were written, and where to look for one.
#[derive(Debug, Default)]
pub(super) struct People {
    keys: Vec<[u8; 16]>,
    /// The number of the last key that came to each place. A power of two of them.
    places: Vec<u32>,
}

impl People {
    /// Room for the keys of so many rows.
    pub(super) fn with_capacity(rows: usize) -> Self {
        Self {
            keys: Vec::with_capacity(rows),
            places: vec![0; rows.saturating_mul(2).next_power_of_two()],
        }
    }

    /// The number of a key that was written. None when it is not remembered: it is written then.
    pub(super) fn refer(&mut self, person: PersonKey) -> Option<u64> {
        // A keyed hash: its own bytes say where to look.
        let [first, ..] = person.0.as_chunks::<8>().0 else {
            return None;
        };
        let mask = self.places.len().wrapping_sub(1);
        let hash = usize::try_from(u64::from_le_bytes(*first) & 0xffff_ffff).unwrap_or(0);
        let place = self.places.get_mut(hash & mask);
        let number = place
            .as_ref()
            .map_or(0, |it| usize::try_from(**it).unwrap_or(0));
        if self.keys.get(number) == Some(&person.0) {
            return Some(wide(number));
        }
        if let (Some(place), Ok(next)) = (place, u32::try_from(self.keys.len())) {
            *place = next;
        }
        self.keys.push(person.0);
        None
    }

    /// The keys, one after the other.
    pub(super) fn into_keys(self) -> Vec<u8> {
        self.keys.into_flattened()
    }
}
