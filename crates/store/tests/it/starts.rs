//! What a start waits for, and for how long.

use crate::{check_all, objects, put_all};
use model::ErrorKind;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use std::time::Duration;
use store::simulated::SimStore;
use store::{Geometry, VolumeState};
use tokio::time::Instant;

const GEOMETRY: Geometry = Geometry { data: 4, parity: 2 };
const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn a_start_waits_for_another_process_to_let_go_of_volumes_but_not_for_ever() {
    let sim = SimStore::create(1, GEOMETRY).await.unwrap();
    let store = sim.open().await.unwrap();
    let expected = objects(1, 6);
    put_all(&store, &expected).await;
    drop(store);

    (1..4).for_each(|index| sim.volumes.hold(index));
    let began = Instant::now();
    let error = sim.open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(error.to_string().contains("simulated:1"), "{error}");
    let (waited, patience) = (began.elapsed(), sim.settings.lock_patience);
    assert!(waited >= patience && waited < patience * 2, "{waited:?}");

    let let_go = async {
        tokio::time::sleep(patience / 2).await;
        sim.volumes.heal();
    };
    let (store, ()) = tokio::join!(sim.open(), let_go);
    let store = store.unwrap();
    assert_eq!(store.status().healthy, 6);
    check_all(&store, &expected).await;
}

/// A thread of the process before that waits for a disk holds the volume, and so can whoever may open
/// its directory.
#[tokio::test(start_paused = true)]
async fn a_start_goes_on_without_volumes_that_are_held_by_somebody_who_cannot_have_enough() {
    let sim = SimStore::create(6, GEOMETRY).await.unwrap();
    let store = sim.open().await.unwrap();
    let mut expected = objects(1, 6);
    put_all(&store, &expected).await;
    drop(store);
    sim.volumes.hold(2);
    sim.volumes.hold(5);
    let before = (sim.volumes.names(2), sim.volumes.names(5));
    let store = sim.open().await.unwrap();
    assert_eq!(store.status().healthy, 4);
    store.put(&Path::from("new"), "n".into()).await.unwrap();
    expected.insert("new".into(), "n".into());
    check_all(&store, &expected).await;
    let report = store.maintain().await;
    let unused: Vec<&str> = report
        .places_unused
        .iter()
        .map(|(place, _)| place.as_str())
        .collect();
    assert_eq!(unused, ["simulated:2", "simulated:5"]);
    assert_eq!((sim.volumes.names(2), sim.volumes.names(5)), before);
    sim.volumes.heal();
    assert_eq!(store.maintain().await.volumes_back, [3, 6]);
    assert_eq!(store.scrub_all(None).await.bad, []);
    check_all(&store, &expected).await;
}

#[tokio::test(start_paused = true)]
async fn a_start_is_refused_beside_somebody_who_may_have_enough_volumes() {
    for (geometry, lost) in [
        (Geometry { data: 1, parity: 1 }, None),
        (Geometry { data: 2, parity: 2 }, Some(1)),
    ] {
        let sim = SimStore::create(7, geometry).await.unwrap();
        sim.volumes.hold(0);
        if let Some(index) = lost {
            sim.volumes.lose(index);
        }
        let error = sim.open().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "{geometry:?}");
        assert!(error.to_string().contains("simulated:0"), "{error}");
        sim.volumes.heal();
        let store = sim.open().await.unwrap();
        assert_eq!(store.status().healthy, geometry.volumes());
    }
}

#[tokio::test(start_paused = true)]
async fn a_volume_that_somebody_else_has_open_is_not_brought_back_before_it_is_free() {
    let sim = SimStore::create(2, GEOMETRY).await.unwrap();
    let store = sim.open().await.unwrap();
    let mut expected = objects(1, 6);
    put_all(&store, &expected).await;
    sim.volumes.lose(4);
    store.put(&Path::from("new"), "n".into()).await.unwrap();
    expected.insert("new".into(), "n".into());
    sim.volumes.heal();
    sim.volumes.hold(4);
    let before = sim.volumes.names(4);
    let report = store.maintain().await;
    assert_eq!(report.volumes_back, [0; 0]);
    assert_eq!(report.places_unused[0].0, "simulated:4");
    assert_eq!(sim.volumes.names(4), before);
    sim.volumes.heal();
    assert_eq!(store.maintain().await.volumes_back, [5]);
    assert_eq!(store.scrub_all(None).await.bad, []);
    check_all(&store, &expected).await;
}

/// Lets simulated time pass, until what has hung comes back.
async fn pass(sim: &SimStore) {
    sim.volumes.heal();
    tokio::time::advance(Duration::from_secs(60)).await;
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
    assert_eq!(sim.volumes.late_operations(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_start_goes_on_without_a_volume_that_hangs_on_its_label() {
    let sim = SimStore::create(3, GEOMETRY).await.unwrap();
    let store = sim.open().await.unwrap();
    let expected = objects(1, 6);
    put_all(&store, &expected).await;
    drop(store);

    sim.volumes.hang(2);
    let began = Instant::now();
    let store = sim.open().await.unwrap();
    assert!(began.elapsed() < MINUTE, "{:?}", began.elapsed());
    assert_eq!(store.status().healthy, 5);
    check_all(&store, &expected).await;
    // It is not asked again and again: each time would take a thread until it answers.
    let (began, late) = (Instant::now(), sim.volumes.late_operations());
    let report = store.maintain().await;
    assert_eq!(report.places_unused[0].0, "simulated:2");
    assert!(began.elapsed() < MINUTE / 60, "{:?}", began.elapsed());
    assert_eq!(sim.volumes.late_operations(), late);

    pass(&sim).await;
    assert_eq!(store.maintain().await.volumes_back, [3]);
    assert_eq!(store.scrub_all(None).await.bad, []);
    check_all(&store, &expected).await;
}

#[tokio::test(start_paused = true)]
async fn a_start_goes_on_without_a_volume_that_hangs_on_its_listing() {
    let sim = SimStore::create(4, GEOMETRY).await.unwrap();
    let store = sim.open().await.unwrap();
    let expected = objects(1, 6);
    put_all(&store, &expected).await;
    drop(store);

    let (began, labels) = (Instant::now(), sim.volumes.steps() + 6);
    let hang = async {
        while sim.volumes.steps() < labels {
            tokio::task::yield_now().await;
        }
        assert_eq!(sim.volumes.steps(), labels, "listings have begun");
        sim.volumes.hang(2);
    };
    let (store, ()) = tokio::join!(sim.open(), hang);
    let store = store.unwrap();
    assert!(began.elapsed() < MINUTE * 2, "{:?}", began.elapsed());
    let status = store.status();
    let VolumeState::Out { reason, .. } = &status.volumes[2].state else {
        panic!("{status:?}");
    };
    assert!(reason.contains("its listing"), "{reason}");
    check_all(&store, &expected).await;

    pass(&sim).await;
    assert_eq!(store.maintain().await.volumes_back, [3]);
    assert_eq!(store.scrub_all(None).await.bad, []);
    check_all(&store, &expected).await;
}

/// Where the listings take long at the start, those of upkeep may as well.
#[tokio::test(start_paused = true)]
async fn listings_may_take_as_long_in_upkeep_as_at_the_start() {
    let takes = Duration::from_secs(100);
    assert!(takes > MINUTE);
    let sim = SimStore::create(8, GEOMETRY).await.unwrap();
    sim.volumes.set_late(Duration::from_secs(1));
    let store = sim.open().await.unwrap();
    let expected = objects(1, 6);
    put_all(&store, &expected).await;
    drop(store);

    let labels = sim.volumes.steps() + 6;
    let hang = async {
        while sim.volumes.steps() < labels {
            tokio::task::yield_now().await;
        }
        (0..6).for_each(|index| sim.volumes.hang(index));
        tokio::time::sleep(takes).await;
        sim.volumes.heal();
    };
    let (store, ()) = tokio::join!(sim.open(), hang);
    let store = store.unwrap();
    assert_eq!(store.status().healthy, 6);

    let lost = sim.volumes.names(2).pop().unwrap();
    assert!(sim.volumes.drop_shard(2, &lost));
    sim.volumes.hang(2);
    let heal = async {
        tokio::time::sleep(takes).await;
        sim.volumes.heal();
    };
    let (report, ()) = tokio::join!(store.repair(), heal);
    assert_eq!(report.shards_rebuilt, 1);
    assert_eq!(sim.volumes.names(2).len(), 6);
    check_all(&store, &expected).await;
}

#[tokio::test(start_paused = true)]
async fn a_start_with_more_volumes_that_hang_than_parity_covers_is_refused_and_does_not_hang() {
    let sim = SimStore::create(5, GEOMETRY).await.unwrap();
    (0..3).for_each(|index| sim.volumes.hang(index));
    let began = Instant::now();
    let error = sim.open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(began.elapsed() < MINUTE, "{:?}", began.elapsed());
}
