//! Flushes generated events and prints what each column costs in the parts.
//!
//! `cargo run --release -p lake --example bytes_per_event [EVENTS] [ZSTD LEVEL] [PAGE ROWS] [ROW GROUP ROWS]`

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
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
#[path = "../benches/generate/mod.rs"]
#[allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "shared with the benchmarks"
)]
mod generate;

use lake::{Lake, Settings};
use model::catalog::{Catalog, Consumed};
use model::record::Table;
use model::{Clock, SystemClock, SystemRandom};
use object_store::ObjectStoreExt;
use object_store::memory::InMemory;
use object_store::path::Path;
use parquet::file::reader::FileReader;
use parquet::file::serialized_reader::SerializedFileReader;
use std::collections::BTreeMap;
use std::sync::Arc;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let number = |place: usize, default: usize| {
        std::env::args()
            .nth(place)
            .map_or(default, |it| it.parse().unwrap())
    };
    let defaults = Settings::default();
    let settings = Settings {
        zstd_level: number(2, 1) as i32,
        page_rows: number(3, defaults.page_rows),
        row_group_rows: number(4, defaults.row_group_rows),
        ..defaults
    };
    let account = "A-1".parse().unwrap();
    let commits = generate::commits(account, number(1, 1_000_000), 7);
    let events: usize = commits.iter().map(|it| it.1.len()).sum();
    let clock = Arc::new(SystemClock::new());
    let catalog = Arc::new(catalog::MemoryCatalog::new(Arc::<SystemClock>::clone(
        &clock,
    )));
    let store = Arc::new(InMemory::new());
    let lake = Lake::new(
        Arc::<InMemory>::clone(&store),
        Arc::<catalog::MemoryCatalog>::clone(&catalog),
        Arc::<SystemClock>::clone(&clock),
        Arc::new(SystemRandom),
        settings,
    );
    let consumed = vec![Consumed {
        writer: commits[0].0.writer,
        from: 0,
        to: commits.len() as u64,
    }];
    let began = clock.monotonic();
    let report = lake
        .flush(commits, consumed, Arc::new(generate::Everyone))
        .await
        .unwrap();
    let took = clock.monotonic() - began;

    let mut columns: BTreeMap<String, (i64, String)> = BTreeMap::new();
    let view = catalog.view(Some(account), &[Table::Events]).await.unwrap();
    for part in view.parts {
        let bytes = store
            .get(&Path::from(part.path.as_str()))
            .await
            .unwrap()
            .bytes()
            .await;
        let reader = SerializedFileReader::new(bytes.unwrap()).unwrap();
        for group in reader.metadata().row_groups() {
            for column in group.columns() {
                let entry = columns.entry(column.column_path().string()).or_default();
                entry.0 +=
                    column.compressed_size() + i64::from(column.bloom_filter_length().unwrap_or(0));
                entry.1 = format!("{:?}", column.encodings().collect::<Vec<_>>());
            }
        }
    }
    let per_event = |bytes: f64| bytes / events as f64;
    for (name, (bytes, encodings)) in columns {
        println!("{:8.3}  {name}  {encodings}", per_event(bytes as f64));
    }
    println!(
        "{:8.3}  bytes an event in all, {} parts",
        per_event(report.size_bytes as f64),
        report.parts
    );
    println!(
        "{:8.0}  events a second, wall",
        events as f64 / took.as_secs_f64()
    );
}
