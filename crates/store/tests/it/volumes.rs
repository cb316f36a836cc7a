//! Any m volumes may be lost, emptied, exchanged or rotten, while the store is open and across a
//! restart: every read is right and writes go on. With m + 1 nothing is guessed.

use crate::{check_all, get, objects, put_all, subsets};
use model::ErrorKind;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use std::time::Duration;
use store::simulated::{SimStore, SimVolumes};
use store::{Geometry, VolumeState};

const GEOMETRY: Geometry = Geometry { data: 4, parity: 2 };

/// What is done to a set of volumes.
type Damage = fn(&SimVolumes, &[usize]);

const DAMAGES: [(&str, Damage); 5] = [
    ("lost", |volumes, set| {
        set.iter().for_each(|index| volumes.lose(*index))
    }),
    ("emptied", |volumes, set| {
        set.iter().for_each(|index| volumes.empty(*index))
    }),
    ("exchanged", |volumes, set| {
        volumes.swap(set[0], set[set.len() - 1]);
    }),
    ("rotten", |volumes, set| {
        for index in set {
            for _ in 0..10 {
                volumes.flip(*index);
            }
        }
    }),
    ("full", |volumes, set| {
        set.iter().for_each(|index| volumes.fill(*index))
    }),
];

fn run(test: impl Future<Output = ()>) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(test);
}

#[test]
fn every_choice_of_up_to_m_volumes_may_fail_while_open_and_across_a_restart() {
    run(async {
        for (what, damage) in DAMAGES {
            for set in subsets(6, 2) {
                let sim = SimStore::create(1, GEOMETRY).await.unwrap();
                let mut expected = objects(1, 10);
                let store = sim.open().await.unwrap();
                put_all(&store, &expected).await;
                damage(&sim.volumes, &set);
                let context = format!("{what} {set:?}");
                check_all(&store, &expected).await;
                let more = objects(2, 13).split_off("lake/A/events/2026-01-03");
                put_all(&store, &more).await;
                expected.extend(more);
                check_all(&store, &expected).await;
                drop(store);
                let store = sim
                    .open()
                    .await
                    .unwrap_or_else(|error| panic!("{context}: {error}"));
                check_all(&store, &expected).await;
                let path = expected.keys().next().unwrap().clone();
                store.delete(&Path::from(path.as_str())).await.unwrap();
                expected.remove(&path);
                sim.volumes.heal();
                store.repair().await;
                let report = store.repair().await;
                assert_eq!(report.volumes_out, [], "{context}");
                let status = store.status();
                assert_eq!((status.healthy, status.shards_wanted), (6, 0), "{context}");
                store.scrub_all(None).await;
                assert_eq!(store.scrub_all(None).await.bad, [], "{context}");
                check_all(&store, &expected).await;
                drop(store);
                let store = sim.open().await.unwrap();
                assert_eq!(store.status().healthy, 6, "{context}");
                check_all(&store, &expected).await;
            }
        }
    });
}

#[test]
fn with_more_than_m_volumes_lost_nothing_is_guessed_and_nothing_is_acknowledged() {
    run(async {
        let sim = SimStore::create(2, GEOMETRY).await.unwrap();
        let expected = objects(1, 10);
        let store = sim.open().await.unwrap();
        put_all(&store, &expected).await;
        for index in [0, 2, 5] {
            sim.volumes.lose(index);
        }
        for (path, bytes) in &expected {
            let error = match get(&store, path).await {
                Err(error) => store::kind(&error),
                Ok(read) => {
                    assert!(bytes.is_empty() && read.is_empty());
                    continue;
                }
            };
            assert!(
                matches!(error, ErrorKind::Unavailable | ErrorKind::Corrupt),
                "{error:?}"
            );
        }
        let put = store.put(&Path::from("new"), "x".into()).await.unwrap_err();
        assert_eq!(store::kind(&put), ErrorKind::Unavailable);
        // It says which ones: by number, from 1, and by place.
        let said = put.to_string();
        for index in 0..GEOMETRY.volumes() {
            let name = format!("volume {} (`simulated:{index}`) ", index + 1);
            let is_lost = [0, 2, 5].contains(&index);
            assert_eq!(said.contains(&name), is_lost, "{name}: {said}");
        }
        let delete = store
            .delete(&Path::from(expected.keys().next().unwrap().as_str()))
            .await;
        assert_eq!(store::kind(&delete.unwrap_err()), ErrorKind::Unavailable);
        drop(store);
        let error = sim.open().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        sim.volumes.heal();
        let store = sim.open().await.unwrap();
        store.repair().await;
        let first = expected.keys().next().unwrap().clone();
        let mut rest = expected.clone();
        rest.remove(&first);
        for (path, bytes) in &rest {
            assert_eq!(get(&store, path).await.unwrap(), *bytes);
        }
        assert_eq!(store.status().healthy, 6);
    });
}

#[test]
fn more_than_m_rotten_shards_are_an_error_and_never_wrong_data() {
    run(async {
        let sim = SimStore::create(3, GEOMETRY).await.unwrap();
        let expected = objects(5, 3);
        let store = sim.open().await.unwrap();
        put_all(&store, &expected).await;
        for index in 0..3 {
            for _ in 0..200 {
                sim.volumes.flip(index);
            }
        }
        for (path, bytes) in &expected {
            match get(&store, path).await {
                Ok(read) => assert!(read == *bytes),
                Err(error) => assert_eq!(store::kind(&error), ErrorKind::Corrupt, "{error}"),
            }
        }
    });
}

#[test]
fn what_was_deleted_while_a_volume_was_away_does_not_come_back_with_it() {
    run(async {
        for geometry in [
            GEOMETRY,
            Geometry { data: 1, parity: 1 },
            Geometry { data: 1, parity: 2 },
        ] {
            let sim = SimStore::create(4, geometry).await.unwrap();
            let store = sim.open().await.unwrap();
            let mut expected = objects(1, 6);
            put_all(&store, &expected).await;
            sim.volumes.lose(0);
            let path = expected.keys().next().unwrap().clone();
            store.delete(&Path::from(path.as_str())).await.unwrap();
            expected.remove(&path);
            assert_eq!(store.status().healthy, geometry.volumes() - 1);
            sim.volumes.heal();
            drop(store);
            let store = sim.open().await.unwrap();
            check_all(&store, &expected).await;
            let report = store.maintain().await;
            assert_eq!(report.volumes_back, [1]);
            assert!(report.garbage_removed > 0);
            check_all(&store, &expected).await;
            assert!(
                sim.volumes
                    .names(0)
                    .iter()
                    .all(|name| !name.contains(&path))
            );
        }
    });
}

#[test]
fn an_empty_place_does_not_take_the_slot_of_a_volume_that_is_away() {
    run(async {
        let sim = SimStore::create(9, GEOMETRY).await.unwrap();
        let store = sim.open().await.unwrap();
        let mut expected = objects(1, 6);
        put_all(&store, &expected).await;
        sim.volumes.lose(0);
        sim.volumes.empty(4);
        store.put(&Path::from("new"), "n".into()).await.unwrap();
        expected.insert("new".into(), "n".into());
        for reopen in [false, true] {
            let store = if reopen {
                sim.open().await.unwrap()
            } else {
                store.clone()
            };
            store.maintain().await;
            check_all(&store, &expected).await;
        }
        sim.volumes.heal();
        let store = sim.open().await.unwrap();
        store.maintain().await;
        assert_eq!(store.status().healthy, 6, "{:?}", store.status());
        check_all(&store, &expected).await;
    });
}

#[test]
fn a_slow_volume_is_marked_out_before_the_answer_and_comes_back() {
    run(async {
        let sim = SimStore::create(5, GEOMETRY).await.unwrap();
        let store = sim.open().await.unwrap();
        sim.volumes.only(&[store::simulated::Fault::Slow]);
        let slow = sim.volumes.break_some(1, 1_000);
        let expected = objects(1, 3);
        put_all(&store, &expected).await;
        let status = store.status();
        assert!(
            matches!(status.volumes[slow[0]].state, VolumeState::Out { .. }),
            "{status:?}"
        );
        check_all(&store, &expected).await;
        sim.volumes.heal();
        tokio::time::advance(Duration::from_secs(120)).await;
        for _ in 0..200 {
            tokio::task::yield_now().await;
        }
        let numbers: Vec<usize> = slow.iter().map(|index| index + 1).collect();
        assert_eq!(store.maintain().await.volumes_back, numbers);
        assert_eq!(store.scrub_all(None).await.bad, []);
        check_all(&store, &expected).await;
    });
}

#[test]
fn a_volume_that_was_rolled_back_is_out_until_it_is_repaired() {
    run(async {
        let sim = SimStore::create(6, GEOMETRY).await.unwrap();
        let mut expected = objects(1, 4);
        let store = sim.open().await.unwrap();
        put_all(&store, &expected).await;
        sim.volumes.snapshot();
        drop(store);
        let store = sim.open().await.unwrap();
        let more = objects(2, 14).split_off("lake/A/events/2026-01-04");
        put_all(&store, &more).await;
        expected.extend(more);
        drop(store);
        sim.volumes.roll_back(3);
        let store = sim.open().await.unwrap();
        assert_eq!(store.status().healthy, 5);
        check_all(&store, &expected).await;
        assert_eq!(store.maintain().await.volumes_back, [4]);
        check_all(&store, &expected).await;
        assert_eq!(store.scrub_all(None).await.bad, []);
    });
}

#[test]
fn a_full_store_refuses_writes_and_recovers_without_a_restart() {
    run(async {
        let sim = SimStore::create(7, GEOMETRY).await.unwrap();
        let store = sim.open().await.unwrap();
        let expected = objects(1, 4);
        put_all(&store, &expected).await;
        (0..6).for_each(|index| sim.volumes.fill(index));
        let error = store.put(&Path::from("new"), "x".into()).await.unwrap_err();
        assert_eq!(store::kind(&error), ErrorKind::Unavailable);
        check_all(&store, &expected).await;
        sim.volumes.heal();
        store.put(&Path::from("new"), "x".into()).await.unwrap();
        assert_eq!(get(&store, "new").await.unwrap(), "x");
        assert_eq!(store.status().healthy, 6);
    });
}

#[test]
fn an_object_whose_key_was_destroyed_cannot_be_read() {
    run(async {
        let sim = SimStore::create(8, GEOMETRY).await.unwrap();
        let store = sim.open().await.unwrap();
        store
            .put(&Path::from("a"), "first key".into())
            .await
            .unwrap();
        assert!(sim.keys.destroy(model::KeyId([0; 16])));
        let error = get(&store, "a").await.unwrap_err();
        assert_eq!(store::kind(&error), ErrorKind::NotFound);
    });
}

/// Opens while volumes are slow, after one of the others has lost its shard of the object.
#[test]
fn an_object_whose_volumes_do_not_answer_at_start_is_not_taken_for_one_that_never_was() {
    run(async {
        let sim = SimStore::create(10, GEOMETRY).await.unwrap();
        let store = sim.open().await.unwrap();
        store
            .put(&Path::from("a"), "acknowledged".into())
            .await
            .unwrap();
        drop(store);
        sim.volumes.only(&[store::simulated::Fault::Slow]);
        let slow = sim.volumes.break_some(3, 1_000);
        let quick = (0..6).find(|index| !slow.contains(index)).unwrap();
        let name = sim.volumes.names(quick).pop().unwrap();
        assert!(sim.volumes.drop_shard(quick, &name));
        let store = sim.open().await.unwrap();
        let error = get(&store, "a").await.unwrap_err();
        assert_eq!(store::kind(&error), ErrorKind::Unavailable, "{error}");
        drop(store);
        sim.volumes.heal();
        let store = sim.open().await.unwrap();
        assert_eq!(get(&store, "a").await.unwrap(), "acknowledged");
    });
}

/// A crash leaves exactly k shards; one rots while the start rebuilds the others.
#[test]
fn a_write_that_was_never_complete_is_judged_again_when_it_cannot_be_completed() {
    run(async {
        let mut rotted = 0;
        for seed in 0..40 {
            let sim = SimStore::create(seed, GEOMETRY).await.unwrap();
            let store = sim.open().await.unwrap();
            store
                .put(&Path::from("a"), "never acknowledged".into())
                .await
                .unwrap();
            drop(store);
            for index in [4, 5] {
                let name = sim.volumes.names(index).pop().unwrap();
                assert!(sim.volumes.drop_shard(index, &name));
            }
            sim.volumes.only(&[store::simulated::Fault::BitFlip]);
            sim.volumes.break_some(2, 300);
            let store = sim.open().await.unwrap();
            let flips = sim.volumes.fired().values().sum::<u64>();
            sim.volumes.heal();
            match get(&store, "a").await {
                Ok(bytes) => assert_eq!(bytes, "never acknowledged"),
                Err(error) => {
                    assert_eq!(
                        store::kind(&error),
                        ErrorKind::NotFound,
                        "seed {seed}: {error}"
                    );
                    assert!(flips > 0);
                    rotted += 1;
                }
            }
        }
        assert!(rotted > 0);
    });
}

/// Two volumes are away at start, and one of the others has lost its shard of the object.
#[test]
fn volumes_that_come_back_complete_what_was_found_incomplete_without_them() {
    run(async {
        for replaced in [false, true] {
            let sim = SimStore::create(13, GEOMETRY).await.unwrap();
            let store = sim.open().await.unwrap();
            let path = Path::from("a");
            store.put(&path, "acknowledged".into()).await.unwrap();
            drop(store);
            let name = sim.volumes.names(3).pop().unwrap();
            assert!(sim.volumes.drop_shard(3, &name));
            sim.volumes.lose(4);
            sim.volumes.lose(5);
            let store = sim.open().await.unwrap();
            let error = get(&store, "a").await.unwrap_err();
            assert_eq!(store::kind(&error), ErrorKind::NotFound, "{error}");
            let mut expected = "acknowledged";
            if replaced {
                expected = "newer";
                store.put(&path, expected.into()).await.unwrap();
            }
            sim.volumes.heal();
            assert_eq!(store.maintain().await.volumes_back, [5, 6]);
            assert_eq!(get(&store, "a").await.unwrap(), expected);
            assert_eq!(store.scrub_all(None).await.bad, []);
            for index in 0..6 {
                assert_eq!(sim.volumes.names(index).len(), 1);
            }
        }
    });
}

/// A shard's name with a higher number in one of the fields after the path.
fn with_another(name: &str, field: usize) -> String {
    let (path, fields) = name.rsplit_once('~').unwrap();
    let mut fields: Vec<String> = fields.split('-').map(str::to_owned).collect();
    let number = u64::from_str_radix(&fields[field], 16).unwrap() + 1;
    fields[field] = format!("{number:x}");
    format!("{path}~{}", fields.join("-"))
}

#[test]
fn names_that_were_changed_on_one_volume_hide_no_object_and_nothing_of_it_is_removed() {
    const LENGTH: usize = 2;
    const CREATED: usize = 3;
    run(async {
        for geometry in [GEOMETRY, Geometry { data: 1, parity: 1 }] {
            for field in [LENGTH, CREATED] {
                let mut sim = SimStore::create(11, geometry).await.unwrap();
                sim.settings.garbage_age = Duration::ZERO;
                let store = sim.open().await.unwrap();
                let expected = objects(1, 6);
                put_all(&store, &expected).await;
                drop(store);
                for name in sim.volumes.names(0) {
                    let changed = with_another(&name, field);
                    assert!(sim.volumes.rename_shard(0, &name, &changed));
                }
                let store = sim.open().await.unwrap();
                check_all(&store, &expected).await;
                assert_eq!(store.repair().await.garbage_removed, 6);
                check_all(&store, &expected).await;
                assert_eq!(store.scrub_all(None).await.bad, []);
                for index in 0..geometry.volumes() {
                    assert_eq!(sim.volumes.names(index).len(), 6);
                }
            }
        }
    });
}

/// Where m volumes suffice to read, a name alone could make an object: more of them than are looked
/// at for repair.
#[test]
fn many_names_that_were_changed_hide_no_object_where_one_volume_suffices() {
    run(async {
        let geometry = Geometry { data: 1, parity: 1 };
        let sim = SimStore::create(14, geometry).await.unwrap();
        let store = sim.open().await.unwrap();
        let paths: Vec<String> = (0..300).map(|number| format!("{number}")).collect();
        for path in &paths {
            store
                .put(&Path::from(path.as_str()), "x".into())
                .await
                .unwrap();
        }
        drop(store);
        for name in sim.volumes.names(0) {
            assert!(sim.volumes.rename_shard(0, &name, &with_another(&name, 2)));
        }
        let store = sim.open().await.unwrap();
        for path in &paths {
            assert_eq!(get(&store, path).await.unwrap(), "x");
        }
    });
}

/// As many that nothing else is at their paths: a start believed what it had not looked at.
#[test]
fn many_names_that_one_volume_invents_make_no_object_where_one_volume_suffices() {
    run(async {
        for parity in [1, 2] {
            let geometry = Geometry { data: 1, parity };
            let sim = SimStore::create(16, geometry).await.unwrap();
            let store = sim.open().await.unwrap();
            let expected = objects(1, 4);
            put_all(&store, &expected).await;
            for number in 0..600 {
                let path = Path::from(format!("junk/{number}"));
                store.put(&path, "x".into()).await.unwrap();
            }
            drop(store);
            for index in 0..geometry.volumes() {
                for name in sim.volumes.names(index) {
                    let invented = name.replace("objects/junk/", "objects/journal/");
                    if index == 0 {
                        assert!(sim.volumes.rename_shard(index, &name, &invented));
                    } else if invented != name {
                        assert!(sim.volumes.drop_shard(index, &name));
                    }
                }
            }
            let store = sim.open().await.unwrap();
            check_all(&store, &expected).await;
        }
    });
}

#[test]
fn a_deletion_takes_the_shard_whose_name_was_changed_too() {
    run(async {
        let sim = SimStore::create(12, GEOMETRY).await.unwrap();
        let store = sim.open().await.unwrap();
        store.put(&Path::from("a"), "x".into()).await.unwrap();
        drop(store);
        let name = sim.volumes.names(0).pop().unwrap();
        assert!(sim.volumes.rename_shard(0, &name, &with_another(&name, 2)));
        let store = sim.open().await.unwrap();
        store.delete(&Path::from("a")).await.unwrap();
        for index in 0..6 {
            assert_eq!(sim.volumes.names(index), [""; 0]);
        }
    });
}

/// The version in the name of a shard.
fn version(name: &str) -> u64 {
    let fields = name.rsplit_once('~').unwrap().1;
    u64::from_str_radix(fields.split_once('-').unwrap().0, 16).unwrap()
}

#[test]
fn a_name_with_a_version_that_no_write_was_given_does_not_use_up_the_versions() {
    run(async {
        let sim = SimStore::create(15, GEOMETRY).await.unwrap();
        let store = sim.open().await.unwrap();
        let (a, b) = (Path::from("a"), Path::from("b"));
        store.put(&a, "x".into()).await.unwrap();
        drop(store);
        let name = sim.volumes.names(0).pop().unwrap();
        let (path, fields) = name.rsplit_once('~').unwrap();
        let rest = fields.split_once('-').unwrap().1;
        let changed = format!("{path}~{:x}-{rest}", u64::MAX);
        assert!(sim.volumes.rename_shard(0, &name, &changed));
        let store = sim.open().await.unwrap();
        for text in ["y", "z"] {
            store.put(&b, text.into()).await.unwrap();
        }
        drop(store);
        let mut names = sim.volumes.names(1);
        names.sort();
        let versions: Vec<u64> = names.iter().map(|name| version(name)).collect();
        assert_eq!(versions, [1, 3]);
        let store = sim.open().await.unwrap();
        assert_eq!(get(&store, "a").await.unwrap(), "x");
        assert_eq!(get(&store, "b").await.unwrap(), "z");
    });
}
