//! One simulated volume as a [`Place`].

use async_trait::async_trait;
use bytes::Bytes;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::faults::Fault;
use super::world::{LABEL, Power, SimVolumes, World};
use crate::layout::narrow;
use crate::{Place, Shard};

/// A place at one position of a [`SimVolumes`].
#[derive(Debug)]
pub(super) struct SimPlace {
    world: Arc<Mutex<World>>,
    position: usize,
    /// The disk whose label was read or written last: the place is bound to it.
    bound: Mutex<Option<usize>>,
}

impl SimPlace {
    pub(super) fn new(volumes: &SimVolumes, position: usize) -> Self {
        Self {
            world: Arc::clone(&volumes.world),
            position,
            bound: Mutex::new(None),
        }
    }

    fn with<T>(&self, work: impl FnOnce(&mut World) -> io::Result<T>) -> io::Result<T> {
        work(&mut self.world.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// One step of an operation that began in `epoch`: nothing happens after a crash.
    async fn step(&self, epoch: u64) -> io::Result<()> {
        tokio::task::yield_now().await;
        self.wait().await;
        self.with(|world| {
            if world.step() || world.epoch != epoch {
                return Err(io::Error::other("the machine has crashed"));
            }
            Ok(())
        })
    }

    /// Waits while the volume hangs.
    async fn wait(&self) {
        while let Some(late) = self.hangs() {
            self.be_late(late).await;
        }
    }

    /// How long until it is looked again whether the volume hangs; none when it does not.
    fn hangs(&self) -> Option<Duration> {
        let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        let late = world.late;
        world
            .disk(self.position)
            .is_some_and(|disk| disk.hangs)
            .then_some(late)
    }

    fn epoch(&self) -> u64 {
        self.world
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .epoch
    }

    /// Fails when the volume is not there or does not work.
    fn check(&self, world: &mut World) -> io::Result<()> {
        let Some(disk) = world.disk(self.position) else {
            return Err(gone());
        };
        match disk.power {
            Power::On => Ok(()),
            Power::Unmade | Power::Gone => Err(gone()),
            Power::Dead => Err(io::Error::other("the device does not answer")),
        }
    }

    /// As [`Self::check`], for a shard that is read: one that is not there is another matter than a
    /// volume that is not.
    fn check_read(&self, world: &mut World) -> io::Result<()> {
        self.check(world).map_err(io::Error::other)
    }

    /// Fails when a write cannot go to the volume that this place is bound to.
    fn check_write(&self, world: &mut World) -> io::Result<()> {
        self.check_space(world)?;
        self.check_bound(world)
    }

    /// A volume without a label may get one; any other must be the one that was known.
    fn check_label(&self, world: &mut World) -> io::Result<()> {
        if self
            .bound
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_some()
        {
            return self.check_write(world);
        }
        self.check(world)?;
        self.check_space(world)
    }

    fn check_space(&self, world: &mut World) -> io::Result<()> {
        if world.disk(self.position).is_some_and(|disk| disk.full) {
            return Err(io::Error::new(
                io::ErrorKind::StorageFull,
                "no space is left",
            ));
        }
        Ok(())
    }

    fn check_bound(&self, world: &mut World) -> io::Result<()> {
        self.check(world)?;
        let bound = *self.bound.lock().unwrap_or_else(PoisonError::into_inner);
        let labelled = world
            .disk(self.position)
            .is_some_and(|d| d.now.contains_key(LABEL));
        if !labelled || world.disk_at(self.position) != bound {
            return Err(io::Error::other(
                "another volume has taken the place of this one",
            ));
        }
        Ok(())
    }

    /// Meets a fault of a write or deletion. Slow ones wait here.
    async fn meet_writing(&self, epoch: u64, kinds: &[Fault]) -> io::Result<Option<Fault>> {
        let (fault, late) =
            self.with(|world| Ok((world.meet(self.position, kinds), world.late)))?;
        match fault {
            Some(Fault::WriteError) => {
                self.fire(Fault::WriteError);
                return Err(io::Error::other("the device reported an error"));
            }
            Some(Fault::NoSpace) => {
                return self.with(|world| {
                    world.fire(Fault::NoSpace);
                    if let Some(disk) = world.disk(self.position) {
                        disk.full = true;
                    }
                    Err(io::Error::new(
                        io::ErrorKind::StorageFull,
                        "no space is left",
                    ))
                });
            }
            Some(Fault::Dead) => return Err(self.die()),
            Some(Fault::Slow) => {
                self.be_late(late).await;
                self.step(epoch).await?;
                return Ok(None);
            }
            Some(_) | None => {}
        }
        Ok(fault)
    }

    async fn be_late(&self, late: Duration) {
        let _late = Late::begin(&self.world);
        tokio::time::sleep(late).await;
    }

    fn fire(&self, fault: Fault) {
        self.world
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .fire(fault);
    }

    fn die(&self) -> io::Error {
        let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        world.fire(Fault::Dead);
        if let Some(disk) = world.disk(self.position) {
            disk.power = Power::Dead;
        }
        io::Error::other("the device does not answer")
    }

    /// Damages a stored shard, as the fault says.
    fn rot(&self, name: &str, fault: Fault) {
        let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, bit) = (world.dice.roll(), world.dice.roll());
        let Some(disk) = world.disk(self.position) else {
            return;
        };
        let old = disk.old.first().cloned();
        let Some(bytes) = disk.now.get_mut(name) else {
            return;
        };
        match (fault, old) {
            (Fault::Stale, Some(old)) if *bytes != old => *bytes = old,
            (Fault::Stale, _) => return,
            (_, _) => {
                let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                let at = narrow(at.checked_rem(length).unwrap_or(0));
                let Some(byte) = bytes.get_mut(at) else {
                    return;
                };
                *byte ^= 1_u8.wrapping_shl(u32::try_from(bit & 7).unwrap_or(0));
            }
        }
        let bytes = bytes.clone();
        disk.safe.insert(name.to_owned(), bytes);
        world.fire(fault);
    }
}

#[async_trait]
impl Place for SimPlace {
    fn name(&self) -> String {
        format!("simulated:{}", self.position)
    }

    async fn lock(&self) -> io::Result<bool> {
        self.wait().await;
        // Two stores of one test may share the volumes: only somebody else is kept out.
        self.with(|world| {
            self.check(world)?;
            world
                .disk(self.position)
                .map(|disk| !disk.is_held)
                .ok_or_else(gone)
        })
    }

    fn unlock(&self) {}

    async fn put(&self, name: &str, shard: &Shard) -> io::Result<()> {
        let epoch = self.epoch();
        self.step(epoch).await?;
        self.with(|world| self.check_write(world))?;
        let fault = self.meet_writing(epoch, &Fault::WRITING).await?;
        let bytes = shard.parts().concat();
        // Written beside its place, not synced: a crash leaves nothing of it.
        self.step(epoch).await?;
        self.with(|world| {
            self.check_write(world)?;
            let coin = world.dice.per_mille(500);
            let at = world.dice.below(bytes.len());
            let other = world.dice.roll();
            let Some(disk) = world.disk(self.position) else {
                return Err(gone());
            };
            disk.remember(&bytes);
            let mut fired = None;
            match fault {
                Some(Fault::Misdirected) => {
                    let names: Vec<String> = disk
                        .now
                        .keys()
                        .filter(|n| !n.is_empty() && *n != name)
                        .cloned()
                        .collect();
                    let count = u64::try_from(names.len()).unwrap_or(0);
                    let which = other.checked_rem(count).map(narrow);
                    match which.and_then(|which| names.get(which)) {
                        Some(victim) => {
                            disk.store(victim, &bytes);
                            fired = Some(Fault::Misdirected);
                        }
                        None => disk.store(name, &bytes),
                    }
                }
                Some(Fault::LostWrite) => {
                    disk.now.insert(name.to_owned(), bytes);
                    disk.lying.push((name.to_owned(), Fault::LostWrite));
                }
                Some(Fault::TornWrite) => {
                    let torn = bytes.get(..at).unwrap_or_default().to_vec();
                    disk.safe.insert(name.to_owned(), torn);
                    disk.now.insert(name.to_owned(), bytes);
                    disk.lying.push((name.to_owned(), Fault::TornWrite));
                }
                Some(_) | None => {
                    // In its place; its directory is not synced yet, and the crash may come first.
                    disk.now.insert(name.to_owned(), bytes.clone());
                    if coin {
                        disk.safe.insert(name.to_owned(), bytes);
                    }
                }
            }
            if let Some(fault) = fired {
                world.fire(fault);
            }
            Ok(())
        })?;
        self.step(epoch).await?;
        self.with(|world| {
            let Some(disk) = world.disk(self.position) else {
                return Err(gone());
            };
            let lies = disk.lying.iter().any(|(lie, _)| lie == name);
            if !lies && let Some(bytes) = disk.now.get(name).cloned() {
                disk.safe.insert(name.to_owned(), bytes);
            }
            Ok(())
        })
    }

    async fn get(&self, name: &str, range: Range<u64>) -> io::Result<Bytes> {
        let epoch = self.epoch();
        self.step(epoch).await?;
        let (fault, late) = self.with(|world| {
            self.check_read(world)?;
            Ok((world.meet(self.position, &Fault::READING), world.late))
        })?;
        match fault {
            Some(Fault::ReadError) => {
                self.fire(Fault::ReadError);
                return Err(io::Error::other("the device reported an error"));
            }
            Some(Fault::Dead) => return Err(self.die()),
            Some(Fault::Slow) => {
                self.be_late(late).await;
                self.step(epoch).await?;
            }
            Some(fault) => self.rot(name, fault),
            None => {}
        }
        self.with(|world| {
            self.check_read(world)?;
            let Some(disk) = world.disk(self.position) else {
                return Err(gone());
            };
            let bytes = disk.now.get(name).ok_or_else(gone)?;
            let length = bytes.len();
            let (from, to) = (
                narrow(range.start).min(length),
                narrow(range.end).min(length),
            );
            Ok(Bytes::copy_from_slice(
                bytes.get(from..to).unwrap_or_default(),
            ))
        })
    }

    async fn list(&self) -> io::Result<Vec<String>> {
        let epoch = self.epoch();
        self.step(epoch).await?;
        self.with(|world| {
            self.check(world)?;
            let Some(disk) = world.disk(self.position) else {
                return Err(gone());
            };
            Ok(disk
                .now
                .keys()
                .filter(|name| !name.is_empty())
                .cloned()
                .collect())
        })
    }

    async fn delete(&self, names: &[String]) -> io::Result<()> {
        let epoch = self.epoch();
        self.step(epoch).await?;
        // A full disk can still delete.
        self.with(|world| self.check_bound(world))?;
        let fault = self.meet_writing(epoch, &Fault::DELETING).await?;
        self.step(epoch).await?;
        self.with(|world| {
            self.check_bound(world)?;
            let coin = world.dice.per_mille(500);
            let Some(disk) = world.disk(self.position) else {
                return Err(gone());
            };
            for name in names {
                if disk.now.remove(name).is_some() && fault == Some(Fault::LostWrite) {
                    disk.lying.push((name.clone(), Fault::LostWrite));
                } else if coin {
                    disk.safe.remove(name);
                }
            }
            Ok(())
        })?;
        self.step(epoch).await?;
        self.with(|world| {
            let Some(disk) = world.disk(self.position) else {
                return Err(gone());
            };
            for name in names {
                if !disk.lying.iter().any(|(lie, _)| lie == name) && !disk.now.contains_key(name) {
                    disk.safe.remove(name);
                }
            }
            Ok(())
        })
    }

    async fn read_label(&self) -> io::Result<Option<Bytes>> {
        let epoch = self.epoch();
        self.step(epoch).await?;
        self.with(|world| {
            self.check(world)?;
            let Some(disk) = world.disk(self.position) else {
                return Err(gone());
            };
            let label = disk.now.get(LABEL).cloned();
            let bound = world.disk_at(self.position).filter(|_| label.is_some());
            *self.bound.lock().unwrap_or_else(PoisonError::into_inner) = bound;
            Ok(label.map(Bytes::from))
        })
    }

    async fn write_label(&self, label: &[u8]) -> io::Result<()> {
        let epoch = self.epoch();
        self.step(epoch).await?;
        self.with(|world| self.check_label(world))?;
        let fault = self.meet_writing(epoch, &Fault::WRITING).await?;
        self.step(epoch).await?;
        self.with(|world| {
            self.check_label(world)?;
            let Some(disk) = world.disk(self.position) else {
                return Err(gone());
            };
            disk.now.insert(LABEL.to_owned(), label.to_vec());
            if fault == Some(Fault::LostWrite) {
                disk.lying.push((LABEL.to_owned(), Fault::LostWrite));
            } else {
                disk.safe.insert(LABEL.to_owned(), label.to_vec());
            }
            *self.bound.lock().unwrap_or_else(PoisonError::into_inner) =
                world.disk_at(self.position);
            Ok(())
        })?;
        self.step(epoch).await
    }

    /// Nothing is left: what was not synced is lost in a crash.
    async fn clear_unfinished(&self) -> io::Result<()> {
        Ok(())
    }

    async fn is_vacant(&self) -> io::Result<bool> {
        let epoch = self.epoch();
        self.step(epoch).await?;
        self.with(|world| {
            self.check(world)?;
            world
                .disk(self.position)
                .map(|disk| disk.now.is_empty())
                .ok_or_else(gone)
        })
    }

    async fn make(&self) -> io::Result<()> {
        let epoch = self.epoch();
        self.step(epoch).await?;
        self.with(|world| {
            world
                .disk(self.position)
                .map(|disk| disk.power = Power::On)
                .ok_or_else(gone)
        })
    }
}

/// Counts a late answer for as long as somebody may still get it.
struct Late(Arc<Mutex<World>>);

impl Late {
    fn begin(world: &Arc<Mutex<World>>) -> Self {
        let mut locked = world.lock().unwrap_or_else(PoisonError::into_inner);
        locked.fire(Fault::Slow);
        locked.late_now = locked.late_now.saturating_add(1);
        Self(Arc::clone(world))
    }
}

impl Drop for Late {
    fn drop(&mut self) {
        let mut world = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        world.late_now = world.late_now.saturating_sub(1);
    }
}

fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "it is not there")
}
