//! Jobs that fail or fall behind turn red, and so does a journal that fills.

use control::SharedKeyring;
use journal::{Journal, Settings};
use model::{Clock as _, ManualClock, PersonKey, WriterId};
use object_store::memory::InMemory;
use std::sync::Arc;
use std::time::Duration;

use super::{Attention, Kind, Watch};
use crate::compose::Installation;
use crate::jobs::tests::{account, append, event};
use crate::jobs::{self, Job};
use crate::testing::Folder;

const HOUR: Duration = Duration::from_secs(3_600);
/// Jobs whose turn comes whether there is something to do or not.
const ALWAYS: [Job; 12] = [
    Job::Compaction,
    Job::Deletion,
    Job::Expiry,
    Job::Garbage,
    Job::Maintain,
    Job::Keys,
    Job::Checkpoint,
    Job::Drops,
    Job::Mail,
    Job::Sinks,
    Job::Alerts,
    Job::Uses,
];

/// The jobs that are red, by name.
fn red(installation: &Installation) -> Vec<String> {
    let found = installation.attention().find().into_iter();
    let mut names: Vec<String> = found.map(|it| it.subject).collect();
    names.sort_unstable();
    names
}

fn fail(folder: &Folder, installation: &Installation, job: Job) {
    let (now, why) = (folder.clock.now(), String::from("the disk is full"));
    installation.attention().watch.ran(job, now, Some(why));
}

fn done(folder: &Folder, installation: &Installation, done: &[Job]) {
    let now = folder.clock.now();
    for job in done {
        installation.attention().watch.ran(*job, now, None);
    }
}

#[tokio::test]
async fn a_job_that_fails_again_and_again_is_red_until_it_is_done() {
    let folder = Folder::new().await;
    let installation = folder.open(|_| {}).await;
    for job in Job::ALL {
        let is_seldom = Kind::of_job(job) != Kind::Job;
        // Often within a moment is not long yet …
        for _ in 0..3 {
            fail(&folder, &installation, job);
            assert_eq!(!red(&installation).is_empty(), is_seldom, "{job:?}");
        }
        done(&folder, &installation, &[job]);
        assert!(red(&installation).is_empty(), "{job:?}");
        // … and long ago is not often yet.
        fail(&folder, &installation, job);
        folder.clock.advance(Duration::from_secs(60));
        fail(&folder, &installation, job);
        assert_eq!(!red(&installation).is_empty(), is_seldom, "{job:?}");
        fail(&folder, &installation, job);
        let found = installation.attention().find();
        let [concern] = &found[..] else {
            panic!("{found:?}");
        };
        assert_eq!(concern.kind, Kind::of_job(job));
        assert_eq!(concern.subject, job.as_str());
        let words = &concern.words;
        assert!(words.starts_with("the disk is full; "), "{words}");
        let way_out = format!("`strongroom job run {}`", job.as_str());
        assert!(words.contains(&way_out), "{words}");
        done(&folder, &installation, &[job]);
        assert!(red(&installation).is_empty(), "{job:?}");
    }
}

#[tokio::test]
async fn a_job_whose_turns_go_by_is_red_and_a_flush_when_something_waits() {
    let folder = Folder::new().await;
    let installation = folder.open(|_| {}).await;
    folder.clock.advance(HOUR);
    assert!(red(&installation).is_empty());
    folder.clock.advance(Duration::from_secs(1));
    // Three have more time: by their turns, or by what they have to do.
    let patient = [Job::Expiry, Job::Garbage, Job::Maintain];
    let late = ALWAYS.iter().filter(|job| !patient.contains(job));
    let mut late: Vec<&str> = late.map(|job| job.as_str()).collect();
    late.sort_unstable();
    assert_eq!(red(&installation), late);
    folder.clock.advance(24 * HOUR);
    assert_eq!(red(&installation).len(), ALWAYS.len());
    done(&folder, &installation, &ALWAYS);
    assert!(red(&installation).is_empty());

    let account = account(&installation, "a").await;
    let entry = event(&folder, account, 1, PersonKey([7; 16]));
    append(&installation, vec![entry]).await;
    folder.clock.advance(HOUR);
    done(&folder, &installation, &ALWAYS);
    assert!(red(&installation).is_empty());
    folder.clock.advance(Duration::from_secs(1));
    assert_eq!(red(&installation), ["flush"]);
    let flushed = Box::pin(jobs::run(&installation, Job::Flush)).await;
    flushed.unwrap();
    assert!(red(&installation).is_empty());

    // What waited while nobody ran is not late yet.
    let entry = event(&folder, account, 2, PersonKey([7; 16]));
    append(&installation, vec![entry]).await;
    installation.close().await.unwrap();
    drop(installation);
    folder.clock.advance(24 * HOUR);
    let installation = folder.open(|_| {}).await;
    assert!(red(&installation).is_empty());
}

/// What looks at the installation, but at another journal and another keyring.
fn attention(
    folder: &Folder,
    installation: &Installation,
    journal: &Journal,
    keyring: &Arc<SharedKeyring>,
) -> Attention {
    Attention {
        store: installation.store().clone(),
        keyring: Arc::clone(keyring),
        journal: journal.clone(),
        sinks: Arc::clone(&installation.attention().sinks),
        watch: Watch::default(),
        clock: Arc::<ManualClock>::clone(&folder.clock),
        settings: installation.settings().clone(),
        started_at: folder.clock.now(),
    }
}

/// What looks at the installation, but at a journal that may hold `bytes_max` and holds one event; and
/// how much that is.
pub(crate) async fn filled(
    folder: &Folder,
    installation: &Installation,
    bytes_max: u64,
) -> (Attention, u64) {
    let settings = Settings {
        journal_bytes_max: bytes_max,
        ..Settings::default()
    };
    let writer = WriterId { node: 1, start: 1 };
    let store = Arc::new(InMemory::new());
    let clock = Arc::<ManualClock>::clone(&folder.clock);
    let opened = Journal::open(settings, store, writer, &[], clock).await;
    let (journal, owner, _) = opened.unwrap();
    drop(tokio::spawn(owner.run(std::future::pending())));
    let account = account(installation, "a").await;
    let entry = event(folder, account, 1, PersonKey([7; 16]));
    journal.append(vec![entry]).await.unwrap();
    let keyring = &installation.attention().keyring;
    let attention = attention(folder, installation, &journal, keyring);
    (attention, journal.status().live_bytes)
}

#[tokio::test]
async fn a_journal_that_is_more_than_half_full_is_red() {
    let folder = Folder::new().await;
    let installation = folder.open(|_| {}).await;
    let (attention, bytes) = filled(&folder, &installation, 1 << 32).await;
    let found = attention.find();
    assert!(found.is_empty() && bytes > 0, "{found:?}");
    let (attention, bytes) = filled(&folder, &installation, bytes * 3).await;
    let found = attention.find();
    assert!(found.is_empty(), "{found:?}");
    let (attention, _) = filled(&folder, &installation, bytes + bytes / 2).await;
    let found = attention.find();
    let kinds: Vec<Kind> = found.iter().map(|it| it.kind).collect();
    assert_eq!(kinds, [Kind::Journal]);
    assert!(found[0].words.contains("answered 503"), "{found:?}");
}

#[tokio::test]
async fn a_copy_of_the_keyring_that_is_away_is_red_until_it_follows() {
    let folder = Folder::new().await;
    let installation = folder.open(|_| {}).await;
    let (own, copy) = (folder.path("keyring"), folder.path("away/keyring"));
    let keyring = seal::Keyring::load(&own).unwrap();
    let keyring = Arc::new(SharedKeyring::new(keyring, vec![own, copy.clone()]));
    let attention = attention(&folder, &installation, installation.journal(), &keyring);
    keyring.follow().await.unwrap();
    let found = attention.find();
    let [concern] = &found[..] else {
        panic!("{found:?}");
    };
    assert_eq!(concern.kind, Kind::Keyring);
    assert_eq!(concern.subject, copy.to_str().unwrap());
    std::fs::create_dir(folder.path("away")).unwrap();
    keyring.follow().await.unwrap();
    assert!(attention.find().is_empty());
    assert!(copy.exists());
}
