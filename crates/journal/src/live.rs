//! Which commits are live: durable, in order, and not yet turned into parts.
//!
//! The state behind a lock that is never held across an await. A retired commit leaves the list at
//! once; its object goes when no reader holds it any more.

use model::{CommitId, Timestamp, WriterId};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::codec::{Digest, Header};
use crate::error::{Error, Result};
use crate::name::Name;

/// A durable commit that is not yet retired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveCommit {
    /// Writer and number.
    pub id: CommitId,
    /// Where it is, below the store's root.
    pub path: String,
    /// Its size in bytes, before sealing and parity.
    pub size_bytes: u64,
    /// When it was written, by its writer's clock.
    pub written_at: Timestamp,
    /// Entries in it.
    pub entries: u32,
}

/// How the journal is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Commits that are not yet retired.
    pub live_commits: usize,
    /// Their size in bytes, before sealing and parity.
    pub live_bytes: u64,
    /// The bound of `live_bytes`: from there on appends are refused.
    pub live_bytes_max: u64,
    /// The age of the oldest live commit, milliseconds.
    pub oldest_age_ms: Option<u64>,
    /// Retired commits whose objects are still to be deleted.
    pub doomed_commits: usize,
    /// Encoded bytes that wait for a commit or are being written.
    pub waiting_bytes: usize,
    /// Lines that wait for a commit without holding anybody back.
    pub waiting_lines: usize,
    /// Bytes of decoded commits held for readers.
    pub cache_bytes: usize,
    /// Commits written since the start.
    pub commits: u64,
    /// Commits whose outcome is unknown, since the start.
    pub commits_failed: u64,
    /// Entries written since the start.
    pub entries: u64,
    /// Offered lines that were not kept, since the start.
    pub lines_dropped: u64,
}

/// A live commit, with what reading it back needs.
#[derive(Debug, Clone)]
pub(crate) struct Live {
    pub(crate) header: Header,
    pub(crate) digest: Digest,
    pub(crate) size_bytes: u64,
    /// The start that made a durable copy, for the last commit of an earlier writer.
    pub(crate) copy: Option<WriterId>,
}

impl Live {
    pub(crate) fn commit(&self) -> LiveCommit {
        LiveCommit {
            id: self.header.id,
            path: Name::Commit(self.header.id).path().to_string(),
            size_bytes: self.size_bytes,
            written_at: self.header.written_at,
            entries: self.header.entries,
        }
    }

    /// The objects that hold it.
    pub(crate) fn names(&self) -> impl Iterator<Item = Name> + use<> {
        let id = self.header.id;
        let copy = self.copy.map(|opener| Name::Copy(id, opener));
        [Some(Name::Commit(id)), copy].into_iter().flatten()
    }
}

/// The list, and what became of commits that left it.
#[derive(Debug, Default)]
pub(crate) struct State {
    live: BTreeMap<CommitId, Live>,
    live_bytes: u64,
    /// Up to which number each writer's commits left the list in this process's time.
    retired: BTreeMap<WriterId, u64>,
    /// Retired, object not yet deleted.
    doomed: BTreeMap<CommitId, Live>,
    /// How many readers hold a commit.
    pins: HashMap<CommitId, u32>,
}

impl State {
    pub(crate) fn add(&mut self, live: Live) {
        self.live_bytes = self.live_bytes.saturating_add(live.size_bytes);
        self.live.insert(live.header.id, live);
    }

    pub(crate) const fn live_bytes(&self) -> u64 {
        self.live_bytes
    }

    pub(crate) const fn live(&self) -> &BTreeMap<CommitId, Live> {
        &self.live
    }

    pub(crate) fn doomed_count(&self) -> usize {
        self.doomed.len()
    }

    /// A commit that can be read: live, or retired and still held by a reader.
    pub(crate) fn find(&self, id: CommitId) -> Option<&Live> {
        self.live.get(&id).or_else(|| self.doomed.get(&id))
    }

    /// Remembers a watermark that was in force at the start.
    pub(crate) fn start_from(&mut self, writer: WriterId, watermark: u64) {
        self.retired.insert(writer, watermark);
    }

    /// Holds every live commit above `after` for a reader.
    ///
    /// # Errors
    /// [`Error::Retired`] when some commits above `after` have left the list.
    pub(crate) fn pin(&mut self, after: &[(WriterId, u64)]) -> Result<Vec<Live>> {
        let after: HashMap<WriterId, u64> = after.iter().copied().collect();
        let above = |writer: &WriterId| after.get(writer).copied().unwrap_or(0);
        for (writer, retired) in &self.retired {
            if *retired > above(writer) {
                return Err(Error::Retired {
                    writer: *writer,
                    retired: *retired,
                });
            }
        }
        let wanted = |live: &&Live| live.header.id.number > above(&live.header.id.writer);
        let held: Vec<Live> = self.live.values().filter(wanted).cloned().collect();
        self.count_pins(&held);
        Ok(held)
    }

    /// Holds every live commit for a reader.
    pub(crate) fn pin_all(&mut self) -> Vec<Live> {
        let held: Vec<Live> = self.live.values().cloned().collect();
        self.count_pins(&held);
        held
    }

    fn count_pins(&mut self, held: &[Live]) {
        for live in held {
            let pins = self.pins.entry(live.header.id).or_default();
            *pins = pins.saturating_add(1);
        }
    }

    /// Lets go of commits that [`State::pin`] or [`State::pin_all`] gave.
    pub(crate) fn unpin(&mut self, ids: impl IntoIterator<Item = CommitId>) {
        for id in ids {
            if let Some(pins) = self.pins.get_mut(&id) {
                *pins = pins.saturating_sub(1);
                if *pins == 0 {
                    self.pins.remove(&id);
                }
            }
        }
    }

    /// Takes the commits at or below `watermarks` off the list, and gives every commit whose object
    /// can be deleted now: those, and earlier ones, unless a reader holds them.
    pub(crate) fn retire(&mut self, watermarks: &[(WriterId, u64)]) -> Vec<Live> {
        for &(writer, watermark) in watermarks {
            let range = CommitId { writer, number: 0 }..=CommitId {
                writer,
                number: watermark,
            };
            let ids: Vec<CommitId> = self.live.range(range).map(|(id, _)| *id).collect();
            for id in ids {
                if let Some(live) = self.live.remove(&id) {
                    self.live_bytes = self.live_bytes.saturating_sub(live.size_bytes);
                    let retired = self.retired.entry(writer).or_default();
                    *retired = id.number.max(*retired);
                    self.doomed.insert(id, live);
                }
            }
        }
        let held: BTreeSet<CommitId> = self.pins.keys().copied().collect();
        self.doomed
            .values()
            .filter(|live| !held.contains(&live.header.id))
            .cloned()
            .collect()
    }

    /// Forgets a commit whose objects are gone.
    pub(crate) fn deleted(&mut self, id: CommitId) {
        self.doomed.remove(&id);
    }
}
