//! Memory for what reads gather, out of what all queries share: the engine counts what its plans hold,
//! and not what is made of their rows.

use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};

use crate::{Engine, Error, Result};

/// So much is taken at a time.
const STEP_BYTES: usize = 64 * 1024;

/// What one read gathers of one kind is no more than this part of all memory: it keeps it until it ends, and
/// others must be answered meanwhile.
const SHARES: usize = 2;

/// Memory for what one read gathers. It is given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Room {
    taken: MemoryReservation,
    /// What is taken and not used yet, bytes.
    left: usize,
    is_full: bool,
    /// So much it takes at most, bytes.
    most_bytes: usize,
    /// Memory of all queries together, bytes.
    limit_bytes: usize,
}

impl Engine {
    /// Room for what a read gathers.
    pub(crate) fn room(&self, what: &'static str) -> Room {
        self.room_within(what, self.inner.settings.memory_bytes_max / SHARES)
    }

    /// Room for what a read gathers and soon gives back, whatever others leave of all memory.
    pub(crate) fn short_room(&self, what: &'static str) -> Room {
        self.room_within(what, self.inner.settings.memory_bytes_max)
    }

    fn room_within(&self, what: &'static str, most_bytes: usize) -> Room {
        Room {
            taken: MemoryConsumer::new(what).register(&self.inner.runtime.memory_pool),
            left: 0,
            is_full: false,
            most_bytes,
            limit_bytes: self.inner.settings.memory_bytes_max,
        }
    }
}

impl Room {
    /// Takes so many bytes. Without room for them it is full, and nothing more is to be gathered.
    pub(crate) fn take(&mut self, bytes: usize) -> bool {
        if !self.is_full && bytes > self.left {
            let more = (bytes - self.left).max(STEP_BYTES);
            let is_within = self.taken.size().saturating_add(more) <= self.most_bytes;
            match is_within && self.taken.try_grow(more).is_ok() {
                true => self.left += more,
                false => self.is_full = true,
            }
        }
        if !self.is_full {
            self.left -= bytes;
        }
        !self.is_full
    }

    /// Gives back so many bytes of those that it took.
    pub(crate) fn give_back(&mut self, bytes: usize) {
        self.left += bytes;
        let whole_steps = self.left - self.left % STEP_BYTES;
        if self.taken.try_shrink(whole_steps).is_ok() {
            self.left -= whole_steps;
        }
    }

    /// Whether all that was gathered found room.
    ///
    /// # Errors
    /// `Unavailable` when it did not.
    pub(crate) fn check(&self) -> Result<()> {
        match self.is_full {
            true => Err(Error::Memory {
                limit_bytes: self.limit_bytes,
            }),
            false => Ok(()),
        }
    }
}
