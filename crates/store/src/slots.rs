//! The volumes as one process sees them: which place holds which volume, which are in service, and
//! the labels that say so.

use bytes::Bytes;
use futures::future::join_all;
use model::{Clock, Timestamp};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::site::{Serving, Site};
use crate::status::volume_number;
use crate::volume::{Label, LabelKey, LabelVolume};
use crate::{Error, Geometry, Place, Result};

/// One volume.
#[derive(Debug, Clone)]
pub(crate) struct Slot {
    /// Where it lies; none while it is missing.
    pub(crate) place: Option<Arc<dyn Place>>,
    /// Random, new when another directory takes the volume's place.
    pub(crate) id: [u8; 16],
    /// Since when it is out, and why; none while it is in service.
    pub(crate) out: Option<Out>,
    /// The last label that it is known to have stored.
    pub(crate) seen: u64,
    /// Operations that have not come back yet.
    pub(crate) busy: Arc<AtomicUsize>,
    /// Those of them that nobody waits for any more.
    pub(crate) late: Arc<AtomicUsize>,
}

/// Why a volume is out of service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Out {
    pub(crate) since: Timestamp,
    pub(crate) reason: String,
}

#[derive(Debug)]
struct State {
    slots: Vec<Slot>,
    /// The last counter that was put in any label.
    counter: u64,
    /// What the labels say is not what this process knows: they are written before the next
    /// acknowledgement.
    unsaved: bool,
    /// Places that hold no volume that we could tell.
    spare: Vec<Site>,
}

/// All volumes of a store.
#[derive(Debug)]
pub(crate) struct Slots {
    pub(crate) geometry: Geometry,
    pub(crate) key: LabelKey,
    grace: Duration,
    clock: Arc<dyn Clock>,
    /// Of all places, in the order in which they were given.
    names: Vec<String>,
    state: Mutex<State>,
    /// One change of the labels at a time.
    labels: tokio::sync::Mutex<()>,
}

impl Slot {
    /// Gives the volume the place where it lies, with what is under way there.
    pub(crate) fn set_site(&mut self, site: Site) {
        self.place = Some(site.place);
        self.busy = site.busy;
        self.late = site.late;
    }
}

fn is_missing(slot: &Slot) -> bool {
    slot.out.is_some() && slot.place.is_none()
}

impl Slots {
    pub(crate) fn new(
        geometry: Geometry,
        key: LabelKey,
        grace: Duration,
        clock: Arc<dyn Clock>,
        names: Vec<String>,
        found: (Vec<Slot>, u64, Vec<Site>),
    ) -> Self {
        let (slots, counter, spare) = found;
        spare.iter().for_each(Site::unlock);
        Self {
            geometry,
            key,
            grace,
            clock,
            names,
            state: Mutex::new(State {
                slots,
                counter,
                unsaved: true,
                spare,
            }),
            labels: tokio::sync::Mutex::new(()),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn snapshot(&self) -> Vec<Slot> {
        self.lock().slots.clone()
    }

    /// The volumes in service.
    pub(crate) fn serving(&self) -> Vec<Serving> {
        self.reachable()
            .into_iter()
            .filter(|(_, out)| !out)
            .map(|(serving, _)| serving)
            .collect()
    }

    /// Every volume that has a place, and whether it is out.
    pub(crate) fn reachable(&self) -> Vec<(Serving, bool)> {
        let state = self.lock();
        let all = state.slots.iter().enumerate().filter_map(|(index, slot)| {
            let place = Arc::clone(slot.place.as_ref()?);
            let (busy, late) = (Arc::clone(&slot.busy), Arc::clone(&slot.late));
            let site = Site { place, busy, late };
            Some((Serving { index, site }, slot.out.is_some()))
        });
        all.collect()
    }

    pub(crate) fn at(&self, index: usize) -> Option<Serving> {
        self.reachable()
            .into_iter()
            .map(|(serving, _)| serving)
            .find(|s| s.index == index)
    }

    pub(crate) fn is_serving(&self, index: usize) -> bool {
        self.lock()
            .slots
            .get(index)
            .is_some_and(|slot| slot.out.is_none() && slot.place.is_some())
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.serving().len() >= self.geometry.data
    }

    /// Whether every volume serves.
    pub(crate) fn is_whole(&self) -> bool {
        self.serving().len() == self.geometry.volumes()
    }

    /// Takes the places that hold no known volume, to look at them.
    pub(crate) fn take_spare(&self) -> Vec<Site> {
        std::mem::take(&mut self.lock().spare)
    }

    /// Keeps a place that holds no known volume, for the next look. What is there is not held
    /// meanwhile: it may be somebody else's.
    pub(crate) fn put_spare(&self, site: Site) {
        site.unlock();
        self.lock().spare.push(site);
    }

    /// Lets go of all places. What is still under way there ends by itself, and holds its volume
    /// until then.
    pub(crate) fn close(&self) {
        let since = self.clock.now();
        let mut state = self.lock();
        state.spare.clear();
        for slot in &mut state.slots {
            slot.place = None;
            slot.out.get_or_insert_with(|| Out {
                since,
                reason: "the store is closed".into(),
            });
        }
    }

    /// Takes the places of volumes that are out and at rest away from them, to look at them anew.
    pub(crate) fn take_idle_out(&self) -> Vec<Site> {
        let mut state = self.lock();
        let idle = state
            .slots
            .iter_mut()
            .filter(|slot| slot.out.is_some() && slot.busy.load(Ordering::Acquire) == 0);
        idle.filter_map(|slot| slot.place.take())
            .map(Site::new)
            .collect()
    }

    /// Gives an out volume a place again. False when it has one.
    pub(crate) fn attach(&self, index: usize, place: &Arc<dyn Place>, id: [u8; 16]) -> bool {
        let mut state = self.lock();
        match state.slots.get_mut(index) {
            Some(slot) if slot.place.is_none() && slot.out.is_some() => {
                // What is still under way at the place that it had before goes on counting.
                slot.place = Some(Arc::clone(place));
                slot.id = id;
                true
            }
            Some(_) | None => false,
        }
    }

    /// The volume that an empty place becomes: the missing one that has the place's number, as
    /// places are given in the order of volumes; otherwise the first missing one. Without that, one
    /// that is away for a while would find another in its place, and have none when it is back.
    pub(crate) fn missing_at(&self, place: &str) -> Option<usize> {
        let number = self.names.iter().position(|name| name == place);
        let state = self.lock();
        number
            .filter(|number| state.slots.get(*number).is_some_and(is_missing))
            .or_else(|| state.slots.iter().position(is_missing))
    }

    /// Whether no place holds this volume, and a strict majority of the labels of the others say so:
    /// those of the volumes in service, each of which holds what this process last wrote.
    pub(crate) fn is_vouched_missing(&self, index: usize) -> bool {
        let state = self.lock();
        let others = state.slots.len().saturating_sub(1);
        let vouching = state
            .slots
            .iter()
            .filter(|slot| slot.out.is_none() && slot.place.is_some())
            .count();
        !state.unsaved
            && state.slots.get(index).is_some_and(is_missing)
            && vouching.saturating_mul(2) > others
    }

    /// The label of a place that is to become volume `index`: it says that the volume is out, and its
    /// counter is lower than that of any other.
    pub(crate) fn provisional_label(&self, index: usize, id: [u8; 16]) -> Vec<u8> {
        let now = self.clock.now();
        let of = |(other, slot): (usize, &Slot)| LabelVolume {
            id: if other == index { id } else { slot.id },
            out_since: (other == index).then_some(now),
            seen: 0,
        };
        let volumes = self.snapshot().iter().enumerate().map(of).collect();
        let geometry = self.geometry;
        Label {
            index,
            geometry,
            counter: 0,
            version_floor: 0,
            volumes,
        }
        .encode(&self.key)
    }

    /// Asks for new labels, with a higher counter.
    pub(crate) fn renew(&self) {
        self.lock().unsaved = true;
    }

    pub(crate) fn needs_saving(&self) -> bool {
        self.lock().unsaved
    }

    /// Marks volumes out in the labels of the others, durably. Nothing is acknowledged before.
    ///
    /// # Errors
    /// [`model::ErrorKind::Unavailable`] when fewer than k volumes would be left; then nothing has
    /// changed here.
    pub(crate) async fn mark_out(
        &self,
        failed: &[(usize, String)],
        version_floor: u64,
    ) -> Result<()> {
        let _one_at_a_time = self.labels.lock().await;
        let mut out: Vec<(usize, String)> = failed
            .iter()
            .filter(|(index, _)| self.is_serving(*index))
            .cloned()
            .collect();
        if out.is_empty() && !self.needs_saving() {
            return Ok(());
        }
        loop {
            let gone: BTreeSet<usize> = out.iter().map(|(index, _)| *index).collect();
            let staying: Vec<Serving> = self
                .serving()
                .into_iter()
                .filter(|serving| !gone.contains(&serving.index))
                .collect();
            if staying.len() < self.geometry.data {
                return Err(self.too_few(&out));
            }
            let now = self.clock.now();
            let counter = self.next_counter();
            let refused = self
                .write_labels(
                    &staying,
                    counter,
                    version_floor,
                    |slot, index| match &slot.out {
                        Some(out) => Some(out.since),
                        None => gone.contains(&index).then_some(now),
                    },
                )
                .await;
            if refused.is_empty() {
                self.commit(&out, now, counter, &staying);
                return Ok(());
            }
            out.extend(refused);
        }
    }

    /// Puts a volume back in service: its label and those of the others say so first.
    pub(crate) async fn mark_in(&self, index: usize, version_floor: u64) -> Result<()> {
        let _one_at_a_time = self.labels.lock().await;
        let Some(back) = self.at(index) else {
            return Err(Error::Internal("a volume without a place came back".into()));
        };
        let mut members = self.serving();
        // Its own label first: until the others have theirs, it is out.
        members.insert(0, back);
        let counter = self.next_counter();
        let refused = self
            .write_labels(&members, counter, version_floor, |slot, other| {
                if other == index {
                    None
                } else {
                    slot.out.as_ref().map(|out| out.since)
                }
            })
            .await;
        if let Some((other, reason)) = refused.into_iter().next() {
            // Some labels may say that it is in: the next change, which must come before the next
            // acknowledgement, says otherwise.
            return Err(Error::Unavailable {
                act: format!("put volume {} back in service", volume_number(index)),
                reason: format!(
                    "the label of volume {} could not be written: {reason}",
                    volume_number(other)
                ),
            });
        }
        let mut state = self.lock();
        for slot in members.iter().map(|serving| serving.index) {
            if let Some(slot) = state.slots.get_mut(slot) {
                slot.seen = counter;
            }
        }
        if let Some(slot) = state.slots.get_mut(index) {
            slot.out = None;
        }
        state.unsaved = false;
        Ok(())
    }

    fn next_counter(&self) -> u64 {
        let mut state = self.lock();
        state.counter = state.counter.saturating_add(1);
        state.counter
    }

    async fn write_labels(
        &self,
        to: &[Serving],
        counter: u64,
        version_floor: u64,
        out_since: impl Fn(&Slot, usize) -> Option<Timestamp>,
    ) -> Vec<(usize, String)> {
        // Until all of them are written nobody knows what the labels say: not when one cannot be
        // written, nor when nobody waits for the end.
        self.lock().unsaved = true;
        let volumes: Vec<LabelVolume> = self
            .snapshot()
            .iter()
            .enumerate()
            .map(|(index, slot)| LabelVolume {
                id: slot.id,
                out_since: out_since(slot, index),
                seen: slot.seen,
            })
            .collect();
        let writes = to.iter().map(|serving| {
            let label = Label {
                index: serving.index,
                geometry: self.geometry,
                counter,
                version_floor,
                volumes: volumes.clone(),
            };
            let bytes = Bytes::from(label.encode(&self.key));
            async move {
                let written = serving
                    .run(self.grace, move |place| async move {
                        place.write_label(&bytes).await
                    })
                    .await;
                written
                    .err()
                    .map(|error| (serving.index, format!("its label: {error}")))
            }
        });
        join_all(writes).await.into_iter().flatten().collect()
    }

    fn commit(&self, out: &[(usize, String)], now: Timestamp, counter: u64, staying: &[Serving]) {
        let mut state = self.lock();
        for serving in staying {
            if let Some(slot) = state.slots.get_mut(serving.index) {
                slot.seen = counter;
            }
        }
        for (index, reason) in out {
            metrics::counter!("store_volumes_marked_out_total").increment(1);
            if let Some(slot) = state.slots.get_mut(*index) {
                let place = slot
                    .place
                    .as_ref()
                    .map(|place| place.name())
                    .unwrap_or_default();
                tracing::error!(
                    volume.number = volume_number(*index),
                    volume.place = place,
                    reason,
                    "a volume is out of service"
                );
                slot.out = Some(Out {
                    since: now,
                    reason: reason.clone(),
                });
            }
        }
        state.unsaved = false;
    }

    /// What to say when fewer than k volumes are left.
    pub(crate) fn too_few(&self, failing: &[(usize, String)]) -> Error {
        let slots = self.snapshot();
        let called = |index: usize| {
            let place = slots.get(index).and_then(|slot| slot.place.as_ref());
            let place = place.map(|place| format!(" (`{}`)", place.name()));
            format!(
                "volume {}{}",
                volume_number(index),
                place.unwrap_or_default()
            )
        };
        let mut reasons: Vec<String> = Vec::new();
        for (index, slot) in slots.iter().enumerate() {
            if let Some(out) = &slot.out {
                reasons.push(format!("{} is out: {}", called(index), out.reason));
            }
        }
        reasons.extend(
            failing
                .iter()
                .map(|(index, why)| format!("{} failed: {why}", called(*index))),
        );
        Error::Unavailable {
            act: format!("work on at least {} volumes", self.geometry.data),
            reason: reasons.join("; "),
        }
    }
}

#[cfg(test)]
mod tests;
