//! Volumes whose labels are damaged or lost: their shards say which they are, and nothing else does.

use crate::{check_all, objects, put_all, subsets};
use futures::FutureExt;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use store::Geometry;
use store::simulated::SimStore;

const GEOMETRY: Geometry = Geometry { data: 4, parity: 2 };

#[tokio::test(start_paused = true)]
async fn volumes_without_a_readable_label_come_back_by_their_shards() {
    for (seed, set) in subsets(6, 2).enumerate() {
        for while_open in [false, true] {
            let sim = SimStore::create(seed as u64, GEOMETRY).await.unwrap();
            let store = sim.open().await.unwrap();
            let mut expected = objects(1, 6);
            put_all(&store, &expected).await;
            if while_open {
                set.iter()
                    .for_each(|index| assert!(sim.volumes.spoil_label(*index)));
            } else {
                drop(store);
                set.iter()
                    .for_each(|index| assert!(sim.volumes.spoil_label(*index)));
            }
            // Written while they are out, or met by them while they are in service.
            let store = sim.open().await.unwrap();
            store.put(&Path::from("new"), "n".into()).await.unwrap();
            expected.insert("new".into(), "n".into());
            check_all(&store, &expected).await;
            let numbers: Vec<usize> = set.iter().map(|index| index + 1).collect();
            assert_eq!(store.maintain().await.volumes_back, numbers, "{set:?}");
            assert_eq!(store.scrub_all(None).await.bad, [], "{set:?}");
            drop(store);
            let store = sim.open().await.unwrap();
            assert_eq!(store.status().healthy, 6, "{set:?}");
            check_all(&store, &expected).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_label_that_is_lost_under_an_open_store_is_written_again() {
    for seed in 0..8 {
        let sim = SimStore::create(seed, GEOMETRY).await.unwrap();
        let store = sim.open().await.unwrap();
        let mut expected = objects(1, 6);
        put_all(&store, &expected).await;
        assert!(sim.volumes.spoil_label(2));
        store.put(&Path::from("new"), "n".into()).await.unwrap();
        expected.insert("new".into(), "n".into());
        store.maintain().await;
        assert_eq!(store.status().healthy, 6, "seed {seed}");
        store.scrub_all(None).await;
        drop(store);
        let store = sim.open().await.unwrap();
        assert_eq!(store.status().healthy, 6, "seed {seed}");
        check_all(&store, &expected).await;
    }
}

#[tokio::test(start_paused = true)]
async fn exchanged_volumes_without_labels_are_told_apart() {
    for seed in 0..8 {
        let sim = SimStore::create(seed, GEOMETRY).await.unwrap();
        let store = sim.open().await.unwrap();
        let expected = objects(1, 8);
        put_all(&store, &expected).await;
        drop(store);
        sim.volumes.swap(1, 4);
        assert!(sim.volumes.spoil_label(1) && sim.volumes.spoil_label(4));
        let store = sim.open().await.unwrap();
        let report = store.maintain().await;
        assert_eq!(report.volumes_back, [2, 5], "seed {seed}");
        assert_eq!(report.shards_rebuilt, 0, "seed {seed}");
        assert_eq!(store.scrub_all(None).await.bad, [], "seed {seed}");
        let status = store.status();
        let second = &status.volumes[1];
        assert_eq!((second.number, second.place.as_str()), (2, "simulated:4"));
        check_all(&store, &expected).await;
    }
}

#[tokio::test(start_paused = true)]
async fn too_few_labels_of_others_bring_nothing_back() {
    let geometry = Geometry { data: 1, parity: 2 };
    for seed in 0..8 {
        let sim = SimStore::create(seed, geometry).await.unwrap();
        let store = sim.open().await.unwrap();
        let expected = objects(1, 4);
        put_all(&store, &expected).await;
        drop(store);
        assert!(sim.volumes.spoil_label(0) && sim.volumes.spoil_label(1));
        let store = sim.open().await.unwrap();
        assert_eq!(store.maintain().await.volumes_back, [0; 0], "seed {seed}");
        check_all(&store, &expected).await;
    }
}

#[tokio::test(start_paused = true)]
async fn maintenance_that_is_dropped_at_any_point_loses_no_volume() {
    let sim = SimStore::create(3, GEOMETRY).await.unwrap();
    let store = sim.open().await.unwrap();
    let mut expected = objects(1, 4);
    put_all(&store, &expected).await;
    for polls in 0..60 {
        sim.volumes.lose(1);
        sim.volumes.lose(4);
        let path = format!("new-{polls}");
        store
            .put(&Path::from(path.as_str()), "n".into())
            .await
            .unwrap();
        expected.insert(path, "n".into());
        sim.volumes.heal();
        let mut dropped = Box::pin(store.maintain());
        for _ in 0..polls {
            if (&mut dropped).now_or_never().is_some() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(dropped);
        // What it had begun on the volumes ends by itself.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        store.maintain().await;
        assert_eq!(store.status().healthy, 6, "after {polls} polls");
    }
    check_all(&store, &expected).await;
}
