//! The links of the deleted are followed once more, in the job: an upload that was under way when a
//! deletion was ordered may have brought one that nobody had looked at.
//!
//! It only ever adds keys to deletions. It must be done before the job begins with a key: from then on
//! whatever names that key leaves the lake, the links that lead on from it among it.

use anyhow::{Context as _, Result};
use control::{Actor, Deletion, LedgerKey};
use governance::Stretch;
use model::{AccountId, ErrorKind, PersonKey};
use query::ReadPolicy;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use crate::compose::Installation;

/// What came of following links.
#[derive(Debug, Default)]
pub(super) struct Followed {
    /// Whether a deletion was extended: what it was extended by may lead further.
    pub(super) is_extended: bool,
    /// What went wrong, by account.
    pub(super) failures: BTreeMap<AccountId, anyhow::Error>,
}

/// Extends the deletions to the keys that links show to be the same people by now.
pub(super) async fn follow(
    installation: &Installation,
    actor: &Actor,
    deletions: &[Deletion],
) -> Followed {
    let mut accounts: BTreeMap<AccountId, Vec<&Deletion>> = BTreeMap::new();
    for deletion in deletions {
        accounts.entry(deletion.account).or_default().push(deletion);
    }
    let mut followed = Followed::default();
    for (account, deletions) in accounts {
        match follow_in(installation, actor, account, &deletions).await {
            Ok(is_extended) => followed.is_extended |= is_extended,
            Err(error) => {
                let what = format!("failed to follow the links of account {account}");
                followed.failures.insert(account, error.context(what));
            }
        }
    }
    followed
}

/// Whether one of the account's deletions was extended.
async fn follow_in(
    installation: &Installation,
    actor: &Actor,
    account: AccountId,
    deletions: &[&Deletion],
) -> Result<bool> {
    let known: Vec<LedgerKey> = deletions.iter().flat_map(|it| &it.keys).copied().collect();
    if reached(installation, account, &known).await?.is_empty() {
        return Ok(false);
    }
    let mut is_extended = false;
    for deletion in deletions {
        let id = deletion.id;
        let keys = reached(installation, account, &deletion.keys).await?;
        if keys.is_empty() {
            continue;
        }
        let extended = installation.control().extend_deletion(actor, id, keys);
        match extended.await {
            Ok(added) => is_extended |= added > 0,
            // Cancelled since the list was read.
            Err(error) if error.kind() == ErrorKind::Conflict => {}
            Err(error) => {
                return Err(error).with_context(|| format!("failed to extend deletion {id}"));
            }
        }
    }
    Ok(is_extended)
}

/// The keys of the people whom `known` names that are not hidden by it.
async fn reached(
    installation: &Installation,
    account: AccountId,
    known: &[LedgerKey],
) -> Result<Vec<LedgerKey>> {
    let mut hidden: HashMap<PersonKey, Vec<Stretch>> = HashMap::new();
    for LedgerKey { person, from, to } in known.iter().copied() {
        hidden.entry(person).or_default().push(Stretch { from, to });
    }
    let is_whole = |it: &PersonKey| {
        let mut stretches = hidden.get(it).into_iter().flatten();
        stretches.any(|it| it.is_whole())
    };
    let mut asked: Vec<PersonKey> = hidden.keys().copied().filter(is_whole).collect();
    let mut found = keys_of(installation, account, &asked).await?;
    // A device that is not one person's alone would lead to the others.
    let alone: HashSet<PersonKey> = found
        .iter()
        .filter(|(_, stretch)| stretch.is_whole())
        .map(|(key, _)| *key)
        .collect();
    let asked_before = asked.len();
    asked.retain(|it| alone.contains(it));
    if asked.len() < asked_before {
        found = keys_of(installation, account, &asked).await?;
    }
    let is_hidden = |key: &PersonKey, stretch: Stretch| {
        let mut stretches = hidden.get(key).into_iter().flatten();
        stretches.any(|it| covers(*it, stretch))
    };
    Ok(found
        .into_iter()
        .filter(|(key, stretch)| !is_hidden(key, *stretch))
        .map(|(person, Stretch { from, to })| LedgerKey { person, from, to })
        .collect())
}

/// All keys of the people whom `keys` name, by every link: those of the deleted too.
async fn keys_of(
    installation: &Installation,
    account: AccountId,
    keys: &[PersonKey],
) -> Result<Vec<(PersonKey, Stretch)>> {
    let everybody = ReadPolicy::new(account, Arc::default());
    let found = Box::pin(installation.engine().person_keys(&everybody, keys)).await;
    let found = found.context("failed to read the links of the deleted")?;
    Ok(found.keys)
}

/// Whether all of `inner` lies in `outer`.
fn covers(outer: Stretch, inner: Stretch) -> bool {
    let from = outer
        .from
        .is_none_or(|outer| inner.from.is_some_and(|inner| outer <= inner));
    let to = outer
        .to
        .is_none_or(|outer| inner.to.is_some_and(|inner| inner <= outer));
    from && to
}
