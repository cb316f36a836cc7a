//! When jobs come again; and what their tests begin with.

use model::catalog::Catalog as _;
use model::record::{Entry, Event, Record, Source, Table};
use model::{AccountId, Clock as _, PersonKey, RawJson, RecordId};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Job, pause_after};
use crate::compose::Installation;
use crate::testing::{Folder, operator};

/// The pauses in seconds behind turns that ended so, of a job that runs every second.
fn check(job: Job, done: &[bool], expect: &[u64]) {
    let interval = Duration::from_secs(1);
    let mut pause = interval;
    let pauses: Vec<u64> = done
        .iter()
        .map(|done| {
            pause = pause_after(job, interval, pause, *done);
            pause.as_secs()
        })
        .collect();
    assert_eq!(pauses, expect, "{job:?}");
}

#[test]
fn a_flush_that_fails_waits_longer_each_time() {
    let done = [false, false, false, false, false, false, false, true, false];
    check(Job::Flush, &done, &[2, 4, 8, 16, 32, 60, 60, 1, 2]);
    check(Job::Sinks, &[false, false, true], &[1, 1, 1]);
}

/// A folder, the installation in it, and an account of that.
pub(super) async fn opened() -> (Folder, Installation, AccountId) {
    let folder = Folder::new().await;
    let installation = folder.open(|_| {}).await;
    let account = account(&installation, "a").await;
    (folder, installation, account)
}

pub(crate) async fn account(installation: &Installation, name: &str) -> AccountId {
    let made = installation
        .control()
        .create_account(operator(), name, "UTC");
    made.await.unwrap().account_id
}

pub(crate) fn event(folder: &Folder, account: AccountId, number: u128, person: PersonKey) -> Entry {
    let now = folder.clock.now();
    let event = Event {
        id: RecordId(number.to_be_bytes()),
        person,
        name: "Charged".into(),
        ts: now,
        received_at: now,
        ts_sent: None,
        source: Source::Rest,
        session: None,
        properties: RawJson::empty_object(),
        context: None,
    };
    Entry {
        account,
        record: Record::Event(event),
    }
}

pub(crate) async fn append(installation: &Installation, entries: Vec<Entry>) {
    installation.journal().append(entries).await.unwrap();
}

/// Loses the first part of an account's table; returns its file, for whoever finds it again.
pub(super) async fn lose_part(
    folder: &Folder,
    installation: &Installation,
    account: AccountId,
    table: Table,
) -> (PathBuf, Vec<u8>) {
    let control = installation.control();
    let view = control.view(Some(account), &[table]).await.unwrap();
    let part = view.parts[0].id.to_string();
    let mut lost = lose(&folder.path(""), &part);
    assert_eq!(lost.len(), 1);
    lost.remove(0)
}

/// Removes the files whose names hold `name`, and returns them.
fn lose(folder: &Path, name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let mut lost = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            lost.extend(lose(&path, name));
        } else if path.to_string_lossy().contains(name) {
            let bytes = fs::read(&path).unwrap();
            fs::remove_file(&path).unwrap();
            lost.push((path, bytes));
        }
    }
    lost
}
