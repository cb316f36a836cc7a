//! The trees in the database: what an append changes, what a proof needs, what a purge leaves.

use model::{AccountId, Timestamp};
use seal::merkle::{Frontier, Hash, Tree};
use sqlx::Row as _;

use super::{Saved, leaf};
use crate::database::{Database, Session};
use crate::sealer::Sealer;
use crate::{Error, Result, schema};
use std::sync::Arc;

/// Leaves read in one step, so that others get their turn.
const LEAVES_PAGE: u64 = 10_000;
/// Entries that get their leaf in one transaction.
const PLANT_PAGE: u32 = 500;
/// Entries that one transaction purges.
const PURGE_PAGE: u32 = 5_000;
/// The setting that says that every entry has its leaf.
const PLANTED: &str = "audit_trees";

/// The tree's frontier: nothing for an account without entries.
pub(crate) async fn frontier(session: &mut Session, account: AccountId) -> Result<Frontier> {
    const ACT: &str = "read the head of an audit log";
    let row = sqlx::query("SELECT size, frontier FROM audit_trees WHERE account = $1")
        .bind(account.as_str().to_owned())
        .fetch_optional(session.connection())
        .await
        .map_err(Error::database(ACT))?;
    let Some(row) = row else {
        return Ok(Frontier::default());
    };
    let size: i64 = row.try_get(0).map_err(Error::database(ACT))?;
    let peaks: Vec<u8> = row.try_get(1).map_err(Error::database(ACT))?;
    u64::try_from(size)
        .ok()
        .and_then(|size| Frontier::from_bytes(size, &peaks))
        .ok_or_else(|| damaged(account, "its head is malformed"))
}

/// Appends a leaf to the tree that `frontier` is of.
pub(crate) async fn append(
    session: &mut Session,
    account: AccountId,
    mut frontier: Frontier,
    leaf: Hash,
) -> Result<()> {
    const ACT: &str = "append to an audit log";
    frontier.push(leaf);
    let size = i64::try_from(frontier.size()).unwrap_or(i64::MAX);
    sqlx::query("INSERT INTO audit_leaves (account, sequence, hash) VALUES ($1, $2, $3)")
        .bind(account.as_str().to_owned())
        .bind(size)
        .bind(leaf.to_vec())
        .execute(session.connection())
        .await
        .map_err(Error::database(ACT))?;
    sqlx::query(
        "INSERT INTO audit_trees (account, size, frontier) VALUES ($1, $2, $3) \
         ON CONFLICT (account) DO UPDATE SET size = excluded.size, frontier = excluded.frontier",
    )
    .bind(account.as_str().to_owned())
    .bind(size)
    .bind(frontier.to_bytes())
    .execute(session.connection())
    .await
    .map(|_| ())
    .map_err(Error::database(ACT))
}

/// Gives leaves to the entries of a time when there were none. What a crash interrupts, the next
/// start goes on with.
pub(crate) async fn plant(database: &Database, sealer: &Arc<Sealer>) -> Result<()> {
    let planted = database
        .read(|session| Box::pin(async { schema::setting(session, PLANTED).await }))
        .await?;
    if planted.is_some() {
        return Ok(());
    }
    let mut last = None;
    loop {
        let (sealer, after) = (Arc::clone(sealer), last);
        last = database
            .write(move |session| {
                Box::pin(async move {
                    let entries = super::unplanted(session, &sealer, after, PLANT_PAGE).await?;
                    if entries.is_empty() {
                        schema::set(session, PLANTED, "1").await?;
                    }
                    for entry in &entries {
                        let before = frontier(session, entry.account).await?;
                        if before.size().saturating_add(1) != entry.sequence {
                            return Err(damaged(entry.account, "its numbers have a gap"));
                        }
                        let salt = sealer.salt();
                        super::set_salt(session, &sealer, entry, &salt).await?;
                        let leaf = leaf::hash(entry, &salt);
                        append(session, entry.account, before, leaf).await?;
                    }
                    Ok(entries.last().map(|it| (it.account, it.sequence)))
                })
            })
            .await?;
        if last.is_none() {
            return Ok(());
        }
    }
}

/// The tree as it was when it had the size of `head`. Every leaf is read, and their root must be the
/// head's.
pub(crate) async fn tree(database: &Database, account: AccountId, head: &Frontier) -> Result<Tree> {
    let mut leaves = Vec::new();
    for_each_leaf(database, account, head.size(), |leaf| leaves.push(leaf)).await?;
    let tree = Tree::new(leaves);
    if tree.root() != head.root() {
        return Err(damaged(account, "its leaves do not give its head"));
    }
    Ok(tree)
}

/// The root that the log had at `size`, and the one it has at `head`, from every leaf.
pub(crate) async fn roots(
    database: &Database,
    account: AccountId,
    size: u64,
    head: &Frontier,
) -> Result<Hash> {
    let mut frontier = Frontier::default();
    let mut past = frontier.root();
    for_each_leaf(database, account, head.size(), |leaf| {
        frontier.push(leaf);
        if frontier.size() == size {
            past = frontier.root();
        }
    })
    .await?;
    if frontier != *head {
        return Err(damaged(account, "its leaves do not give its head"));
    }
    Ok(past)
}

async fn for_each_leaf(
    database: &Database,
    account: AccountId,
    size: u64,
    mut take: impl FnMut(Hash),
) -> Result<()> {
    let mut read = 0;
    while read < size {
        let to = size.min(read.saturating_add(LEAVES_PAGE));
        let page = database
            .read(move |session| Box::pin(page(session, account, read, to)))
            .await?;
        let wanted = to.saturating_sub(read);
        if u64::try_from(page.len()).ok() != Some(wanted) {
            return Err(damaged(account, "a leaf is missing"));
        }
        page.into_iter().for_each(&mut take);
        read = to;
    }
    Ok(())
}

/// The leaves numbered above `after` and up to `to`.
async fn page(session: &mut Session, account: AccountId, after: u64, to: u64) -> Result<Vec<Hash>> {
    const ACT: &str = "read the leaves of an audit log";
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let rows = sqlx::query(
        "SELECT hash FROM audit_leaves WHERE account = $1 AND sequence > $2 AND sequence <= $3 \
         ORDER BY sequence",
    )
    .bind(account.as_str().to_owned())
    .bind(number(after))
    .bind(number(to))
    .fetch_all(session.connection())
    .await
    .map_err(Error::database(ACT))?;
    rows.iter()
        .map(|row| {
            let hash: Vec<u8> = row.try_get(0).map_err(Error::database(ACT))?;
            Hash::try_from(hash).map_err(|_| damaged(account, "a leaf is malformed"))
        })
        .collect()
}

/// Removes entries from before a moment, at most a page of them, and keeps their leaves.
pub(crate) async fn purge(
    session: &mut Session,
    account: AccountId,
    before: Timestamp,
) -> Result<u64> {
    let done = sqlx::query(
        "DELETE FROM audit WHERE account = $1 AND sequence IN \
         (SELECT sequence FROM audit WHERE account = $1 AND at < $2 ORDER BY sequence LIMIT $3)",
    )
    .bind(account.as_str().to_owned())
    .bind(before.ms())
    .bind(i64::from(PURGE_PAGE))
    .execute(session.connection())
    .await
    .map_err(Error::database("purge the audit log"))?;
    Ok(done.rows_affected())
}

/// Whether what was read of an entry is what was logged.
pub(crate) fn check(saved: &Saved) -> Result<()> {
    if leaf::hash(&saved.entry, &saved.salt) == saved.leaf {
        return Ok(());
    }
    let name = format!(
        "audit entry {}/{}",
        saved.entry.account, saved.entry.sequence
    );
    Err(Error::damaged(name, "it is not what was logged"))
}

pub(crate) fn damaged(account: AccountId, reason: &str) -> Error {
    Error::damaged(format!("the audit log of account `{account}`"), reason)
}
