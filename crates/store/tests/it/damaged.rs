//! Objects that cannot be read, for good or for now: which of the two is said, and what is lost
//! keeps nothing else from being repaired.

use crate::{get, objects, put_all};
use model::{ErrorKind, KeyId};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use store::Geometry;
use store::simulated::{Fault, SimStore};

const GEOMETRY: Geometry = Geometry { data: 4, parity: 2 };

/// Removes an object's shard from a volume.
fn drop_shard(sim: &SimStore, path: &str, index: usize) {
    let start = format!("objects/{path}~");
    let mut names = sim.volumes.names(index).into_iter();
    let name = names.find(|name| name.starts_with(&start)).unwrap();
    assert!(sim.volumes.drop_shard(index, &name));
}

#[tokio::test(start_paused = true)]
async fn an_object_beyond_repair_keeps_no_volume_out_and_no_other_object_from_it() {
    let sim = SimStore::create(1, GEOMETRY).await.unwrap();
    let store = sim.open().await.unwrap();
    // All others come after it.
    let path = Path::from("a");
    store.put(&path, "beyond repair".into()).await.unwrap();
    let expected = objects(1, 8);
    put_all(&store, &expected).await;
    drop_shard(&sim, "a", 0);
    drop_shard(&sim, "a", 1);
    // Another disk under the same path, noticed by the next write.
    sim.volumes.empty(5);
    store.put(&Path::from("new"), "n".into()).await.unwrap();
    assert_eq!(store.status().healthy, 5);
    for round in 0..2 {
        let report = store.maintain().await;
        assert_eq!(report.volumes_out, [], "round {round}");
        assert_eq!(report.objects_damaged, ["a"], "round {round}");
        assert!(report.shards_wanted > 0, "round {round}");
    }
    assert_eq!(store.status().healthy, 6);
    let error = get(&store, "a").await.unwrap_err();
    assert_eq!(store::kind(&error), ErrorKind::Corrupt, "{error}");
    assert!(store::is_lost(&error));
    sim.volumes.lose(0);
    sim.volumes.lose(1);
    for (path, bytes) in &expected {
        assert!(get(&store, path).await.unwrap() == *bytes, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_object_that_a_volume_does_not_give_for_now_is_not_lost() {
    for vanished in [false, true] {
        let sim = SimStore::create(2, GEOMETRY).await.unwrap();
        let store = sim.open().await.unwrap();
        store.put(&Path::from("a"), "there".into()).await.unwrap();
        drop_shard(&sim, "a", 0);
        drop_shard(&sim, "a", 1);
        if vanished {
            sim.volumes.lose(2);
        } else {
            sim.volumes.only(&[Fault::ReadError]);
            sim.volumes.break_one(2, 1_000);
        }
        let error = get(&store, "a").await.unwrap_err();
        assert_eq!(store::kind(&error), ErrorKind::Unavailable, "{error}");
        assert!(!store::is_lost(&error));
        sim.volumes.heal();
        assert_eq!(get(&store, "a").await.unwrap(), "there");
    }
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_cannot_be_read_is_written_anew() {
    let sim = SimStore::create(3, GEOMETRY).await.unwrap();
    let store = sim.open().await.unwrap();
    store.put(&Path::from("a"), "there".into()).await.unwrap();
    sim.volumes.only(&[Fault::ReadError]);
    sim.volumes.break_one(2, 1_000);
    let report = store.scrub_all(None).await;
    assert_eq!((report.bad.len(), report.rebuilt), (1, 1));
    assert_eq!(report.bad[0].volume, 3);
}

#[tokio::test(start_paused = true)]
async fn an_object_that_a_volume_does_not_give_for_now_is_not_reported_as_damaged() {
    let sim = SimStore::create(7, GEOMETRY).await.unwrap();
    let store = sim.open().await.unwrap();
    store.put(&Path::from("a"), "there".into()).await.unwrap();
    drop_shard(&sim, "a", 0);
    drop_shard(&sim, "a", 1);
    sim.volumes.only(&[Fault::ReadError]);
    sim.volumes.break_one(2, 1_000);
    assert_eq!(store.scrub_all(None).await.bad.len(), 3);
    let report = store.maintain().await;
    assert_eq!(report.objects_damaged, [""; 0]);
    assert_eq!(report.shards_wanted, 3);
    sim.volumes.heal();
    assert_eq!(store.maintain().await.shards_wanted, 0);
    assert_eq!(store.scrub_all(None).await.bad, []);
    assert_eq!(get(&store, "a").await.unwrap(), "there");
}

/// What is acknowledged is on every volume in service: else a start without two others finds too few
/// shards of it and takes it for a write that was never complete.
#[tokio::test(start_paused = true)]
async fn a_volume_does_not_come_back_without_an_object_that_cannot_be_read_for_now() {
    let sim = SimStore::create(8, GEOMETRY).await.unwrap();
    let store = sim.open().await.unwrap();
    store.put(&Path::from("a"), "there".into()).await.unwrap();
    drop_shard(&sim, "a", 0);
    sim.volumes.empty(5);
    store.put(&Path::from("new"), "n".into()).await.unwrap();
    sim.volumes.only(&[Fault::ReadError]);
    sim.volumes.break_one(1, 1_000);
    let report = store.maintain().await;
    assert_eq!(report.volumes_back, [0; 0]);
    let (number, why) = &report.volumes_out[0];
    assert_eq!(*number, 6);
    assert!(why.contains("failed to read `a`"), "{why}");
    assert_eq!(report.objects_damaged, [""; 0]);
    sim.volumes.heal();
    assert_eq!(store.maintain().await.volumes_back, [6]);
    drop(store);
    sim.volumes.lose(1);
    let store = sim.open().await.unwrap();
    assert_eq!(get(&store, "a").await.unwrap(), "there");
}

#[tokio::test(start_paused = true)]
async fn an_object_is_gone_only_when_every_volume_says_so() {
    let sim = SimStore::create(4, GEOMETRY).await.unwrap();
    let store = sim.open().await.unwrap();
    store.put(&Path::from("a"), "there".into()).await.unwrap();
    let error = get(&store, "never").await.unwrap_err();
    assert!(store::is_lost(&error));
    drop(store);
    // As many volumes away as may be, and a shard of the object gone from another one.
    drop_shard(&sim, "a", 3);
    sim.volumes.lose(4);
    sim.volumes.lose(5);
    let store = sim.open().await.unwrap();
    for path in ["a", "never"] {
        let error = get(&store, path).await.unwrap_err();
        assert_eq!(store::kind(&error), ErrorKind::NotFound, "{error}");
        assert!(!store::is_lost(&error), "{path}");
    }
    sim.volumes.heal();
    assert_eq!(store.maintain().await.volumes_back, [5, 6]);
    assert_eq!(get(&store, "a").await.unwrap(), "there");
    store.delete(&Path::from("a")).await.unwrap();
    let error = get(&store, "a").await.unwrap_err();
    assert!(store::is_lost(&error));
}

#[tokio::test(start_paused = true)]
async fn an_object_whose_key_does_not_exist_is_lost() {
    let sim = SimStore::create(8, GEOMETRY).await.unwrap();
    let store = sim.open().await.unwrap();
    store.put(&Path::from("a"), "there".into()).await.unwrap();
    let mut numbers = (0..8_u128).map(|number| KeyId(number.to_le_bytes()));
    assert!(numbers.any(|number| sim.keys.destroy(number)));
    let error = get(&store, "a").await.unwrap_err();
    assert_eq!(store::kind(&error), ErrorKind::NotFound, "{error}");
    assert!(store::is_lost(&error));
}

/// What was found incomplete without two volumes is judged again with them, while a third does not
/// give its shard.
#[tokio::test(start_paused = true)]
async fn an_error_in_the_wrong_moment_makes_no_object_incomplete() {
    let sim = SimStore::create(5, GEOMETRY).await.unwrap();
    let store = sim.open().await.unwrap();
    let path = Path::from("a");
    store.put(&path, "acknowledged".into()).await.unwrap();
    drop(store);
    drop_shard(&sim, "a", 2);
    drop_shard(&sim, "a", 3);
    sim.volumes.lose(4);
    sim.volumes.lose(5);
    let store = sim.open().await.unwrap();
    get(&store, "a").await.unwrap_err();
    sim.volumes.heal();
    sim.volumes.only(&[Fault::ReadError]);
    sim.volumes.break_one(1, 1_000);
    assert_eq!(store.maintain().await.volumes_back, [5, 6]);
    sim.volumes.heal();
    sim.clock.advance(sim.settings.garbage_age);
    store.repair().await;
    assert_eq!(get(&store, "a").await.unwrap(), "acknowledged");
    for index in 0..6 {
        assert_eq!(sim.volumes.names(index).len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_left_of_an_object_after_a_start_is_not_removed_without_a_word() {
    let sim = SimStore::create(9, GEOMETRY).await.unwrap();
    let store = sim.open().await.unwrap();
    for path in ["a", "b"] {
        store.put(&Path::from(path), "there".into()).await.unwrap();
    }
    drop(store);
    (0..3).for_each(|index| drop_shard(&sim, "a", index));
    let store = sim.open().await.unwrap();
    let report = store.repair().await;
    assert_eq!(
        (report.remains_removed, report.garbage_removed),
        (vec![], 0)
    );
    sim.clock.advance(sim.settings.garbage_age);
    let report = store.repair().await;
    assert_eq!(report.remains_removed, ["a"]);
    assert_eq!(report.garbage_removed, 1);
    for index in 0..6 {
        assert_eq!(sim.volumes.names(index).len(), 1);
    }
    assert_eq!(store.repair().await.remains_removed, [""; 0]);
    assert_eq!(get(&store, "b").await.unwrap(), "there");
}

/// Somebody finds the files that a check of the file system had put aside.
#[tokio::test(start_paused = true)]
async fn before_what_was_incomplete_is_removed_it_is_looked_at_again() {
    let sim = SimStore::create(6, GEOMETRY).await.unwrap();
    let store = sim.open().await.unwrap();
    store.put(&Path::from("a"), "there".into()).await.unwrap();
    drop(store);
    let mut names = Vec::new();
    for index in 1..4 {
        let name = sim.volumes.names(index).pop().unwrap();
        assert!(sim.volumes.rename_shard(index, &name, "objects/aside"));
        names.push((index, name));
    }
    let store = sim.open().await.unwrap();
    let error = get(&store, "a").await.unwrap_err();
    assert!(!store::is_lost(&error));
    for (index, name) in names {
        assert!(sim.volumes.rename_shard(index, "objects/aside", &name));
    }
    sim.clock.advance(sim.settings.garbage_age);
    store.repair().await;
    assert_eq!(get(&store, "a").await.unwrap(), "there");
}
