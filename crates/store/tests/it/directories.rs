//! Volumes that are directories: what may and may not lie there, while open and at start.

use crate::{check_all, objects, put_all};
use model::{ErrorKind, Random, SeededRandom, SystemClock};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use seal::Keyring;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use store::simulated::MemoryKeys;
use store::{DirPlace, Geometry, Place, Settings, Store, VolumeState};
use tempfile::TempDir;

pub(super) struct Fixture {
    pub(super) dir: TempDir,
    keyring: Keyring,
    keys: Arc<MemoryKeys>,
    random: Arc<dyn Random>,
}

impl Fixture {
    pub(super) async fn new(seed: u64) -> Self {
        let random: Arc<dyn Random> = Arc::new(SeededRandom::new(seed));
        let keyring = Keyring::create(random.as_ref());
        let keys = Arc::new(MemoryKeys::new(keyring.clone()));
        let fixture = Self {
            dir: tempfile::tempdir().unwrap(),
            keyring,
            keys,
            random,
        };
        let geometry = Geometry { data: 4, parity: 2 };
        let places = fixture.places();
        let random = fixture.random.as_ref();
        Store::create(&places, geometry, &fixture.keyring, random)
            .await
            .unwrap();
        fixture
    }

    pub(super) fn volume(&self, index: usize) -> PathBuf {
        self.dir.path().join(format!("vol-{}", index + 1))
    }

    fn places(&self) -> Vec<Arc<dyn Place>> {
        (0..6)
            .map(|i| -> Arc<dyn Place> { Arc::new(DirPlace::new(self.volume(i))) })
            .collect()
    }

    pub(super) async fn open(&self) -> store::Result<Store> {
        self.open_with(Settings::default()).await
    }

    /// Opens, and waits for nobody.
    async fn open_at_once(&self) -> store::Result<Store> {
        let lock_patience = Duration::ZERO;
        self.open_with(Settings {
            lock_patience,
            ..Settings::default()
        })
        .await
    }

    async fn open_with(&self, settings: Settings) -> store::Result<Store> {
        let keys: Arc<dyn seal::KeySource> = Arc::<MemoryKeys>::clone(&self.keys);
        let (clock, random) = (Arc::new(SystemClock::new()), Arc::clone(&self.random));
        Store::open(self.places(), &self.keyring, keys, settings, clock, random).await
    }
}

pub(super) fn files(dir: &std::path::Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            out.extend(files(&path))
        } else {
            out.push(path)
        }
    }
    out
}

#[tokio::test]
async fn two_directories_deleted_while_open_are_not_made_again_and_heal_when_put_back() {
    let fixture = Fixture::new(1).await;
    let store = fixture.open().await.unwrap();
    let mut expected = objects(1, 12);
    put_all(&store, &expected).await;
    let away = fixture.dir.path().join("away");
    fs::rename(fixture.volume(1), &away).unwrap();
    fs::remove_dir_all(fixture.volume(4)).unwrap();
    check_all(&store, &expected).await;
    let more = objects(2, 16).split_off("lake/A/events/2026-01-05");
    put_all(&store, &more).await;
    expected.extend(more);
    check_all(&store, &expected).await;
    assert!(!fixture.volume(1).exists() && !fixture.volume(4).exists());
    assert_eq!(store.status().healthy, 4);
    store.maintain().await;
    assert!(!fixture.volume(1).exists() && !fixture.volume(4).exists());
    drop(store);
    let store = fixture.open().await.unwrap();
    check_all(&store, &expected).await;
    fs::rename(&away, fixture.volume(1)).unwrap();
    fs::create_dir(fixture.volume(4)).unwrap();
    assert_eq!(store.maintain().await.volumes_back, [2, 5]);
    assert_eq!(store.status().healthy, 6);
    assert_eq!(store.scrub_all(None).await.bad, []);
    check_all(&store, &expected).await;
}

#[tokio::test]
async fn exchanged_directories_are_recognised_while_open_and_at_start() {
    let fixture = Fixture::new(2).await;
    let store = fixture.open().await.unwrap();
    let mut expected = objects(1, 12);
    put_all(&store, &expected).await;
    let swap = || {
        let aside = fixture.dir.path().join("aside");
        fs::rename(fixture.volume(0), &aside).unwrap();
        fs::rename(fixture.volume(5), fixture.volume(0)).unwrap();
        fs::rename(&aside, fixture.volume(5)).unwrap();
    };
    swap();
    check_all(&store, &expected).await;
    store.put(&Path::from("x"), "new".into()).await.unwrap();
    expected.insert("x".into(), "new".into());
    assert_eq!(store.maintain().await.volumes_back, [1, 6]);
    assert_eq!(store.scrub_all(None).await.bad, []);
    drop(store);
    swap();
    let store = fixture.open().await.unwrap();
    assert_eq!(store.status().healthy, 6);
    check_all(&store, &expected).await;
    assert_eq!(store.scrub_all(None).await.bad, []);
}

#[tokio::test]
async fn a_volume_of_another_store_is_never_written_and_refuses_a_start_where_too_few_are_ours() {
    let (ours, theirs) = (Fixture::new(3).await, Fixture::new(4).await);
    let store = ours.open().await.unwrap();
    let mut expected = objects(1, 8);
    put_all(&store, &expected).await;
    let before = files(&theirs.volume(2));
    fs::rename(ours.volume(2), ours.dir.path().join("away")).unwrap();
    fs::rename(theirs.volume(2), ours.volume(2)).unwrap();
    check_all(&store, &expected).await;
    store.put(&Path::from("x"), "new".into()).await.unwrap();
    expected.insert("x".into(), "new".into());
    let report = store.maintain().await;
    assert_eq!(report.volumes_out.len(), 1);
    check_all(&store, &expected).await;
    assert_eq!(files(&ours.volume(2)).len(), before.len());
    drop(store);
    let store = ours.open().await.unwrap();
    let status = store.status();
    assert_eq!(status.healthy, 5);
    assert!(matches!(
        status.volumes[2].state,
        VolumeState::Missing { .. }
    ));
    let report = store.maintain().await;
    let (place, why) = &report.places_unused[0];
    assert_eq!(*place, ours.volume(2).display().to_string());
    assert!(why.contains("it belongs to another store"), "{why}");
    check_all(&store, &expected).await;
    assert_eq!(files(&ours.volume(2)).len(), before.len());
    drop(store);
    // Three of six: the places are another store's, or the keyring is.
    let aside = |index: usize| ours.dir.path().join(format!("aside-{index}"));
    for index in [0, 1] {
        fs::rename(ours.volume(index), aside(index)).unwrap();
        fs::rename(theirs.volume(index), ours.volume(index)).unwrap();
    }
    let error = ours.open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(
        error.to_string().contains("it belongs to another store"),
        "{error}"
    );
    for index in [0, 1] {
        fs::rename(ours.volume(index), theirs.volume(index)).unwrap();
        fs::rename(aside(index), ours.volume(index)).unwrap();
    }
    fs::rename(ours.volume(2), theirs.volume(2)).unwrap();
    fs::rename(ours.dir.path().join("away"), ours.volume(2)).unwrap();
    let store = ours.open().await.unwrap();
    assert_eq!(store.maintain().await.volumes_back, [3]);
    check_all(&store, &expected).await;
}

/// What is done to a label's file.
type Damage = fn(&std::path::Path);

const DAMAGES: [Damage; 4] = [
    |label| fs::remove_file(label).unwrap(),
    |label| fs::write(label, "").unwrap(),
    |label| fs::write(label, [0x5a; 300]).unwrap(),
    |label| {
        let mut bytes = fs::read(label).unwrap();
        bytes[3] ^= 1;
        fs::write(label, bytes).unwrap();
    },
];

#[tokio::test]
async fn a_volume_of_another_store_is_never_taken_in_whatever_its_label_says() {
    for damage in DAMAGES {
        let (ours, theirs) = (Fixture::new(13).await, Fixture::new(14).await);
        let store = theirs.open().await.unwrap();
        put_all(&store, &objects(2, 8)).await;
        drop(store);
        let store = ours.open().await.unwrap();
        let expected = objects(1, 8);
        put_all(&store, &expected).await;
        drop(store);
        fs::remove_dir_all(ours.volume(2)).unwrap();
        fs::rename(theirs.volume(2), ours.volume(2)).unwrap();
        damage(&ours.volume(2).join("label"));
        let contents = || -> Vec<_> {
            let files = files(&ours.volume(2)).into_iter();
            files.map(|file| (fs::read(&file).unwrap(), file)).collect()
        };
        let before = contents();
        let store = ours.open().await.unwrap();
        for _ in 0..2 {
            let report = store.maintain().await;
            assert_eq!((report.volumes_back, report.garbage_removed), (vec![], 0));
        }
        assert_eq!(contents(), before);
        check_all(&store, &expected).await;
    }
}

#[tokio::test]
async fn two_places_never_become_one_volume() {
    for damage in DAMAGES {
        for labelled in [false, true] {
            let fixture = Fixture::new(15).await;
            let store = fixture.open().await.unwrap();
            let expected = objects(1, 8);
            put_all(&store, &expected).await;
            drop(store);
            // A copy of volume 3 where volume 1 was: one of them may serve, as volume 3.
            fs::remove_dir_all(fixture.volume(1)).unwrap();
            let copied = std::process::Command::new("cp")
                .arg("-a")
                .args([fixture.volume(3), fixture.volume(1)])
                .status();
            assert!(copied.unwrap().success());
            damage(&fixture.volume(1).join("label"));
            if !labelled {
                damage(&fixture.volume(3).join("label"));
            }
            let store = fixture.open().await.unwrap();
            store.maintain().await;
            store.maintain().await;
            let status = store.status();
            assert_eq!(status.healthy, 5, "{status:?}");
            assert!(
                matches!(status.volumes[1].state, VolumeState::Missing { .. }),
                "{status:?}"
            );
            check_all(&store, &expected).await;
            drop(store);
            let store = fixture.open().await.unwrap();
            assert_eq!(store.status().healthy, 5);
            check_all(&store, &expected).await;
        }
    }
}

#[tokio::test]
async fn a_file_in_the_place_of_a_volume_counts_as_missing() {
    let fixture = Fixture::new(5).await;
    let store = fixture.open().await.unwrap();
    let expected = objects(1, 8);
    put_all(&store, &expected).await;
    drop(store);
    fs::remove_dir_all(fixture.volume(3)).unwrap();
    fs::write(fixture.volume(3), "not a directory").unwrap();
    let store = fixture.open().await.unwrap();
    check_all(&store, &expected).await;
    assert!(matches!(
        store.status().volumes[3].state,
        VolumeState::Missing { .. }
    ));
}

#[tokio::test]
async fn a_directory_that_holds_something_is_neither_made_nor_adopted() {
    let fixture = Fixture::new(6).await;
    let error = Store::create(
        &fixture.places(),
        Geometry { data: 4, parity: 2 },
        &fixture.keyring,
        fixture.random.as_ref(),
    )
    .await
    .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    let store = fixture.open().await.unwrap();
    put_all(&store, &objects(1, 3)).await;
    drop(store);
    fs::remove_dir_all(fixture.volume(0)).unwrap();
    fs::create_dir(fixture.volume(0)).unwrap();
    fs::write(fixture.volume(0).join("mine"), "keep out").unwrap();
    let store = fixture.open().await.unwrap();
    assert_eq!(store.maintain().await.volumes_back, [0; 0]);
    assert_eq!(files(&fixture.volume(0)), [fixture.volume(0).join("mine")]);
}

#[tokio::test]
async fn the_root_of_a_new_file_system_is_empty_and_becomes_a_volume() {
    let fixture = Fixture::new(17).await;
    let store = fixture.open().await.unwrap();
    let expected = objects(1, 3);
    put_all(&store, &expected).await;
    drop(store);
    let own = fixture.volume(0).join("lost+found");
    fs::remove_dir_all(fixture.volume(0)).unwrap();
    fs::create_dir(fixture.volume(0)).unwrap();
    fs::write(&own, "a file of that name is somebody's").unwrap();
    let store = fixture.open().await.unwrap();
    assert_eq!(store.maintain().await.volumes_back, [0; 0]);
    fs::remove_file(&own).unwrap();
    fs::create_dir(&own).unwrap();
    assert_eq!(store.maintain().await.volumes_back, [1]);
    assert!(own.is_dir());
    check_all(&store, &expected).await;
}

#[tokio::test]
async fn files_are_private_and_unfinished_ones_go_at_the_next_start() {
    let fixture = Fixture::new(7).await;
    let store = fixture.open().await.unwrap();
    put_all(&store, &objects(1, 6)).await;
    for file in files(&fixture.volume(0)) {
        assert_eq!(
            fs::metadata(&file).unwrap().permissions().mode() & 0o777,
            0o600,
            "{file:?}"
        );
    }
    drop(store);
    let left = fixture.volume(0).join("fresh/77");
    fs::write(&left, "half a shard").unwrap();
    let own = fixture.volume(0).join("fresh/77.txt");
    fs::write(&own, "somebody's own").unwrap();
    let _store = fixture.open().await.unwrap();
    assert!(!left.exists());
    assert!(own.exists());
}

#[tokio::test]
async fn a_shard_that_became_too_long_for_memory_is_wrong_and_repaired() {
    const BYTES: u64 = 1 << 42;
    let fixture = Fixture::new(16).await;
    let store = fixture.open().await.unwrap();
    let expected = objects(1, 6);
    put_all(&store, &expected).await;
    drop(store);
    let shard = files(&fixture.volume(2).join("objects")).pop().unwrap();
    let file = fs::OpenOptions::new().write(true).open(&shard).unwrap();
    file.set_len(BYTES).unwrap();
    let store = fixture.open().await.unwrap();
    let report = store.scrub_all(None).await;
    let bad: Vec<_> = report
        .bad
        .iter()
        .map(|bad| (bad.volume, bad.fault.as_str()))
        .collect();
    assert_eq!(bad, [(3, "its length is wrong")]);
    assert_eq!(report.rebuilt, 1);
    assert!(fs::metadata(&shard).unwrap().len() < BYTES);
    check_all(&store, &expected).await;
}

#[tokio::test]
async fn nothing_of_the_plaintext_is_found_in_the_files() {
    let fixture = Fixture::new(8).await;
    let store = fixture.open().await.unwrap();
    let canary = "canary-3141592653589793";
    store
        .put(&Path::from("a"), canary.repeat(10_000).into())
        .await
        .unwrap();
    for file in (0..6).flat_map(|index| files(&fixture.volume(index))) {
        let bytes = fs::read(&file).unwrap();
        assert!(
            !bytes
                .windows(8)
                .any(|window| window == &canary.as_bytes()[..8]),
            "{file:?}"
        );
    }
}

#[tokio::test]
async fn objects_of_many_stripes_are_read_in_ranges_with_two_volumes_missing() {
    let fixture = Fixture::new(9).await;
    let store = fixture.open().await.unwrap();
    let mut bytes = vec![0; 11_000_001];
    fixture.random.fill(&mut bytes);
    let path = Path::from("lake/A/events/mixed/big");
    store.put(&path, bytes.clone().into()).await.unwrap();
    for missing in [[6, 6], [0, 3], [1, 5]] {
        for index in missing.iter().filter(|index| **index < 6) {
            fs::rename(
                fixture.volume(*index),
                fixture.dir.path().join(format!("{index}")),
            )
            .unwrap();
        }
        for range in [
            0..1,
            65_530..65_545,
            4_194_000..4_195_000,
            10_999_990..11_000_001,
            0..11_000_001,
        ] {
            let read = store.get_range(&path, range.clone()).await.unwrap();
            assert!(
                read == bytes[range.start as usize..range.end as usize],
                "{missing:?} {range:?}"
            );
        }
        for index in missing.iter().filter(|index| **index < 6) {
            fs::rename(
                fixture.dir.path().join(format!("{index}")),
                fixture.volume(*index),
            )
            .unwrap();
        }
        store.repair().await;
        assert_eq!(store.status().healthy, 6);
    }
}

/// A second process has other handles of the same directories, as a second store in this one has.
#[tokio::test]
async fn volumes_that_are_open_are_refused_to_others_and_nothing_of_them_is_touched() {
    let fixture = Fixture::new(18).await;
    let store = fixture.open().await.unwrap();
    let expected = objects(1, 6);
    put_all(&store, &expected).await;
    // As in the middle of a write: whoever opens a volume removes what was left unfinished.
    fs::write(fixture.volume(0).join("fresh/77"), "half a shard").unwrap();
    let contents = || -> Vec<_> {
        let files = (0..6).flat_map(|index| files(&fixture.volume(index)));
        files.map(|file| (fs::read(&file).unwrap(), file)).collect()
    };
    let before = contents();
    let error = fixture.open_at_once().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    let said = error.to_string();
    assert!(said.contains("vol-"), "{said}");
    assert!(said.contains("open in another process"), "{said}");
    assert!(contents() == before, "a volume was touched");
    let (places, geometry) = (fixture.places(), Geometry { data: 4, parity: 2 });
    let random = fixture.random.as_ref();
    let made = Store::create(&places, geometry, &fixture.keyring, random).await;
    let said = made.unwrap_err().to_string();
    assert!(said.contains("open in another process"), "{said}");
    check_all(&store, &expected).await;
    drop(store);
    let store = fixture.open_at_once().await.unwrap();
    check_all(&store, &expected).await;
}

#[tokio::test]
async fn volumes_that_somebody_else_has_open_are_left_out_as_long_as_enough_are_left() {
    let fixture = Fixture::new(19).await;
    let others: Vec<DirPlace> = (3..6)
        .map(|index| DirPlace::new(fixture.volume(index)))
        .collect();
    for other in &others {
        assert!(other.lock().await.unwrap());
    }
    let error = fixture.open_at_once().await.unwrap_err();
    let said = error.to_string();
    let name = fixture.volume(3).display().to_string();
    assert!(said.contains(&name), "{said}");
    others[2].unlock();
    let store = fixture.open_at_once().await.unwrap();
    assert_eq!(store.status().healthy, 4);
    let report = store.maintain().await;
    let (place, why) = &report.places_unused[0];
    assert_eq!(*place, name);
    assert!(why.contains("open in another process"), "{why}");
    drop(others);
    assert_eq!(store.maintain().await.volumes_back, [4, 5]);
}

#[tokio::test]
async fn a_store_that_is_closed_gives_its_volumes_back_whoever_still_has_a_handle() {
    let fixture = Fixture::new(20).await;
    let store = fixture.open().await.unwrap();
    let expected = objects(1, 6);
    put_all(&store, &expected).await;
    store.close().await;
    assert!(!store.readiness());
    let late = store.put(&Path::from("x"), "late".into()).await;
    assert_eq!(store::kind(&late.unwrap_err()), ErrorKind::Unavailable);
    assert_eq!(store.maintain().await.volumes_back, [0; 0]);
    let next = fixture.open_at_once().await.unwrap();
    check_all(&next, &expected).await;
}

#[tokio::test]
async fn a_volume_that_comes_back_in_the_hands_of_another_process_stays_out_and_is_reported() {
    let fixture = Fixture::new(21).await;
    let store = fixture.open().await.unwrap();
    let mut expected = objects(1, 6);
    put_all(&store, &expected).await;
    let away = fixture.dir.path().join("away");
    fs::rename(fixture.volume(2), &away).unwrap();
    store.put(&Path::from("x"), "new".into()).await.unwrap();
    expected.insert("x".into(), "new".into());
    // Still held, wherever it is now, until somebody has looked and not found it.
    let other = DirPlace::new(&away);
    assert!(!other.lock().await.unwrap());
    store.maintain().await;
    assert!(other.lock().await.unwrap());
    fs::rename(&away, fixture.volume(2)).unwrap();
    let report = store.maintain().await;
    assert_eq!(report.volumes_back, [0; 0]);
    let (place, why) = &report.places_unused[0];
    assert_eq!(*place, fixture.volume(2).display().to_string());
    assert!(why.contains("open in another process"), "{why}");
    other.unlock();
    assert_eq!(store.maintain().await.volumes_back, [3]);
    assert_eq!(store.scrub_all(None).await.bad, []);
    check_all(&store, &expected).await;
}

#[tokio::test]
async fn a_directory_that_is_nobodys_volume_is_not_held_between_two_looks() {
    let fixture = Fixture::new(22).await;
    let store = fixture.open().await.unwrap();
    put_all(&store, &objects(1, 3)).await;
    drop(store);
    fs::remove_dir_all(fixture.volume(0)).unwrap();
    fs::create_dir(fixture.volume(0)).unwrap();
    fs::write(fixture.volume(0).join("mine"), "keep out").unwrap();
    let store = fixture.open().await.unwrap();
    let owner = DirPlace::new(fixture.volume(0));
    assert!(owner.lock().await.unwrap());
    owner.unlock();
    store.maintain().await;
    assert!(owner.lock().await.unwrap());
}
