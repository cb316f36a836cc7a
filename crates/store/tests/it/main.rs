//! The store from outside: conformance, lost and lying volumes, rot, and a seeded simulation.

#![allow(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests know what they have just built"
)]

mod conformance;
mod damaged;
mod directories;
mod hanging;
mod intruders;
mod keys;
mod labels;
mod rot;
mod simulation;
mod starts;
mod volumes;

use bytes::Bytes;
use model::{Random, SeededRandom};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use std::collections::BTreeMap;
use store::Store;

/// Objects of many sizes, from one seed.
fn objects(seed: u64, count: usize) -> BTreeMap<String, Bytes> {
    let random = SeededRandom::new(seed);
    let sizes = [0, 1, 100, 4_096, 5_000, 70_000, 262_144, 300_001];
    (0..count)
        .map(|i| {
            let mut bytes = vec![0; sizes[i % sizes.len()] + i];
            random.fill(&mut bytes);
            (
                format!("lake/A/events/2026-01-0{}/{i:04}", i % 9),
                bytes.into(),
            )
        })
        .collect()
}

async fn put_all(store: &Store, objects: &BTreeMap<String, Bytes>) {
    for (path, bytes) in objects {
        store
            .put(&Path::from(path.as_str()), bytes.clone().into())
            .await
            .unwrap();
    }
}

async fn get(store: &Store, path: &str) -> object_store::Result<Bytes> {
    store.get(&Path::from(path)).await?.bytes().await
}

/// Every object is read whole and in part, and nothing else is listed.
async fn check_all(store: &Store, objects: &BTreeMap<String, Bytes>) {
    use futures::TryStreamExt;
    for (path, bytes) in objects {
        assert!(
            get(store, path).await.unwrap() == *bytes,
            "`{path}` is wrong"
        );
        if bytes.len() > 10 {
            let (from, to) = (bytes.len() as u64 / 3, bytes.len() as u64 / 2);
            let part = store
                .get_range(&Path::from(path.as_str()), from..to)
                .await
                .unwrap();
            assert!(
                part == bytes.slice(from as usize..to as usize),
                "a range of `{path}` is wrong"
            );
        }
    }
    let listed: Vec<String> = store
        .list(None)
        .map_ok(|meta| meta.location.to_string())
        .try_collect()
        .await
        .unwrap();
    assert!(listed.iter().eq(objects.keys()), "the listing is wrong");
}

/// All sets of up to `most` of `count` volumes.
fn subsets(count: usize, most: usize) -> impl Iterator<Item = Vec<usize>> {
    (1_u32..1 << count)
        .filter(move |set| set.count_ones() as usize <= most)
        .map(move |set| (0..count).filter(|index| set >> index & 1 == 1).collect())
}
