//! A lake over memory, with records to put into it and eyes to see what is there.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{TimestampMillisecondType, UInt32Type};
use futures::TryStreamExt;
use futures::stream::BoxStream;
use model::catalog::{Catalog, Consumed, PartMeta, Publication};
use model::record::{
    Change, ChangeOp, Entry, Event, Link, LinkKind, Outcome, Peer, Plane, ProfileChange,
    Quarantined, Record, RequestLine, Source, Table,
};
use model::{
    AccountId, Clock, CommitId, IdentityKind, LedgerPosition, ManualClock, PersonKey, RawJson,
    RecordId, SeededRandom, Timestamp, WriterId,
};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result as StoreResult,
};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use super::catalog::MemoryCatalog;
use crate::keep::Keep;
use crate::part;
use crate::{FlushReport, Lake, Result, Settings};

pub(super) const DAY_MS: i64 = 86_400_000;
/// 2026-11-02T00:00:00Z.
pub(super) const MONDAY: i64 = 20_759 * DAY_MS;

/// Hides whole people.
#[derive(Debug, Clone, Default)]
pub(super) struct Hidden {
    pub(super) persons: BTreeSet<PersonKey>,
    pub(super) ledger: u64,
}

impl Keep for Hidden {
    fn keep(&self, _: AccountId, person: PersonKey, _: Timestamp) -> bool {
        !self.persons.contains(&person)
    }

    fn ledger(&self) -> LedgerPosition {
        LedgerPosition(self.ledger)
    }
}

pub(super) fn everyone() -> Arc<dyn Keep> {
    Arc::new(Hidden::default())
}

pub(super) fn without(persons: &[PersonKey], ledger: u64) -> Arc<dyn Keep> {
    Arc::new(Hidden {
        persons: persons.iter().copied().collect(),
        ledger,
    })
}

pub(super) struct World {
    pub(super) store: Arc<Faulty>,
    pub(super) catalog: Arc<MemoryCatalog>,
    pub(super) clock: Arc<ManualClock>,
    pub(super) lake: Lake,
    next_commit: AtomicU64,
    next_record: AtomicU64,
}

pub(super) fn small() -> Settings {
    Settings {
        row_group_rows: 64,
        page_rows: 16,
        day_rows_min: 20,
        ..Settings::default()
    }
}

impl World {
    pub(super) fn new(settings: Settings) -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::from_ms(MONDAY)));
        let catalog = Arc::new(MemoryCatalog::new(Arc::<ManualClock>::clone(&clock)));
        let store = Arc::new(Faulty::default());
        let lake = Lake::new(
            Arc::<Faulty>::clone(&store),
            Arc::<MemoryCatalog>::clone(&catalog),
            Arc::<ManualClock>::clone(&clock),
            Arc::new(SeededRandom::new(1)),
            settings,
        );
        let (next_commit, next_record) = (AtomicU64::new(1), AtomicU64::new(1));
        Self {
            store,
            catalog,
            clock,
            lake,
            next_commit,
            next_record,
        }
    }

    pub(super) fn id(&self) -> RecordId {
        let number = self.next_record.fetch_add(1, Ordering::Relaxed);
        RecordId(u128::from(number).to_be_bytes())
    }

    /// An event of the person at `ms` after Monday.
    pub(super) fn event(&self, person: PersonKey, ms: i64, properties: &str) -> Record {
        let ts = Timestamp::from_ms(MONDAY + ms);
        Record::Event(Event {
            id: self.id(),
            person,
            name: "Charged".into(),
            ts,
            received_at: ts,
            ts_sent: None,
            source: Source::Rest,
            session: None,
            properties: RawJson::parse(properties).unwrap(),
            context: None,
        })
    }

    /// One record of each other table, of the person.
    pub(super) fn others(&self, person: PersonKey) -> Vec<Record> {
        let ts = Timestamp::from_ms(MONDAY);
        let change = |op, value| Change {
            property: "Email".into(),
            op,
            value: RawJson::parse(value).unwrap(),
        };
        vec![
            Record::ProfileChange(ProfileChange {
                id: self.id(),
                person,
                ts,
                received_at: ts,
                source: Source::Web,
                changes: vec![
                    change(ChangeOp::Put, "\"a@b.c\""),
                    change(ChangeOp::Delete, "1"),
                ],
            }),
            Record::Link(Link {
                id: self.id(),
                from: other_key(person),
                to: person,
                ts,
                received_at: ts,
                from_kind: IdentityKind::ObjectId,
                kind: LinkKind::Device,
            }),
            Record::Quarantined(Box::new(Quarantined {
                id: self.id(),
                received_at: ts,
                source: Source::Rest,
                person: Some(person),
                code: 515,
                error: "bad".into(),
                body: vec![1, 2, 3],
            })),
            Record::Quarantined(Box::new(Quarantined {
                id: self.id(),
                received_at: ts,
                source: Source::Rest,
                person: None,
                code: 0,
                error: "not JSON".into(),
                body: vec![0xff],
            })),
            Record::Request(Box::new(RequestLine {
                id: self.id(),
                at: ts,
                plane: Plane::Api,
                peer: Peer::Hashed {
                    hash: [1; 8],
                    network: "203.0.113.0/24".into(),
                },
                tls_version: "1.3".into(),
                method: "POST".into(),
                path: "/1/upload".into(),
                status: 200,
                outcome: Outcome::Answered,
                reason: "".into(),
                size_bytes: 17,
                accepted: 1,
                rejected: 0,
                duration_us: 9,
            })),
        ]
    }

    /// Flushes one commit.
    pub(super) async fn flush(
        &self,
        of: AccountId,
        records: Vec<Record>,
        keep: &Arc<dyn Keep>,
    ) -> Result<FlushReport> {
        let entries = records
            .into_iter()
            .map(|record| Entry {
                account: of,
                record,
            })
            .collect();
        self.flush_entries(entries, keep).await
    }

    pub(super) async fn flush_entries(
        &self,
        entries: Vec<Entry>,
        keep: &Arc<dyn Keep>,
    ) -> Result<FlushReport> {
        let writer = WriterId { node: 1, start: 1 };
        let number = self.next_commit.load(Ordering::Relaxed);
        let commit = (CommitId { writer, number }, Arc::new(entries));
        let consumed = vec![Consumed {
            writer,
            from: number - 1,
            to: number,
        }];
        let report = self
            .lake
            .flush(vec![commit], consumed, Arc::clone(keep))
            .await?;
        self.next_commit.store(number + 1, Ordering::Relaxed);
        Ok(report)
    }

    /// Flushes one commit of nobody's journal as if no part held anything.
    pub(super) async fn flush_blindly(&self, entries: Vec<Entry>) {
        let writer = WriterId { node: 9, start: 1 };
        let commits = vec![(CommitId { writer, number: 1 }, Arc::new(entries))];
        let (now, settings) = (self.clock.now(), small());
        let written = self.lake.store_parts(move |sink| {
            crate::flush::write(
                &commits,
                &HashMap::new(),
                &*everyone(),
                now,
                &settings,
                sink,
            )
        });
        let (add, _) = written.await.unwrap();
        let publication = Publication {
            add,
            ..Publication::default()
        };
        self.catalog.publish(publication).await.unwrap();
    }

    pub(super) async fn parts(&self, of: AccountId, table: Table) -> Vec<Arc<PartMeta>> {
        self.catalog.view(Some(of), &[table]).await.unwrap().parts
    }

    /// The rows of each live part.
    pub(super) async fn read(
        &self,
        of: AccountId,
        table: Table,
    ) -> Vec<(Arc<PartMeta>, Vec<RecordBatch>)> {
        let mut read = Vec::new();
        for meta in self.parts(of, table).await {
            let bytes = self.lake.fetch(&meta).await.unwrap();
            assert_eq!(
                bytes.len() as u64,
                meta.size_bytes,
                "the size is the object's"
            );
            let batches: Vec<RecordBatch> = part::open(&meta.path, bytes)
                .unwrap()
                .build()
                .unwrap()
                .map(Result::unwrap)
                .collect();
            check_meta(&meta, &batches);
            read.push((meta, batches));
        }
        read
    }

    /// The sort keys of all rows of a table, in order.
    pub(super) async fn keys(&self, of: AccountId, table: Table) -> Vec<Key> {
        let read = self.read(of, table).await;
        let mut keys: Vec<Key> = read
            .iter()
            .flat_map(|(_, it)| it.iter().flat_map(keys_of))
            .collect();
        keys.sort_unstable();
        keys
    }

    /// Runs compaction until it has nothing to do.
    pub(super) async fn compact(&self, of: AccountId, table: Table) -> usize {
        let mut steps = 0;
        while self
            .lake
            .compact(of, table, everyone())
            .await
            .unwrap()
            .merged
            > 0
        {
            steps += 1;
            assert!(steps < 1_000, "compaction comes to an end");
        }
        steps
    }

    pub(super) async fn objects(&self) -> Vec<String> {
        let listed: Vec<ObjectMeta> = self.store.list(None).try_collect().await.unwrap();
        listed
            .into_iter()
            .map(|it| it.location.to_string())
            .collect()
    }
}

pub(super) type Key = (Option<Vec<u8>>, i64, Vec<u8>, u32);

pub(super) fn keys_of(batch: &RecordBatch) -> Vec<Key> {
    let person = batch
        .column_by_name("person_key")
        .map(|it| it.as_fixed_size_binary().clone());
    let ts = batch
        .column_by_name("ts")
        .unwrap()
        .as_primitive::<TimestampMillisecondType>();
    let id = batch
        .column_by_name("record_id")
        .unwrap()
        .as_fixed_size_binary();
    let ordinal = batch
        .column_by_name("ordinal")
        .map(|it| it.as_primitive::<UInt32Type>().clone());
    let key = |row: usize| {
        let person = person
            .as_ref()
            .filter(|it| it.is_valid(row))
            .map(|it| it.value(row).to_vec());
        (
            person,
            ts.value(row),
            id.value(row).to_vec(),
            ordinal.as_ref().map_or(0, |it| it.value(row)),
        )
    };
    (0..batch.num_rows()).map(key).collect()
}

/// What the list says of a part is true, and its rows are in order.
fn check_meta(meta: &PartMeta, batches: &[RecordBatch]) {
    let keys: Vec<Key> = batches.iter().flat_map(keys_of).collect();
    assert!(keys.is_sorted(), "the rows are in order");
    assert_eq!(keys.len() as u64, meta.rows);
    assert_eq!(keys.iter().map(|it| it.1).min(), Some(meta.ts_min.ms()));
    assert_eq!(keys.iter().map(|it| it.1).max(), Some(meta.ts_max.ms()));
    let persons: Vec<_> = keys.iter().filter_map(|it| it.0.clone()).collect();
    if let (Some(first), Some(last)) = (persons.first(), persons.last()) {
        assert_eq!(
            (&first[..], &last[..]),
            (&meta.person_min.0[..], &meta.person_max.0[..])
        );
    }
    if let Some(day) = meta.day {
        assert_eq!((meta.ts_min.day(), meta.ts_max.day()), (day, day));
    }
    let mut used = BTreeSet::new();
    for batch in batches {
        for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
            let name = field.name();
            if (name == "overflow" || name.starts_with("p:")) && column.null_count() < column.len()
            {
                used.insert(name.clone());
            }
        }
    }
    assert_eq!(meta.columns.iter().cloned().collect::<BTreeSet<_>>(), used);
}

pub(super) fn account(number: usize) -> AccountId {
    format!("A-{number}").parse().unwrap()
}

pub(super) fn person(number: u8) -> PersonKey {
    let mut key = [number; 16];
    key[0] = number.wrapping_mul(37);
    PersonKey(key)
}

/// The device of a person.
pub(super) fn other_key(person: PersonKey) -> PersonKey {
    PersonKey(person.0.map(|it| it ^ 0x55))
}

pub(super) fn run<T>(act: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(act)
}

/// A store in memory whose puts can be made to fail.
#[derive(Debug, Default)]
pub(super) struct Faulty {
    inner: InMemory,
    /// Puts that succeed before one fails; below zero: none fails.
    puts_left: AtomicI64,
    armed: AtomicI64,
    gets_fail: AtomicBool,
}

impl Faulty {
    pub(super) fn fail_put(&self, after: i64) {
        self.puts_left.store(after, Ordering::Relaxed);
        self.armed.store(1, Ordering::Relaxed);
    }

    pub(super) fn fail_gets(&self) {
        self.gets_fail.store(true, Ordering::Relaxed);
    }

    pub(super) fn heal(&self) {
        self.armed.store(0, Ordering::Relaxed);
    }
}

impl std::fmt::Display for Faulty {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("faulty memory")
    }
}

#[async_trait::async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(
        &self,
        to: &Path,
        bytes: PutPayload,
        how: PutOptions,
    ) -> StoreResult<PutResult> {
        if self.armed.load(Ordering::Relaxed) == 1
            && self.puts_left.fetch_sub(1, Ordering::Relaxed) <= 0
        {
            return Err(object_store::Error::Generic {
                store: "faulty",
                source: "told to".into(),
            });
        }
        self.inner.put_opts(to, bytes, how).await
    }

    async fn put_multipart_opts(
        &self,
        to: &Path,
        how: PutMultipartOptions,
    ) -> StoreResult<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(to, how).await
    }

    async fn get_opts(&self, from: &Path, how: GetOptions) -> StoreResult<GetResult> {
        if self.gets_fail.load(Ordering::Relaxed) {
            return Err(object_store::Error::Generic {
                store: "faulty",
                source: "told to".into(),
            });
        }
        self.inner.get_opts(from, how).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, StoreResult<Path>>,
    ) -> BoxStream<'static, StoreResult<Path>> {
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, StoreResult<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> StoreResult<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, how: CopyOptions) -> StoreResult<()> {
        self.inner.copy_opts(from, to, how).await
    }
}
