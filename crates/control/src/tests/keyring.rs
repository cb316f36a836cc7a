//! The keyring's copies: written before anything is sealed under a new key, and never written over by
//! an older one.

use model::ErrorKind;
use object_store::ObjectStoreExt as _;
use object_store::path::Path as ObjectPath;
use seal::{KeySource as _, Keyring};
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use super::keys::{GONE, KEPT, Vault, check_destroyed, installation, kept, new_keyring};
use super::support::{Fault, Faulty, Sealing, World};
use crate::{KeyTable, SharedKeyring};

#[tokio::test]
async fn a_destruction_whose_keyring_cannot_be_written_leaves_everything_readable() {
    let world = World::new(68);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("keyring");
    let (store, copied) = installation(&world, &file).await;
    let keyring = Keyring::load(&file).unwrap();
    let elsewhere = dir.path().join("missing").join("keyring");
    let copies = vec![file.clone(), elsewhere.clone()];
    let shared = Arc::new(SharedKeyring::new(keyring, copies));
    let keys = KeyTable::open(
        Arc::clone(&shared),
        world.clock(),
        Arc::clone(&world.random),
    );
    let sealing = Arc::new(Sealing {
        inner: store.clone(),
        keys: keys.clone(),
        random: Arc::clone(&world.random),
    });
    // A copy that is out of reach does not end the start, and is noted.
    keys.attach(sealing.clone()).await.unwrap();
    assert_eq!(shared.away().len(), 1);
    assert_eq!(shared.away()[0].0, elsewhere);
    let mark = keys.rotate_journal_key().await.unwrap();
    let epoch = shared.current().epoch();
    assert!(keys.destroy(&kept(), Some(mark)).await.is_err());
    for path in KEPT {
        assert!(sealing.get(&ObjectPath::from(path)).await.is_ok(), "{path}");
    }
    // No file holds a key that the copy lacks, so that the next start goes well too.
    assert!(!shared.is_rotating());
    assert_eq!(Keyring::load(&file).unwrap().epoch(), epoch);
    std::fs::create_dir(dir.path().join("missing")).unwrap();
    shared.follow().await.unwrap();
    assert!(shared.away().is_empty());
    assert_eq!(Keyring::load(&elsewhere).unwrap().epoch(), epoch);
    // One that is lost while the program runs is noted when it is needed.
    std::fs::remove_dir_all(dir.path().join("missing")).unwrap();
    assert!(keys.destroy(&kept(), Some(mark)).await.is_err());
    assert_eq!(shared.away().len(), 1);
    std::fs::create_dir(dir.path().join("missing")).unwrap();
    keys.prepare().await.unwrap();
    keys.destroy(&kept(), Some(mark)).await.unwrap();
    assert!(shared.away().is_empty());
    check_destroyed(&world, &file, store.inner.fork(), &copied).await;
    let copy = Keyring::load(&elsewhere).unwrap();
    assert!(copy.epoch_key(copy.epoch() - 1).is_none());
}

#[tokio::test]
async fn a_copy_that_may_lack_the_newest_key_is_waited_for() {
    let world = World::new(80);
    let dir = tempfile::tempdir().unwrap();
    let files = vec![dir.path().join("keyring"), dir.path().join("away/keyring")];
    let keyring = new_keyring(&world);
    let start = async |keyring: &Keyring, store: &Arc<Faulty>| {
        keyring.save(&files[0]).unwrap();
        let keyring = SharedKeyring::open(keyring.clone(), files.clone()).unwrap();
        let started = Vault::under(&world, keyring, store.clone()).await;
        started.map(drop).map_err(|error| error.kind())
    };
    // Before anything is written under the keys, and in the middle of a rotation.
    let store = Faulty::new();
    let refused = start(&keyring, &store).await;
    assert_eq!(refused, Err(ErrorKind::Unavailable));
    std::fs::create_dir(dir.path().join("away")).unwrap();
    start(&keyring, &store).await.unwrap();
    std::fs::remove_dir_all(dir.path().join("away")).unwrap();
    start(&keyring, &store).await.unwrap();
    let rotating = keyring.with_new_epoch(world.random.as_ref());
    let refused = start(&rotating, &store).await;
    assert_eq!(refused, Err(ErrorKind::Unavailable));
    std::fs::create_dir(dir.path().join("away")).unwrap();
    start(&rotating, &store).await.unwrap();
    for file in &files {
        let held = Keyring::load(file).unwrap();
        assert_eq!((held.epoch(), held.epoch_key(1).is_some()), (2, false));
    }
}

/// A keyring with a copy, both of which have followed a deletion; then the first came back from a
/// backup. Returns it, the two files and the volumes.
async fn restored(world: &World, dir: &Path) -> (Keyring, Vec<PathBuf>, Arc<Faulty>) {
    let (store, files) = (Faulty::new(), vec![dir.join("keyring"), dir.join("copy")]);
    let backup = new_keyring(world);
    backup.save(&files[0]).unwrap();
    let keyring = SharedKeyring::open(backup.clone(), files.clone()).unwrap();
    let vault = Vault::under(world, keyring, store.clone()).await.unwrap();
    vault.put(KEPT[0]).await.unwrap();
    vault.keys.record().await.unwrap();
    vault.keys.destroy(&kept()[..1], None).await.unwrap();
    assert_eq!(Keyring::load(&files[1]).unwrap().epoch(), 2);
    backup.save(&files[0]).unwrap();
    (backup, files, store)
}

#[tokio::test]
async fn a_keyring_from_a_backup_gives_way_to_its_newer_copy() {
    let world = World::new(71);
    let dir = tempfile::tempdir().unwrap();
    let (backup, files, store) = restored(&world, dir.path()).await;
    let keyring = SharedKeyring::open(backup, files.clone()).unwrap();
    let vault = Vault::under(&world, keyring, store).await.unwrap();
    assert!(vault.opens(KEPT[0]).await);
    for file in &files {
        assert_eq!(Keyring::load(file).unwrap().epoch(), 2, "{file:?}");
    }
}

#[tokio::test]
async fn a_keyring_that_does_not_open_the_table_is_written_nowhere() {
    let world = World::new(72);
    let dir = tempfile::tempdir().unwrap();
    let (backup, mut files, store) = restored(&world, dir.path()).await;
    // A copy's place that is empty: its disk is not there.
    files.push(dir.path().join("empty"));
    let keyring = SharedKeyring::new(backup, files.clone());
    assert!(Vault::under(&world, keyring, store).await.is_err());
    assert_eq!(Keyring::load(&files[1]).unwrap().epoch(), 2);
    assert!(!files[2].exists());
}

#[tokio::test]
async fn a_copy_that_is_newer_or_of_another_store_is_not_written_over() {
    let world = World::new(73);
    let dir = tempfile::tempdir().unwrap();
    let files = vec![dir.path().join("keyring"), dir.path().join("copy")];
    let own = new_keyring(&world);
    let newer = own.with_new_epoch(world.random.as_ref());
    let stranger = Keyring::create(world.random.as_ref());
    for held in [newer, stranger] {
        own.save(&files[0]).unwrap();
        held.save(&files[1]).unwrap();
        let bytes = std::fs::read(&files[1]).unwrap();
        let keyring = SharedKeyring::new(own.clone(), files.clone());
        let error = Vault::under(&world, keyring, Faulty::new()).await;
        assert_eq!(error.err().unwrap().kind(), ErrorKind::Denied);
        assert_eq!(std::fs::read(&files[1]).unwrap(), bytes);
    }
    // The stranger's is still there.
    let refused = SharedKeyring::open(own.clone(), files.clone()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Denied);
    std::fs::write(&files[1], "a file of another kind").unwrap();
    let refused = SharedKeyring::open(own, files).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Corrupt);
}

const HOUR: Duration = Duration::from_secs(3_600);

#[tokio::test]
async fn nobody_waits_for_a_copy_that_hangs_and_no_other_keyring_is_written_meanwhile() {
    let world = World::new(77);
    let dir = tempfile::tempdir().unwrap();
    let files = vec![dir.path().join("keyring"), dir.path().join("copy")];
    let keyring = SharedKeyring::new(new_keyring(&world), files.clone());
    let (release, released) = mpsc::channel();
    let hangs = move || {
        released.recv().unwrap();
        Ok(())
    };
    assert!(!keyring.within(Duration::ZERO, hangs).await.unwrap());
    assert_eq!(keyring.away()[0].0, files[0]);
    let meanwhile = keyring.begin_epoch(&world.random).await;
    assert_eq!(meanwhile.unwrap_err().kind(), ErrorKind::Unavailable);
    let meanwhile = keyring.follow().await;
    assert_eq!(meanwhile.unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(files.iter().all(|file| !file.exists()));
    release.send(()).unwrap();
    // It has come back.
    drop(keyring.writing.lock().await);
    keyring.follow().await.unwrap();
    assert!(keyring.away().is_empty());
    keyring.begin_epoch(&world.random).await.unwrap();
    assert_eq!(keyring.current().epoch(), 2);
}

#[tokio::test]
async fn an_epoch_that_some_copies_have_is_the_one_that_is_gone_on_with() {
    let world = World::new(81);
    let dir = tempfile::tempdir().unwrap();
    let files = vec![dir.path().join("keyring"), dir.path().join("away/keyring")];
    let keyring = SharedKeyring::new(new_keyring(&world), files.clone());
    // As when a copy's disk goes away between the two times that a rotation's beginning writes it.
    let random = Arc::clone(&world.random);
    let begun = keyring.replace(move |it| it.with_new_epoch(random.as_ref()));
    assert_eq!(begun.await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(keyring.current().epoch(), 1, "nothing is sealed under it");
    assert!(keyring.is_rotating());
    let first = Keyring::load(&files[0]).unwrap().epoch_key(2).unwrap();
    std::fs::create_dir(dir.path().join("away")).unwrap();
    keyring.begin_epoch(&world.random).await.unwrap();
    assert_eq!(keyring.current().epoch(), 2);
    for file in &files {
        let held = Keyring::load(file).unwrap().epoch_key(2).unwrap();
        assert_eq!(held.expose(), first.expose(), "{file:?}");
    }
    keyring.end_epoch().await.unwrap();
    assert!(!keyring.is_rotating());
}

#[tokio::test]
async fn a_copy_that_hangs_holds_up_a_destruction_and_no_journal_key() {
    let world = World::new(78);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("keyring");
    let (store, copied) = installation(&world, &file).await;
    let keyring = SharedKeyring::new(Keyring::load(&file).unwrap(), vec![file.clone()]);
    let vault = Vault::under(&world, keyring, store.clone()).await.unwrap();
    let mark = vault.keys.rotate_journal_key().await.unwrap();
    let hanging = Arc::clone(&vault.keyring.writing).lock_owned().await;
    let error = vault.keys.destroy(&kept(), Some(mark)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    world.clock.advance(2 * HOUR);
    vault.put("journal/w/new").await.unwrap();
    drop(hanging);
    vault.keys.destroy(&kept(), Some(mark)).await.unwrap();
    check_destroyed(&world, &file, store.inner.fork(), &copied).await;
}

#[tokio::test]
async fn a_copy_that_hangs_is_met_before_any_key_is_taken_out() {
    let world = World::new(82);
    let dir = tempfile::tempdir().unwrap();
    let files = vec![dir.path().join("keyring"), dir.path().join("copy")];
    let (store, copied) = installation(&world, &files[0]).await;
    let keyring = SharedKeyring::new(Keyring::load(&files[0]).unwrap(), files.clone());
    let vault = Vault::under(&world, keyring, store.clone()).await.unwrap();
    let mark = vault.keys.rotate_journal_key().await.unwrap();
    let hanging = Arc::clone(&vault.keyring.writing).lock_owned().await;
    let error = vault.keys.destroy(&kept(), Some(mark)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    for path in GONE {
        assert!(vault.opens(path).await, "{path}");
    }
    drop(hanging);
    vault.keys.destroy(&kept(), Some(mark)).await.unwrap();
    check_destroyed(&world, &files[0], store.inner.fork(), &copied).await;
}

#[tokio::test]
async fn a_rotation_that_cannot_end_holds_up_no_key_that_is_made_ahead_of_time() {
    let world = World::new(79);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("keyring");
    let (store, _) = installation(&world, &file).await;
    let keyring = SharedKeyring::new(Keyring::load(&file).unwrap(), vec![file]);
    let vault = Vault::under(&world, keyring, store.clone()).await.unwrap();
    store.fail_after(1, Fault::Before);
    assert!(vault.keys.destroy(&kept(), None).await.is_err());
    store.heal();
    let hanging = Arc::clone(&vault.keyring.writing).lock_owned().await;
    world.clock.advance(HOUR);
    vault.keys.prepare().await.unwrap();
    let error = vault.keys.finish_rotation().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    store.fail_after(0, Fault::Before);
    world.clock.advance(HOUR);
    vault.keys.key_for_write("journal/w/new").await.unwrap();
    drop(hanging);
    store.heal();
    vault.keys.finish_rotation().await.unwrap();
    assert!(!vault.keyring.is_rotating());
}
