//! Appends of 1,000 entries into a store in memory: what encoding, compressing and chaining cost.

#![allow(
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a benchmark indexes what it has made, and says what it measured"
)]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use journal::{Journal, Settings};
use model::record::{Entry, Event, Record, Source};
use model::{
    AccountId, IdentityKind, PersonKey, RawJson, RecordIds, Secret, SystemClock, Timestamp,
    WriterId,
};
use object_store::memory::InMemory;
use std::sync::Arc;
use std::time::Duration;

/// Events like those of the ingest benchmark: about 330 bytes each as JSON.
fn events(count: u32) -> Vec<Entry> {
    let account: AccountId = "BENCH".parse().expect("a legal id");
    let secret = Secret::new([7; 32]);
    let ids = RecordIds::new(WriterId { node: 1, start: 1 });
    let id = ids.batch();
    (0..count)
        .map(|number| {
            let mixed = u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let properties = format!(
                "{{\"Product\":\"item-{}\",\"Category\":\"{}\",\"Price\":{}.{:02},\"Quantity\":{},\
                 \"Currency\":\"EUR\",\"Trace\":\"{:016x}\",\"Returning\":{},\"Screen\":\"{}\"}}",
                mixed % 5_000,
                ["shoes", "hats", "coats", "bags"][(mixed >> 9) as usize % 4],
                mixed % 300,
                (mixed >> 16) % 100,
                1 + mixed % 5,
                mixed.rotate_left(21),
                mixed & 1 == 0,
                ["home", "list", "detail", "basket", "search"][(mixed >> 31) as usize % 5],
            );
            let person = format!("person-{}@shop.example", (mixed >> 40) % 200_000);
            Entry {
                account,
                record: Record::Event(Event {
                    id: id(number),
                    person: PersonKey::of(&secret, account, IdentityKind::Identity, &person),
                    name: ["Viewed", "Added To Basket", "Charged"][(mixed >> 5) as usize % 3]
                        .into(),
                    ts: Timestamp::from_ms(1_790_000_000_000 + i64::from(number) * 977),
                    received_at: Timestamp::from_ms(1_790_000_100_000),
                    ts_sent: None,
                    source: Source::Rest,
                    session: None,
                    properties: RawJson::parse(&properties).expect("it is JSON"),
                    context: None,
                }),
            }
        })
        .collect()
}

fn append(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .expect("a runtime starts");
    let settings = Settings {
        gather: Duration::ZERO,
        ..Settings::default()
    };
    let entries = events(1_000);
    let encoded: usize = entries
        .iter()
        .map(|entry| postcard::to_stdvec(entry).expect("an entry encodes").len())
        .sum();
    let mut stored_bytes = 0;
    let mut group = criterion.benchmark_group("append");
    for (name, throughput) in [
        ("1000_entries_by_count", Throughput::Elements(1_000)),
        ("1000_entries_by_bytes", Throughput::Bytes(encoded as u64)),
    ] {
        group.throughput(throughput);
        group.bench_function(name, |bencher| {
            let (journal, owner, _) = runtime
                .block_on(Journal::open(
                    settings.clone(),
                    Arc::new(InMemory::new()),
                    WriterId { node: 1, start: 1 },
                    &[],
                    Arc::new(SystemClock::new()),
                ))
                .expect("an empty store opens");
            let task = runtime.spawn(owner.run(std::future::pending()));
            bencher.iter_batched(
                || entries.clone(),
                |entries| {
                    runtime.block_on(async {
                        journal.append(entries).await.expect("memory takes it");
                        let live = journal.live();
                        if live.len() > 64 {
                            let last = live[live.len() - 1].id;
                            journal
                                .retire(&[(last.writer, last.number)])
                                .await
                                .expect("deletes");
                        }
                    });
                },
                criterion::BatchSize::LargeInput,
            );
            let status = journal.status();
            if status.live_commits > 0 {
                stored_bytes = status.live_bytes / status.live_commits as u64;
            }
            task.abort();
        });
    }
    group.finish();
    eprintln!("stored bytes of 1000 entries: {stored_bytes}, encoded: {encoded}");
}

criterion_group!(benches, append);
criterion_main!(benches);
