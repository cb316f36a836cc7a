//! What is taken out for each deletion, counted in the transactions that take it out.
//!
//! So a turn of the job that fails, or is cut short by a crash, neither loses a row of the receipt nor
//! counts it twice; and what a flush or a merge leaves out between two turns is in it too.

use model::catalog::{LeftOut, PartMeta};
use model::record::Table;
use model::{AccountId, PartId, PersonKey};
use sqlx::{QueryBuilder, Row as _, Sqlite};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::receipt::Replaced;
use super::{DeletionId, DeletionState};
use crate::database::Session;
use crate::{Error, Result};

/// Rows of one statement, of four bound values each.
const ROWS_AT_ONCE: usize = 200;

/// What has been taken out for one deletion.
#[derive(Debug, Default)]
pub(super) struct Work {
    /// Rows of parts, by table.
    pub(super) of_parts: BTreeMap<Table, u64>,
    /// Records of the journal that reached no part, by table.
    pub(super) of_journal: BTreeMap<Table, u64>,
    /// The parts that held such rows.
    pub(super) replaced: Vec<Replaced>,
}

/// Adds what a publication leaves out to the deletions that have begun, are not done, and have the
/// people whom it names.
pub(crate) async fn count_left_out(session: &mut Session, left_out: &[LeftOut]) -> Result<()> {
    let mut accounts: BTreeMap<AccountId, Vec<&LeftOut>> = BTreeMap::new();
    for it in left_out {
        accounts.entry(it.account).or_default().push(it);
    }
    for (account, left_out) in accounts {
        let deletions = under_way(session, account).await?;
        for it in left_out {
            let counts: Vec<_> = by_deletion(it, &deletions).into_iter().collect();
            for counts in counts.chunks(ROWS_AT_ONCE) {
                add_rows(session, it, counts).await?;
            }
            let replaced: Vec<_> = counts
                .iter()
                .flat_map(|(id, _)| it.parts.iter().map(move |part| (*id, part)))
                .collect();
            for replaced in replaced.chunks(ROWS_AT_ONCE) {
                add_parts(session, replaced).await?;
            }
        }
    }
    Ok(())
}

/// How many of the rows name somebody of each deletion. A row that names two counts once.
fn by_deletion(
    left_out: &LeftOut,
    deletions: &HashMap<PersonKey, Vec<DeletionId>>,
) -> BTreeMap<DeletionId, u64> {
    let mut rows: BTreeMap<DeletionId, u64> = BTreeMap::new();
    for (named, count) in &left_out.rows {
        let whose = named.iter().flatten().filter_map(|it| deletions.get(it));
        let whose: BTreeSet<DeletionId> = whose.flatten().copied().collect();
        for deletion in whose {
            *rows.entry(deletion).or_default() += count;
        }
    }
    rows
}

/// The deletions of an account that have begun and are not done, by the people whom they are of.
async fn under_way(
    session: &mut Session,
    account: AccountId,
) -> Result<HashMap<PersonKey, Vec<DeletionId>>> {
    const ACT: &str = "look for deletions under way";
    let rows = sqlx::query(
        "SELECT l.person, l.deletion FROM ledger l JOIN deletions d ON d.id = l.deletion \
         WHERE l.account = $1 AND l.begun = 1 AND d.state NOT IN ($2, $3)",
    )
    .bind(account.as_str().to_owned())
    .bind(DeletionState::Done.as_str())
    .bind(DeletionState::Cancelled.as_str())
    .fetch_all(session.connection())
    .await
    .map_err(Error::database(ACT))?;
    let mut found: HashMap<PersonKey, Vec<DeletionId>> = HashMap::new();
    for row in &rows {
        let key = |index: usize| {
            let bytes: Vec<u8> = row.try_get(index).map_err(Error::database(ACT))?;
            <[u8; 16]>::try_from(bytes)
                .map_err(|_| Error::damaged("a line of the ledger", "it is malformed"))
        };
        let (person, deletion) = (PersonKey(key(0)?), DeletionId(key(1)?));
        found.entry(person).or_default().push(deletion);
    }
    Ok(found)
}

const COUNT: &str = "count what is taken out for a deletion";

/// Adds to each of these deletions so many of the rows.
async fn add_rows(
    session: &mut Session,
    left_out: &LeftOut,
    counts: &[(DeletionId, u64)],
) -> Result<()> {
    let mut query = QueryBuilder::<Sqlite>::new(
        "INSERT INTO deletion_rows (deletion, table_name, of_journal, row_count) ",
    );
    query.push_values(counts, |mut row, (deletion, rows)| {
        row.push_bind(deletion.0.to_vec())
            .push_bind(left_out.table.as_str())
            .push_bind(i64::from(left_out.parts.is_empty()))
            .push_bind(i64::try_from(*rows).unwrap_or(i64::MAX));
    });
    query.push(
        " ON CONFLICT (deletion, table_name, of_journal) \
         DO UPDATE SET row_count = deletion_rows.row_count + excluded.row_count",
    );
    query
        .build()
        .execute(session.connection())
        .await
        .map_err(Error::database(COUNT))?;
    Ok(())
}

/// Notes for each deletion a part that is replaced; one that is noted already stays as it is.
async fn add_parts(session: &mut Session, replaced: &[(DeletionId, &Arc<PartMeta>)]) -> Result<()> {
    let mut query = QueryBuilder::<Sqlite>::new(
        "INSERT INTO deletion_parts (deletion, part, row_count, path_hash) ",
    );
    query.push_values(replaced, |mut row, (deletion, part)| {
        row.push_bind(deletion.0.to_vec())
            .push_bind(part.id.0.to_vec())
            .push_bind(i64::try_from(part.rows).unwrap_or(i64::MAX))
            .push_bind(seal::sha256(part.path.as_bytes()).to_vec());
    });
    query.push(" ON CONFLICT (deletion, part) DO NOTHING");
    query
        .build()
        .execute(session.connection())
        .await
        .map_err(Error::database(COUNT))?;
    Ok(())
}

/// What has been taken out for a deletion so far.
pub(super) async fn read(session: &mut Session, id: DeletionId) -> Result<Work> {
    const ACT: &str = "read what was taken out for a deletion";
    let damaged = || {
        let what = format!("what was taken out for deletion `{id}`");
        Error::damaged(what, "it is malformed")
    };
    let number = |number: i64| u64::try_from(number).map_err(|_| damaged());
    let mut work = Work::default();
    let rows = sqlx::query(
        "SELECT table_name, of_journal, row_count FROM deletion_rows WHERE deletion = $1",
    )
    .bind(id.0.to_vec())
    .fetch_all(session.connection())
    .await
    .map_err(Error::database(ACT))?;
    for row in &rows {
        let table: String = row.try_get(0).map_err(Error::database(ACT))?;
        let of_journal: i64 = row.try_get(1).map_err(Error::database(ACT))?;
        let count: i64 = row.try_get(2).map_err(Error::database(ACT))?;
        let table = Table::from_name(&table).ok_or_else(damaged)?;
        let counts = match of_journal {
            0 => &mut work.of_parts,
            _ => &mut work.of_journal,
        };
        counts.insert(table, number(count)?);
    }
    let rows = sqlx::query(
        "SELECT part, row_count, path_hash FROM deletion_parts WHERE deletion = $1 ORDER BY part",
    )
    .bind(id.0.to_vec())
    .fetch_all(session.connection())
    .await
    .map_err(Error::database(ACT))?;
    for row in &rows {
        let part: Vec<u8> = row.try_get(0).map_err(Error::database(ACT))?;
        let count: i64 = row.try_get(1).map_err(Error::database(ACT))?;
        let hash: Vec<u8> = row.try_get(2).map_err(Error::database(ACT))?;
        let part = <[u8; 16]>::try_from(part).map_err(|_| damaged())?;
        work.replaced.push(Replaced {
            part: PartId(part).to_string(),
            rows: number(count)?,
            path_sha256: hex::encode(hash),
        });
    }
    Ok(work)
}
