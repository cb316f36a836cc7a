//! Names and errors in the database.

use model::learned::{KindCounts, Name, ValueKind};
use model::record::Source;
use model::{AccountId, RecordId, Timestamp};
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row as _, Sqlite};
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};

use super::errors::{Finding, together};
use super::{ERRORS_MAX, Known, NAMES_MAX, parts};
use crate::database::Session;
use crate::sealer::Sealer;
use crate::{Error, Result};

/// Rows that one statement writes or asks for.
const ROWS_AT_ONCE: usize = 200;
const SEALED_NAME: &str = "learned.name";

/// Names to be counted, each with the hash that finds it.
pub(super) struct Names<'a>(BTreeMap<[u8; 16], (&'a Name, &'a Known)>);

/// What the database held before.
#[derive(Debug, Default)]
pub(super) struct Before {
    /// The kinds of those of the names that were there.
    pub(super) kinds: HashMap<Name, Option<ValueKind>>,
    /// Names of the account; counted only when there are new ones.
    pub(super) names: usize,
    /// Events among them.
    pub(super) events: usize,
    /// New names for which there is no room.
    pub(super) left_out: HashSet<Name>,
}

impl<'a> Names<'a> {
    pub(super) fn of(
        sealer: &Sealer,
        account: AccountId,
        names: &'a BTreeMap<&'a Name, Known>,
    ) -> Self {
        let hashed = |(name, known): (&&'a Name, &'a Known)| {
            (hash(sealer, account, Some(name)), (*name, known))
        };
        Self(names.iter().map(hashed).collect())
    }

    /// Adds the counts; what was there before.
    pub(super) async fn save(
        mut self,
        session: &mut Session,
        sealer: &Sealer,
        account: AccountId,
    ) -> Result<Before> {
        let mut before = Before::default();
        if self.0.is_empty() {
            return Ok(before);
        }
        before.kinds = self.stored(session, account).await?;
        if before.kinds.len() < self.0.len() {
            (before.names, before.events) = counts(session, account).await?;
        }
        let room = NAMES_MAX.saturating_sub(before.names);
        let mut new: Vec<_> = self.0.values().collect();
        new.retain(|(name, _)| !before.kinds.contains_key(*name));
        // Where not all have room, those in use come before those that somebody made up.
        new.sort_by_key(|(_, known)| Reverse(known.count));
        let left_out = new.iter().skip(room).map(|(name, _)| (*name).clone());
        before.left_out = left_out.collect();
        let left_out = &before.left_out;
        self.0.retain(|_, (name, _)| !left_out.contains(*name));
        let rows: Vec<_> = self.0.iter().collect();
        for rows in rows.chunks(ROWS_AT_ONCE) {
            let mut query = QueryBuilder::<Sqlite>::new(
                "INSERT INTO learned (account, name_hash, scope, name_sealed, kind, count, texts, \
                 integers, floats, booleans, dates, lists, objects, nulls, first_seen, last_seen) ",
            );
            let mut sealed = Vec::with_capacity(rows.len());
            for (_, (name, _)) in rows {
                sealed.push(seal(sealer, Some(name))?);
            }
            query.push_values(
                rows.iter().zip(sealed),
                |mut row, ((hash, (name, known)), name_sealed)| {
                    row.push_bind(account.as_str().to_owned())
                        .push_bind(hash.to_vec())
                        .push_bind(parts(name).0)
                        .push_bind(name_sealed)
                        .push_bind(known.kind.map_or("", ValueKind::as_str))
                        .push_bind(number(known.count));
                    for count in known.kinds {
                        row.push_bind(number(count));
                    }
                    row.push_bind(known.first_seen.ms())
                        .push_bind(known.last_seen.ms());
                },
            );
            query.push(
                " ON CONFLICT (account, name_hash) DO UPDATE SET \
                 kind = CASE WHEN learned.kind = '' THEN excluded.kind ELSE learned.kind END, \
                 count = learned.count + excluded.count, texts = learned.texts + excluded.texts, \
                 integers = learned.integers + excluded.integers, \
                 floats = learned.floats + excluded.floats, \
                 booleans = learned.booleans + excluded.booleans, \
                 dates = learned.dates + excluded.dates, lists = learned.lists + excluded.lists, \
                 objects = learned.objects + excluded.objects, \
                 nulls = learned.nulls + excluded.nulls, \
                 first_seen = MIN(learned.first_seen, excluded.first_seen), \
                 last_seen = MAX(learned.last_seen, excluded.last_seen)",
            );
            query
                .build()
                .execute(session.connection())
                .await
                .map_err(Error::database("count names in use"))?;
        }
        Ok(before)
    }

    /// The kinds of those that are stored.
    async fn stored(
        &self,
        session: &mut Session,
        account: AccountId,
    ) -> Result<HashMap<Name, Option<ValueKind>>> {
        const ACT: &str = "read names in use";
        let hashes: Vec<_> = self.0.keys().collect();
        let mut kinds = HashMap::new();
        for hashes in hashes.chunks(ROWS_AT_ONCE) {
            let mut query =
                QueryBuilder::<Sqlite>::new("SELECT name_hash, kind FROM learned WHERE account = ");
            query.push_bind(account.as_str().to_owned());
            query.push(" AND name_hash IN (");
            let mut list = query.separated(", ");
            for hash in hashes {
                list.push_bind(hash.to_vec());
            }
            list.push_unseparated(")");
            let rows = query
                .build()
                .fetch_all(session.connection())
                .await
                .map_err(Error::database(ACT))?;
            for row in &rows {
                let hash: Vec<u8> = row.try_get(0).map_err(Error::database(ACT))?;
                let kind: String = row.try_get(1).map_err(Error::database(ACT))?;
                let named = <[u8; 16]>::try_from(hash).ok();
                if let Some((name, _)) = named.and_then(|hash| self.0.get(&hash)) {
                    kinds.insert((*name).clone(), kind_of(&kind));
                }
            }
        }
        Ok(kinds)
    }
}

async fn counts(session: &mut Session, account: AccountId) -> Result<(usize, usize)> {
    const ACT: &str = "count names in use";
    let row = sqlx::query(
        "SELECT COUNT(*), COALESCE(SUM(scope = 'event'), 0) FROM learned WHERE account = $1",
    )
    .bind(account.as_str().to_owned())
    .fetch_one(session.connection())
    .await
    .map_err(Error::database(ACT))?;
    let count = |index: usize| {
        let count: i64 = row.try_get(index).map_err(Error::database(ACT))?;
        Ok::<_, Error>(usize::try_from(count).unwrap_or(usize::MAX))
    };
    Ok((count(0)?, count(1)?))
}

/// Every name of an account.
pub(super) async fn read(
    session: &mut Session,
    sealer: &Sealer,
    account: AccountId,
) -> Result<BTreeMap<Name, Known>> {
    const ACT: &str = "read names in use";
    let rows = sqlx::query(
        "SELECT name_sealed, kind, count, first_seen, last_seen, texts, integers, floats, booleans, \
         dates, lists, objects, nulls FROM learned WHERE account = $1",
    )
    .bind(account.as_str().to_owned())
    .fetch_all(session.connection())
    .await
    .map_err(Error::database(ACT))?;
    let mut names = BTreeMap::new();
    for row in &rows {
        let Some(name) = open(sealer, row, 0, ACT)? else {
            continue;
        };
        let kind: String = row.try_get(1).map_err(Error::database(ACT))?;
        let mut kinds = KindCounts::default();
        for (place, count) in kinds.iter_mut().enumerate() {
            *count = unsigned(row, place.saturating_add(5), ACT)?;
        }
        let known = Known {
            count: unsigned(row, 2, ACT)?,
            kind: kind_of(&kind),
            kinds,
            first_seen: time(row, 3, ACT)?,
            last_seen: time(row, 4, ACT)?,
        };
        names.insert(name, known);
    }
    Ok(names)
}

/// Adds findings to those that are there.
pub(super) async fn save_errors(
    session: &mut Session,
    sealer: &Sealer,
    account: AccountId,
    mut found: Vec<Finding>,
) -> Result<()> {
    const ACT: &str = "count errors";
    if found.is_empty() {
        return Ok(());
    }
    let row = sqlx::query("SELECT COUNT(*) FROM schema_errors WHERE account = $1")
        .bind(account.as_str().to_owned())
        .fetch_one(session.connection())
        .await
        .map_err(Error::database(ACT))?;
    let there: i64 = row.try_get(0).map_err(Error::database(ACT))?;
    if usize::try_from(there)
        .unwrap_or(usize::MAX)
        .saturating_add(found.len())
        > ERRORS_MAX
    {
        for it in &mut found {
            it.name = None;
        }
    }
    for rows in together(found).chunks(ROWS_AT_ONCE) {
        let mut query = QueryBuilder::<Sqlite>::new(
            "INSERT INTO schema_errors (account, error, source, name_hash, name_sealed, count, \
             first_seen, last_seen, sample) ",
        );
        let mut sealed = Vec::with_capacity(rows.len());
        for it in rows {
            sealed.push(seal(sealer, it.name.as_ref())?);
        }
        query.push_values(rows.iter().zip(sealed), |mut row, (it, name_sealed)| {
            row.push_bind(account.as_str().to_owned())
                .push_bind(it.error.to_string())
                .push_bind(it.source.map_or("", Source::as_str))
                .push_bind(hash(sealer, account, it.name.as_ref()).to_vec())
                .push_bind(name_sealed)
                .push_bind(number(it.count))
                .push_bind(it.first_seen.ms())
                .push_bind(it.last_seen.ms())
                .push_bind(it.sample.map(|id| id.0.to_vec()));
        });
        query.push(
            " ON CONFLICT (account, error, source, name_hash) DO UPDATE SET \
             count = schema_errors.count + excluded.count, \
             first_seen = MIN(schema_errors.first_seen, excluded.first_seen), \
             last_seen = MAX(schema_errors.last_seen, excluded.last_seen), \
             sample = COALESCE(excluded.sample, schema_errors.sample)",
        );
        query
            .build()
            .execute(session.connection())
            .await
            .map_err(Error::database(ACT))?;
    }
    Ok(())
}

/// Every finding of an account.
pub(super) async fn read_errors(
    session: &mut Session,
    sealer: &Sealer,
    account: AccountId,
) -> Result<Vec<Finding>> {
    const ACT: &str = "read errors";
    let rows = sqlx::query(
        "SELECT name_sealed, error, source, count, first_seen, last_seen, sample \
         FROM schema_errors WHERE account = $1",
    )
    .bind(account.as_str().to_owned())
    .fetch_all(session.connection())
    .await
    .map_err(Error::database(ACT))?;
    let mut found = Vec::with_capacity(rows.len());
    for row in &rows {
        let error: String = row.try_get(1).map_err(Error::database(ACT))?;
        let source: String = row.try_get(2).map_err(Error::database(ACT))?;
        let sample: Option<Vec<u8>> = row.try_get(6).map_err(Error::database(ACT))?;
        let sample = sample.and_then(|it| it.try_into().ok()).map(RecordId);
        found.push(Finding {
            error: error.into(),
            source: Source::ALL.into_iter().find(|it| it.as_str() == source),
            name: open(sealer, row, 0, ACT)?,
            count: unsigned(row, 3, ACT)?,
            first_seen: time(row, 4, ACT)?,
            last_seen: time(row, 5, ACT)?,
            sample,
        });
    }
    Ok(found)
}

fn words(name: Option<&Name>) -> Vec<&str> {
    let Some(name) = name else {
        return Vec::new();
    };
    let (scope, event, property) = parts(name);
    let names = event.into_iter().chain(property);
    std::iter::once(scope).chain(names).collect()
}

fn text(name: Option<&Name>) -> String {
    serde_json::json!(words(name)).to_string()
}

fn hash(sealer: &Sealer, account: AccountId, name: Option<&Name>) -> [u8; 16] {
    let text = format!("{account} {}", text(name));
    let hash = sealer.hash("learned name", &text);
    hash.first_chunk::<16>().copied().unwrap_or_default()
}

fn seal(sealer: &Sealer, name: Option<&Name>) -> Result<Vec<u8>> {
    sealer.seal(SEALED_NAME, &text(name))
}

fn open(sealer: &Sealer, row: &SqliteRow, at: usize, act: &'static str) -> Result<Option<Name>> {
    let sealed: Vec<u8> = row.try_get(at).map_err(Error::database(act))?;
    let text = sealer.open(SEALED_NAME, &sealed)?;
    let damaged = || Error::damaged("a name in use", "it is malformed");
    let words: Vec<Box<str>> = serde_json::from_str(&text).map_err(|_| damaged())?;
    let mut words = words.into_iter();
    let scope = words.next();
    match (scope.as_deref(), words.next(), words.next()) {
        (None, None, None) => Ok(None),
        (Some("event"), Some(event), None) => Ok(Some(Name::Event(event))),
        (Some("event_property"), Some(event), Some(property)) => {
            Ok(Some(Name::EventProperty(event, property)))
        }
        (Some("profile_property"), Some(property), None) => {
            Ok(Some(Name::ProfileProperty(property)))
        }
        _ => Err(damaged()),
    }
}

fn kind_of(word: &str) -> Option<ValueKind> {
    ValueKind::ALL.into_iter().find(|it| it.as_str() == word)
}

fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn unsigned(row: &SqliteRow, at: usize, act: &'static str) -> Result<u64> {
    let count: i64 = row.try_get(at).map_err(Error::database(act))?;
    Ok(count.unsigned_abs())
}

fn time(row: &SqliteRow, at: usize, act: &'static str) -> Result<Timestamp> {
    let ms: i64 = row.try_get(at).map_err(Error::database(act))?;
    Ok(Timestamp::from_ms(ms))
}
