//! Volumes in which somebody has put links, pipes, or files of their own: nothing outside of a volume
//! is ever changed through it, nothing in it that the store has not put there, and nobody waits.

use crate::directories::{Fixture, files};
use crate::{check_all, objects, put_all};
use bytes::Bytes;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;
use store::Store;

/// The files below a directory, and what is in them.
fn contents(dir: &std::path::Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let read = |file: PathBuf| (file.clone(), fs::read(file).unwrap());
    files(dir).into_iter().map(read).collect()
}

/// A folder that is no volume, such as the one that holds the keyring.
fn room(fixture: &Fixture) -> PathBuf {
    let room = fixture.dir.path().join("room");
    fs::create_dir(&room).unwrap();
    fs::write(room.join("keyring"), "all keys").unwrap();
    fs::write(room.join("7"), "seven").unwrap();
    room
}

async fn put_one(store: &Store, expected: &mut BTreeMap<String, Bytes>, path: &str) {
    store.put(&Path::from(path), "new".into()).await.unwrap();
    expected.insert(path.into(), "new".into());
}

/// The volume was out when its folder became a link: what it holds is compared with the objects.
#[tokio::test]
async fn a_volume_whose_objects_are_a_link_is_refused_and_nothing_is_removed_through_it() {
    for another_volume in [false, true] {
        for while_open in [false, true] {
            let fixture = Fixture::new(30).await;
            let store = fixture.open().await.unwrap();
            let mut expected = objects(1, 6);
            put_all(&store, &expected).await;
            let target = if another_volume {
                fixture.volume(1).join("objects")
            } else {
                room(&fixture)
            };
            let away = fixture.dir.path().join("away");
            let aside = fixture.dir.path().join("aside");
            fs::rename(fixture.volume(2), &away).unwrap();
            put_one(&store, &mut expected, "x").await;
            fs::rename(away.join("objects"), &aside).unwrap();
            symlink(&target, away.join("objects")).unwrap();
            fs::rename(&away, fixture.volume(2)).unwrap();
            let before = contents(&target);
            let store = if while_open {
                store
            } else {
                drop(store);
                fixture.open().await.unwrap()
            };
            let report = store.maintain().await;
            assert_eq!(report.volumes_back, [0; 0]);
            let (place, why) = &report.places_unused[0];
            assert_eq!(*place, fixture.volume(2).display().to_string());
            assert!(why.contains("`objects`"), "{why}");
            assert_eq!(contents(&target), before);
            check_all(&store, &expected).await;

            fs::remove_file(fixture.volume(2).join("objects")).unwrap();
            fs::rename(&aside, fixture.volume(2).join("objects")).unwrap();
            assert_eq!(store.maintain().await.volumes_back, [3]);
            assert_eq!(store.scrub_all(None).await.bad, []);
            check_all(&store, &expected).await;
        }
    }
}

#[tokio::test]
async fn a_link_in_the_place_of_the_unfinished_files_costs_nobody_a_file() {
    for while_open in [false, true] {
        let fixture = Fixture::new(31).await;
        let store = fixture.open().await.unwrap();
        let mut expected = objects(1, 6);
        put_all(&store, &expected).await;
        let target = room(&fixture);
        let before = contents(&target);
        let fresh = fixture.volume(2).join("fresh");
        let replace = || {
            fs::remove_dir_all(&fresh).unwrap();
            symlink(&target, &fresh).unwrap();
        };
        let store = if while_open {
            replace();
            store
        } else {
            drop(store);
            replace();
            fixture.open().await.unwrap()
        };
        put_one(&store, &mut expected, "x").await;
        assert_eq!(store.status().healthy, 5);
        store.maintain().await;
        assert_eq!(contents(&target), before);
        check_all(&store, &expected).await;
    }
}

#[tokio::test]
async fn a_link_among_the_folders_of_the_objects_is_not_written_through() {
    let fixture = Fixture::new(35).await;
    let store = fixture.open().await.unwrap();
    let mut expected = objects(1, 6);
    put_all(&store, &expected).await;
    drop(store);
    let target = room(&fixture);
    let before = contents(&target);
    let folder = fixture.volume(2).join("objects/lake");
    fs::remove_dir_all(&folder).unwrap();
    symlink(&target, &folder).unwrap();
    let store = fixture.open().await.unwrap();
    put_one(&store, &mut expected, "lake/x").await;
    store.maintain().await;
    assert_eq!(contents(&target), before);
    check_all(&store, &expected).await;
}

#[tokio::test]
async fn a_link_under_the_name_of_an_unfinished_file_is_not_written_through() {
    let fixture = Fixture::new(32).await;
    let store = fixture.open().await.unwrap();
    let mut expected = objects(1, 6);
    put_all(&store, &expected).await;
    drop(store);
    let room = room(&fixture);
    let before = contents(&room);
    for number in 0..16 {
        let link = fixture.volume(2).join(format!("fresh/{number:x}"));
        symlink(room.join("keyring"), link).unwrap();
    }
    let store = fixture.open().await.unwrap();
    put_one(&store, &mut expected, "x").await;
    assert_eq!(store.status().healthy, 6);
    assert_eq!(contents(&room), before);
    check_all(&store, &expected).await;
}

#[tokio::test]
async fn a_volume_that_comes_back_keeps_files_that_are_no_shards_of_it() {
    let fixture = Fixture::new(33).await;
    let store = fixture.open().await.unwrap();
    let mut expected = objects(1, 6);
    put_all(&store, &expected).await;
    let theirs = files(&fixture.volume(1).join("objects")).pop().unwrap();
    let below = theirs.strip_prefix(fixture.volume(1)).unwrap();
    let copied = fixture.volume(2).join(below);
    fs::copy(&theirs, &copied).unwrap();
    let notes = fixture.volume(2).join("objects/notes.txt");
    fs::write(&notes, "mine").unwrap();
    let away = fixture.dir.path().join("away");
    fs::rename(fixture.volume(2), &away).unwrap();
    let path = expected.keys().next().unwrap().clone();
    store.delete(&Path::from(path.as_str())).await.unwrap();
    expected.remove(&path);
    fs::rename(&away, fixture.volume(2)).unwrap();
    let report = store.maintain().await;
    assert_eq!(report.volumes_back, [3]);
    assert_eq!(report.garbage_removed, 1);
    assert!(copied.exists() && notes.exists());
    check_all(&store, &expected).await;
}

#[tokio::test]
async fn before_a_label_is_authentic_no_unfinished_file_is_removed() {
    let fixture = Fixture::new(34).await;
    let store = fixture.open().await.unwrap();
    put_all(&store, &objects(1, 3)).await;
    drop(store);
    fs::write(fixture.volume(2).join("label"), [0x5a; 300]).unwrap();
    let left = fixture.volume(2).join("fresh/77");
    fs::write(&left, "somebody's").unwrap();
    let store = fixture.open().await.unwrap();
    assert!(left.exists());
    assert_eq!(store.maintain().await.volumes_back, [3]);
}

/// Puts a pipe in the place of a file. Nobody writes to it, so that whoever opens it waits.
fn make_pipe(path: &std::path::Path) {
    fs::remove_file(path).unwrap();
    let made = Command::new("mkfifo").arg(path).status();
    assert!(made.unwrap().success());
}

#[tokio::test]
async fn a_pipe_in_the_place_of_a_shard_is_wrong_and_replaced() {
    let fixture = Fixture::new(36).await;
    let store = fixture.open().await.unwrap();
    let expected = objects(1, 6);
    put_all(&store, &expected).await;
    drop(store);
    let shards = files(&fixture.volume(2).join("objects"));
    assert_eq!(shards.len(), 6);
    shards.iter().for_each(|shard| make_pipe(shard));
    let store = fixture.open().await.unwrap();
    let report = store.scrub_all(None).await;
    assert_eq!((report.bad.len(), report.rebuilt), (6, 6));
    for bad in &report.bad {
        assert_eq!((bad.volume, bad.fault.as_str()), (3, "it is no file"));
    }
    for shard in &shards {
        assert!(fs::symlink_metadata(shard).unwrap().is_file());
    }
    check_all(&store, &expected).await;
}

#[tokio::test]
async fn a_pipe_in_the_place_of_a_label_leaves_the_volume_out() {
    let fixture = Fixture::new(37).await;
    let store = fixture.open().await.unwrap();
    let expected = objects(1, 6);
    put_all(&store, &expected).await;
    drop(store);
    let label = fixture.volume(2).join("label");
    let bytes = fs::read(&label).unwrap();
    make_pipe(&label);
    let store = fixture.open().await.unwrap();
    assert_eq!(store.status().healthy, 5);
    let report = store.maintain().await;
    let (place, why) = &report.places_unused[0];
    assert_eq!(*place, fixture.volume(2).display().to_string());
    assert!(why.contains("it is no file"), "{why}");
    check_all(&store, &expected).await;
    fs::remove_file(&label).unwrap();
    fs::write(&label, bytes).unwrap();
    assert_eq!(store.maintain().await.volumes_back, [3]);
}
