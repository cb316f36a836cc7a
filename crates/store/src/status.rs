//! How the volumes are, for operators.

use model::Timestamp;
use serde::Serialize;

use crate::Store;
use crate::layout::wide;
use crate::volume::header_bytes;

/// The number of the volume at `index`: whatever people or their programs read counts volumes from 1, as
/// the directories do that `init` makes. Labels and shards count them from 0.
pub(crate) const fn volume_number(index: usize) -> usize {
    index.saturating_add(1)
}

/// The state of a store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Data shards, k.
    pub data: usize,
    /// Parity shards, m.
    pub parity: usize,
    /// Volumes in service.
    pub healthy: usize,
    /// Whether writes are acknowledged: at least k volumes in service.
    pub ready: bool,
    /// Objects.
    pub objects: u64,
    /// Their bytes, before sealing and parity.
    pub object_bytes: u64,
    /// Shards that are known to be missing and wait to be rebuilt.
    pub shards_wanted: u64,
    /// Every volume, by number.
    pub volumes: Vec<VolumeStatus>,
}

/// The state of one volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VolumeStatus {
    /// Its number, from 1.
    pub number: usize,
    /// Where it is; empty while it is missing.
    pub place: String,
    /// Whether it serves.
    #[serde(flatten)]
    pub state: VolumeState,
    /// Shards on it.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Whether a volume serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum VolumeState {
    /// Every write that is acknowledged is on it.
    InService,
    /// It is there, but out of service until it has been repaired.
    Out {
        /// Why.
        reason: String,
        /// Since when.
        since: Timestamp,
    },
    /// No place holds it.
    Missing {
        /// Why.
        reason: String,
        /// Since when.
        since: Timestamp,
    },
}

impl Store {
    /// The state of the store, from what this process knows; reads nothing.
    #[must_use]
    pub fn status(&self) -> Status {
        let inner = &self.inner;
        let mut volumes: Vec<VolumeStatus> = inner
            .slots
            .snapshot()
            .into_iter()
            .enumerate()
            .map(|(index, slot)| {
                let place = slot.place.map(|place| place.name());
                let state = match (slot.out, &place) {
                    (None, _) => VolumeState::InService,
                    (Some(out), Some(_)) => VolumeState::Out {
                        reason: out.reason,
                        since: out.since,
                    },
                    (Some(out), None) => VolumeState::Missing {
                        reason: out.reason,
                        since: out.since,
                    },
                };
                VolumeStatus {
                    number: volume_number(index),
                    place: place.unwrap_or_default(),
                    state,
                    objects: 0,
                    bytes: 0,
                }
            })
            .collect();
        let all = inner.index.below("");
        let mut object_bytes: u64 = 0;
        for object in &all {
            object_bytes = object_bytes.saturating_add(object.length);
            let Ok(layout) = crate::layout::Layout::new(object.length, inner.geometry.data) else {
                continue;
            };
            let holding = volumes.iter_mut().enumerate();
            for (index, volume) in holding.filter(|(index, _)| object.is_on(*index)) {
                let size = header_bytes(&object.path).saturating_add(layout.body_bytes(index));
                volume.objects = volume.objects.saturating_add(1);
                volume.bytes = volume.bytes.saturating_add(size);
            }
        }
        let healthy = volumes
            .iter()
            .filter(|volume| volume.state == VolumeState::InService)
            .count();
        let wanted = inner
            .wanted
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .len();
        Status {
            data: inner.geometry.data,
            parity: inner.geometry.parity,
            healthy,
            ready: healthy >= inner.geometry.data,
            objects: wide(all.len()),
            object_bytes,
            shards_wanted: wide(wanted),
            volumes,
        }
    }
}
