//! How fast events are shredded into rows, flushed into parts and merged.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    missing_docs,
    reason = "a measuring program, not part of the product"
)]

#[path = "../src/tests/catalog.rs"]
#[allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "shared with the tests"
)]
mod catalog;
#[allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "shared with the example"
)]
mod generate;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use lake::{Lake, Settings};
use model::catalog::Consumed;
use model::record::Table;
use model::{AccountId, CommitId, SystemClock, SystemRandom};
use object_store::memory::InMemory;
use std::sync::Arc;

const EVENTS: usize = 100_000;

fn lake() -> Lake {
    let clock = Arc::new(SystemClock::new());
    let catalog = catalog::MemoryCatalog::new(Arc::<SystemClock>::clone(&clock));
    let store = Arc::new(InMemory::new());
    Lake::new(
        store,
        Arc::new(catalog),
        clock,
        Arc::new(SystemRandom),
        Settings::default(),
    )
}

type Commits = Vec<(CommitId, Arc<Vec<model::record::Entry>>)>;

async fn flush(lake: &Lake, commits: &Commits, from: u64) {
    let to = from + commits.len() as u64;
    let renumber = |(id, entries): &(CommitId, _)| {
        (
            CommitId {
                number: id.number + from,
                ..*id
            },
            Arc::clone(entries),
        )
    };
    let consumed = vec![Consumed {
        writer: commits[0].0.writer,
        from,
        to,
    }];
    let commits = commits.iter().map(renumber).collect();
    lake.flush(commits, consumed, Arc::new(generate::Everyone))
        .await
        .unwrap();
}

fn write(criterion: &mut Criterion) {
    let account: AccountId = "A-1".parse().unwrap();
    let commits = generate::commits(account, EVENTS, 7);
    let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
    let mut group = criterion.benchmark_group("lake");
    group.throughput(Throughput::Elements(EVENTS as u64));
    group.sample_size(10);
    group.bench_function("shred into rows", |bencher| {
        let entries = || commits.iter().flat_map(|it| it.1.iter());
        bencher.iter(|| lake::tail_batches(Table::Events, account, entries()).unwrap());
    });
    group.bench_function("flush", |bencher| {
        bencher.iter_batched(
            lake,
            |lake| runtime.block_on(flush(&lake, &commits, 0)),
            BatchSize::LargeInput,
        );
    });
    group.bench_function("merge four parts", |bencher| {
        let quarter: Vec<Commits> = (0..4)
            .map(|seed| generate::commits(account, EVENTS / 4, seed))
            .collect();
        let filled = || {
            let lake = lake();
            let mut from = 0;
            for commits in &quarter {
                runtime.block_on(flush(&lake, commits, from));
                from += commits.len() as u64;
            }
            lake
        };
        bencher.iter_batched(
            filled,
            |lake| {
                let keep = Arc::new(generate::Everyone);
                let report = runtime
                    .block_on(lake.compact(account, Table::Events, keep))
                    .unwrap();
                assert_eq!(report.merged, 4);
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

criterion_group!(benches, write);
criterion_main!(benches);
