//! All simulated volumes of one store, and the hand that breaks and heals them.

use model::{Clock, ManualClock, Random, SeededRandom, Timestamp};
use seal::Keyring;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::faults::{Dice, Fault};
use super::place::SimPlace;
use crate::layout::narrow;
use crate::simulated::MemoryKeys;
use crate::{Geometry, Place, Result, Settings, Store};

/// Older shards that a stale one is taken from.
const OLD_MAX: usize = 16;
/// The label's name: no shard has it.
pub(super) const LABEL: &str = "";

/// What is on one disk: the label under the empty name, shards under theirs.
pub(super) type Files = BTreeMap<String, Vec<u8>>;

/// Whether a disk works.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Power {
    /// Nobody has made the volume yet.
    #[default]
    Unmade,
    /// It works.
    On,
    /// It does not answer.
    Dead,
    /// It is not there.
    Gone,
}

#[derive(Debug, Default, Clone)]
pub(super) struct Disk {
    /// What a reader sees.
    pub(super) now: Files,
    /// What a crash leaves.
    pub(super) safe: Files,
    /// Bytes that shards once held.
    pub(super) old: Vec<Vec<u8>>,
    /// The state that a rollback goes back to.
    snapshot: Option<Files>,
    pub(super) power: Power,
    pub(super) full: bool,
    /// Somebody else has the volume open.
    pub(super) is_held: bool,
    /// Nothing comes back from it.
    pub(super) hangs: bool,
    /// Writes that were acknowledged and will not survive.
    pub(super) lying: Vec<(String, Fault)>,
}

impl Disk {
    /// A change that survives a crash.
    pub(super) fn store(&mut self, name: &str, bytes: &[u8]) {
        self.now.insert(name.to_owned(), bytes.to_vec());
        self.safe.insert(name.to_owned(), bytes.to_vec());
    }

    pub(super) fn remember(&mut self, bytes: &[u8]) {
        if self.old.len() < OLD_MAX {
            self.old.push(bytes.to_vec());
        }
    }
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) dice: Dice,
    /// Which disk lies at which place.
    at: Vec<usize>,
    disks: Vec<Disk>,
    /// Disks whose operations may fail.
    faulty: BTreeSet<usize>,
    chance_per_mille: u32,
    kinds: BTreeSet<Fault>,
    fired: BTreeMap<Fault, u64>,
    pub(super) crashed: bool,
    pub(super) epoch: u64,
    crash_in: Option<u64>,
    pub(super) steps: u64,
    pub(super) late: Duration,
    /// Operations whose answers are late now.
    pub(super) late_now: usize,
}

impl World {
    pub(super) fn fire(&mut self, fault: Fault) {
        let count = self.fired.entry(fault).or_default();
        *count = count.saturating_add(1);
    }

    pub(super) fn disk(&mut self, position: usize) -> Option<&mut Disk> {
        let at = *self.at.get(position)?;
        self.disks.get_mut(at)
    }

    pub(super) fn disk_at(&self, position: usize) -> Option<usize> {
        self.at.get(position).copied()
    }

    /// Which fault, if any, an operation at this place meets now.
    pub(super) fn meet(&mut self, position: usize, among: &[Fault]) -> Option<Fault> {
        let disk = *self.at.get(position)?;
        if !self.faulty.contains(&disk) || !self.dice.per_mille(self.chance_per_mille) {
            return None;
        }
        let kinds: Vec<Fault> = among
            .iter()
            .copied()
            .filter(|k| self.kinds.contains(k))
            .collect();
        self.dice.pick(&kinds)
    }

    /// Counts a step; true when everything stops here.
    pub(super) fn step(&mut self) -> bool {
        self.steps = self.steps.saturating_add(1);
        match self.crash_in {
            Some(0) => {
                self.crash_in = None;
                self.crash();
                true
            }
            Some(left) => {
                self.crash_in = Some(left.saturating_sub(1));
                self.crashed
            }
            None => self.crashed,
        }
    }

    pub(super) fn crash(&mut self) {
        self.fire(Fault::Crash);
        self.crashed = true;
        self.epoch = self.epoch.saturating_add(1);
        let mut fired = Vec::new();
        for disk in &mut self.disks {
            for (name, fault) in std::mem::take(&mut disk.lying) {
                if disk.safe.get(&name) != disk.now.get(&name) {
                    fired.push(fault);
                }
            }
            disk.now = disk.safe.clone();
        }
        fired.into_iter().for_each(|fault| self.fire(fault));
    }
}

/// A set of simulated volumes. Cloning gives another handle to the same ones.
#[derive(Debug, Clone)]
pub struct SimVolumes {
    pub(super) world: Arc<Mutex<World>>,
}

impl SimVolumes {
    /// `count` volumes that do not exist yet ([`Store::create`] makes them) and do not fail yet.
    #[must_use]
    pub fn new(seed: u64, count: usize) -> Self {
        let world = World {
            dice: Dice::new(seed),
            at: (0..count).collect(),
            disks: vec![Disk::default(); count],
            faulty: BTreeSet::new(),
            chance_per_mille: 0,
            kinds: Fault::READING.into_iter().chain(Fault::WRITING).collect(),
            fired: BTreeMap::new(),
            crashed: false,
            epoch: 0,
            crash_in: None,
            steps: 0,
            late: Duration::from_secs(30),
            late_now: 0,
        };
        Self {
            world: Arc::new(Mutex::new(world)),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The places, for [`Store::create`] and [`Store::open`].
    #[must_use]
    pub fn places(&self) -> Vec<Arc<dyn Place>> {
        let count = self.lock().at.len();
        let place = |position| -> Arc<dyn Place> { Arc::new(SimPlace::new(self, position)) };
        (0..count).map(place).collect()
    }

    /// From now on each operation on `count` volumes, chosen by the dice, meets a fault with this
    /// chance. Keep `count` at the number of parity shards or below, and call it again only after
    /// the store has been healed: faults then stay within what parity covers.
    pub fn break_some(&self, count: usize, chance_per_mille: u32) -> Vec<usize> {
        let mut world = self.lock();
        let mut left: Vec<usize> = (0..world.disks.len()).collect();
        world.faulty.clear();
        for _ in 0..count.min(left.len()) {
            let at = world.dice.below(left.len());
            let disk = left.swap_remove(at);
            world.faulty.insert(disk);
        }
        world.chance_per_mille = chance_per_mille;
        world.faulty.iter().copied().collect()
    }

    /// As [`SimVolumes::break_some`], for one volume that is not left to the dice.
    pub fn break_one(&self, position: usize, chance_per_mille: u32) {
        let mut world = self.lock();
        world.faulty = world.disk_at(position).into_iter().collect();
        world.chance_per_mille = chance_per_mille;
    }

    /// Lets only these kinds of faults happen.
    pub fn only(&self, kinds: &[Fault]) {
        self.lock().kinds = kinds.iter().copied().collect();
    }

    /// How late a slow answer comes; keep it above the store's graces.
    pub fn set_late(&self, late: Duration) {
        self.lock().late = late;
    }

    /// Operations whose answers are late and still to come.
    #[must_use]
    pub fn late_operations(&self) -> usize {
        self.lock().late_now
    }

    /// Ends all faults: nothing fails any more, volumes that were gone, dead, full or held by
    /// somebody else are back as they were, and those that hang go on within a late answer's time.
    /// What was damaged stays damaged until the store repairs it.
    pub fn heal(&self) {
        let mut world = self.lock();
        world.faulty.clear();
        world.crash_in = None;
        for disk in &mut world.disks {
            if disk.power != Power::Unmade {
                disk.power = Power::On;
            }
            disk.full = false;
            disk.is_held = false;
            disk.hangs = false;
            // The disks tell the truth from here on.
            disk.lying.clear();
            disk.safe = disk.now.clone();
        }
    }

    /// Stops everything now: what was not synced is lost, and every operation fails until
    /// [`SimVolumes::restart`].
    pub fn crash(&self) {
        let mut world = self.lock();
        if !world.crashed {
            world.crash();
        }
    }

    /// Crashes before step number `steps` from now; an operation has up to three.
    pub fn crash_after(&self, steps: u64) {
        self.lock().crash_in = Some(steps);
    }

    /// Whether a crash has happened since the last restart.
    #[must_use]
    pub fn has_crashed(&self) -> bool {
        self.lock().crashed
    }

    /// Starts the machine again after a crash. Open the store anew.
    pub fn restart(&self) {
        let mut world = self.lock();
        world.crashed = false;
        world.crash_in = None;
    }

    /// Steps that operations have taken so far.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.lock().steps
    }

    /// A volume disappears, with its bytes, until [`SimVolumes::heal`].
    pub fn lose(&self, position: usize) {
        let mut world = self.lock();
        world.fire(Fault::Gone);
        if let Some(disk) = world.disk(position) {
            disk.power = Power::Gone;
        }
    }

    /// A volume loses everything, its label too.
    pub fn empty(&self, position: usize) {
        let mut world = self.lock();
        world.fire(Fault::Emptied);
        if let Some(disk) = world.disk(position) {
            disk.now.clear();
            disk.safe.clear();
        }
    }

    /// A volume's label loses a bit or its end, is written over, or goes: the dice choose. False,
    /// and nothing happens, when the volume holds no shard, which alone could say whose it is.
    pub fn spoil_label(&self, position: usize) -> bool {
        let mut world = self.lock();
        let (how, at, bit) = (world.dice.below(4), world.dice.roll(), world.dice.roll());
        let Some(disk) = world.disk(position) else {
            return false;
        };
        let Some(mut label) = disk.now.remove(LABEL) else {
            return false;
        };
        if disk.now.is_empty() {
            disk.now.insert(LABEL.to_owned(), label);
            return false;
        }
        let length = u64::try_from(label.len()).unwrap_or(u64::MAX);
        let at = narrow(at.checked_rem(length).unwrap_or(0));
        let spoiled = match how {
            0 => {
                if let Some(byte) = label.get_mut(at) {
                    *byte ^= 1_u8.wrapping_shl(u32::try_from(bit & 7).unwrap_or(0));
                }
                Some(label)
            }
            1 => {
                label.truncate(at);
                Some(label)
            }
            2 => Some(bit.to_le_bytes().repeat(16)),
            _ => None,
        };
        disk.safe.remove(LABEL);
        if let Some(label) = spoiled {
            disk.store(LABEL, &label);
        }
        world.fire(Fault::LabelSpoiled);
        true
    }

    /// Two volumes change places.
    pub fn swap(&self, a: usize, b: usize) {
        let mut world = self.lock();
        world.fire(Fault::Swapped);
        if a < world.at.len() && b < world.at.len() {
            world.at.swap(a, b);
        }
    }

    /// Remembers the state of all volumes, for [`SimVolumes::roll_back`].
    pub fn snapshot(&self) {
        for disk in &mut self.lock().disks {
            disk.snapshot = Some(disk.now.clone());
        }
    }

    /// A volume goes back to its snapshot.
    pub fn roll_back(&self, position: usize) {
        let mut world = self.lock();
        world.fire(Fault::RolledBack);
        if let Some(disk) = world.disk(position)
            && let Some(before) = disk.snapshot.clone()
        {
            disk.now = before.clone();
            disk.safe = before;
        }
    }

    /// Another process has a volume open until [`SimVolumes::heal`].
    pub fn hold(&self, position: usize) {
        if let Some(disk) = self.lock().disk(position) {
            disk.is_held = true;
        }
    }

    /// No operation on a volume comes back until [`SimVolumes::heal`].
    pub fn hang(&self, position: usize) {
        if let Some(disk) = self.lock().disk(position) {
            disk.hangs = true;
        }
    }

    /// Writes find no space on a volume until [`SimVolumes::heal`].
    pub fn fill(&self, position: usize) {
        let mut world = self.lock();
        world.fire(Fault::NoSpace);
        if let Some(disk) = world.disk(position) {
            disk.full = true;
        }
    }

    /// Turns one bit of a stored shard, chosen by the dice, or of the label. Answers its name (empty
    /// for the label); none when the volume holds nothing.
    pub fn flip(&self, position: usize) -> Option<String> {
        let mut world = self.lock();
        let (which, at, bit) = (world.dice.roll(), world.dice.roll(), world.dice.roll());
        let disk = world.disk(position)?;
        let count = u64::try_from(disk.now.len()).ok()?;
        let which = usize::try_from(which.checked_rem(count)?).ok()?;
        let name = disk.now.keys().nth(which)?.clone();
        let bytes = disk.now.get_mut(&name)?;
        let length = u64::try_from(bytes.len()).ok()?;
        let at = usize::try_from(at.checked_rem(length)?).ok()?;
        *bytes.get_mut(at)? ^= 1_u8.wrapping_shl(u32::try_from(bit & 7).ok()?);
        let bytes = bytes.clone();
        disk.safe.insert(name.clone(), bytes);
        world.fire(Fault::BitFlip);
        Some(name)
    }

    /// A volume loses one shard. False when it does not have it.
    pub fn drop_shard(&self, position: usize, name: &str) -> bool {
        let mut world = self.lock();
        let Some(disk) = world.disk(position) else {
            return false;
        };
        disk.safe.remove(name);
        disk.now.remove(name).is_some()
    }

    /// The name of a shard on a volume is changed. False when it does not have it.
    pub fn rename_shard(&self, position: usize, name: &str, to: &str) -> bool {
        let mut world = self.lock();
        let Some(disk) = world.disk(position) else {
            return false;
        };
        disk.safe.remove(name);
        let Some(bytes) = disk.now.remove(name) else {
            return false;
        };
        disk.store(to, &bytes);
        true
    }

    /// The names of the shards on a volume.
    #[must_use]
    pub fn names(&self, position: usize) -> Vec<String> {
        let mut world = self.lock();
        world.disk(position).map_or_else(Vec::new, |disk| {
            disk.now
                .keys()
                .filter(|name| !name.is_empty())
                .cloned()
                .collect()
        })
    }

    /// The faults that fired, by kind.
    #[must_use]
    pub fn fired(&self) -> BTreeMap<Fault, u64> {
        self.lock().fired.clone()
    }
}

/// A whole simulated store: volumes, keys, clock and randomness, from one seed.
#[derive(Debug, Clone)]
pub struct SimStore {
    /// The volumes, to be broken.
    pub volumes: SimVolumes,
    /// The keyring.
    pub keyring: Keyring,
    /// The data keys.
    pub keys: Arc<MemoryKeys>,
    /// The clock.
    pub clock: Arc<ManualClock>,
    /// The randomness.
    pub random: Arc<dyn Random>,
    /// How the store behaves.
    pub settings: Settings,
}

impl SimStore {
    /// Makes a store on healthy volumes.
    ///
    /// # Errors
    /// As [`Store::create`].
    pub async fn create(seed: u64, geometry: Geometry) -> Result<Self> {
        let random: Arc<dyn Random> = Arc::new(SeededRandom::new(seed));
        let volumes = SimVolumes::new(seed, geometry.volumes());
        let keyring = Keyring::create(random.as_ref());
        Store::create(&volumes.places(), geometry, &keyring, random.as_ref()).await?;
        Ok(Self {
            volumes,
            keys: Arc::new(MemoryKeys::new(keyring.clone())),
            keyring,
            clock: Arc::new(ManualClock::new(Timestamp::from_seconds(1_800_000_000))),
            random,
            settings: Settings::default(),
        })
    }

    /// Opens the store.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub async fn open(&self) -> Result<Store> {
        let clock: Arc<dyn Clock> = Arc::<ManualClock>::clone(&self.clock);
        let keys: Arc<dyn seal::KeySource> = Arc::<MemoryKeys>::clone(&self.keys);
        let random = Arc::clone(&self.random);
        Store::open(
            self.volumes.places(),
            &self.keyring,
            keys,
            self.settings,
            clock,
            random,
        )
        .await
    }
}
