//! Disks that hang or are slow, while a store is open: nobody waits for one longer than must be.

use crate::{check_all, get, objects, put_all};
use bytes::Bytes;
use model::ErrorKind;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use std::time::Duration;
use store::Geometry;
use store::simulated::{Fault, SimStore};
use tokio::time::Instant;

const GEOMETRY: Geometry = Geometry { data: 4, parity: 2 };

/// Lets simulated time pass, and what has waited for it go on.
async fn pass(time: Duration) {
    tokio::time::advance(time).await;
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_disk_that_hangs_while_its_volume_is_brought_back() {
    const HANGS: Duration = Duration::from_secs(600);
    let sim = SimStore::create(1, GEOMETRY).await.unwrap();
    let store = sim.open().await.unwrap();
    let mut expected = objects(1, 6);
    put_all(&store, &expected).await;
    // So that the volume has something to remove when it comes back.
    sim.volumes.lose(3);
    let path = expected.keys().next().unwrap().clone();
    store.delete(&Path::from(path.as_str())).await.unwrap();
    expected.remove(&path);
    sim.volumes.heal();
    sim.volumes.only(&[Fault::Slow]);
    sim.volumes.set_late(HANGS);
    sim.volumes.break_one(3, 1_000);
    let repaired = store.clone();
    let repair = tokio::spawn(async move { repaired.maintain().await });
    while sim.volumes.late_operations() == 0 {
        tokio::task::yield_now().await;
    }
    let began = Instant::now();
    store.put(&Path::from("new"), "n".into()).await.unwrap();
    expected.insert("new".into(), "n".into());
    let waited = began.elapsed();
    assert!(waited < Duration::from_secs(1), "{waited:?}");
    assert_eq!(repair.await.unwrap().volumes_back, [0; 0]);
    check_all(&store, &expected).await;
    sim.volumes.heal();
    pass(HANGS).await;
    assert_eq!(store.maintain().await.volumes_back, [4]);
    assert_eq!(store.scrub_all(None).await.bad, []);
    check_all(&store, &expected).await;
}

#[tokio::test(start_paused = true)]
async fn a_large_shard_on_a_slow_disk_is_scrubbed_and_repaired() {
    let geometry = Geometry { data: 1, parity: 1 };
    let sim = SimStore::create(2, geometry).await.unwrap();
    let store = sim.open().await.unwrap();
    let large = Bytes::from(vec![7; 8 * 1024 * 1024]);
    let path = Path::from("large");
    store.put(&path, large.clone().into()).await.unwrap();
    // An empty name is the label's.
    while sim.volumes.flip(0).unwrap().is_empty() {}
    let late = Duration::from_secs(1);
    assert!(late > sim.settings.read_grace && late < sim.settings.write_grace);
    sim.volumes.only(&[Fault::Slow]);
    sim.volumes.set_late(late);
    sim.volumes.break_one(0, 1_000);
    let report = store.scrub_all(None).await;
    let bad: Vec<_> = report
        .bad
        .iter()
        .map(|bad| (&*bad.path, bad.volume))
        .collect();
    assert_eq!(bad, [("large", 1)]);
    assert_eq!(report.rebuilt, 1);
    assert_eq!(store.scrub_all(None).await.bad, []);
    assert!(get(&store, "large").await.unwrap() == large);
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_hangs_takes_few_of_the_threads_of_those_who_read() {
    let sim = SimStore::create(3, GEOMETRY).await.unwrap();
    let store = sim.open().await.unwrap();
    let expected = objects(1, 40);
    put_all(&store, &expected).await;
    sim.volumes.hang(0);
    check_all(&store, &expected).await;
    assert_eq!(store.status().healthy, 6);
    let late = sim.volumes.late_operations();
    assert!((1..=16).contains(&late), "{late}");
    sim.volumes.heal();
    pass(Duration::from_secs(60)).await;
    assert_eq!(sim.volumes.late_operations(), 0);
    assert_eq!(store.scrub_all(None).await.bad, []);
    check_all(&store, &expected).await;
}

#[tokio::test(start_paused = true)]
async fn disks_that_hang_take_few_of_the_threads_of_those_who_write() {
    let sim = SimStore::create(6, GEOMETRY).await.unwrap();
    let store = sim.open().await.unwrap();
    let expected = objects(1, 6);
    put_all(&store, &expected).await;
    // With too few others they cannot be marked out, and each write tries them again.
    (0..3).for_each(|index| sim.volumes.hang(index));
    for number in 0..40 {
        let path = Path::from(format!("new-{number}"));
        let error = store.put(&path, "n".into()).await.unwrap_err();
        assert_eq!(store::kind(&error), ErrorKind::Unavailable, "{error}");
    }
    let late = sim.volumes.late_operations();
    assert!((3..=3 * 16).contains(&late), "{late}");
    sim.volumes.heal();
    pass(Duration::from_secs(60)).await;
    assert_eq!(sim.volumes.late_operations(), 0);
    put_all(&store, &expected).await;
    assert_eq!(store.status().healthy, 6);
}

#[tokio::test(start_paused = true)]
async fn operations_whose_callers_have_gone_count_as_late() {
    let sim = SimStore::create(7, GEOMETRY).await.unwrap();
    let store = sim.open().await.unwrap();
    let path = Path::from("a");
    store.put(&path, "there".into()).await.unwrap();
    sim.volumes.hang(0);
    let at_once = Duration::from_millis(1);
    assert!(at_once < sim.settings.read_grace);
    let mut answered = 0;
    for _ in 0..40 {
        if let Ok(read) = tokio::time::timeout(at_once, get(&store, "a")).await {
            assert_eq!(read.unwrap(), "there");
            answered += 1;
        }
        pass(sim.settings.read_grace).await;
    }
    let late = sim.volumes.late_operations();
    assert!((1..=16).contains(&late), "{late}");
    assert!(answered > 20, "{answered}");
    sim.volumes.heal();
    pass(Duration::from_secs(60)).await;
    assert_eq!(get(&store, "a").await.unwrap(), "there");
}

/// A volume whose answers to reads come too late.
fn slow_down(sim: &SimStore, index: usize) {
    let late = Duration::from_secs(1);
    assert!(late > sim.settings.read_grace);
    sim.volumes.only(&[Fault::Slow]);
    sim.volumes.set_late(late);
    sim.volumes.break_one(index, 1_000);
}

#[tokio::test(start_paused = true)]
async fn shards_that_a_slow_disk_does_not_give_do_not_count_as_scrubbed() {
    let sim = SimStore::create(4, GEOMETRY).await.unwrap();
    let store = sim.open().await.unwrap();
    put_all(&store, &objects(1, 6)).await;
    slow_down(&sim, 2);
    let report = store.scrub_all(None).await;
    let counts = (report.objects, report.shards, report.unread);
    assert_eq!(counts, (6, 30, 6));
    assert_eq!(report.bad, []);
    sim.volumes.heal();
    let report = store.scrub_all(None).await;
    assert_eq!((report.shards, report.unread), (36, 0));
}

#[tokio::test(start_paused = true)]
async fn a_slow_disk_holds_up_no_round_of_upkeep_and_the_scrubber_goes_on_in_the_next() {
    let sim = SimStore::create(5, GEOMETRY).await.unwrap();
    let store = sim.open().await.unwrap();
    for number in 0..300 {
        let path = Path::from(format!("{number:03}"));
        store.put(&path, "x".into()).await.unwrap();
    }
    let mut names = sim.volumes.names(0).into_iter();
    let last = names.find(|name| name.contains("/299~")).unwrap();
    assert!(sim.volumes.drop_shard(0, &last));
    slow_down(&sim, 2);
    let mut rounds = 0;
    while !sim.volumes.names(0).contains(&last) {
        let began = Instant::now();
        store.maintain().await;
        let took = began.elapsed();
        assert!(took < Duration::from_secs(40), "{took:?}");
        rounds += 1;
        assert!(rounds < 10, "the last object is not reached");
    }
    assert!(rounds > 1);
}
