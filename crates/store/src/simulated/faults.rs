//! The kinds of faults, and the seeded dice that choose among them.

use serde::Serialize;
use std::fmt;

/// Something that can go wrong with a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Fault {
    /// A stored bit turns.
    BitFlip,
    /// A shard is replaced by what another shard once held.
    Stale,
    /// The bytes of a write land on another shard.
    Misdirected,
    /// A read fails once.
    ReadError,
    /// A write or deletion fails once.
    WriteError,
    /// Everything fails from now on, until healed.
    Dead,
    /// Writes find no space from now on, until healed.
    NoSpace,
    /// An answer comes late, beyond any grace.
    Slow,
    /// A write or deletion is acknowledged and lost in the next crash.
    LostWrite,
    /// A write is acknowledged and only its first bytes survive the next crash.
    TornWrite,
    /// Everything stops between two steps.
    Crash,
    /// A volume disappears, until healed.
    Gone,
    /// A volume is emptied.
    Emptied,
    /// A volume's label is damaged or lost.
    LabelSpoiled,
    /// Two volumes change places.
    Swapped,
    /// A volume goes back to an older state.
    RolledBack,
}

impl Fault {
    /// Faults of single reads.
    pub(super) const READING: [Self; 5] = [
        Self::BitFlip,
        Self::Stale,
        Self::ReadError,
        Self::Slow,
        Self::Dead,
    ];
    /// Faults of single writes and deletions.
    pub(super) const WRITING: [Self; 7] = [
        Self::WriteError,
        Self::NoSpace,
        Self::Slow,
        Self::LostWrite,
        Self::TornWrite,
        Self::Misdirected,
        Self::Dead,
    ];
    /// Faults of single deletions.
    pub(super) const DELETING: [Self; 4] =
        [Self::WriteError, Self::Slow, Self::LostWrite, Self::Dead];

    /// Faults that change what is stored, and are not undone by healing.
    #[must_use]
    pub const fn damages(self) -> bool {
        matches!(
            self,
            Self::BitFlip
                | Self::Stale
                | Self::Misdirected
                | Self::LostWrite
                | Self::TornWrite
                | Self::Emptied
                | Self::LabelSpoiled
                | Self::RolledBack
        )
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// Repeatable dice.
///
/// # Source
/// `SplitMix64`, Steele, Lea and Flood 2014.
#[derive(Debug, Clone)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) const fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`; 0 when that is 0.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap_or(u64::MAX);
        usize::try_from(self.roll().checked_rem(bound).unwrap_or(0)).unwrap_or(0)
    }

    pub(super) fn per_mille(&mut self, chance: u32) -> bool {
        self.below(1_000) < usize::try_from(chance).unwrap_or(usize::MAX)
    }

    pub(super) fn pick<T: Copy>(&mut self, among: &[T]) -> Option<T> {
        let at = self.below(among.len());
        among.get(at).copied()
    }
}
