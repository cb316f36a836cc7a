//! A lake and a journal in memory, with records to put into them and eyes to read them.

use async_trait::async_trait;
use futures::StreamExt;
use governance::{Mask, Masks, PropertyOf, Restricted, Stretch, Suppressions};
use lake::{Keep, Lake};
use model::catalog::{Catalog, Consumed, Error as CatalogError, PartMeta, Publication, View};
use model::record::{
    Change, ChangeOp, Entry, Event, Link, LinkKind, Outcome, Peer, Plane, ProfileChange,
    Quarantined, Record, RequestLine, Source, Table,
};
use model::{
    AccountId, CommitId, IdentityKind, LedgerPosition, ManualClock, PartId, PersonKey, RawJson,
    RecordId, SeededRandom, Timestamp, WriterId,
};
use object_store::memory::InMemory;
use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::catalog::MemoryCatalog;
use crate::{Engine, Error, Held, ReadPolicy, Result, Settings, Tail, json};

pub(super) const HOUR: i64 = 3_600_000;
pub(super) const DAY: i64 = 24 * HOUR;
/// 2026-11-02T00:00:00Z.
pub(super) const MONDAY: i64 = 20_759 * DAY;
const WRITER: WriterId = WriterId { node: 1, start: 1 };

/// The time `ms` after Monday.
pub(super) fn at(ms: i64) -> Timestamp {
    Timestamp::from_ms(MONDAY + ms)
}

/// The n-th person's key: its first byte is `n`.
pub(super) fn person(n: u8) -> PersonKey {
    let mut key = [0x11; 16];
    key[0] = n;
    PersonKey(key)
}

pub(super) fn account() -> AccountId {
    "A-1".parse().unwrap()
}

/// The journal: commits that are not retired.
#[derive(Debug, Default)]
pub(super) struct MemoryTail {
    commits: Mutex<Vec<(CommitId, Arc<Vec<Entry>>)>>,
    stalled: AtomicBool,
}

#[async_trait]
impl Tail for MemoryTail {
    async fn live(&self) -> Result<Vec<CommitId>> {
        if self.stalled.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        Ok(self
            .commits
            .lock()
            .unwrap()
            .iter()
            .map(|(id, _)| *id)
            .collect())
    }

    fn hold(&self) -> Held {
        Held::default()
    }

    async fn read(&self, id: CommitId) -> Result<Arc<Vec<Entry>>> {
        let commits = self.commits.lock().unwrap();
        let found = commits.iter().find(|(it, _)| *it == id);
        found
            .map(|(_, entries)| Arc::clone(entries))
            .ok_or(Error::Retired(id))
    }
}

/// When a flush cuts in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flush {
    /// After the journal was listed, before the parts are.
    BeforeView,
    /// After the parts were listed, before the journal is read.
    AfterView,
}

/// A catalog under whose views flushes happen.
#[derive(Debug)]
pub(super) struct RacingCatalog {
    inner: Arc<MemoryCatalog>,
    lake: Lake,
    tail: Arc<MemoryTail>,
    script: Mutex<VecDeque<Flush>>,
}

impl RacingCatalog {
    /// Flushes and retires everything.
    async fn flush(&self) {
        let commits = self.tail.commits.lock().unwrap().clone();
        let view = self.inner.view(None, &Table::ALL).await.unwrap();
        let from = view.watermarks.first().map_or(0, |(_, to)| *to);
        let fresh: Vec<_> = commits
            .into_iter()
            .filter(|(id, _)| id.number > from)
            .collect();
        let Some(to) = fresh.iter().map(|(id, _)| id.number).max() else {
            return;
        };
        let consumed = vec![Consumed {
            writer: WRITER,
            from,
            to,
        }];
        self.lake
            .flush(fresh, consumed, Arc::new(Everyone))
            .await
            .unwrap();
        self.tail
            .commits
            .lock()
            .unwrap()
            .retain(|(id, _)| id.number > to);
    }
}

#[async_trait]
impl Catalog for RacingCatalog {
    async fn view(
        &self,
        account: Option<AccountId>,
        tables: &[Table],
    ) -> Result<View, CatalogError> {
        let cut_in = self.script.lock().unwrap().pop_front();
        if cut_in == Some(Flush::BeforeView) {
            self.flush().await;
        }
        let view = self.inner.view(account, tables).await;
        if cut_in == Some(Flush::AfterView) {
            self.flush().await;
        }
        view
    }

    async fn publish(&self, publication: Publication) -> Result<(), CatalogError> {
        self.inner.publish(publication).await
    }

    async fn garbage(&self, before: Timestamp) -> Result<Vec<Arc<PartMeta>>, CatalogError> {
        self.inner.garbage(before).await
    }

    async fn forget(&self, parts: &[PartId]) -> Result<(), CatalogError> {
        self.inner.forget(parts).await
    }
}

#[derive(Debug)]
struct Everyone;

impl Keep for Everyone {
    fn keep(&self, _: AccountId, _: PersonKey, _: Timestamp) -> bool {
        true
    }

    fn ledger(&self) -> LedgerPosition {
        LedgerPosition(0)
    }
}

pub(super) struct World {
    pub(super) clock: Arc<ManualClock>,
    pub(super) engine: Engine,
    pub(super) lake: Lake,
    pub(super) store: Arc<InMemory>,
    catalog: Arc<RacingCatalog>,
    tail: Arc<MemoryTail>,
    next_commit: AtomicU64,
    next_record: AtomicU64,
}

impl World {
    pub(super) fn new() -> Self {
        Self::with(Settings {
            threads: 2,
            ..Settings::default()
        })
    }

    pub(super) fn with(settings: Settings) -> Self {
        let clock = Arc::new(ManualClock::new(at(10 * DAY)));
        let store = Arc::new(InMemory::new());
        let inner = Arc::new(MemoryCatalog::new(Arc::<ManualClock>::clone(&clock)));
        let small = lake::Settings {
            row_group_rows: 64,
            page_rows: 16,
            day_rows_min: 20,
            ..lake::Settings::default()
        };
        let lake = Lake::new(
            Arc::<InMemory>::clone(&store),
            Arc::<MemoryCatalog>::clone(&inner),
            Arc::<ManualClock>::clone(&clock),
            Arc::new(SeededRandom::new(7)),
            small,
        );
        let tail = Arc::new(MemoryTail::default());
        let catalog = Arc::new(RacingCatalog {
            inner,
            lake: lake.clone(),
            tail: Arc::clone(&tail),
            script: Mutex::default(),
        });
        let engine = Engine::new(
            Arc::<InMemory>::clone(&store),
            Arc::<RacingCatalog>::clone(&catalog),
            Arc::<MemoryTail>::clone(&tail),
            Arc::<ManualClock>::clone(&clock),
            settings,
        );
        Self {
            clock,
            engine: engine.unwrap(),
            lake,
            store,
            catalog,
            tail,
            next_commit: AtomicU64::new(1),
            next_record: AtomicU64::new(1),
        }
    }

    /// One commit.
    pub(super) fn write(&self, records: impl IntoIterator<Item = Record>) {
        self.write_for(account(), records);
    }

    pub(super) fn write_for(&self, account: AccountId, records: impl IntoIterator<Item = Record>) {
        let number = self.next_commit.fetch_add(1, Ordering::Relaxed);
        let entries: Vec<_> = records
            .into_iter()
            .map(|record| Entry { account, record })
            .collect();
        let id = CommitId {
            writer: WRITER,
            number,
        };
        self.tail
            .commits
            .lock()
            .unwrap()
            .push((id, Arc::new(entries)));
    }

    /// Everything into parts.
    pub(super) async fn flush(&self) {
        self.catalog.flush().await;
    }

    /// Merges parts until there is nothing to merge.
    pub(super) async fn compact(&self, table: Table) {
        while self
            .lake
            .compact(account(), table, Arc::new(Everyone))
            .await
            .unwrap()
            .merged
            > 0
        {}
    }

    /// The journal never answers again.
    pub(super) fn stall(&self) {
        self.tail.stalled.store(true, Ordering::Relaxed);
    }

    /// Flushes cut into the next snapshots.
    pub(super) fn race(&self, script: &[Flush]) {
        self.catalog.script.lock().unwrap().extend(script);
    }

    pub(super) fn id(&self) -> RecordId {
        let number = self.next_record.fetch_add(1, Ordering::Relaxed);
        RecordId(u128::from(number).to_be_bytes())
    }

    pub(super) fn event(&self, person: PersonKey, name: &str, ms: i64, properties: &str) -> Record {
        Record::Event(Event {
            id: self.id(),
            person,
            name: name.into(),
            ts: at(ms),
            received_at: at(ms),
            ts_sent: None,
            source: Source::Rest,
            session: None,
            properties: RawJson::parse(properties).unwrap(),
            context: None,
        })
    }

    pub(super) fn change(
        &self,
        person: PersonKey,
        ms: i64,
        changes: &[(&str, ChangeOp, &str)],
    ) -> Record {
        let changes = changes.iter().map(|(property, op, value)| Change {
            property: (*property).into(),
            op: *op,
            value: RawJson::parse(value).unwrap(),
        });
        Record::ProfileChange(ProfileChange {
            id: self.id(),
            person,
            ts: at(ms),
            received_at: at(ms),
            source: Source::Rest,
            changes: changes.collect(),
        })
    }

    pub(super) fn link(&self, from: PersonKey, to: PersonKey, ms: i64, kind: LinkKind) -> Record {
        Record::Link(Link {
            id: self.id(),
            from,
            to,
            ts: at(ms),
            received_at: at(ms),
            from_kind: IdentityKind::ObjectId,
            kind,
        })
    }

    pub(super) fn request(&self, ms: i64) -> Record {
        Record::Request(Box::new(RequestLine {
            id: self.id(),
            at: at(ms),
            plane: Plane::Api,
            peer: Peer::Unknown,
            tls_version: "1.3".into(),
            method: "POST".into(),
            path: "/1/upload".into(),
            status: 200,
            outcome: Outcome::Answered,
            reason: "".into(),
            size_bytes: 10,
            accepted: 1,
            rejected: 0,
            duration_us: 5,
        }))
    }

    pub(super) fn rejected(&self, person: Option<PersonKey>, ms: i64) -> Record {
        Record::Quarantined(Box::new(Quarantined {
            id: self.id(),
            received_at: at(ms),
            source: Source::Rest,
            person,
            code: 509,
            error: "too long".into(),
            body: b"{\"d\":1}".to_vec(),
        }))
    }

    /// The rows of a statement as JSON.
    pub(super) async fn sql_as(&self, policy: &ReadPolicy, text: &str) -> Result<String> {
        let rows = self.engine.sql(policy, text).await?;
        let mut out = String::new();
        json::array(rows, |text| {
            out.push_str(text);
            Ok(())
        })
        .await?;
        Ok(out.replace('\n', ""))
    }

    pub(super) async fn sql(&self, text: &str) -> String {
        self.sql_as(&policy(), text).await.unwrap()
    }

    /// The physical plan of a statement, ids replaced.
    pub(super) async fn explain(&self, policy: &ReadPolicy, text: &str) -> String {
        let text = format!("EXPLAIN FORMAT INDENT {text}");
        let mut rows = self.engine.sql(policy, &text).await.unwrap();
        let mut out = String::new();
        while let Some(batch) = rows.batches.next().await {
            let batch = batch.unwrap();
            for row in 0..batch.num_rows() {
                out.push_str(&json::shown(batch.column(1).as_ref(), row).unwrap());
                out.push('\n');
            }
        }
        without_part_ids(&out)
    }
}

/// The text with the parts' ids replaced.
pub(super) fn without_part_ids(text: &str) -> String {
    let mut out = text.to_owned();
    while let Some(end) = out.find(".parquet") {
        let start = out[..end].rfind('/').map_or(0, |at| at + 1);
        out.replace_range(start..end + ".parquet".len(), "<part>");
    }
    out
}

/// A reader who may see everything.
pub(super) fn policy() -> ReadPolicy {
    ReadPolicy::new(account(), Arc::default())
}

/// A reader from whom these are hidden.
pub(super) fn without(hidden: &[(PersonKey, Stretch)]) -> ReadPolicy {
    let mut suppressions = Suppressions::default();
    for (n, (person, stretch)) in (1..).zip(hidden) {
        suppressions.insert(*person, *stretch, LedgerPosition(n));
    }
    ReadPolicy::new(account(), Arc::new(suppressions))
}

/// These people, whose processing is restricted since `ms` after Monday.
pub(super) fn restricted(
    people: impl IntoIterator<Item = PersonKey>,
    ms: i64,
) -> Arc<BTreeSet<Restricted>> {
    let since = at(ms);
    let people = people.into_iter();
    let restricted = people.map(|person| Restricted { person, since });
    Arc::new(restricted.collect())
}

/// A reader for whom these properties are masked.
pub(super) fn masked(properties: &[&str]) -> ReadPolicy {
    masked_as(properties, Mask::Placeholder)
}

/// A reader for whom these properties, of events and of people, are masked in this way.
pub(super) fn masked_as(properties: &[&str], mask: Mask) -> ReadPolicy {
    let mut masks = Masks::default();
    for property in properties {
        for of in PropertyOf::ALL {
            masks.insert(of, property, mask);
        }
    }
    ReadPolicy {
        masks: Arc::new(masks),
        ..policy()
    }
}
