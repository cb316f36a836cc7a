//! What reads cost over a million events: count by event and day, one person's history, a page, with
//! and without rows in the journal; and what one person costs among 100,000, found by a device.
//!
//! The data follows docs/benchmarks.md: 200,000 people by a power law, 40 event names, 93 days.

#![allow(
    missing_docs,
    reason = "the macros of criterion make undocumented functions"
)]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a benchmark ends when something fails"
)]

#[path = "../src/tests/catalog.rs"]
mod catalog;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use futures::StreamExt;
use model::catalog::Consumed;
use model::record::{
    Change, ChangeOp, Entry, Event, Link, LinkKind, ProfileChange, Record, Source, Table,
};
use model::{
    AccountId, CommitId, IdentityKind, LedgerPosition, ManualClock, PersonKey, Random, RawJson,
    RecordId, SeededRandom, Timestamp, WriterId,
};
use object_store::memory::InMemory;
use query::{Engine, EventsQuery, Lookup, ProfileParts, ReadPolicy, Settings, Tail};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

const EVENTS: u64 = 1_000_000;
const COMMITS: u64 = 10;
const DAY_MS: i64 = 86_400_000;
const FIRST_DAY: i64 = 20_700;
const WRITER: WriterId = WriterId { node: 1, start: 1 };

#[derive(Debug)]
struct Everyone;

impl lake::Keep for Everyone {
    fn keep(&self, _: AccountId, _: PersonKey, _: Timestamp) -> bool {
        true
    }

    fn ledger(&self) -> LedgerPosition {
        LedgerPosition(0)
    }
}

/// The journal. No number is given twice.
#[derive(Debug, Default)]
struct Commits {
    live: Mutex<BTreeMap<CommitId, Arc<Vec<Entry>>>>,
    given: AtomicU64,
}

impl Commits {
    /// A number above all that were given.
    fn number(&self) -> u64 {
        COMMITS + 1 + self.given.fetch_add(1, Ordering::Relaxed)
    }

    fn insert(&self, number: u64, entries: Vec<Entry>) {
        let id = CommitId {
            writer: WRITER,
            number,
        };
        self.live.lock().unwrap().insert(id, Arc::new(entries));
    }

    fn clear(&self) {
        self.live.lock().unwrap().clear();
    }
}

#[async_trait::async_trait]
impl Tail for Commits {
    async fn live(&self) -> query::Result<Vec<CommitId>> {
        Ok(self.live.lock().unwrap().keys().copied().collect())
    }

    fn hold(&self) -> query::Held {
        query::Held::default()
    }

    async fn read(&self, id: CommitId) -> query::Result<Arc<Vec<Entry>>> {
        let commits = self.live.lock().unwrap();
        commits.get(&id).cloned().ok_or(query::Error::Retired(id))
    }
}

/// How record ids are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ids {
    /// Counted up by a server.
    Counted,
    /// Made from content.
    Scattered,
}

impl Ids {
    fn of(self, number: u64) -> RecordId {
        let counted = (1_u128 << 96) | u128::from(number);
        match self {
            Self::Counted => RecordId(counted.to_be_bytes()),
            Self::Scattered => {
                let factor = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835;
                RecordId((u128::from(number) + 1).wrapping_mul(factor).to_be_bytes())
            }
        }
    }
}

fn person(random: &SeededRandom) -> PersonKey {
    // The square of an even choice: few are named often.
    let choice = random.number() % 200_000;
    let number = choice * choice / 200_000;
    let mut key = [0; 16];
    key[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    PersonKey(key)
}

fn event(random: &SeededRandom, number: u64, ids: Ids) -> Record {
    let name = random.number() % 40;
    let ms = i64::try_from(random.number() % 93).unwrap() * DAY_MS
        + i64::try_from(random.number() % 86_400_000).unwrap();
    let ts = Timestamp::from_ms(FIRST_DAY * DAY_MS + ms);
    let (price, city) = (random.number() % 10_000, random.number() % 50);
    let properties = format!(
        "{{\"Price\":{price},\"City\":\"city {city}\",\"Ratio\":0.{price},\"Ok\":true,\"Sku\":\"sku-{}\"}}",
        random.number() % 5_000
    );
    Record::Event(Event {
        id: ids.of(number),
        person: person(random),
        name: format!("Event {name}").into(),
        ts,
        received_at: ts,
        ts_sent: None,
        source: Source::Rest,
        session: None,
        properties: RawJson::parse(&properties).unwrap(),
        context: None,
    })
}

/// A lake in memory, and the engine over it.
struct World {
    account: AccountId,
    lake: lake::Lake,
    engine: Engine,
    journal: Arc<Commits>,
    flushed: u64,
}

impl World {
    fn new(account: AccountId) -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::from_ms(
            (FIRST_DAY + 200) * DAY_MS,
        )));
        let store = Arc::new(InMemory::new());
        let catalog = Arc::new(catalog::MemoryCatalog::new(Arc::<ManualClock>::clone(
            &clock,
        )));
        let settings = lake::Settings {
            day_rows_min: 5_000,
            ..lake::Settings::default()
        };
        let lake = lake::Lake::new(
            Arc::<InMemory>::clone(&store),
            Arc::<catalog::MemoryCatalog>::clone(&catalog),
            Arc::<ManualClock>::clone(&clock),
            Arc::new(SeededRandom::new(1)),
            settings,
        );
        let journal = Arc::new(Commits::default());
        let tail = Arc::<Commits>::clone(&journal);
        let engine = Engine::new(store, catalog, tail, clock, Settings::default()).unwrap();
        Self {
            account,
            lake,
            engine,
            journal,
            flushed: 0,
        }
    }

    async fn flush(&mut self, records: Vec<Record>) {
        let number = self.flushed + 1;
        let account = self.account;
        let entries = records.into_iter().map(|record| Entry { account, record });
        let id = CommitId {
            writer: WRITER,
            number,
        };
        let consumed = vec![Consumed {
            writer: WRITER,
            from: self.flushed,
            to: number,
        }];
        let commits = vec![(id, Arc::new(entries.collect()))];
        let flushed = self.lake.flush(commits, consumed, Arc::new(Everyone));
        flushed.await.unwrap();
        self.flushed = number;
    }

    async fn compact(&self, table: Table) {
        let step = async || {
            let step = self.lake.compact(self.account, table, Arc::new(Everyone));
            step.await.unwrap().merged
        };
        while step().await > 0 {}
    }

    /// A million events.
    async fn with_events(account: AccountId, ids: Ids) -> Self {
        let mut world = Self::new(account);
        let random = SeededRandom::new(1);
        let each = EVENTS / COMMITS;
        for number in 1..=COMMITS {
            let events = (0..each).map(|n| event(&random, number * each + n, ids));
            world.flush(events.collect()).await;
        }
        world.compact(Table::Events).await;
        world
    }

    /// Commits of 1,000 events that are not in parts yet.
    fn write(&self, commits: u64, ids: Ids) {
        let account = self.account;
        for _ in 0..commits {
            let number = self.journal.number();
            let random = SeededRandom::new(number);
            let records = (0..1_000).map(|n| Entry {
                account,
                record: event(&random, 100 * EVENTS + number * 1_000 + n, ids),
            });
            self.journal.insert(number, records.collect());
        }
    }
}

async fn rows(engine: &Engine, policy: &ReadPolicy, statement: &str) -> usize {
    let mut rows = engine.sql(policy, statement).await.unwrap();
    let mut count = 0;
    while let Some(batch) = rows.batches.next().await {
        count += batch.unwrap().num_rows();
    }
    count
}

fn reads(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let account: AccountId = "A-1".parse().unwrap();
    let policy = ReadPolicy::new(account, Arc::default());
    for ids in [Ids::Counted, Ids::Scattered] {
        let world = runtime.block_on(World::with_events(account, ids));
        let engine = &world.engine;
        let mut group = criterion.benchmark_group(format!("query/1M/{ids:?}"));
        group.sample_size(10);
        let by_day =
            "SELECT name, CAST(ts AS DATE) AS day, count(*) FROM events GROUP BY name, day";
        group.bench_function("count by event and day", |bench| {
            bench.iter(|| runtime.block_on(rows(engine, &policy, by_day)));
        });
        group.bench_function("count by event and day, new journal of 10,000", |bench| {
            bench.iter_batched(
                || {
                    world.journal.clear();
                    runtime.block_on(rows(engine, &policy, "SELECT name FROM events LIMIT 1"));
                    world.write(10, ids);
                },
                |()| runtime.block_on(rows(engine, &policy, by_day)),
                BatchSize::PerIteration,
            );
        });
        group.bench_function("count by event and day, known journal", |bench| {
            bench.iter(|| runtime.block_on(rows(engine, &policy, by_day)));
        });
        world.journal.clear();
        let someone = person(&SeededRandom::new(99));
        let history = format!("SELECT * FROM events WHERE person_key = '{someone}' ORDER BY ts");
        group.bench_function("history of one person", |bench| {
            bench.iter(|| runtime.block_on(rows(engine, &policy, &history)));
        });
        let query = EventsQuery {
            event: Some(String::from("Event 7")),
            ..EventsQuery::default()
        };
        let parts = ProfileParts {
            profile: true,
            events: false,
        };
        group.bench_function("page of 5,000 events of one name", |bench| {
            bench.iter(|| {
                runtime
                    .block_on(engine.events_page(&policy, &query, parts, None, 5_000))
                    .unwrap()
            });
        });
        group.finish();
    }
}

const PEOPLE: u64 = 100_000;

fn key(number: u64, kind: u8) -> PersonKey {
    let mut key = [kind; 16];
    key[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    PersonKey(key)
}

fn change(number: u64, of: PersonKey, ms: i64, changes: &[(&str, ChangeOp, &str)]) -> Record {
    let ts = Timestamp::from_ms(FIRST_DAY * DAY_MS + ms);
    let changes = changes.iter().map(|(property, op, value)| Change {
        property: (*property).into(),
        op: *op,
        value: RawJson::parse(value).unwrap(),
    });
    Record::ProfileChange(ProfileChange {
        id: Ids::Counted.of(number),
        person: of,
        ts,
        received_at: ts,
        source: Source::Rest,
        changes: changes.collect(),
    })
}

/// A million events of 100,000 people, each with a profile and a device under which half of the
/// events came.
async fn people(account: AccountId) -> World {
    let mut world = World::new(account);
    let random = SeededRandom::new(3);
    let each = EVENTS / COMMITS;
    for round in 0..COMMITS {
        let mut records = Vec::new();
        for n in 0..each {
            let Record::Event(mut event) = event(&random, round * each + n, Ids::Counted) else {
                continue;
            };
            let kind = u8::from(random.number().is_multiple_of(2));
            event.person = key(random.number() % PEOPLE, kind);
            records.push(Record::Event(event));
        }
        for n in round * PEOPLE / COMMITS..(round + 1) * PEOPLE / COMMITS {
            let id = 10 * EVENTS + n;
            let text = format!("\"{n}\"");
            let steps = [
                ("identity", ChangeOp::Identify, &*text),
                ("Name", ChangeOp::Put, &text),
            ];
            records.push(change(id, key(n, 0), 0, &steps));
            let ts = Timestamp::from_ms(FIRST_DAY * DAY_MS);
            records.push(Record::Link(Link {
                id: Ids::Counted.of(20 * EVENTS + n),
                from: key(n, 1),
                to: key(n, 0),
                ts,
                received_at: ts,
                from_kind: IdentityKind::ObjectId,
                kind: LinkKind::Device,
            }));
        }
        world.flush(records).await;
    }
    for table in [Table::Events, Table::ProfileChanges, Table::Links] {
        world.compact(table).await;
    }
    world
}

fn persons(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let account: AccountId = "A-1".parse().unwrap();
    let policy = ReadPolicy::new(account, Arc::default());
    let world = RefCell::new(runtime.block_on(people(account)));
    let lookup = |world: &World, number: u64| {
        let lookup = Lookup::Key(key(number, 1));
        let found = runtime.block_on(world.engine.profile(&policy, &lookup));
        assert!(found.unwrap().is_some());
    };
    let mut group = criterion.benchmark_group("people/100k");
    group.sample_size(10);
    let mut next = 0;
    // A new part of links makes the links of all parts be read again.
    group.bench_function("one person, after a flush", |bench| {
        bench.iter_batched_ref(
            || {
                next += 1;
                let ts = Timestamp::from_ms(FIRST_DAY * DAY_MS);
                let link = Record::Link(Link {
                    id: Ids::Counted.of(30 * EVENTS + next),
                    from: key(PEOPLE + next, 1),
                    to: key(PEOPLE + next, 0),
                    ts,
                    received_at: ts,
                    from_kind: IdentityKind::ObjectId,
                    kind: LinkKind::Device,
                });
                runtime.block_on(world.borrow_mut().flush(vec![link]));
                next
            },
            |n| {
                lookup(&world.borrow(), *n % PEOPLE);
            },
            BatchSize::PerIteration,
        );
    });
    let mut world = world.into_inner();
    runtime.block_on(world.compact(Table::Links));
    group.bench_function("one person", |bench| {
        bench.iter(|| {
            next += 7_919;
            lookup(&world, next % PEOPLE);
        });
    });
    group.bench_function("count of people in SQL", |bench| {
        let statement = "SELECT count(*) FROM people";
        bench.iter(|| runtime.block_on(rows(&world.engine, &policy, statement)));
    });
    // One person with 100,000 changes of five properties.
    let values: Vec<String> = (0..100_000).map(|n| n.to_string()).collect();
    let names = ["A", "B", "C", "D", "E"];
    for chunk in 0..8_u64 {
        let changes = (0..12_500_u64).map(|n| {
            let number = chunk * 12_500 + n;
            let place = usize::try_from(number).unwrap();
            let step = (names[place % 5], ChangeOp::Put, &*values[place]);
            let ms = i64::try_from(number).unwrap();
            change(40 * EVENTS + number, key(7, 0), ms + 1, &[step])
        });
        let changes = changes.collect();
        runtime.block_on(world.flush(changes));
    }
    group.bench_function("one person with 100,000 changes, not merged", |bench| {
        bench.iter(|| lookup(&world, 7));
    });
    runtime.block_on(world.compact(Table::ProfileChanges));
    group.bench_function("one person with 100,000 changes, merged", |bench| {
        bench.iter(|| lookup(&world, 7));
    });
    group.finish();
}

criterion_group!(benches, reads, persons);
criterion_main!(benches);
