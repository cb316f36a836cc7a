//! Pending deletions are carried out: the people's rows go, and then the keys of every object that
//! held them.
//!
//! The steps, each of which can be begun again: the links followed, and no more where none of the
//! deletions can go on; a new journal key for commits from now on; the links followed once more, before
//! anything is taken out; all older commits into parts, without the deleted; parts that still hold rows
//! of theirs rewritten; the keys of every object that is no live part's, and the old journal keys,
//! destroyed; those objects removed; the receipt. Until the last step a deletion stays pending, so a crash
//! at any point leads back here; so does a part that cannot be read, which keeps the deletions of its
//! account and of no other. Where a live part has no key at all, no key is destroyed in any account, and
//! every deletion waits ([`control::KeyTable::destroy`]).

mod links;
#[cfg(test)]
mod tests;

use anyhow::{Context as _, Result, bail};
use control::{Actor, Deletion, DeletionId, DeletionState, LastTurn};
use lake::GarbageReport;
use model::catalog::Catalog as _;
use model::record::{Entry, Outcome, Peer, Plane, Record, RequestLine, Table};
use model::{AccountId, ErrorKind, PersonKey};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::{Turn, flush, together};
use crate::compose::{Installation, Visible};

/// How often links are followed at one turn, as long as they lead further.
const ROUNDS_MAX: u32 = 8;
/// How often a rewrite that met something is tried again at one turn.
const ATTEMPTS_MAX: u32 = 16;
/// How often commits that a reader holds are tried again.
const RETIRE_ATTEMPTS_MAX: u32 = 600;
const RETIRE_PAUSE: Duration = Duration::from_millis(50);

/// What was asked for this long ago should be done.
const OVERDUE: Duration = Duration::from_secs(86_400);

/// When this process first saw each deletion that is pending, on the clock that never goes back: the one
/// by which they were ordered may have.
#[derive(Debug, Default)]
pub(super) struct Waiting(Mutex<BTreeMap<DeletionId, Duration>>);

impl Waiting {
    /// How long each of `pending` has waited by `now`; all others are forgotten.
    fn waited(&self, pending: &[Deletion], now: Duration) -> BTreeMap<DeletionId, Duration> {
        let mut first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = |it: &Deletion| (it.id, first.get(&it.id).copied().unwrap_or(now));
        let seen: BTreeMap<_, _> = pending.iter().map(seen).collect();
        first.clone_from(&seen);
        let waited = |(id, at): (DeletionId, Duration)| (id, now.saturating_sub(at));
        seen.into_iter().map(waited).collect()
    }
}

/// Deletions that are late, for whoever looks; those of this turn count until the next one. Of one that
/// was ordered later than it is now nobody knows how late it is.
fn note_overdue(installation: &Installation, pending: &[Deletion]) {
    let now = installation.clock().now();
    let before = now.minus(OVERDUE);
    let is_late = |it: &&Deletion| it.requested_at < before || it.requested_at > now;
    let mut overdue: BTreeMap<AccountId, usize> = BTreeMap::new();
    for deletion in pending.iter().filter(is_late) {
        *overdue.entry(deletion.account).or_default() += 1;
    }
    installation.attention().watch.deletions(overdue);
}

/// Carries out every deletion that is pending now. In its own time it leaves those for later that
/// were ordered a moment ago, or that it has known for a moment: until then they can be cancelled.
pub(super) async fn run(installation: &Installation, turn: Turn) -> Result<Value> {
    let actor = Actor::system("deletion");
    let pending = due(installation, turn).await?;
    if pending.is_empty() {
        return Ok(json!({"completed": 0}));
    }
    reach_copies(installation).await?;
    // A new key where nothing can begin would stay: only a deletion that goes on removes old ones.
    let unfollowed = links::follow(installation, &actor, &pending).await.failures;
    if !pending.iter().any(|it| may_go_on(it, &unfollowed)) {
        together(unfollowed.into_values().collect())?;
        return Ok(json!({"completed": 0}));
    }
    let mark = installation
        .keys()
        .rotate_journal_key()
        .await
        .context("failed to change the journal's key")?;
    let (started, unfollowed) = begin(installation, &actor, turn).await?;
    if started.is_empty() {
        together(unfollowed.into_values().collect())?;
        return Ok(json!({"completed": 0}));
    }
    flush::run(installation).await?;
    retire_all(installation).await?;

    let mut accounts: BTreeMap<AccountId, Vec<PersonKey>> = BTreeMap::new();
    for deletion in &started {
        let keys = deletion.keys.iter().map(|key| key.person);
        accounts.entry(deletion.account).or_default().extend(keys);
    }
    let (mut searched, mut failures) = rewrite_each(installation, &accounts).await;
    for (account, error) in unfollowed {
        searched.remove(&account);
        failures.push(error);
    }

    // Keys first, so that a crash before the end comes back here. What is not live now will never be:
    // whoever publishes holds the guard that this job holds.
    let destroyed = installation
        .keys()
        .destroy(&live_paths(installation).await?, Some(mark))
        .await
        .context("failed to destroy the keys of what is not live")?;
    let collected = installation
        .lake()
        .collect_everything()
        .await
        .context("failed to remove what is not live")?;
    let rules = installation.rules();
    for account in accounts.into_keys() {
        if let Some(rules) = rules.account(account) {
            let deleted = Arc::clone(&rules.suppressed);
            installation.engine().forget(account, deleted);
        }
    }

    let mut completed = 0;
    for deletion in &started {
        let Some(parts) = searched.get(&deletion.account) else {
            continue;
        };
        let (id, revision) = (deletion.id, deletion.revision);
        let last_turn = last_turn(*parts, destroyed, &collected);
        let done = installation
            .control()
            .complete_deletion(&actor, id, revision, last_turn)
            .await;
        match done {
            Ok(()) => completed += 1,
            // Another name has been found meanwhile: it stays pending and comes again.
            Err(error) if error.kind() == ErrorKind::Conflict => {}
            Err(error) => {
                return Err(error).with_context(|| format!("failed to complete deletion {id}"));
            }
        }
    }
    together(failures)?;
    Ok(json!({
        "completed": completed,
        "objects": collected.paths.len(),
        "keys_destroyed": destroyed.keys,
        "epoch": destroyed.epoch,
    }))
}

/// Fails while a copy of the keyring is away: the last step needs all of them, and without them everything
/// before it would be done at each turn, in vain.
async fn reach_copies(installation: &Installation) -> Result<()> {
    let keyring = &installation.attention().keyring;
    if keyring.away().is_empty() {
        return Ok(());
    }
    keyring
        .follow()
        .await
        .context("failed to write the copies of the keyring")?;
    if let Some((copy, why)) = keyring.away().first() {
        let copy = copy.display();
        bail!("the copy `{copy}` of the keyring is away: {why}");
    }
    Ok(())
}

/// The deletions that this turn is for.
async fn due(installation: &Installation, turn: Turn) -> Result<Vec<Deletion>> {
    let mut pending = installation
        .control()
        .pending_deletions()
        .await
        .context("failed to list pending deletions")?;
    note_overdue(installation, &pending);
    let (guards, clock) = (installation.guards(), installation.clock());
    let waited = guards.waiting.waited(&pending, clock.monotonic());
    let grace = Duration::from_secs(installation.settings().deletion_grace_s.into());
    let ordered_before = clock.now().minus(grace);
    pending.retain(|it| match turn {
        Turn::ByHand => true,
        Turn::InTime => {
            it.has_begun
                || it.requested_at <= ordered_before
                || waited.get(&it.id).is_some_and(|waited| *waited >= grace)
        }
    });
    Ok(pending)
}

/// Whether a turn takes up a deletion where links of the accounts in `unfollowed` could not be followed:
/// one that has begun has had its links followed before.
fn may_go_on(deletion: &Deletion, unfollowed: &BTreeMap<AccountId, anyhow::Error>) -> bool {
    deletion.state == DeletionState::Running || !unfollowed.contains_key(&deletion.account)
}

/// Follows the links of what is due until they lead no further, and begins with it: what is begun with
/// leaves the lake, links among it. What went wrong, by account; there, what has not begun does not.
async fn begin(
    installation: &Installation,
    actor: &Actor,
    turn: Turn,
) -> Result<(Vec<Deletion>, BTreeMap<AccountId, anyhow::Error>)> {
    let (mut pending, mut unfollowed) = (Vec::new(), BTreeMap::new());
    for _ in 0..ROUNDS_MAX {
        pending = due(installation, turn).await?;
        // A commit under way when they were read has ended when this one is durable. So the links that
        // came before they were hidden can be seen; later ones, admission follows.
        installation
            .journal()
            .append(vec![marker(installation)])
            .await
            .context("failed to write a commit under the new key")?;
        let followed = links::follow(installation, actor, &pending).await;
        unfollowed = followed.failures;
        if !followed.is_extended {
            break;
        }
    }
    let mut started = Vec::new();
    for deletion in pending {
        let (id, revision) = (deletion.id, deletion.revision);
        if !may_go_on(&deletion, &unfollowed) {
            continue;
        }
        let begun = installation
            .control()
            .start_deletion(actor, id, revision)
            .await;
        match begun {
            Ok(deletion) => started.push(deletion),
            // Cancelled or extended since the list was read: if it is still there, it comes again.
            Err(error) if error.kind() == ErrorKind::Conflict => {}
            Err(error) => {
                return Err(error).with_context(|| format!("failed to start deletion {id}"));
            }
        }
    }
    Ok((started, unfollowed))
}

/// Where every live part of every account is.
async fn live_paths(installation: &Installation) -> Result<Vec<String>> {
    let view = installation
        .control()
        .view(None, &Table::ALL)
        .await
        .context("failed to read the list of parts")?;
    Ok(view.parts.iter().map(|part| part.path.clone()).collect())
}

/// Takes the people's rows out of each account's parts; how many parts were searched, and what went
/// wrong elsewhere.
async fn rewrite_each(
    installation: &Installation,
    accounts: &BTreeMap<AccountId, Vec<PersonKey>>,
) -> (BTreeMap<AccountId, usize>, Vec<anyhow::Error>) {
    let (mut searched, mut failures) = (BTreeMap::new(), Vec::new());
    for (account, people) in accounts {
        match rewrite(installation, *account, people).await {
            Ok(parts) => {
                searched.insert(*account, parts);
            }
            Err(error) => failures.push(error),
        }
    }
    (searched, failures)
}

/// Takes the people's rows out of an account's parts; how many parts were searched. What it finds is
/// counted with each publication.
async fn rewrite(
    installation: &Installation,
    account: AccountId,
    people: &[PersonKey],
) -> Result<usize> {
    let mut searched = 0;
    let mut attempts = 0;
    loop {
        let keep = Visible::by(installation.rules());
        let tables = &Installation::PERSONAL_TABLES;
        let rewritten = installation
            .lake()
            .rewrite(account, tables, people, keep as Arc<_>)
            .await;
        let report = match rewritten.map_err(anyhow::Error::from) {
            Ok(report) => report,
            Err(error) if attempts < ATTEMPTS_MAX && flush::is_conflict(&error) => {
                attempts += 1;
                continue;
            }
            Err(error) => {
                return Err(error)
                    .with_context(|| format!("failed to rewrite the parts of account {account}"));
            }
        };
        searched = report.searched.max(searched);
        if report.complete {
            return Ok(searched);
        }
    }
}

/// Retires commits until none is held by a reader.
async fn retire_all(installation: &Installation) -> Result<()> {
    for _ in 0..RETIRE_ATTEMPTS_MAX {
        flush::retire(installation).await?;
        if installation.journal().status().doomed_commits == 0 {
            return Ok(());
        }
        tokio::time::sleep(RETIRE_PAUSE).await;
    }
    bail!("commits of the journal are still being read: the deletion goes on at its next turn")
}

/// A line for the request log that says why this commit exists.
fn marker(installation: &Installation) -> Entry {
    let line = RequestLine {
        id: installation.record_ids().batch()(0),
        at: installation.clock().now(),
        plane: Plane::Console,
        peer: Peer::Unknown,
        tls_version: "".into(),
        method: "-".into(),
        path: "deletion".into(),
        status: 0,
        outcome: Outcome::Answered,
        reason: "journal_key_changed".into(),
        size_bytes: 0,
        accepted: 0,
        rejected: 0,
        duration_us: 0,
    };
    let account = AccountId::installation();
    Entry {
        account,
        record: Record::Request(Box::new(line)),
    }
}

/// What the receipts of an account say of this turn.
fn last_turn(parts: usize, destroyed: control::Destroyed, collected: &GarbageReport) -> LastTurn {
    let tables = Installation::PERSONAL_TABLES.iter();
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    LastTurn {
        tables: tables.map(|table| table.as_str().to_owned()).collect(),
        parts: count(parts),
        journal: "every commit up to the change of its key".to_owned(),
        not_searched: vec![
            "bodies in quarantine that could not be decoded: they expire".to_owned(),
            "the request log: it names no person; addresses that apps allow to be kept go with its retention"
                .to_owned(),
        ],
        objects_removed: count(collected.paths.len()),
        keys_destroyed: count(destroyed.keys),
        epoch: destroyed.epoch,
    }
}
