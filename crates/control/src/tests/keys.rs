//! The key table: durable before use, one key for one object, and gone when destroyed.

use bytes::Bytes;
use model::{AccountId, ErrorKind};
use object_store::memory::InMemory;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt as _};
use seal::{KeyRef, KeySource as _, Keyring};
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::support::{Fault, Faulty, Sealing, World};
use crate::{Error, KeyTable, SharedKeyring};

/// A key table and the store that seals with it, over `inner`.
pub(super) struct Vault {
    pub(super) keys: Arc<KeyTable>,
    store: Arc<Sealing>,
    pub(super) keyring: Arc<SharedKeyring>,
}

impl Vault {
    async fn over(
        world: &World,
        keyring: Keyring,
        file: Option<&Path>,
        inner: Arc<dyn ObjectStore>,
    ) -> Result<Self, Error> {
        let copies = file.map(Path::to_path_buf).into_iter().collect();
        Self::under(world, SharedKeyring::new(keyring, copies), inner).await
    }

    pub(super) async fn under(
        world: &World,
        keyring: SharedKeyring,
        inner: Arc<dyn ObjectStore>,
    ) -> Result<Self, Error> {
        let keyring = Arc::new(keyring);
        let random = Arc::clone(&world.random);
        let keys = KeyTable::open(Arc::clone(&keyring), world.clock(), Arc::clone(&random));
        let store = Arc::new(Sealing {
            inner,
            keys: keys.clone(),
            random,
        });
        keys.attach(store.clone()).await?;
        Ok(Self {
            keys,
            store,
            keyring,
        })
    }

    pub(super) async fn put(&self, path: &str) -> object_store::Result<()> {
        let bytes = Bytes::from(format!("bytes of {path}"));
        self.store
            .put(&ObjectPath::from(path), bytes.into())
            .await
            .map(|_| ())
    }

    pub(super) async fn opens(&self, path: &str) -> bool {
        match self.store.get(&ObjectPath::from(path)).await {
            Ok(found) => {
                assert_eq!(found.bytes().await.unwrap(), format!("bytes of {path}"));
                true
            }
            Err(_) => false,
        }
    }
}

pub(super) fn new_keyring(world: &World) -> Keyring {
    world.keyring.lock().unwrap().clone()
}

#[tokio::test]
async fn every_kind_of_object_opens_after_a_restart() {
    let world = World::new(60);
    let inner = Arc::new(InMemory::new());
    let keyring = new_keyring(&world);
    let vault = Vault::over(&world, keyring.clone(), None, inner.clone())
        .await
        .unwrap();
    let account: AccountId = "AAA".parse().unwrap();
    assert!(vault.keys.person_key_secret(account).is_err());
    let secret = vault.keys.create_person_key_secret(account).await.unwrap();
    let paths: Vec<String> = (0..150)
        .map(|number| format!("lake/AAA/events/mixed/{number}.parquet"))
        .chain(["journal/w/1".to_owned(), "control/0/0".to_owned()])
        .collect();
    for path in &paths {
        vault.put(path).await.unwrap();
    }
    let vault = Vault::over(&world, keyring, None, inner).await.unwrap();
    for path in &paths {
        assert!(vault.opens(path).await, "{path}");
    }
    let again = vault.keys.person_key_secret(account).unwrap();
    assert_eq!(secret.expose(), again.expose());
    let again = vault.keys.create_person_key_secret(account).await.unwrap();
    assert_eq!(secret.expose(), again.expose());
}

#[tokio::test]
async fn no_two_objects_share_a_key_across_restarts() {
    let world = World::new(61);
    let inner = Arc::new(InMemory::new());
    let keyring = new_keyring(&world);
    let mut seen = HashSet::new();
    for run in 0..4 {
        let vault = Vault::over(&world, keyring.clone(), None, inner.clone())
            .await
            .unwrap();
        for number in 0..70 {
            let path = format!("lake/A/events/mixed/{run}-{number}");
            let (key, secret) = vault.keys.key_for_write(&path).await.unwrap();
            assert!(
                seen.insert((key, *secret.expose())),
                "run {run} object {number}"
            );
        }
    }
}

#[tokio::test]
async fn a_key_is_given_only_when_it_is_durable() {
    let world = World::new(62);
    let store = Faulty::new();
    let keyring = new_keyring(&world);
    for (number, fault) in [Fault::Before, Fault::After].into_iter().enumerate() {
        let vault = Vault::over(&world, keyring.clone(), None, store.clone())
            .await
            .unwrap();
        store.fail_after(0, fault);
        let error = vault.keys.key_for_write("lake/a").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        let error = vault.keys.key_for_write("journal/a").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        store.heal();
        let path = format!("lake/after{number}");
        vault.put(&path).await.unwrap();
        let again = Vault::over(&world, keyring.clone(), None, store.clone())
            .await
            .unwrap();
        assert!(again.opens(&path).await);
    }
}

#[tokio::test]
async fn journal_keys_change_with_the_hour_and_with_a_rotation() {
    let world = World::new(63);
    let vault = Vault::over(&world, new_keyring(&world), None, Faulty::new())
        .await
        .unwrap();
    let key = async || vault.keys.key_for_write("journal/w/1").await.unwrap().0;
    let first = key().await;
    assert_eq!(key().await, first);
    world.clock.advance(Duration::from_secs(3_600));
    let second = key().await;
    assert_ne!(first, second);
    let mark = vault.keys.rotate_journal_key().await.unwrap();
    let third = key().await;
    assert_ne!(third, second);
    // A clock that goes back must not bring back a key that may be destroyed.
    world
        .clock
        .set(model::Timestamp::from_ms(super::support::NOON - 86_400_000));
    assert_eq!(key().await, third);
    vault.keys.destroy(&[], Some(mark)).await.unwrap();
    for (old, alive) in [(first, false), (second, false), (third, true)] {
        assert_eq!(vault.keys.key(old).await.is_ok(), alive);
    }
    world.clock.set(model::Timestamp::from_ms(
        super::support::NOON + 3 * 3_600_000,
    ));
    let fourth = key().await;
    assert!(![first, second, third].contains(&fourth));
}

#[tokio::test]
async fn the_next_hours_key_is_made_ahead_of_time() {
    let world = World::new(64);
    let store = Faulty::new();
    let vault = Vault::over(&world, new_keyring(&world), None, store.clone())
        .await
        .unwrap();
    vault.keys.prepare().await.unwrap();
    store.fail_after(0, Fault::Before);
    world.clock.advance(Duration::from_secs(3_600));
    vault.keys.key_for_write("journal/w/1").await.unwrap();
    for number in 0..32 {
        vault
            .keys
            .key_for_write(&format!("lake/{number}"))
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn before_it_is_attached_only_its_own_and_controls_objects_have_keys() {
    let world = World::new(65);
    let keyring = Arc::new(SharedKeyring::new(new_keyring(&world), Vec::new()));
    let keys = KeyTable::open(keyring, world.clock(), Arc::clone(&world.random));
    assert_eq!(
        keys.key_for_write("control/0/0").await.unwrap().0,
        KeyRef::Root
    );
    assert_eq!(
        keys.key_for_write("keys/0/0").await.unwrap().0,
        KeyRef::Epoch(1)
    );
    // Where earlier writers ended outlives every journal key.
    let settled = keys.key_for_write("journal/settled/w").await.unwrap().0;
    assert_eq!(settled, KeyRef::Root);
    for path in ["journal/w/1", "lake/a", "controlled", ""] {
        let error = keys.key_for_write(path).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{path}");
    }
}

pub(super) const GONE: [&str; 2] = ["lake/A/events/mixed/gone-1", "lake/A/events/mixed/gone-2"];
pub(super) const KEPT: [&str; 2] = ["lake/A/events/mixed/kept-1", "lake/A/events/mixed/kept-2"];

/// An installation with objects of two runs, and everything that an attacker copied from it.
pub(super) async fn installation(world: &World, file: &Path) -> (Arc<Faulty>, InMemory) {
    let store = Faulty::new();
    let keyring = new_keyring(world);
    keyring.save(file).unwrap();
    let vault = Vault::over(world, keyring.clone(), Some(file), store.clone())
        .await
        .unwrap();
    vault.put(GONE[0]).await.unwrap();
    vault.put(KEPT[0]).await.unwrap();
    vault.put("journal/w/old").await.unwrap();
    vault.keys.record().await.unwrap();
    let vault = Vault::over(world, keyring, Some(file), store.clone())
        .await
        .unwrap();
    vault.put(GONE[1]).await.unwrap();
    vault.put(KEPT[1]).await.unwrap();
    vault.keys.record().await.unwrap();
    let copied = store.inner.fork();
    (store, copied)
}

pub(super) fn kept() -> Vec<String> {
    KEPT.iter().map(|path| (*path).to_owned()).collect()
}

/// What the keyring of today opens of bytes copied earlier.
pub(super) async fn check_destroyed(world: &World, file: &Path, now: InMemory, copied: &InMemory) {
    let keyring = Keyring::load(file).unwrap();
    assert!(
        keyring.epoch_key(keyring.epoch() - 1).is_none(),
        "the old epoch key is gone"
    );
    // The key table of today, asked for the objects of an old copy of the volumes.
    let vault = Vault::over(world, keyring.clone(), None, Arc::new(now))
        .await
        .unwrap();
    let old = Sealing {
        inner: Arc::new(copied.fork()),
        keys: vault.keys.clone(),
        random: Arc::clone(&world.random),
    };
    for path in GONE.iter().chain(&["journal/w/old"]) {
        assert!(
            old.get(&ObjectPath::from(*path)).await.is_err(),
            "{path} opens"
        );
    }
    for path in KEPT {
        assert!(
            old.get(&ObjectPath::from(path)).await.is_ok(),
            "{path} does not open"
        );
        assert!(vault.opens(path).await, "{path} does not open");
    }
    // The old copy's own key table does not open under the keyring of today.
    let failed = Vault::over(world, keyring, None, Arc::new(copied.fork()))
        .await
        .err();
    assert!(failed.is_some(), "the old key table opens");
}

#[tokio::test]
async fn destroyed_objects_do_not_open_from_any_old_copy_and_all_others_do() {
    let world = World::new(66);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("keyring");
    let (store, copied) = installation(&world, &file).await;
    let keyring = Keyring::load(&file).unwrap();
    let vault = Vault::over(&world, keyring, Some(&file), store.clone())
        .await
        .unwrap();
    let mark = vault.keys.rotate_journal_key().await.unwrap();
    vault.put("journal/w/new").await.unwrap();
    let destroyed = vault.keys.destroy(&kept(), Some(mark)).await.unwrap();
    assert_eq!(destroyed.epoch, 2);
    assert!(
        destroyed.keys >= 4,
        "{destroyed:?}: two objects, two journal keys"
    );
    assert_eq!(vault.keyring.current().epoch(), 2);
    assert!(vault.opens("journal/w/new").await);
    assert!(!vault.opens(GONE[0]).await && vault.opens(KEPT[1]).await);
    check_destroyed(&world, &file, store.inner.fork(), &copied).await;
}

#[tokio::test]
async fn only_live_objects_keep_their_keys_and_they_open() {
    let world = World::new(74);
    let vault = Vault::over(&world, new_keyring(&world), None, Faulty::new())
        .await
        .unwrap();
    vault.put(GONE[0]).await.unwrap();
    vault.put(KEPT[0]).await.unwrap();
    vault.keys.record().await.unwrap();
    // Not written down yet.
    vault.put(GONE[1]).await.unwrap();
    vault.put(KEPT[1]).await.unwrap();
    let destroyed = vault.keys.destroy(&kept(), None).await.unwrap();
    assert_eq!(destroyed.keys, 2);
    for (gone, kept) in GONE.iter().zip(KEPT) {
        assert!(!vault.opens(gone).await, "{gone} opens");
        assert!(vault.opens(kept).await, "{kept} does not open");
    }
    vault.put("lake/A/events/mixed/later").await.unwrap();
    assert!(vault.opens("lake/A/events/mixed/later").await);
}

#[tokio::test]
async fn nothing_is_destroyed_while_a_live_object_has_no_key() {
    let world = World::new(75);
    let vault = Vault::over(&world, new_keyring(&world), None, Faulty::new())
        .await
        .unwrap();
    vault.put(GONE[0]).await.unwrap();
    vault.put(KEPT[0]).await.unwrap();
    vault.keys.record().await.unwrap();
    // Not written down yet, and there all the same.
    vault.put(KEPT[1]).await.unwrap();
    let lost = "lake/A/events/mixed/lost".to_owned();
    let live = [kept(), vec![lost.clone()]].concat();
    let error = vault.keys.destroy(&live, None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains(&lost), "{error}");
    assert_eq!(vault.keyring.current().epoch(), 1, "an older table opens");
    assert!(vault.opens(GONE[0]).await);
    let destroyed = vault.keys.destroy(&kept(), None).await.unwrap();
    assert_eq!((destroyed.keys, destroyed.epoch), (1, 2));
}

async fn check_interrupted(good: i64, fault: Fault) -> bool {
    let world = World::new(67);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("keyring");
    let (store, copied) = installation(&world, &file).await;
    let keyring = Keyring::load(&file).unwrap();
    let vault = Vault::over(&world, keyring, Some(&file), store.clone())
        .await
        .unwrap();
    let mark = vault.keys.rotate_journal_key().await.unwrap();
    store.fail_after(good, fault);
    let first = vault.keys.destroy(&kept(), Some(mark)).await;
    store.heal();
    drop(vault);
    // The next start, and the job that starts again.
    let keyring = Keyring::load(&file).unwrap();
    let vault = Vault::over(&world, keyring, Some(&file), store.clone())
        .await
        .unwrap();
    for path in KEPT {
        assert!(vault.opens(path).await, "{path} after {good} {fault:?}");
    }
    vault.keys.destroy(&kept(), Some(mark)).await.unwrap();
    check_destroyed(&world, &file, store.inner.fork(), &copied).await;
    first.is_ok()
}

#[tokio::test]
async fn a_destruction_interrupted_at_any_put_is_finished_later() {
    for fault in [Fault::Before, Fault::After] {
        let mut good = 0;
        while !check_interrupted(good, fault).await {
            good += 1;
            assert!(good < 20, "it ends");
        }
        assert!(good >= 2, "an increment and a snapshot were interrupted");
    }
}

/// Two destructions in one run, the first of which failed at its snapshot.
async fn check_overtaken(fault: Fault) {
    let world = World::new(76);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("keyring");
    let (store, _) = installation(&world, &file).await;
    let keyring = Keyring::load(&file).unwrap();
    let vault = Vault::over(&world, keyring, Some(&file), store.clone())
        .await
        .unwrap();
    let mark = vault.keys.rotate_journal_key().await.unwrap();
    let live = [kept(), vec![GONE[1].to_owned()]].concat();
    store.fail_after(1, fault);
    assert!(vault.keys.destroy(&live, Some(mark)).await.is_err());
    store.heal();
    let keyring = Keyring::load(&file).unwrap();
    assert!(keyring.epoch_key(1).is_some(), "the rotation has not ended");
    // The snapshot goes first at the next call, and somebody copies it: it has the keys of all that
    // was live, under the new epoch key.
    vault.keys.record().await.unwrap();
    let copied = store.inner.fork();
    vault.keys.destroy(&kept(), Some(mark)).await.unwrap();
    check_destroyed(&world, &file, store.inner.fork(), &copied).await;
}

#[tokio::test]
async fn what_goes_while_a_rotation_has_not_ended_does_not_open_from_its_snapshot() {
    for fault in [Fault::Before, Fault::After] {
        check_overtaken(fault).await;
    }
}

#[tokio::test]
async fn many_increments_become_a_snapshot_and_stay_readable() {
    let world = World::new(69);
    let store = Faulty::new();
    let vault = Vault::over(&world, new_keyring(&world), None, store.clone())
        .await
        .unwrap();
    for number in 0..600 {
        vault.put(&format!("lake/{number}")).await.unwrap();
        vault.keys.record().await.unwrap();
    }
    let paths: Vec<String> = (0..300).map(|number| format!("lake/{number}")).collect();
    vault.keys.objects_deleted(&paths).await.unwrap();
    let generations = crate::objects::list(store.as_ref(), "keys").await.unwrap();
    assert_eq!(generations.len(), 1);
    let vault = Vault::over(&world, new_keyring(&world), None, store)
        .await
        .unwrap();
    assert!(!vault.opens("lake/299").await && vault.opens("lake/300").await);
}

#[tokio::test]
async fn a_missing_or_damaged_piece_is_refused() {
    let world = World::new(70);
    let store = Faulty::new();
    let vault = Vault::over(&world, new_keyring(&world), None, store.clone())
        .await
        .unwrap();
    for number in 0..3 {
        vault.put(&format!("lake/{number}")).await.unwrap();
        vault.keys.record().await.unwrap();
    }
    let check = async |damaged: InMemory| {
        let found = Vault::over(&world, new_keyring(&world), None, Arc::new(damaged)).await;
        assert!(found.is_err());
    };
    let path = |number| crate::objects::path("keys", 1, number);
    let lost = store.inner.fork();
    lost.delete(&path(1)).await.unwrap();
    check(lost).await;
    let swapped = store.inner.fork();
    let bytes = swapped.get(&path(1)).await.unwrap().bytes().await.unwrap();
    swapped.put(&path(2), bytes.into()).await.unwrap();
    check(swapped).await;
    let none = store.inner.fork();
    for number in 0..5 {
        drop(none.delete(&path(number)).await);
    }
    none.put(
        &ObjectPath::from("journal/w/1"),
        Bytes::from_static(b"x").into(),
    )
    .await
    .unwrap();
    check(none).await;
}
