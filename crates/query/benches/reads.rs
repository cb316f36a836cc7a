//! What reads cost over a million events: count by event and day, one person's history, a page.
//!
//! The data follows docs/benchmarks.md: 200,000 people by a power law, 40 event names, 93 days.

#![allow(
    missing_docs,
    reason = "the macros of criterion make undocumented functions"
)]
#![allow(clippy::unwrap_used, reason = "a benchmark ends when something fails")]

#[path = "../src/tests/catalog.rs"]
mod catalog;

use criterion::{Criterion, criterion_group, criterion_main};
use futures::StreamExt;
use model::catalog::Consumed;
use model::record::{Entry, Event, Record, Source, Table};
use model::{
    AccountId, CommitId, LedgerPosition, ManualClock, PersonKey, Random, RawJson, RecordId,
    SeededRandom, Timestamp, WriterId,
};
use object_store::memory::InMemory;
use query::{Engine, EventsQuery, ProfileParts, ReadPolicy, Settings, Tail};
use std::sync::Arc;

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

#[derive(Debug)]
struct Empty;

#[async_trait::async_trait]
impl Tail for Empty {
    async fn live(&self) -> query::Result<Vec<CommitId>> {
        Ok(Vec::new())
    }

    async fn read(&self, id: CommitId) -> query::Result<Arc<Vec<Entry>>> {
        Err(query::Error::Retired(id))
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

fn event(random: &SeededRandom, number: u64) -> Record {
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
        id: RecordId(u128::from(number).to_be_bytes()),
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

async fn engine(account: AccountId) -> Engine {
    let clock = Arc::new(ManualClock::new(Timestamp::from_ms(
        (FIRST_DAY + 100) * DAY_MS,
    )));
    let store = Arc::new(InMemory::new());
    let catalog = Arc::new(catalog::MemoryCatalog::new(Arc::<ManualClock>::clone(
        &clock,
    )));
    let random = Arc::new(SeededRandom::new(1));
    let settings = lake::Settings {
        day_rows_min: 5_000,
        ..lake::Settings::default()
    };
    let lake = lake::Lake::new(
        Arc::<InMemory>::clone(&store),
        Arc::<catalog::MemoryCatalog>::clone(&catalog),
        Arc::<ManualClock>::clone(&clock),
        Arc::<SeededRandom>::clone(&random),
        settings,
    );
    for number in 1..=COMMITS {
        let each = EVENTS / COMMITS;
        let entries: Vec<_> = (0..each)
            .map(|n| Entry {
                account,
                record: event(&random, number * each + n),
            })
            .collect();
        let commits = vec![(
            CommitId {
                writer: WRITER,
                number,
            },
            Arc::new(entries),
        )];
        let consumed = vec![Consumed {
            writer: WRITER,
            from: number - 1,
            to: number,
        }];
        lake.flush(commits, consumed, Arc::new(Everyone))
            .await
            .unwrap();
    }
    while lake
        .compact(account, Table::Events, Arc::new(Everyone))
        .await
        .unwrap()
        .merged
        > 0
    {}
    Engine::new(store, catalog, Arc::new(Empty), clock, Settings::default()).unwrap()
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
    let engine = runtime.block_on(engine(account));
    let mut group = criterion.benchmark_group("query/1M");
    group.sample_size(10);
    let by_day = "SELECT name, CAST(ts AS DATE) AS day, count(*) FROM events GROUP BY name, day";
    group.bench_function("count by event and day", |bench| {
        bench.iter(|| runtime.block_on(rows(&engine, &policy, by_day)));
    });
    let someone = person(&SeededRandom::new(99));
    let history = format!("SELECT * FROM events WHERE person_key = '{someone}' ORDER BY ts");
    group.bench_function("history of one person", |bench| {
        bench.iter(|| runtime.block_on(rows(&engine, &policy, &history)));
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

criterion_group!(benches, reads);
criterion_main!(benches);
