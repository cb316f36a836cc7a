//! A store is made once and opened by its keyring and its volumes' places alone.

use bytes::Bytes;
use futures::future::join_all;
use futures::stream::{FuturesUnordered, StreamExt};
use model::{Clock, Random, Secret, Timestamp};
use seal::{KeySource, Keyring};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use tokio::time::Instant;

use crate::index::{Index, Object};
use crate::recognise::OPEN_ELSEWHERE;
use crate::site::{SLOW_GRACE, Serving, Site};
use crate::slots::{Out, Slot, Slots};
use crate::volume::{Code, Label, LabelKey, LabelVolume, Reading, ShardKey, ShardName};
use crate::{Error, Geometry, Place, Result};

/// More writes than a process makes between two writings of the labels: each start writes them.
const VERSIONS_AHEAD_MAX: u64 = 1 << 32;
/// Paths hash to this many locks.
const PATH_LOCKS: usize = 64;
/// How often a volume that somebody else has open is tried again.
const LOCK_PAUSE: Duration = Duration::from_millis(50);
/// How long a volume's label may take at start.
const START_GRACE: Duration = Duration::from_secs(30);
/// How long the listings may take without which there is no start.
const LISTINGS_MAX: Duration = Duration::from_secs(60 * 60);

/// How a store behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How long a start waits for another process to let go of a volume.
    pub lock_patience: Duration,
    /// How long a volume may take for a write before it is marked out.
    pub write_grace: Duration,
    /// How long a read waits for a volume before it decodes without it: this, and the time that the
    /// bytes take at 8 MiB a second.
    pub read_grace: Duration,
    /// Whether [`Store::maintain`] takes an existing, empty directory as the replacement of a
    /// missing volume. A directory that is not there is never made.
    pub adopt_empty: bool,
    /// How old shards must be that belong to no object before they are removed.
    pub garbage_age: Duration,
    /// How much one round of [`Store::maintain`] scrubs, bytes.
    pub scrub_bytes_per_round: u64,
    /// How long the scrubber of [`Store::maintain`] rests after it has read everything.
    pub scrub_rest: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            lock_patience: Duration::from_secs(10),
            write_grace: Duration::from_secs(2),
            read_grace: Duration::from_millis(500),
            adopt_empty: true,
            garbage_age: Duration::from_secs(24 * 60 * 60),
            scrub_bytes_per_round: 64 * 1024 * 1024,
            scrub_rest: Duration::from_secs(60 * 60),
        }
    }
}

/// An open store. Cloning gives another handle to the same one.
#[derive(Clone)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("geometry", &self.inner.geometry)
            .finish_non_exhaustive()
    }
}

pub(crate) struct Inner {
    pub(crate) geometry: Geometry,
    pub(crate) settings: Settings,
    pub(crate) keys: Arc<dyn KeySource>,
    pub(crate) shard_key: ShardKey,
    pub(crate) code: Code,
    pub(crate) slots: Slots,
    pub(crate) index: Index,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    /// Writes and deletions hold it shared; a volume that comes back holds it alone for a moment,
    /// so that it misses none of them.
    pub(crate) gate: Arc<tokio::sync::RwLock<()>>,
    /// One write or deletion of a path at a time.
    pub(crate) paths: Vec<Arc<tokio::sync::Mutex<()>>>,
    /// Shards that are known to be wrong or missing.
    pub(crate) wanted: Mutex<BTreeSet<(Arc<str>, usize)>>,
    /// Where the scrubber is.
    pub(crate) scrubbed: Mutex<String>,
    /// When it starts over.
    pub(crate) scrub_again: Mutex<Timestamp>,
    /// One round of maintenance at a time.
    pub(crate) upkeep: tokio::sync::Mutex<()>,
    /// How long a listing may take, by what those of the start took.
    listing_grace: OnceLock<Duration>,
}

impl Store {
    /// Makes a store: gives every place, which must be missing or empty, a label. Volumes count in
    /// the order of `places`.
    ///
    /// # Errors
    /// [`model::ErrorKind::Denied`] when a place holds anything, or somebody else has it open;
    /// [`model::ErrorKind::Invalid`] when there are not exactly k + m places;
    /// [`model::ErrorKind::Unavailable`] when one cannot be written; labels that were written stay.
    pub async fn create(
        places: &[Arc<dyn Place>],
        geometry: Geometry,
        keyring: &Keyring,
        random: &dyn Random,
    ) -> Result<()> {
        let geometry = geometry.check()?;
        if places.len() != geometry.volumes() {
            return Err(Error::Invalid(format!(
                "a store of {} data and {} parity shards needs {} volumes, not {}",
                geometry.data,
                geometry.parity,
                geometry.volumes(),
                places.len()
            )));
        }
        let volumes: Vec<LabelVolume> = places
            .iter()
            .map(|_| LabelVolume {
                id: random.bytes16(),
                out_since: None,
                seen: 0,
            })
            .collect();
        let key = label_key(keyring);
        for place in places {
            let failed = |error: io::Error| Error::Unavailable {
                act: format!("make volume `{}`", place.name()),
                reason: error.to_string(),
            };
            place.make().await.map_err(failed)?;
            if !place.lock().await.map_err(failed)? {
                return Err(open_elsewhere(place.as_ref()));
            }
            if !place.is_vacant().await.map_err(failed)? {
                let rule = "a new volume must be empty".to_owned();
                return Err(Error::Refused {
                    place: place.name(),
                    rule,
                });
            }
        }
        for (index, place) in places.iter().enumerate() {
            let volumes = volumes.clone();
            let label = Label {
                index,
                geometry,
                counter: 1,
                version_floor: 0,
                volumes,
            };
            place
                .write_label(&label.encode(&key))
                .await
                .map_err(|error| Error::Unavailable {
                    act: format!("label volume `{}`", place.name()),
                    reason: error.to_string(),
                })?;
        }
        places.iter().for_each(|place| place.unlock());
        Ok(())
    }

    /// Opens a store. The places may be given in any order; geometry and order come from the
    /// labels. Volumes that are missing, empty, damaged, rolled back or do not answer are marked out,
    /// as long as k are left. The volumes are this store's alone until [`Store::close`], or until its last
    /// handle is dropped.
    ///
    /// A place that holds a volume of another store (or of this one under another root key) is left
    /// out too, and nothing there is touched. So is a volume that somebody else has open, as long as he
    /// cannot have k of them: a disk that hangs holds it for the process before.
    ///
    /// # Errors
    /// [`model::ErrorKind::Denied`] when a place holds a volume of another store and fewer than k hold
    /// one of this: the places, or the keyring, are not those of this store. Also when somebody else
    /// has volumes open and fewer than k are left, or he could have k: two stores on the same volumes
    /// would each lose what the other acknowledges. [`model::ErrorKind::Unavailable`] when fewer than k
    /// volumes can serve.
    pub async fn open(
        places: Vec<Arc<dyn Place>>,
        keyring: &Keyring,
        keys: Arc<dyn KeySource>,
        settings: Settings,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self> {
        let key = label_key(keyring);
        let patience = settings.lock_patience;
        let found = find(&places, &key, clock.as_ref(), patience).await?;
        let Found {
            geometry,
            version_floor,
            slots,
            counter,
            spare,
        } = found;
        let grace = settings.write_grace;
        let found = (slots, counter, spare);
        let names = places.iter().map(|place| place.name()).collect();
        let slots = Slots::new(geometry, key, grace, Arc::clone(&clock), names, found);
        let inner = Arc::new(Inner {
            geometry,
            settings,
            keys,
            shard_key: ShardKey::new(keyring.root_derived("shards"), keyring.store_id()),
            code: Code::new(geometry),
            slots,
            index: Index::default(),
            clock,
            random,
            gate: Arc::default(),
            paths: (0..PATH_LOCKS).map(|_| Arc::default()).collect(),
            wanted: Mutex::default(),
            scrubbed: Mutex::default(),
            scrub_again: Mutex::default(),
            upkeep: tokio::sync::Mutex::default(),
            listing_grace: OnceLock::new(),
        });
        inner.index.raise_version(version_floor);
        if !inner.slots.is_ready() {
            return Err(inner.slots.too_few(&[]));
        }
        inner.start().await?;
        Ok(Self { inner })
    }

    /// Whether enough volumes serve to read and to write.
    #[must_use]
    pub fn readiness(&self) -> bool {
        self.inner.slots.is_ready()
    }

    /// Gives the volumes back, so that another process can open them, whoever still has a handle:
    /// what is under way ends first, and nothing is read or written from then on. A volume on which
    /// an operation hangs is held until that comes back.
    pub async fn close(&self) {
        let _one_at_a_time = self.inner.upkeep.lock().await;
        let _alone = self.inner.gate.write().await;
        self.inner.slots.close();
    }
}

fn label_key(keyring: &Keyring) -> LabelKey {
    let key: Secret<[u8; 32]> = keyring.root_derived("labels");
    LabelKey::new(key, keyring.store_id())
}

struct Found {
    geometry: Geometry,
    version_floor: u64,
    slots: Vec<Slot>,
    counter: u64,
    spare: Vec<Site>,
}

fn open_elsewhere(place: &dyn Place) -> Error {
    Error::Refused {
        place: place.name(),
        rule: format!(
            "{OPEN_ELSEWHERE}: end the other process, and name a volume in one installation only"
        ),
    }
}

/// The label at a place, once its volume is this store's alone; nothing while somebody else has it open.
async fn read_label(site: &Site, patience: Duration) -> Option<io::Result<Option<Bytes>>> {
    let began = Instant::now();
    loop {
        match site.lock(START_GRACE).await {
            Ok(true) => break,
            Ok(false) if began.elapsed() < patience => tokio::time::sleep(LOCK_PAUSE).await,
            Ok(false) => return None,
            Err(error) => return Some(Err(error)),
        }
    }
    let label = site.run(START_GRACE, |place| async move { place.read_label().await });
    Some(label.await)
}

/// What the places hold, by their labels.
#[derive(Default)]
struct Readings {
    ours: Vec<(Label, Site)>,
    /// Volumes of other stores.
    foreign: Vec<Site>,
    /// Places that somebody else has open.
    held: Vec<Site>,
    /// Places without a label that is readable.
    spare: Vec<Site>,
}

/// Reads all labels.
async fn read_labels(places: &[Arc<dyn Place>], key: &LabelKey, patience: Duration) -> Readings {
    let mut found = Readings::default();
    let sites: Vec<Site> = places.iter().cloned().map(Site::new).collect();
    let readings = join_all(sites.iter().map(|site| read_label(site, patience))).await;
    for (site, reading) in sites.into_iter().zip(readings) {
        let place = site.place.name();
        let Some(reading) = reading else {
            tracing::warn!(volume.place = place, "{OPEN_ELSEWHERE}");
            found.held.push(site);
            continue;
        };
        match reading.map(|bytes| bytes.map(|bytes| Label::read(key, &bytes))) {
            Ok(Some(Reading::Ours(label))) => found.ours.push((label, site)),
            Ok(Some(Reading::Foreign)) => {
                tracing::error!(volume.place = place, "a volume belongs to another store");
                found.foreign.push(site);
            }
            Ok(Some(Reading::Damaged | Reading::Unknown)) => {
                tracing::warn!(volume.place = place, "a volume's label is damaged");
                found.spare.push(site);
            }
            Ok(None) => found.spare.push(site),
            Err(error) => {
                tracing::warn!(volume.place = place, %error, "a volume cannot be read");
                found.spare.push(site);
            }
        }
    }
    // Not before a label has said whose the volume is: another's is left as it is.
    let ours = found.ours.iter();
    join_all(ours.map(|(_, site)| site.clear_unfinished(START_GRACE))).await;
    found
}

/// How many volumes the labels name.
fn volumes_named(labels: &[(Label, Site)]) -> usize {
    let indexes: BTreeSet<usize> = labels.iter().map(|(label, _)| label.index).collect();
    indexes.len()
}

/// Whether the labels name enough volumes of one store to open it.
fn are_enough(labels: &[(Label, Site)]) -> bool {
    labels
        .first()
        .is_some_and(|(label, _)| volumes_named(labels) >= label.geometry.data)
}

/// Refuses to start beside somebody who may acknowledge writes: who has some of the volumes open, and
/// would have k with all that are not held here. With fewer it is a disk that hangs, or a lock alone.
fn check_held(held: &[Site], labels: &[(Label, Site)]) -> Result<()> {
    let Some(site) = held.first() else {
        return Ok(());
    };
    let is_alone = labels.first().is_some_and(|(label, _)| {
        let geometry = label.geometry;
        let others = geometry.volumes().saturating_sub(volumes_named(labels));
        others < geometry.data
    });
    if is_alone && are_enough(labels) {
        return Ok(());
    }
    Err(open_elsewhere(site.place.as_ref()))
}

/// Decides by the labels which place is which volume, and which of them may serve.
async fn find(
    places: &[Arc<dyn Place>],
    key: &LabelKey,
    clock: &dyn Clock,
    patience: Duration,
) -> Result<Found> {
    let Readings {
        ours: mut labels,
        foreign,
        held,
        mut spare,
    } = read_labels(places, key, patience).await;
    labels.sort_by_key(|(label, _)| std::cmp::Reverse(label.counter));
    check_held(&held, &labels)?;
    if let Some(site) = foreign.first()
        && !are_enough(&labels)
    {
        return Err(Error::Refused {
            place: site.place.name(),
            rule: "it belongs to another store".into(),
        });
    }
    // Among enough of ours they are reported like any other place that cannot be used.
    spare.extend(foreign.into_iter().chain(held));
    let Some((newest, _)) = labels.first() else {
        return Err(Error::Unavailable {
            act: "open the store".into(),
            reason: format!("none of {} places holds a volume of it", places.len()),
        });
    };
    let newest = newest.clone();
    let now = clock.now();
    let missing = |volume: &LabelVolume| Slot {
        place: None,
        id: volume.id,
        out: Some(Out {
            since: volume.out_since.unwrap_or(now),
            reason: "it is missing".into(),
        }),
        seen: volume.seen,
        busy: Arc::default(),
        late: Arc::default(),
    };
    let mut slots: Vec<Slot> = newest.volumes.iter().map(missing).collect();
    for (label, site) in labels {
        if label.geometry != newest.geometry {
            let rule = "its label names another number of volumes".to_owned();
            return Err(Error::Refused {
                place: site.place.name(),
                rule,
            });
        }
        let (Some(slot), Some(known)) =
            (slots.get_mut(label.index), newest.volumes.get(label.index))
        else {
            continue;
        };
        if slot.place.is_some() {
            // A copy of a volume: the one with the newer label serves.
            spare.push(site);
            continue;
        }
        let out = |reason: &str| {
            Some(Out {
                since: known.out_since.unwrap_or(now),
                reason: reason.to_owned(),
            })
        };
        let same = label
            .volumes
            .get(label.index)
            .is_some_and(|own| own.id == known.id);
        slot.set_site(site);
        slot.out = if known.out_since.is_some() {
            out("it was out when the store was closed")
        } else if !same {
            out("it was replaced")
        } else if label.counter < known.seen {
            out("it was rolled back: its label is older than the others say")
        } else {
            None
        };
    }
    let Label {
        geometry,
        counter,
        version_floor,
        ..
    } = newest;
    Ok(Found {
        geometry,
        version_floor,
        slots,
        counter,
        spare,
    })
}

impl Inner {
    /// Lists the volumes, builds the index, says in the labels who is out, and repairs what a crash
    /// left half-done.
    async fn start(self: &Arc<Self>) -> Result<()> {
        let mut found: BTreeMap<ShardName, Object> = BTreeMap::new();
        let serving = self.slots.serving();
        // A name alone proves nothing: one with a version that no write was given would use up those
        // of all writes to come.
        let newest = self.index.version().saturating_add(VERSIONS_AHEAD_MAX);
        let mut failed = Vec::new();
        for (index, list) in self.listings(&serving).await {
            let names = match list {
                Ok(names) => names,
                Err(error) => {
                    failed.push((index, format!("its listing: {error}")));
                    continue;
                }
            };
            for name in names.iter().filter_map(|name| ShardName::decode(name)) {
                if name.index != index {
                    continue;
                }
                if name.version <= newest {
                    self.index.raise_version(name.version);
                }
                // A name that somebody changed speaks for its own shard alone: the same write with
                // another length or time is another one.
                let write = ShardName { index: 0, ..name };
                let object = found.entry(write).or_insert_with_key(Object::named);
                object.set_on(index);
            }
        }
        let mut written = self.slots.mark_out(&failed, self.index.version()).await;
        if written.is_ok() {
            // Once more: now each label says that all others have stored the first one, so that a
            // volume that goes back to before this start is known by it.
            self.slots.renew();
            written = self.slots.mark_out(&[], self.index.version()).await;
        }
        if let Err(error) = written {
            if !failed.is_empty() {
                return Err(error);
            }
            // Full disks take no label: what is stored can be read, and nothing is acknowledged
            // before the labels are written.
            tracing::warn!(%error, "the volumes' labels could not be written at start");
        }
        self.build(found).await;
        Ok(())
    }

    /// How long a volume's listing may take now: as long as at the start.
    pub(crate) fn listing_grace(&self) -> Duration {
        self.listing_grace.get().copied().unwrap_or(SLOW_GRACE)
    }

    /// What lies on each volume. As many listings as are needed take the time that they take; one that
    /// takes much longer than these is not waited for.
    async fn listings(&self, serving: &[Serving]) -> Vec<(usize, io::Result<Vec<String>>)> {
        let began = Instant::now();
        let mut patience = LISTINGS_MAX;
        let mut running: FuturesUnordered<_> = serving
            .iter()
            .map(|serving| async move {
                let list = serving.run(LISTINGS_MAX, |place| async move { place.list().await });
                (serving.index, list.await)
            })
            .collect();
        let mut late: BTreeSet<usize> = serving.iter().map(|serving| serving.index).collect();
        let mut listings = Vec::with_capacity(serving.len());
        let mut listed: usize = 0;
        loop {
            let left = patience.saturating_sub(began.elapsed());
            let Ok(Some((index, list))) = tokio::time::timeout(left, running.next()).await else {
                break;
            };
            if list.is_ok() {
                listed = listed.saturating_add(1);
                if listed == self.geometry.data {
                    let twice = began.elapsed().saturating_mul(2).max(SLOW_GRACE);
                    patience = *self.listing_grace.get_or_init(|| twice);
                }
            }
            late.remove(&index);
            listings.push((index, list));
        }
        listings.extend(late.into_iter().map(|index| {
            let why = format!("no answer within {} s", patience.as_secs());
            (index, Err(io::Error::new(io::ErrorKind::TimedOut, why)))
        }));
        listings
    }
}
