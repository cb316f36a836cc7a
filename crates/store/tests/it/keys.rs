//! A source of keys that keeps its rows in the store itself, as the key table does: to make a key
//! durable it writes and deletes objects there, in the middle of somebody's write.

use async_trait::async_trait;
use model::Secret;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use seal::{KeyRef, KeySource};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use store::simulated::{MemoryKeys, SimStore};
use store::{Geometry, Store};

/// More simulated time than any of it may take.
const HUNG_AFTER: Duration = Duration::from_secs(10_000);
/// Enough paths to meet every lock.
const ROWS: u64 = 300;

#[derive(Debug)]
struct Table {
    keys: Arc<MemoryKeys>,
    store: OnceLock<Store>,
    rows: AtomicU64,
    /// Has a volume come back while a key is being made.
    repairs: AtomicBool,
}

#[async_trait]
impl KeySource for Table {
    async fn key_for_write(&self, path: &str) -> seal::Result<(KeyRef, Secret<[u8; 32]>)> {
        if !path.starts_with("keys/") {
            let store = self.store.get().unwrap().clone();
            if self.repairs.swap(false, Ordering::SeqCst) {
                let repaired = store.clone();
                tokio::spawn(async move { repaired.repair().await });
                for _ in 0..10_000 {
                    tokio::task::yield_now().await;
                }
            }
            let first = self.rows.fetch_add(ROWS, Ordering::SeqCst);
            for row in first..first + ROWS {
                let path = Path::from(format!("keys/{row}"));
                store.put(&path, "a row".into()).await.unwrap();
                if row % 2 == 0 {
                    store.delete(&path).await.unwrap();
                }
            }
        }
        self.keys.key_for_write(path).await
    }

    async fn key(&self, key: KeyRef) -> seal::Result<Secret<[u8; 32]>> {
        self.keys.key(key).await
    }
}

async fn opened(seed: u64) -> (SimStore, Arc<Table>, Store) {
    let sim = SimStore::create(seed, Geometry { data: 4, parity: 2 })
        .await
        .unwrap();
    let table = Arc::new(Table {
        keys: Arc::clone(&sim.keys),
        store: OnceLock::new(),
        rows: AtomicU64::new(0),
        repairs: AtomicBool::new(false),
    });
    let keys: Arc<dyn KeySource> = Arc::<Table>::clone(&table);
    let store = Store::open(
        sim.volumes.places(),
        &sim.keyring,
        keys,
        sim.settings,
        Arc::<model::ManualClock>::clone(&sim.clock),
        Arc::clone(&sim.random),
    )
    .await
    .unwrap();
    table.store.set(store.clone()).unwrap();
    (sim, table, store)
}

async fn put(store: &Store, path: &str) {
    let path = Path::from(path);
    let written = store.put(&path, "an object".into());
    let written = tokio::time::timeout(HUNG_AFTER, written).await;
    written.expect("a write hangs").unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_made_through_the_store_does_not_wait_for_the_write_that_needs_it() {
    let (_sim, _table, store) = opened(1).await;
    for number in 0..4 {
        put(&store, &format!("lake/{number}")).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_volume_comes_back_while_a_write_waits_for_its_key() {
    let (sim, table, store) = opened(2).await;
    put(&store, "lake/1").await;
    sim.volumes.lose(3);
    put(&store, "lake/2").await;
    assert_eq!(store.status().healthy, 5);
    sim.volumes.heal();
    table.repairs.store(true, Ordering::SeqCst);
    put(&store, "lake/3").await;
    store.repair().await;
    assert_eq!(store.status().healthy, 6);
}
