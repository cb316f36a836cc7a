//! Deletions and their lines in the ledger, as rows.

use governance::Stretch;
use model::{AccountId, LedgerPosition, PersonKey, RawJson, Timestamp};
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;
use std::collections::HashSet;

use super::{Deletion, DeletionId, DeletionState, LedgerKey, receipt};
use crate::database::Session;
use crate::state::{Effect, LedgerLine};
use crate::{Error, Result};

/// Writes the lines of the ledger for keys that are not in `known`; returns how many.
pub(super) async fn add_keys(
    session: &mut Session,
    account: AccountId,
    (deletion, has_begun): (DeletionId, bool),
    known: &[LedgerKey],
    keys: &[LedgerKey],
) -> Result<usize> {
    const ACT: &str = "write the ledger";
    let row = sqlx::query("SELECT COALESCE(MAX(position), 0) FROM ledger")
        .fetch_one(session.connection())
        .await
        .map_err(Error::database(ACT))?;
    let mut position: i64 = row.try_get(0).map_err(Error::database(ACT))?;
    let mut lines: Vec<LedgerLine> = Vec::new();
    let mut there: HashSet<LedgerKey> = known.iter().copied().collect();
    for key in keys {
        if !there.insert(*key) {
            continue;
        }
        position = position.saturating_add(1);
        sqlx::query(
            "INSERT INTO ledger (position, account, person, from_ms, to_ms, deletion, begun) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(position)
        .bind(account.as_str().to_owned())
        .bind(key.person.0.to_vec())
        .bind(key.from.map(Timestamp::ms))
        .bind(key.to.map(Timestamp::ms))
        .bind(deletion.0.to_vec())
        .bind(i64::from(has_begun))
        .execute(session.connection())
        .await
        .map_err(Error::database(ACT))?;
        lines.push(LedgerLine {
            account,
            person: key.person,
            stretch: Stretch {
                from: key.from,
                to: key.to,
            },
            position: LedgerPosition(u64::try_from(position).unwrap_or(u64::MAX)),
            has_begun,
        });
    }
    let added = lines.len();
    if added > 0 {
        session.then(Effect::Ledger(lines));
    }
    Ok(added)
}

/// Moves the lines with which a deletion's job has not begun to the end of the ledger: what is being
/// written to the lake without them cannot be published any more.
pub(super) async fn begin(session: &mut Session, deletion: &Deletion) -> Result<()> {
    const ACT: &str = "write the ledger";
    let lines = lines(session, deletion.id).await?;
    let begun = lines.into_iter().filter(|(_, has_begun)| *has_begun);
    let begun: Vec<LedgerKey> = begun.map(|(key, _)| key).collect();
    sqlx::query("DELETE FROM ledger WHERE deletion = $1 AND begun = 0")
        .bind(deletion.id.0.to_vec())
        .execute(session.connection())
        .await
        .map_err(Error::database(ACT))?;
    let whose = (deletion.id, true);
    add_keys(session, deletion.account, whose, &begun, &deletion.keys)
        .await
        .map(drop)
}

pub(super) async fn read_each(session: &mut Session, rows: &[SqliteRow]) -> Result<Vec<Deletion>> {
    let mut deletions = Vec::with_capacity(rows.len());
    for row in rows {
        deletions.push(read(session, id_of(row)?).await?);
    }
    Ok(deletions)
}

pub(super) fn id_of(row: &SqliteRow) -> Result<DeletionId> {
    let id: Vec<u8> = row.try_get(0).map_err(Error::database("read a deletion"))?;
    let damaged = |_| Error::damaged("a deletion", "its id is malformed");
    Ok(DeletionId(id.try_into().map_err(damaged)?))
}

pub(super) async fn read(session: &mut Session, id: DeletionId) -> Result<Deletion> {
    const ACT: &str = "read a deletion";
    let damaged = |reason: &str| Error::damaged(format!("deletion `{id}`"), reason);
    let row = sqlx::query(
        "SELECT account, state, revision, requested_at, started_at, completed_at, receipt, begun, \
         receipt_note FROM deletions WHERE id = $1",
    )
    .bind(id.0.to_vec())
    .fetch_optional(session.connection())
    .await
    .map_err(Error::database(ACT))?
    .ok_or_else(|| Error::NotFound(format!("deletion `{id}`")))?;
    let text = |index: usize| {
        row.try_get::<String, _>(index)
            .map_err(Error::database(ACT))
    };
    let time = |index: usize| {
        let ms: Option<i64> = row.try_get(index).map_err(Error::database(ACT))?;
        Ok::<_, Error>(ms.map(Timestamp::from_ms))
    };
    let revision: i64 = row.try_get(2).map_err(Error::database(ACT))?;
    let unsigned: Option<String> = row.try_get(6).map_err(Error::database(ACT))?;
    let signed_receipt: Option<String> = row.try_get(8).map_err(Error::database(ACT))?;
    let malformed = || damaged("its receipt is malformed");
    let receipt = match &signed_receipt {
        Some(note) => Some(receipt::content(note).ok_or_else(malformed)?),
        None => unsigned.as_deref(),
    };
    let receipt = receipt
        .map(|text| RawJson::parse(text).map_err(|_| malformed()))
        .transpose()?;
    let lines = lines(session, id).await?;
    Ok(Deletion {
        id,
        account: text(0)?
            .parse()
            .map_err(|_| damaged("its account is malformed"))?,
        state: DeletionState::from_name(&text(1)?).ok_or_else(|| damaged("unknown state"))?,
        revision: u32::try_from(revision).map_err(|_| damaged("its revision is malformed"))?,
        keys: lines.into_iter().map(|(key, _)| key).collect(),
        requested_at: time(3)?.unwrap_or_default(),
        started_at: time(4)?,
        has_begun: row.try_get::<i64, _>(7).map_err(Error::database(ACT))? != 0,
        completed_at: time(5)?,
        receipt,
        signed_receipt,
    })
}

/// The keys of a deletion, in the order of their lines, and whether its job has begun with each.
async fn lines(session: &mut Session, id: DeletionId) -> Result<Vec<(LedgerKey, bool)>> {
    const ACT: &str = "read the keys of a deletion";
    let rows = sqlx::query(
        "SELECT person, from_ms, to_ms, begun FROM ledger WHERE deletion = $1 ORDER BY position",
    )
    .bind(id.0.to_vec())
    .fetch_all(session.connection())
    .await
    .map_err(Error::database(ACT))?;
    let line = |row: &SqliteRow| {
        let person: Vec<u8> = row.try_get(0).map_err(Error::database(ACT))?;
        let from: Option<i64> = row.try_get(1).map_err(Error::database(ACT))?;
        let to: Option<i64> = row.try_get(2).map_err(Error::database(ACT))?;
        let begun: i64 = row.try_get(3).map_err(Error::database(ACT))?;
        let damaged = |_| Error::damaged(format!("deletion `{id}`"), "a key is malformed");
        let key = LedgerKey {
            person: PersonKey(person.try_into().map_err(damaged)?),
            from: from.map(Timestamp::from_ms),
            to: to.map(Timestamp::from_ms),
        };
        Ok::<_, Error>((key, begun != 0))
    };
    rows.iter().map(line).collect()
}
