//! Repair: rebuilding shards, bringing volumes back, removing what belongs to no object.

use model::ErrorKind;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use crate::index::Object;
use crate::layout::narrow;
use crate::open::{Inner, Store};
use crate::read::{Fault, Faults};
use crate::site::{NOT_BACK, SLOW_GRACE, Serving};
use crate::status::volume_number;
use crate::volume::{Shard, ShardName, ShardWriter};
use crate::write::off_executor;
use crate::{Error, Result};

/// With as few shards too much or missing a volume is finished while writers wait.
const LAST_STEP_MAX: usize = 32;
/// Objects that cannot be read for now which a rebuild passes over: with more of them it waits.
const UNREAD_MAX: usize = 32;
/// With as few bytes in the objects whose shards are missing.
const LAST_STEP_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Rounds in which a volume may catch up with the writers before it is left for the next time.
const ROUNDS_MAX: usize = 16;
/// Paths that each list of a report names.
const NAMED_MAX: usize = 100;

/// What a repair did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RepairReport {
    /// Volumes that are in service again, by number.
    pub volumes_back: Vec<usize>,
    /// Volumes that are still out, by number, and why they could not come back.
    pub volumes_out: Vec<(usize, String)>,
    /// Places that hold no volume in or out of service, and why they could not be taken for one.
    pub places_unused: Vec<(String, String)>,
    /// Shards that were rebuilt.
    pub shards_rebuilt: u64,
    /// Shards that could not be rebuilt for now.
    pub shards_wanted: u64,
    /// Objects of which fewer good shards are left than are needed, the first 100. What is left of
    /// them stays until the store is opened again: then nothing tells them from a write that was never
    /// complete.
    pub objects_damaged: Vec<String>,
    /// Paths of writes that were not complete, of which good shards were left, and that nothing has
    /// replaced, the first 100: they are removed. A write or a deletion was cut short there, or an object
    /// was damaged before the store was opened.
    pub remains_removed: Vec<String>,
    /// Files removed that belonged to no object.
    pub garbage_removed: u64,
}

impl RepairReport {
    fn note_damaged(&mut self, path: &str) {
        note(&mut self.objects_damaged, path);
    }
}

fn note(paths: &mut Vec<String>, path: &str) {
    let known = paths.iter().any(|known| known == path);
    if !known && paths.len() < NAMED_MAX {
        paths.push(path.to_owned());
    }
}

impl Store {
    /// Brings back every volume that can be brought back, rebuilds every shard that is known to be
    /// missing, compares the listings of the volumes in service with the objects, and removes
    /// garbage.
    ///
    /// # Errors
    /// None: what could not be done is in the report.
    pub async fn repair(&self) -> RepairReport {
        let _one_at_a_time = self.inner.upkeep.lock().await;
        let mut report = RepairReport::default();
        self.inner.bring_back(&mut report).await;
        self.inner.compare_listings(&mut report).await;
        self.inner.rebuild_all(&mut report).await;
        self.inner.clean(&mut report).await;
        report
    }

    /// One idle round of everything that keeps a store whole: volumes back, shards rebuilt, garbage
    /// removed, and a slice of scrubbing. May be dropped at any point.
    ///
    /// # Errors
    /// None: what could not be done is in the report.
    pub async fn maintain(&self) -> RepairReport {
        let _one_at_a_time = self.inner.upkeep.lock().await;
        let mut report = RepairReport::default();
        self.inner.bring_back(&mut report).await;
        self.inner.rebuild_all(&mut report).await;
        self.inner.clean(&mut report).await;
        self.inner.scrub_slice().await;
        report
    }
}

impl Inner {
    /// Rebuilds the wanted shards (of one path, or all).
    pub(crate) async fn repair_wanted(self: &Arc<Self>, path: Option<&str>) -> Repaired {
        let wanted: Vec<(Arc<str>, usize)> = {
            let wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
            let of_path = |item: &&(Arc<str>, usize)| path.is_none_or(|path| &*item.0 == path);
            wanted.iter().filter(of_path).cloned().collect()
        };
        let mut repaired = Repaired::default();
        for item in wanted {
            let _path = self.lock_path(&item.0).await;
            let _gate = Arc::clone(&self.gate).read_owned().await;
            let done = match self.index.current(&item.0) {
                // Deleted meanwhile, or its volume is out and will be compared as a whole.
                None => true,
                Some(_) if !self.slots.is_serving(item.1) => true,
                Some(object) => {
                    self.rebuild_in_service(&object, item.1, &mut repaired)
                        .await
                }
            };
            if done {
                self.wanted
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .remove(&item);
            }
        }
        repaired
    }

    async fn rebuild_in_service(
        self: &Arc<Self>,
        object: &Arc<Object>,
        index: usize,
        repaired: &mut Repaired,
    ) -> bool {
        let Some(serving) = self.slots.at(index) else {
            return true;
        };
        match self.rebuild(object, &serving).await {
            Ok(()) => {
                repaired.rebuilt = repaired.rebuilt.saturating_add(1);
                true
            }
            Err(Rebuild::Write(why)) => {
                // A volume that cannot be written to is out; with too few left it stays wanted.
                let failed = [(index, format!("a repair: {why}"))];
                self.slots
                    .mark_out(&failed, self.index.version())
                    .await
                    .is_ok()
            }
            Err(Rebuild::Read(error)) => {
                // What it was wanted for may have passed, and it may be the one that the others need.
                let own = self.fetch_whole(object, index).await;
                if own.is_ok() {
                    object.set_on(index);
                    return true;
                }
                tracing::error!(
                    object.path = &*object.path,
                    volume.number = volume_number(index),
                    volume.place = serving.place_name(),
                    %error,
                    "a shard cannot be rebuilt"
                );
                let is_gone = matches!(own, Err(Fault::Wrong(_)));
                if is_gone && error.kind() == ErrorKind::Corrupt {
                    repaired.damaged.insert(Arc::clone(&object.path));
                }
                false
            }
        }
    }

    /// Makes the shard of an object for one volume from the others, and puts it there.
    async fn rebuild(
        self: &Arc<Self>,
        object: &Arc<Object>,
        to: &Serving,
    ) -> std::result::Result<(), Rebuild> {
        let shard = self
            .make_shard(object, to.index)
            .await
            .map_err(Rebuild::Read)?;
        let name = object.name(to.index).encode();
        let pending = object.begin();
        let put = to
            .run(self.settings.write_grace, move |place| async move {
                let done = place.put(&name, &shard).await;
                drop(pending);
                done
            })
            .await;
        put.map_err(|error| Rebuild::Write(error.to_string()))?;
        object.set_on(to.index);
        metrics::counter!("store_repaired_shards_total").increment(1);
        Ok(())
    }

    async fn make_shard(self: &Arc<Self>, object: &Arc<Object>, index: usize) -> Result<Shard> {
        let header = self.find_header(object).await?.0;
        let layout = header.layout()?;
        let mut writer = ShardWriter::new(&self.shard_key, &header, index);
        for stripe in 0..layout.stripes() {
            let mut faults = Faults::new();
            faults.insert(index, Fault::Wrong("it is being rebuilt".into()));
            let pieces = self.stripe(object, &layout, stripe, faults).await?;
            let inner = Arc::clone(self);
            let coded = narrow(layout.coded_bytes(stripe));
            let length = narrow(layout.piece_bytes(stripe, index));
            let bytes = coded.saturating_mul(self.geometry.data);
            let piece = off_executor(bytes, move || {
                let data = inner.code.data(&pieces, coded)?;
                let all = match index.checked_sub(inner.geometry.data) {
                    None => data.into_iter().nth(index),
                    Some(parity) => inner.code.parity(&data, coded)?.into_iter().nth(parity),
                };
                let piece = all.ok_or_else(|| Error::Internal("a piece was not coded".into()))?;
                Ok(piece.slice(..length.min(piece.len())))
            })
            .await?;
            writer.piece(&self.shard_key, stripe, piece);
        }
        Ok(writer.finish())
    }

    /// Rebuilds all that is wanted.
    async fn rebuild_all(self: &Arc<Self>, report: &mut RepairReport) {
        let repaired = self.repair_wanted(None).await;
        report.shards_rebuilt = report.shards_rebuilt.saturating_add(repaired.rebuilt);
        repaired
            .damaged
            .iter()
            .for_each(|path| report.note_damaged(path));
        let left = self
            .wanted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len();
        report.shards_wanted = crate::layout::wide(left);
    }

    /// Looks anew at the places of volumes that are out, and brings back those that are whole
    /// after a comparison.
    async fn bring_back(self: &Arc<Self>, report: &mut RepairReport) {
        if self.slots.needs_saving() {
            // An error here is one of the next write, which says it to somebody.
            let _later: Result<()> = self.slots.mark_out(&[], self.index.version()).await;
        }
        self.recognise_places(report).await;
        for (index, slot) in self.slots.snapshot().into_iter().enumerate() {
            if slot.out.is_none() {
                continue;
            }
            let number = volume_number(index);
            if slot.busy.load(Ordering::Acquire) > 0 {
                report.volumes_out.push((number, NOT_BACK.to_owned()));
                continue;
            }
            match self.bring_back_one(index, report).await {
                Ok(()) => {
                    let place = slot.place.as_ref().map(|place| place.name());
                    let place = place.unwrap_or_default();
                    tracing::warn!(
                        volume.number = number,
                        volume.place = place,
                        "a volume is in service again"
                    );
                    report.volumes_back.push(number);
                }
                Err(error) => report.volumes_out.push((number, error.to_string())),
            }
        }
        self.judge_again().await;
    }

    /// Compares a volume that is out with the objects, makes it equal, and puts it in service: but for
    /// the shards of objects that are lost, which stay wanted.
    async fn bring_back_one(
        self: &Arc<Self>,
        index: usize,
        report: &mut RepairReport,
    ) -> Result<()> {
        let failed = |reason: String| Error::Unavailable {
            act: format!("bring back volume {}", volume_number(index)),
            reason,
        };
        let volume = self
            .slots
            .at(index)
            .ok_or_else(|| failed("its place holds no volume".into()))?;
        let grace = self.listing_grace();
        let names = volume.run(grace, |place| async move { place.list().await });
        let names = names.await.map_err(|error| failed(error.to_string()))?;
        let mut held = Held::of(names);
        for _ in 0..ROUNDS_MAX {
            let found = self.difference(index, &held);
            self.level(&volume, &mut held, found, SLOW_GRACE, UNREAD_MAX, report)
                .await
                .map_err(failed)?;
            self.note_held(index, &held);
            // Writers wait from here on, so that none of their shards is missed: for what has changed
            // meanwhile, and for a disk that hangs no longer than when it is in service.
            let _alone = Arc::clone(&self.gate).write_owned().await;
            let left = self.difference(index, &held);
            if left.is_little() {
                let grace = self.settings.write_grace;
                self.level(&volume, &mut held, left, grace, 0, report)
                    .await
                    .map_err(failed)?;
                self.slots.mark_in(index, self.index.version()).await?;
                let left_out = held.left_out.values();
                left_out
                    .filter(|object| self.index.is_current(object))
                    .for_each(|object| self.want(object, index));
                return Ok(());
            }
        }
        Err(failed("it does not catch up with the writers".into()))
    }

    fn difference(&self, index: usize, held: &Held) -> Difference {
        let mut missing = Vec::new();
        let mut known = BTreeSet::new();
        for object in self.index.below("") {
            let name = object.name(index).encode();
            if !held.names.contains(&name) && !held.left_out.contains_key(&name) {
                missing.push(object);
            }
            known.insert(name);
        }
        let undecided = self.index.undecided();
        known.extend(undecided.iter().map(|object| object.name(index).encode()));
        // What cannot be a shard of this volume is not the store's to remove, however it got there.
        let removable = |name: &&String| is_shard_of(index, name);
        let extra = held.names.difference(&known).filter(removable);
        let extra = extra.cloned().collect();
        Difference { extra, missing }
    }

    /// Removes from a volume what it holds too much, each time within `grace`, and puts there what it
    /// lacks, but for what is lost. Fails in the end when an object could not be read for now: the others have
    /// their shards by then, if there were at most `unread_max` of it.
    async fn level(
        self: &Arc<Self>,
        volume: &Serving,
        held: &mut Held,
        found: Difference,
        grace: Duration,
        unread_max: usize,
        report: &mut RepairReport,
    ) -> std::result::Result<(), String> {
        for names in found.extra.chunks(256) {
            // Deleted while the volume was away: it must not come back with them.
            let batch = names.to_vec();
            volume
                .run(
                    grace,
                    move |place| async move { place.delete(&batch).await },
                )
                .await
                .map_err(|error| error.to_string())?;
            for name in names {
                held.names.remove(name);
                report.garbage_removed = report.garbage_removed.saturating_add(1);
            }
        }
        let mut unread = Vec::new();
        for object in &found.missing {
            match self.rebuild(object, volume).await {
                Ok(()) => {
                    report.shards_rebuilt = report.shards_rebuilt.saturating_add(1);
                    held.names.insert(object.name(volume.index).encode());
                }
                // Deleted meanwhile.
                Err(Rebuild::Read(_)) if !self.index.is_current(object) => {}
                Err(Rebuild::Read(error)) if error.kind() == ErrorKind::Corrupt => {
                    held.leave_out(volume.index, object);
                    tracing::error!(
                        object.path = &*object.path,
                        volume.number = volume_number(volume.index),
                        %error,
                        "a volume comes back without the shard of an object that is lost"
                    );
                    report.note_damaged(&object.path);
                }
                // It may be there another time: what is acknowledged is on every volume in service.
                Err(Rebuild::Read(error)) => {
                    tracing::warn!(
                        object.path = &*object.path,
                        volume.number = volume_number(volume.index),
                        volume.place = volume.place_name(),
                        %error,
                        "a volume stays out: an object cannot be read for now"
                    );
                    unread.push(error.to_string());
                    if unread.len() > unread_max {
                        break;
                    }
                }
                Err(Rebuild::Write(why)) => return Err(why),
            }
        }
        unread.into_iter().next().map_or(Ok(()), Err)
    }

    /// Remembers which shards a volume holds.
    fn note_held(&self, index: usize, held: &Held) {
        for object in self.index.below("").iter().chain(&self.index.undecided()) {
            if held.names.contains(&object.name(index).encode()) {
                object.set_on(index);
            }
        }
    }

    /// Compares the listings of the volumes in service with the objects: wants what is missing,
    /// removes what is old and unknown. Writes go on meanwhile: an object written since is not
    /// looked for, and a shard that no object knows yet is not old.
    async fn compare_listings(self: &Arc<Self>, report: &mut RepairReport) {
        for serving in self.slots.serving() {
            let before = self.index.below("");
            let grace = self.listing_grace();
            let names = serving.run(grace, |place| async move { place.list().await });
            let held: BTreeSet<String> = match names.await {
                Ok(names) => names.into_iter().collect(),
                Err(error) => {
                    tracing::warn!(
                        volume.number = volume_number(serving.index),
                        volume.place = serving.place_name(),
                        %error,
                        "a volume does not say what lies on it"
                    );
                    continue;
                }
            };
            for object in before {
                let there = held.contains(&object.name(serving.index).encode());
                if !there && self.index.is_current(&object) {
                    self.want(&object, serving.index);
                }
            }
            let old: Vec<String> = held
                .into_iter()
                .filter(|name| self.is_old_garbage(serving.index, name))
                .collect();
            let count = crate::layout::wide(old.len());
            if count == 0 {
                continue;
            }
            let removed = serving.run(
                SLOW_GRACE,
                move |place| async move { place.delete(&old).await },
            );
            if removed.await.is_ok() {
                report.garbage_removed = report.garbage_removed.saturating_add(count);
            }
        }
    }

    fn is_old_garbage(&self, index: usize, name: &str) -> bool {
        ShardName::decode(name).is_some_and(|name| {
            name.index == index && !self.index.knows(&name) && self.is_old(name.created_ms)
        })
    }

    fn is_old(&self, created_ms: i64) -> bool {
        let created = model::Timestamp::from_ms(created_ms);
        self.clock.now().since(created) >= self.settings.garbage_age
    }

    /// Removes the shards of writes that were replaced, taken back or never completed.
    async fn clean(self: &Arc<Self>, report: &mut RepairReport) {
        for object in self.index.garbage() {
            let may_go = object.is_doomed() || self.is_old(object.created_ms);
            if !may_go || object.is_pending() {
                continue;
            }
            let _path = self.lock_path(&object.path).await;
            let _gate = Arc::clone(&self.gate).read_owned().await;
            if !object.is_doomed() {
                if !self.was_never_complete(&object).await {
                    continue;
                }
                self.tell_of_remains(&object, report);
            }
            if self.remove(&[object]).await.is_empty() {
                report.garbage_removed = report.garbage_removed.saturating_add(1);
            }
        }
    }

    /// Says that what is left of a write is about to be removed. It was perhaps acknowledged: but a
    /// deletion that was cut short leaves the same, and has to end.
    fn tell_of_remains(&self, object: &Object, report: &mut RepairReport) {
        let volumes: Vec<usize> = (0..self.geometry.volumes())
            .filter(|index| object.is_on(*index))
            .map(volume_number)
            .collect();
        let current = self.index.current(&object.path);
        let is_replaced = current.is_some_and(|now| now.version > object.version);
        if volumes.is_empty() || is_replaced {
            return;
        }
        tracing::error!(
            object.path = &*object.path,
            volume.numbers = ?volumes,
            "what is left of a write is removed: it is not complete, and was cut short or damaged"
        );
        note(&mut report.remains_removed, &object.path);
    }
}

fn is_shard_of(index: usize, name: &str) -> bool {
    ShardName::decode(name).is_some_and(|name| name.index == index)
}

/// What became of shards that were wanted.
#[derive(Default)]
pub(crate) struct Repaired {
    pub(crate) rebuilt: u64,
    /// Objects that are beyond repair.
    damaged: BTreeSet<Arc<str>>,
}

/// What lies on a volume that is brought back.
struct Held {
    /// The names of all its files.
    names: BTreeSet<String>,
    /// Objects without whose shards it comes back, by the names of these.
    left_out: BTreeMap<String, Arc<Object>>,
}

impl Held {
    fn of(names: Vec<String>) -> Self {
        Self {
            names: names.into_iter().collect(),
            left_out: BTreeMap::new(),
        }
    }

    /// Goes on without the shard of an object that is lost: it must keep neither the volume out nor the
    /// shards of all others from it.
    fn leave_out(&mut self, index: usize, object: &Arc<Object>) {
        object.set_off(index);
        let name = object.name(index).encode();
        self.left_out.insert(name, Arc::clone(object));
    }
}

/// What a volume and the objects do not have in common.
struct Difference {
    /// Names of shards that belong to no object.
    extra: Vec<String>,
    /// Objects whose shards are not there.
    missing: Vec<Arc<Object>>,
}

impl Difference {
    /// Whether writers may wait while it is made up for.
    fn is_little(&self) -> bool {
        let lengths = self.missing.iter().map(|object| object.length);
        let bytes = lengths.fold(0, u64::saturating_add);
        self.extra.len().saturating_add(self.missing.len()) <= LAST_STEP_MAX
            && bytes <= LAST_STEP_BYTES_MAX
    }
}

/// Why a shard was not rebuilt.
enum Rebuild {
    /// The others could not be read.
    Read(Error),
    /// The volume could not be written.
    Write(String),
}
