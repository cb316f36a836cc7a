//! The key table: the data keys of objects, the hourly keys of the journal, and the secrets that
//! person keys are made with.
//!
//! Its rows live on the volumes, under `keys/`, sealed by the epoch key, and in memory; there is no
//! local file that could fall behind or outlive a destroyed key. A row is durable on the volumes
//! before anything is written under it. It must never give one key to two objects, and never log,
//! return in an error or write to a local disk a key.

pub(crate) mod format;
mod load;
mod table;

use async_trait::async_trait;
use bytes::Bytes;
use model::{AccountId, Clock, KeyId, PersonKeySecret, Random, Secret};
use object_store::ObjectStore;
use object_store::path::Path;
use seal::{KeyRef, KeySource};
use serde::Serialize;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Mutex as AsyncMutex;

use self::format::{Change, Kind, Place, Use};
use self::load::{load, refuse_data_without_keys};
use self::table::Table;
use crate::{Error, Result, SharedKeyring, objects};

const PREFIX: &str = "keys";
/// Data keys made at a time: writing an object waits for the volumes twice once in so many.
const SPARE_KEYS: usize = 64;
/// Increments of a generation before a snapshot replaces them.
const INCREMENTS_MAX: u64 = 256;
const HOUR_MS: i64 = 60 * 60 * 1_000;

/// Marks the moment that [`KeyTable::rotate_journal_key`] was called: commits begun later are under
/// keys that [`KeyTable::destroy`] with this mark leaves alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct JournalMark(u64);

/// What [`KeyTable::attach`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct KeysReport {
    /// Rows in the table.
    pub keys: usize,
    /// Whether a rotation had been interrupted; it has ended now.
    pub rotation_finished: bool,
}

/// What [`KeyTable::destroy`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Destroyed {
    /// Keys that are gone.
    pub keys: usize,
    /// The epoch in force since then.
    pub epoch: u32,
}

/// The key table.
#[derive(Debug)]
pub struct KeyTable {
    keyring: Arc<SharedKeyring>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    /// None until the table is attached to the volumes that hold it.
    table: Mutex<Option<Table>>,
    shipper: AsyncMutex<Option<Shipper>>,
}

/// Where the next object goes, and the one whose outcome is unknown.
#[derive(Debug)]
struct Shipper {
    store: Arc<dyn ObjectStore>,
    next: Place,
    pending: Option<Pending>,
}

#[derive(Debug)]
struct Pending {
    kind: Kind,
    place: Place,
    bytes: Bytes,
    digest: [u8; 32],
    changes: Vec<Change>,
    /// Which of the new rows are for objects to come.
    stock: Vec<KeyId>,
}

impl KeyTable {
    /// A key table that serves the keys of `control/` and `keys/` at once, and all others after
    /// [`KeyTable::attach`].
    #[must_use]
    pub fn open(
        keyring: Arc<SharedKeyring>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Arc<Self> {
        Arc::new(Self {
            keyring,
            clock,
            random,
            table: Mutex::new(None),
            shipper: AsyncMutex::new(None),
        })
    }

    /// Reads the table from the volumes behind `store`, ends a rotation that was interrupted, and
    /// starts a generation of its own.
    ///
    /// # Errors
    /// [`model::ErrorKind::Corrupt`] when pieces are missing or are not what was written;
    /// [`model::ErrorKind::NotFound`] when the keyring is older than the table;
    /// [`model::ErrorKind::Denied`] when a copy of it is newer or of another store;
    /// [`model::ErrorKind::Unavailable`] when the volumes do not answer, or the keyring's own file; when
    /// another copy does not, or is out of reach ([`SharedKeyring::away`]), only if the table is new or a
    /// rotation was interrupted.
    pub async fn attach(&self, store: Arc<dyn ObjectStore>) -> Result<KeysReport> {
        let mut slot = self.shipper.lock().await;
        let generations = objects::list(store.as_ref(), PREFIX).await?;
        let table = load(store.as_ref(), &generations, &self.keyring.current()).await?;
        // Only once it has opened the table: a keyring that does not must not replace a copy that does.
        if generations.is_empty() {
            refuse_data_without_keys(store.as_ref()).await?;
            // Nothing is written under these keys yet, so that every copy can be waited for.
            self.keyring.spread().await?;
        } else {
            self.keyring.follow().await?;
        }
        let last = generations
            .last_key_value()
            .map_or(0, |(generation, _)| *generation);
        let keys = table.len();
        *self.table.lock().unwrap_or_else(PoisonError::into_inner) = Some(table);
        let shipper = slot.insert(Shipper {
            store,
            next: Place {
                generation: last,
                number: 0,
                previous: [0; 32],
            },
            pending: None,
        });
        let rotation_finished = self.keyring.is_rotating();
        let begun = if rotation_finished {
            self.rotate(shipper).await
        } else {
            self.snapshot(shipper).await
        };
        if begun.is_err() {
            *slot = None;
            *self.table.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        begun.map(|()| KeysReport {
            keys,
            rotation_finished,
        })
    }

    /// The secret that the person keys of `account` are made with.
    ///
    /// # Errors
    /// [`model::ErrorKind::NotFound`] when the account has none: it must not get another, or all
    /// its people would have other keys. [`model::ErrorKind::Unavailable`] before
    /// [`KeyTable::attach`].
    pub fn person_key_secret(&self, account: AccountId) -> Result<PersonKeySecret> {
        self.with(|table| table.person_secret(account))?
            .ok_or_else(|| {
                Error::NotFound(format!("secret for the person keys of account `{account}`"))
            })
    }

    /// Makes the secret of a new account; the same again when there is one already.
    ///
    /// # Errors
    /// [`model::ErrorKind::Unavailable`] when it cannot be made durable now.
    pub async fn create_person_key_secret(&self, account: AccountId) -> Result<PersonKeySecret> {
        let mut slot = self.shipper.lock().await;
        let shipper = slot.as_mut().ok_or_else(not_attached)?;
        self.settle(shipper).await?;
        if let Some(secret) = self.with(|table| table.person_secret(account))? {
            return Ok(secret);
        }
        let secret = Secret::new(self.random.bytes32());
        let row = Change::Put(self.new_id(), Use::Person(account), secret.clone());
        self.persist(shipper, vec![row], Vec::new()).await?;
        Ok(secret)
    }

    /// Does ahead of time what writers would wait for: the next hour's journal key, spare keys for
    /// objects. To be called every few minutes.
    ///
    /// # Errors
    /// [`model::ErrorKind::Unavailable`] when the volumes do not take them now; call again.
    pub async fn prepare(&self) -> Result<()> {
        let mut slot = self.shipper.lock().await;
        let shipper = slot.as_mut().ok_or_else(not_attached)?;
        self.settle(shipper).await?;
        let next_hour = self.hour().saturating_add(1);
        if self
            .with(|table| table.last_journal_hour())?
            .is_none_or(|last| last < next_hour)
        {
            self.make_journal_keys(shipper).await?;
        }
        if self.with(|table| table.spare_count())? < SPARE_KEYS / 2 {
            self.make_spare_keys(shipper).await?;
        }
        Ok(())
    }

    /// Ends a rotation that failed half-way, if there is one. To be called every few minutes, behind
    /// [`KeyTable::prepare`]: it needs every copy of the keyring, and keys must not wait for one that is
    /// away.
    ///
    /// # Errors
    /// [`model::ErrorKind::Unavailable`] when the volumes do not take the table now, or a copy of the keyring
    /// does not follow; call again.
    pub async fn finish_rotation(&self) -> Result<()> {
        if !self.keyring.is_rotating() {
            return Ok(());
        }
        self.reach_copies().await?;
        let mut slot = self.shipper.lock().await;
        let shipper = slot.as_mut().ok_or_else(not_attached)?;
        if self.keyring.is_rotating() {
            self.rotate(shipper).await?;
        }
        Ok(())
    }

    /// Writes down which keys this run has given to which objects. Whoever publishes objects calls
    /// it first: the key of an object that is not written down goes with the next
    /// [`KeyTable::destroy`] after a restart.
    ///
    /// # Errors
    /// [`model::ErrorKind::Unavailable`] when the volumes do not take it now.
    pub async fn record(&self) -> Result<()> {
        let mut slot = self.shipper.lock().await;
        let shipper = slot.as_mut().ok_or_else(not_attached)?;
        self.settle(shipper).await?;
        let changes = self.with(|table| table.unrecorded())?;
        if changes.is_empty() {
            return Ok(());
        }
        self.persist(shipper, changes, Vec::new()).await
    }

    /// Drops the rows of objects that were deleted. Older copies of the table keep them until the
    /// next [`KeyTable::destroy`].
    ///
    /// # Errors
    /// [`model::ErrorKind::Unavailable`] when the volumes do not take it now.
    pub async fn objects_deleted(&self, paths: &[String]) -> Result<()> {
        let mut slot = self.shipper.lock().await;
        let shipper = slot.as_mut().ok_or_else(not_attached)?;
        self.settle(shipper).await?;
        let gone: HashSet<&str> = paths.iter().map(String::as_str).collect();
        let changes = self.with(|table| table.removals_of_objects(|path| gone.contains(path)))?;
        if changes.is_empty() {
            return Ok(());
        }
        self.persist(shipper, changes, Vec::new()).await
    }

    /// Makes a new journal key, durable, and has every commit that begins from now on use it.
    ///
    /// A commit that had its key before this call may still be under way: wait for one that began
    /// later before destroying.
    ///
    /// # Errors
    /// [`model::ErrorKind::Unavailable`] when the volumes do not take it now.
    pub async fn rotate_journal_key(&self) -> Result<JournalMark> {
        let mut slot = self.shipper.lock().await;
        let shipper = slot.as_mut().ok_or_else(not_attached)?;
        self.settle(shipper).await?;
        let mark = self.with(|table| table.next_journal_sequence())?;
        self.make_journal_keys(shipper).await?;
        Ok(JournalMark(mark))
    }

    /// Writes the keyring to every copy before anything that needs them all: one that hangs is met here,
    /// where nobody waits for the key table meanwhile.
    async fn reach_copies(&self) -> Result<()> {
        // A keyring that has not opened the table must not be written over one that does.
        self.with(|_| ())?;
        self.keyring.spread().await
    }

    /// Destroys the keys of every object but those at the paths `live`, and of every commit that was
    /// begun before `journal_before`: nothing opens them afterwards, in no copy of the volumes.
    ///
    /// It is told what stays, because whoever lists what goes forgets what a crash left behind. All
    /// that is live must be on the list and durable, nothing may be about to be published, and the
    /// commits must be consumed. Call it again after a failure: it is idempotent.
    ///
    /// # Errors
    /// [`model::ErrorKind::Unavailable`] when the volumes or a copy of the keyring fail: the old
    /// epoch key may still exist; where the copy was away before the call, nothing was begun.
    /// [`model::ErrorKind::Corrupt`] when an object at one of the paths `live` has no key here: an older
    /// copy of the table may hold it, and would not open any more, so nothing was destroyed. Also when
    /// the new snapshot does not read back; the old epoch key still exists then.
    pub async fn destroy(
        &self,
        live: &[String],
        journal_before: Option<JournalMark>,
    ) -> Result<Destroyed> {
        self.reach_copies().await?;
        let mut slot = self.shipper.lock().await;
        let shipper = slot.as_mut().ok_or_else(not_attached)?;
        self.settle(shipper).await?;
        if let Some(path) = self.with(|table| table.first_without_key(live))? {
            let reason = format!("it has no key for the live object `{path}`: none is destroyed");
            return Err(Error::damaged("the key table", reason));
        }
        // A rotation that failed half-way has sealed what goes now under its own new epoch key, which
        // stays: what goes now needs a newer one.
        if self.keyring.is_rotating() {
            self.rotate(shipper).await?;
        }
        let live: HashSet<&str> = live.iter().map(String::as_str).collect();
        let (mut changes, removals) = self.with(|table| {
            let mut removals = table.removals_of_objects(|path| !live.contains(path));
            removals.extend(table.removals_of_strays());
            removals.extend(
                journal_before
                    .into_iter()
                    .flat_map(|at| table.removals_of_journal(at.0)),
            );
            (table.unrecorded(), removals)
        })?;
        let keys = removals.len();
        changes.extend(removals);
        // The removal is an increment of its own, so that a rotation that a crash interrupts is
        // finished at the next start without anybody's remembering what was to be removed.
        if !changes.is_empty() {
            self.persist(shipper, changes, Vec::new()).await?;
        }
        self.rotate(shipper).await?;
        Ok(Destroyed {
            keys,
            epoch: self.keyring.current().epoch(),
        })
    }

    /// New epoch key, whole table under it, read back, old epoch key destroyed: in this order.
    async fn rotate(&self, shipper: &mut Shipper) -> Result<()> {
        self.settle(shipper).await?;
        self.keyring.begin_epoch(&self.random).await?;
        let place = self.write_snapshot(shipper).await?;
        let path = objects::path(PREFIX, place.generation, place.number);
        let bytes = objects::get(shipper.store.as_ref(), &path)
            .await?
            .ok_or_else(|| Error::damaged(path.to_string(), "it is not there when read back"))?;
        // Only the newest epoch may be needed from here on.
        let newest = self.keyring.current().without_old_epochs();
        let read = format::decode(&bytes, place, &newest)?;
        if !self.with(|table| table.is_exactly(&read.changes))? {
            return Err(Error::damaged(
                path.to_string(),
                "it reads back otherwise than written",
            ));
        }
        self.keyring.end_epoch().await?;
        Self::tidy(shipper).await;
        Ok(())
    }

    /// A new generation that starts with the whole table; the old one goes last.
    async fn snapshot(&self, shipper: &mut Shipper) -> Result<()> {
        self.write_snapshot(shipper).await?;
        Self::tidy(shipper).await;
        Ok(())
    }

    async fn write_snapshot(&self, shipper: &mut Shipper) -> Result<Place> {
        self.settle(shipper).await?;
        let generation = shipper.next.generation.saturating_add(1);
        let place = Place {
            generation,
            number: 0,
            previous: [0; 32],
        };
        let rows = self.with(|table| table.all())?;
        let (bytes, digest) = self.encode(Kind::Snapshot, place, &rows)?;
        let (kind, changes, stock) = (Kind::Snapshot, Vec::new(), Vec::new());
        shipper.pending = Some(Pending {
            kind,
            place,
            bytes,
            digest,
            changes,
            stock,
        });
        self.settle(shipper).await?;
        Ok(place)
    }

    /// Deletes what the newest generation replaces. What stays is deleted the next time.
    async fn tidy(shipper: &Shipper) {
        let generation = shipper.next.generation;
        let store = shipper.store.as_ref();
        if let Err(error) = objects::delete_before(store, PREFIX, generation).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                keys.generation = generation,
                "failed to delete old generations of the key table"
            );
        }
    }

    async fn make_journal_keys(&self, shipper: &mut Shipper) -> Result<()> {
        let (sequence, last) =
            self.with(|table| (table.next_journal_sequence(), table.last_journal_hour()))?;
        let now = self.hour();
        let first = last.map_or(now, |last| now.max(last.saturating_sub(1)));
        let rows = [
            (sequence, first),
            (sequence.saturating_add(1), first.saturating_add(1)),
        ]
        .into_iter()
        .map(|(sequence, hour)| {
            let secret = Secret::new(self.random.bytes32());
            Change::Put(self.new_id(), Use::Journal { sequence, hour }, secret)
        })
        .collect();
        self.persist(shipper, rows, Vec::new()).await
    }

    async fn make_spare_keys(&self, shipper: &mut Shipper) -> Result<()> {
        let stock: Vec<KeyId> = (0..SPARE_KEYS).map(|_| self.new_id()).collect();
        let mut changes = self.with(|table| table.unrecorded())?;
        changes.extend(
            stock
                .iter()
                .map(|id| Change::Put(*id, Use::Object(None), Secret::new(self.random.bytes32()))),
        );
        self.persist(shipper, changes, stock).await
    }

    /// Ships `changes` and applies them once they are durable.
    async fn persist(
        &self,
        shipper: &mut Shipper,
        changes: Vec<Change>,
        stock: Vec<KeyId>,
    ) -> Result<()> {
        self.settle(shipper).await?;
        let place = shipper.next;
        let (bytes, digest) = self.encode(Kind::Increment, place, &changes)?;
        let kind = Kind::Increment;
        shipper.pending = Some(Pending {
            kind,
            place,
            bytes,
            digest,
            changes,
            stock,
        });
        self.settle(shipper).await?;
        if shipper.next.number > INCREMENTS_MAX
            && let Err(error) = self.snapshot(shipper).await
        {
            // The changes themselves are durable; the snapshot's bytes go first the next time.
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "failed to write a snapshot of the key table"
            );
        }
        Ok(())
    }

    /// Brings the object whose outcome is unknown to the volumes: the same bytes, nothing before.
    async fn settle(&self, shipper: &mut Shipper) -> Result<()> {
        let Some(pending) = &shipper.pending else {
            return Ok(());
        };
        let path: Path = objects::path(PREFIX, pending.place.generation, pending.place.number);
        objects::put(shipper.store.as_ref(), &path, &pending.bytes).await?;
        if let Some(pending) = shipper.pending.take() {
            shipper.next = Place {
                generation: pending.place.generation,
                number: pending.place.number.saturating_add(1),
                previous: pending.digest,
            };
            self.with(|table| {
                if pending.kind == Kind::Increment {
                    table.apply(pending.changes);
                }
                table.stock(pending.stock);
            })?;
        }
        Ok(())
    }

    fn encode(&self, kind: Kind, place: Place, changes: &[Change]) -> Result<(Bytes, [u8; 32])> {
        let keyring = self.keyring.current();
        let (bytes, digest) = format::encode(kind, place, changes, &keyring, self.random.as_ref())?;
        Ok((Bytes::from(bytes), digest))
    }

    fn with<T>(&self, ask: impl FnOnce(&mut Table) -> T) -> Result<T> {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.as_mut().map(ask).ok_or_else(not_attached)
    }

    fn new_id(&self) -> KeyId {
        KeyId(self.random.bytes16())
    }

    fn hour(&self) -> i64 {
        self.clock.now().ms().div_euclid(HOUR_MS)
    }

    async fn key_for_commit(&self) -> Result<(KeyRef, Secret<[u8; 32]>)> {
        loop {
            if let Some(ready) = self.journal_key_of_now()? {
                return Ok(ready);
            }
            let mut slot = self.shipper.lock().await;
            let shipper = slot.as_mut().ok_or_else(not_attached)?;
            self.settle(shipper).await?;
            if self.journal_key_of_now()?.is_none() {
                self.make_journal_keys(shipper).await?;
            }
        }
    }

    fn journal_key_of_now(&self) -> Result<Option<(KeyRef, Secret<[u8; 32]>)>> {
        let hour = self.hour();
        self.with(|table| {
            let (from, id) = table.journal_key(hour)?;
            let secret = table.secret(id)?;
            (from >= hour).then_some((KeyRef::Data(id), secret))
        })
    }

    async fn key_for_object(&self, path: &str) -> Result<(KeyRef, Secret<[u8; 32]>)> {
        loop {
            if let Some((id, secret)) = self.with(|table| table.give(path))? {
                return Ok((KeyRef::Data(id), secret));
            }
            let mut slot = self.shipper.lock().await;
            let shipper = slot.as_mut().ok_or_else(not_attached)?;
            self.settle(shipper).await?;
            if self.with(|table| table.spare_count())? == 0 {
                self.make_spare_keys(shipper).await?;
            }
        }
    }

    fn epoch_object_key(&self, epoch: u32) -> seal::Result<Secret<[u8; 32]>> {
        let key = self
            .keyring
            .current()
            .epoch_key(epoch)
            .ok_or_else(|| seal::Error::KeyDestroyed(format!("epoch key {epoch}")))?;
        seal::derive(&key, "strongroom key table objects v1", &[])
    }

    fn root_object_key(&self) -> Secret<[u8; 32]> {
        self.keyring.secret("control objects v1")
    }
}

#[async_trait]
impl KeySource for KeyTable {
    async fn key_for_write(&self, path: &str) -> seal::Result<(KeyRef, Secret<[u8; 32]>)> {
        match path.split('/').next() {
            Some("control") => Ok((KeyRef::Root, self.root_object_key())),
            Some(PREFIX) => {
                let epoch = self.keyring.current().epoch();
                Ok((KeyRef::Epoch(epoch), self.epoch_object_key(epoch)?))
            }
            // Where earlier writers ended: numbers and digests, nobody's data. It must outlive the
            // journal keys that a deletion destroys.
            Some("journal") if path.starts_with("journal/settled/") => {
                Ok((KeyRef::Root, self.root_object_key()))
            }
            Some("journal") => Ok(self.key_for_commit().await?),
            Some(_) | None => Ok(self.key_for_object(path).await?),
        }
    }

    async fn key(&self, key: KeyRef) -> seal::Result<Secret<[u8; 32]>> {
        match key {
            KeyRef::Root => Ok(self.root_object_key()),
            KeyRef::Epoch(epoch) => self.epoch_object_key(epoch),
            KeyRef::Data(id) => self
                .with(|table| table.secret(id))?
                .ok_or_else(|| seal::Error::KeyDestroyed(format!("data key {id}"))),
        }
    }
}

fn not_attached() -> Error {
    Error::Keys(seal::Error::Unavailable {
        message: "the key table is not attached yet".to_owned(),
        source: None,
    })
}
