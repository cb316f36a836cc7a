//! The store behaves as `object_store` says: its own suite, over directories.

use model::{Random, SeededRandom, SystemClock};
use object_store::integration;
use seal::Keyring;
use std::sync::Arc;
use store::simulated::MemoryKeys;
use store::{DirPlace, Geometry, Place, Settings, Store};
use tempfile::TempDir;

/// A store over directories, with some of them removed before it is opened.
async fn open(data: usize, parity: usize, lost: &[usize]) -> (TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let places: Vec<Arc<dyn Place>> = (0..data + parity)
        .map(|i| -> Arc<dyn Place> { Arc::new(DirPlace::new(dir.path().join(format!("vol-{i}")))) })
        .collect();
    let random: Arc<dyn Random> = Arc::new(SeededRandom::new(1));
    let keyring = Keyring::create(random.as_ref());
    let geometry = Geometry { data, parity };
    Store::create(&places, geometry, &keyring, random.as_ref())
        .await
        .unwrap();
    for index in lost {
        std::fs::remove_dir_all(dir.path().join(format!("vol-{index}"))).unwrap();
    }
    let keys = Arc::new(MemoryKeys::new(keyring.clone()));
    let clock = Arc::new(SystemClock::new());
    let store = Store::open(places, &keyring, keys, Settings::default(), clock, random)
        .await
        .unwrap();
    (dir, store)
}

async fn check(data: usize, parity: usize, lost: &[usize]) {
    let (_dir, store) = open(data, parity, lost).await;
    integration::put_get_delete_list(&store).await;
    integration::list_uses_directories_correctly(&store).await;
    integration::list_with_delimiter(&store).await;
    integration::list_with_offset_exclusivity(&store).await;
    integration::rename_and_copy(&store).await;
    integration::copy_if_not_exists(&store).await;
    integration::copy_rename_nonexistent_object(&store).await;
    integration::get_nonexistent_object(&store, None)
        .await
        .unwrap_err();
    integration::put_get_attributes(&store).await;
    integration::put_opts(&store, true).await;
    let (_dir, store) = open(data, parity, lost).await;
    integration::get_opts(&store).await;
    let (_dir, store) = open(data, parity, lost).await;
    integration::stream_get(&store).await;
    integration::multipart_out_of_order(&store).await;
    integration::multipart_race_condition(&store, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_and_two_conform() {
    check(4, 2, &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_volume_conforms() {
    check(1, 0, &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mirror_conforms() {
    check(1, 1, &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_and_two_conform_with_a_data_volume_missing() {
    check(4, 2, &[1]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mirror_conforms_with_one_volume_missing() {
    check(1, 1, &[0]).await;
}
