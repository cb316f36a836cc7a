//! What the tests share: stores that fail on demand or seal like the real one, and an installation.

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use model::{Clock, KeyId, ManualClock, Random, SeededRandom, Timestamp};
use object_store::memory::InMemory;
use object_store::path::Path as ObjectPath;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt as _, PutMultipartOptions, PutOptions, PutPayload, PutResult,
};
use seal::{KeyRef, KeySource, Keyring};
use sqlx::{AssertSqlSafe, Row as _};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};

use crate::database::Session;
use crate::{Actor, Control, Error, KeyTable, RestoreReport, Settings, SharedKeyring};

/// How a put fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// Nothing is written.
    Before,
    /// It is written, and an error is answered.
    After,
}

/// A store in memory. The puts that follow a countdown fail, until it is healed.
#[derive(Debug)]
pub(super) struct Faulty {
    pub(super) inner: Arc<InMemory>,
    countdown: AtomicI64,
    fault: AtomicU8,
}

impl std::fmt::Display for Faulty {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Faulty")
    }
}

impl Faulty {
    pub(super) fn over(inner: InMemory) -> Arc<Self> {
        Arc::new(Self {
            inner: Arc::new(inner),
            countdown: AtomicI64::new(i64::MAX),
            fault: AtomicU8::new(0),
        })
    }

    pub(super) fn new() -> Arc<Self> {
        Self::over(InMemory::new())
    }

    /// Every put after `good` more fails.
    pub(super) fn fail_after(&self, good: i64, fault: Fault) {
        self.fault
            .store(u8::from(fault == Fault::After), Ordering::SeqCst);
        self.countdown.store(good, Ordering::SeqCst);
    }

    pub(super) fn heal(&self) {
        self.countdown.store(i64::MAX, Ordering::SeqCst);
    }

    fn failed() -> object_store::Error {
        object_store::Error::Generic {
            store: "Faulty",
            source: "on purpose".into(),
        }
    }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(
        &self,
        location: &ObjectPath,
        payload: PutPayload,
        opts: PutOptions,
    ) -> object_store::Result<PutResult> {
        let left = self.countdown.fetch_sub(1, Ordering::SeqCst);
        if left > 0 {
            return self.inner.put_opts(location, payload, opts).await;
        }
        if self.fault.load(Ordering::SeqCst) == 1 {
            drop(self.inner.put_opts(location, payload, opts).await);
        }
        Err(Self::failed())
    }

    async fn put_multipart_opts(
        &self,
        location: &ObjectPath,
        opts: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, opts).await
    }

    async fn get_opts(
        &self,
        location: &ObjectPath,
        options: GetOptions,
    ) -> object_store::Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, object_store::Result<ObjectPath>>,
    ) -> BoxStream<'static, object_store::Result<ObjectPath>> {
        self.inner.delete_stream(locations)
    }

    fn list(
        &self,
        prefix: Option<&ObjectPath>,
    ) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(
        &self,
        prefix: Option<&ObjectPath>,
    ) -> object_store::Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(
        &self,
        from: &ObjectPath,
        to: &ObjectPath,
        options: CopyOptions,
    ) -> object_store::Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

/// Seals each object under the key that a key source gives for it, as the real store does.
#[derive(Debug)]
pub(super) struct Sealing {
    pub(super) inner: Arc<dyn ObjectStore>,
    pub(super) keys: Arc<dyn KeySource>,
    pub(super) random: Arc<dyn Random>,
}

impl std::fmt::Display for Sealing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealing")
    }
}

fn generic(error: impl std::error::Error + Send + Sync + 'static) -> object_store::Error {
    object_store::Error::Generic {
        store: "Sealing",
        source: Box::new(error),
    }
}

impl Sealing {
    async fn open(&self, path: &ObjectPath) -> object_store::Result<Bytes> {
        let bytes = self.inner.get(path).await?.bytes().await?;
        let key = match bytes[0] {
            0 => KeyRef::Root,
            1 => KeyRef::Epoch(u32::from_le_bytes(bytes[1..5].try_into().unwrap())),
            _ => KeyRef::Data(KeyId(bytes[1..17].try_into().unwrap())),
        };
        let secret = self.keys.key(key).await.map_err(generic)?;
        let opened = seal::open_field(&secret, path.as_ref(), &bytes[17..]).map_err(generic)?;
        Ok(Bytes::from(opened.expose().clone()))
    }
}

#[async_trait]
impl ObjectStore for Sealing {
    async fn put_opts(
        &self,
        location: &ObjectPath,
        payload: PutPayload,
        opts: PutOptions,
    ) -> object_store::Result<PutResult> {
        let (key, secret) = self
            .keys
            .key_for_write(location.as_ref())
            .await
            .map_err(generic)?;
        let mut out = vec![0; 17];
        match key {
            KeyRef::Root => {}
            KeyRef::Epoch(epoch) => {
                out[0] = 1;
                out[1..5].copy_from_slice(&epoch.to_le_bytes());
            }
            KeyRef::Data(id) => {
                out[0] = 2;
                out[1..].copy_from_slice(&id.0);
            }
        }
        let plain = Bytes::from(payload);
        let sealed =
            seal::seal_field(&secret, location.as_ref(), &plain, self.random.as_ref()).unwrap();
        out.extend_from_slice(&sealed);
        self.inner
            .put_opts(location, Bytes::from(out).into(), opts)
            .await
    }

    async fn put_multipart_opts(
        &self,
        _: &ObjectPath,
        _: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        Err(Faulty::failed())
    }

    async fn get_opts(
        &self,
        location: &ObjectPath,
        options: GetOptions,
    ) -> object_store::Result<GetResult> {
        let bytes = self.open(location).await?;
        let shown = InMemory::new();
        shown.put(location, bytes.into()).await?;
        shown.get_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, object_store::Result<ObjectPath>>,
    ) -> BoxStream<'static, object_store::Result<ObjectPath>> {
        self.inner.delete_stream(locations)
    }

    fn list(
        &self,
        prefix: Option<&ObjectPath>,
    ) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.inner.list(prefix).boxed()
    }

    async fn list_with_delimiter(
        &self,
        prefix: Option<&ObjectPath>,
    ) -> object_store::Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(
        &self,
        _: &ObjectPath,
        _: &ObjectPath,
        _: CopyOptions,
    ) -> object_store::Result<()> {
        Err(Faulty::failed())
    }
}

pub(super) const NOON: i64 = 1_800_000_000_000;

/// A keyring, a clock and randomness: what survives a restart.
#[derive(Debug, Clone)]
pub(super) struct World {
    pub(super) keyring: Arc<Mutex<Keyring>>,
    pub(super) clock: Arc<ManualClock>,
    pub(super) random: Arc<dyn Random>,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let random: Arc<dyn Random> = Arc::new(SeededRandom::new(seed));
        Self {
            keyring: Arc::new(Mutex::new(Keyring::create(random.as_ref()))),
            clock: Arc::new(ManualClock::new(Timestamp::from_ms(NOON))),
            random,
        }
    }

    pub(super) fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock) as Arc<dyn Clock>
    }

    pub(super) fn shared_keyring(&self) -> Arc<SharedKeyring> {
        Arc::new(SharedKeyring::new(
            self.keyring.lock().unwrap().clone(),
            Vec::new(),
        ))
    }

    pub(super) fn settings(dir: &Path) -> Settings {
        // So small that generations change every few transactions, once the file is large enough.
        Settings {
            snapshot_after_bytes: 1,
            ..Settings::new(dir.to_path_buf())
        }
    }

    pub(super) async fn open(
        &self,
        dir: &Path,
        store: Arc<dyn ObjectStore>,
    ) -> Result<(Control, RestoreReport), Error> {
        let keyring = self.shared_keyring();
        let keys = KeyTable::open(Arc::clone(&keyring), self.clock(), Arc::clone(&self.random));
        keys.attach(Arc::clone(&store)).await?;
        let random = Arc::clone(&self.random);
        Control::open(
            Self::settings(dir),
            keyring,
            store,
            keys,
            self.clock(),
            random,
        )
        .await
    }
}

pub(super) fn operator() -> Actor {
    Actor::os_user("olga")
}

/// What a killed process leaves on its disk.
pub(super) fn copy_disk(from: &Path, to: &Path) {
    for name in ["control.db", "control.db-wal"] {
        match fs::copy(from.join(name), to.join(name)) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{name}"),
        }
    }
}

/// The columns of every table.
pub(super) async fn columns(session: &mut Session) -> BTreeMap<String, Vec<String>> {
    let tables = sqlx::query("SELECT name FROM sqlite_master WHERE type = 'table'")
        .fetch_all(session.connection())
        .await
        .unwrap();
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for table in tables {
        let table: String = table.get(0);
        let columns = sqlx::query(AssertSqlSafe(format!("PRAGMA table_info({table})")))
            .fetch_all(session.connection())
            .await
            .unwrap();
        all.insert(table, columns.iter().map(|row| row.get(1)).collect());
    }
    all
}

/// Every row of these tables as SQL literals, with these columns.
pub(super) async fn rows(
    session: &mut Session,
    columns: &BTreeMap<String, Vec<String>>,
) -> Vec<String> {
    let mut rows = Vec::new();
    for (table, columns) in columns {
        let columns: Vec<String> = columns.iter().map(|it| format!("quote({it})")).collect();
        let sql = format!(
            "SELECT {} FROM {table} ORDER BY 1",
            columns.join(" || ',' || ")
        );
        for row in sqlx::query(AssertSqlSafe(sql))
            .fetch_all(session.connection())
            .await
            .unwrap()
        {
            rows.push(format!("{table}: {}", row.get::<String, _>(0)));
        }
    }
    rows
}

/// Every row of every table, as SQL literals.
pub(super) async fn dump_session(session: &mut Session) -> Vec<String> {
    let columns = columns(session).await;
    rows(session, &columns).await
}

pub(super) async fn dump(control: &Control) -> Vec<String> {
    control
        .database
        .read(|session| Box::pin(async move { Ok(dump_session(session).await) }))
        .await
        .unwrap()
}

/// What a restore from the volumes alone gives.
pub(super) async fn dump_restored(store: &dyn ObjectStore) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control.db");
    let shipped = crate::shipping::restore::find(store).await.unwrap();
    crate::shipping::restore::restore(store, shipped.tail.unwrap(), &path)
        .await
        .unwrap();
    let mut session = Session::open(&path).await.unwrap();
    let rows = dump_session(&mut session).await;
    session.close().await.unwrap();
    rows
}
