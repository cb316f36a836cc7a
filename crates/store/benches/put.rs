//! What a write costs: sealing, coding, hashing, and six files synced.
#![allow(
    missing_docs,
    reason = "criterion's macros make undocumented functions"
)]

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use model::{Random, SeededRandom, SystemClock};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use seal::Keyring;
use std::sync::Arc;
use store::simulated::MemoryKeys;
use store::{DirPlace, Geometry, Place, Settings, Store};

fn put(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("threads can be started");
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let places: Vec<Arc<dyn Place>> = (0..6)
        .map(|i| -> Arc<dyn Place> { Arc::new(DirPlace::new(dir.path().join(format!("{i}")))) })
        .collect();
    let random: Arc<dyn Random> = Arc::new(SeededRandom::new(1));
    let keyring = Keyring::create(random.as_ref());
    let geometry = Geometry { data: 4, parity: 2 };
    let keys = Arc::new(MemoryKeys::new(keyring.clone()));
    let store = runtime
        .block_on(async {
            Store::create(&places, geometry, &keyring, random.as_ref()).await?;
            let clock = Arc::new(SystemClock::new());
            Store::open(places, &keyring, keys, Settings::default(), clock, random).await
        })
        .expect("a store can be made");
    let mut group = criterion.benchmark_group("put");
    for kib in [4_usize, 256, 1_024] {
        let bytes = Bytes::from(vec![7; kib * 1_024]);
        group.throughput(Throughput::Bytes(u64::try_from(bytes.len()).unwrap_or(0)));
        group.bench_function(format!("{kib} KiB"), |bencher| {
            let path = Path::from("control/bench");
            bencher.iter(|| {
                runtime
                    .block_on(store.put(&path, bytes.clone().into()))
                    .expect("the directory takes files")
            });
        });
    }
    group.finish();
}

criterion_group!(benches, put);
criterion_main!(benches);
