//! Restriction of processing (objection): people who are out of every query, count and export, until
//! it is lifted.
//!
//! What is held of them stays, and what arrives goes on being kept (decision 28). They are found by
//! those who handle requests of people, and by nobody else. Each restriction stays in the history.

use governance::{Restricted, Stretch, Suppressions};
use model::{AccountId, PersonKey, Timestamp};
use serde::Serialize;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;
use std::sync::Arc;

use crate::account::Record;
use crate::audit::Action;
use crate::authz::Act;
use crate::control::{Control, Desk};
use crate::database::Session;
use crate::sealer::Sealer;
use crate::{Actor, Error, Result};

const REASON_BYTES_MAX: usize = 1_000;
/// People of one account whose processing is restricted at a time.
const RESTRICTED_MAX: usize = 100_000;
/// Keys of one person that are looked for.
const KEYS_MAX: usize = 1_000;

/// A restriction, in force or lifted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Restriction {
    /// The key that names the person.
    pub person: PersonKey,
    /// Since when.
    pub set_at: Timestamp,
    /// Who set it.
    pub set_by: String,
    /// Why.
    pub reason: String,
    /// Until when; none while it is in force.
    pub lifted_at: Option<Timestamp>,
    /// Who lifted it.
    pub lifted_by: Option<String>,
    /// Why.
    pub lift_reason: Option<String>,
}

impl Restriction {
    /// Whether it is about the person who has these keys, each in its stretch of time.
    fn is_of(&self, keys: &[(PersonKey, Stretch)], deleted: &Suppressions) -> bool {
        let restricted = Restricted {
            person: self.person,
            since: self.set_at,
        };
        restricted.is_of(keys, deleted)
    }
}

impl Control {
    /// Restricts the processing of a person, whom `keys` name, each in its stretch of time. The first one
    /// that is always theirs is kept, or without any the first that is theirs now: with the moment it
    /// names them, whoever has it later.
    ///
    /// # Errors
    /// [`model::ErrorKind::Conflict`] when it is restricted already; [`model::ErrorKind::Invalid`]
    /// without a key that is theirs now, without a reason or with one of more than 1,000 bytes, or when
    /// too many people are restricted; [`model::ErrorKind::Denied`]; as [`Control::account`].
    pub async fn restrict(
        &self,
        actor: &Actor,
        account: AccountId,
        keys: &[(PersonKey, Stretch)],
        reason: &str,
    ) -> Result<()> {
        let reason = legal_reason(reason)?;
        let (keys, id) = (some_keys(keys)?, self.random.bytes16());
        let deleted = self.deleted(account);
        self.change(actor, Act::RestrictPeople, account, move |session, desk| {
            Box::pin(async move {
                let all = read(session, &desk.sealer, account).await?;
                let mut in_force = all.iter().filter(|(_, it)| it.lifted_at.is_none());
                if in_force.any(|(_, it)| it.is_of(&keys, &deleted)) {
                    let text = "the person's processing is restricted already".to_owned();
                    return Err(Error::Conflict(text));
                }
                let held = all.iter().filter(|(_, it)| it.lifted_at.is_none());
                if held.count() >= RESTRICTED_MAX {
                    let text = format!("at most {RESTRICTED_MAX} people are restricted at a time");
                    return Err(Error::Invalid(text));
                }
                set(session, &desk, id, &keys, &reason).await
            })
        })
        .await
    }

    /// Lifts the restriction of a person, whom `keys` name, each in its stretch of time.
    ///
    /// # Errors
    /// [`model::ErrorKind::NotFound`] when there is none; otherwise as [`Control::restrict`].
    pub async fn lift_restriction(
        &self,
        actor: &Actor,
        account: AccountId,
        keys: &[(PersonKey, Stretch)],
        reason: &str,
    ) -> Result<()> {
        let reason = legal_reason(reason)?;
        let (keys, deleted) = (some_keys(keys)?, self.deleted(account));
        self.change(actor, Act::RestrictPeople, account, move |session, desk| {
            Box::pin(async move {
                let all = read(session, &desk.sealer, account).await?;
                let theirs = all
                    .into_iter()
                    .filter(|(_, it)| it.lifted_at.is_none() && it.is_of(&keys, &deleted));
                let theirs: Vec<(Vec<u8>, Restriction)> = theirs.collect();
                if theirs.is_empty() {
                    return Err(Error::NotFound("restriction of this person".to_owned()));
                }
                for (id, restriction) in theirs {
                    lift(session, &desk, id, &restriction, &reason).await?;
                }
                Ok(())
            })
        })
        .await
    }

    /// Every restriction of a person, whom `keys` name, each in its stretch of time; the newest first.
    ///
    /// # Errors
    /// [`model::ErrorKind::Denied`]; [`model::ErrorKind::Unavailable`].
    pub async fn restrictions(
        &self,
        actor: &Actor,
        account: AccountId,
        keys: &[(PersonKey, Stretch)],
    ) -> Result<Vec<Restriction>> {
        self.authorize(actor, Act::RestrictPeople, account).await?;
        let (sealer, keys) = (Arc::clone(&self.sealer), keys.to_vec());
        let deleted = self.deleted(account);
        self.database
            .read(move |session| {
                Box::pin(async move {
                    let all = read(session, &sealer, account).await?.into_iter();
                    let theirs = all.map(|(_, it)| it);
                    let theirs = theirs.filter(|it| it.is_of(&keys, &deleted));
                    let mut theirs: Vec<Restriction> = theirs.collect();
                    theirs.sort_by_key(|it| std::cmp::Reverse(it.set_at));
                    Ok(theirs)
                })
            })
            .await
    }

    /// The deleted people of an account.
    fn deleted(&self, account: AccountId) -> Arc<Suppressions> {
        let rules = self.rules().borrow().account(account).cloned();
        rules
            .map(|it| Arc::clone(&it.suppressed))
            .unwrap_or_default()
    }
}

fn legal_reason(reason: &str) -> Result<String> {
    let reason = reason.trim();
    match (1..=REASON_BYTES_MAX).contains(&reason.len()) {
        true => Ok(reason.to_owned()),
        false => Err(Error::Invalid(format!(
            "a restriction, and its end, need a reason of at most {REASON_BYTES_MAX} bytes"
        ))),
    }
}

fn some_keys(keys: &[(PersonKey, Stretch)]) -> Result<Vec<(PersonKey, Stretch)>> {
    match keys.is_empty() {
        true => Err(Error::Invalid("nobody is named".to_owned())),
        false => Ok(keys.iter().take(KEYS_MAX).copied().collect()),
    }
}

/// Binds a sealed field to its row.
fn context(id: &[u8], field: &str) -> String {
    format!("restrictions/{field}/{}", hex::encode(id))
}

async fn set(
    session: &mut Session,
    desk: &Desk,
    id: [u8; 16],
    keys: &[(PersonKey, Stretch)],
    reason: &str,
) -> Result<()> {
    // A device may turn out to have been somebody else's at this moment: an upload that was held back
    // says so later. An identity is theirs for good.
    let identity = keys.iter().find(|(_, stretch)| stretch.is_whole());
    let theirs = identity.or_else(|| {
        let mut keys = keys.iter();
        keys.find(|(_, stretch)| stretch.contains(desk.now))
    });
    let none = || Error::Invalid("what names this person names somebody else now".to_owned());
    let (person, _) = *theirs.ok_or_else(none)?;
    let seal = |field: &str, text: &str| desk.sealer.seal(&context(&id, field), text);
    sqlx::query(
        "INSERT INTO restrictions (id, account, person, set_at, set_by_sealed, reason_sealed) \
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(id.to_vec())
    .bind(desk.account.as_str().to_owned())
    .bind(person.0.to_vec())
    .bind(desk.now.ms())
    .bind(seal("set_by", desk.actor.name())?)
    .bind(seal("reason", reason)?)
    .execute(session.connection())
    .await
    .map_err(Error::database("write a restriction"))?;
    let words = format!("restricted; reason: {reason}");
    desk.note(session, Action::PersonRestricted, person.to_string(), words)
        .await
}

async fn lift(
    session: &mut Session,
    desk: &Desk,
    id: Vec<u8>,
    restriction: &Restriction,
    reason: &str,
) -> Result<()> {
    let seal = |field: &str, text: &str| desk.sealer.seal(&context(&id, field), text);
    sqlx::query(
        "UPDATE restrictions SET lifted_at = $1, lifted_by_sealed = $2, lift_reason_sealed = $3 \
         WHERE id = $4",
    )
    .bind(desk.now.ms())
    .bind(seal("lifted_by", desk.actor.name())?)
    .bind(seal("lift_reason", reason)?)
    .bind(id.clone())
    .execute(session.connection())
    .await
    .map_err(Error::database("lift a restriction"))?;
    let words = format!(
        "lifted, was in force since {}; reason: {reason}",
        restriction.set_at
    );
    let object = restriction.person.to_string();
    desk.note(session, Action::RestrictionLifted, object, words)
        .await
}

/// Every restriction of an account, by its row's id.
async fn read(
    session: &mut Session,
    sealer: &Sealer,
    account: AccountId,
) -> Result<Vec<(Vec<u8>, Restriction)>> {
    const ACT: &str = "read restrictions";
    let rows = sqlx::query(
        "SELECT id, person, set_at, set_by_sealed, reason_sealed, lifted_at, lifted_by_sealed, \
         lift_reason_sealed FROM restrictions WHERE account = $1 ORDER BY set_at, id",
    )
    .bind(account.as_str().to_owned())
    .fetch_all(session.connection())
    .await
    .map_err(Error::database(ACT))?;
    rows.iter()
        .map(|row| {
            let id: Vec<u8> = row.try_get(0).map_err(Error::database(ACT))?;
            let at: i64 = row.try_get(2).map_err(Error::database(ACT))?;
            let lifted: Option<i64> = row.try_get(5).map_err(Error::database(ACT))?;
            let text = |index: usize, field: &str| -> Result<Option<String>> {
                let sealed: Option<Vec<u8>> = row.try_get(index).map_err(Error::database(ACT))?;
                sealed
                    .map(|sealed| sealer.open(&context(&id, field), &sealed))
                    .transpose()
            };
            let restriction = Restriction {
                person: person_of(row, 1)?,
                set_at: Timestamp::from_ms(at),
                set_by: text(3, "set_by")?.unwrap_or_default(),
                reason: text(4, "reason")?.unwrap_or_default(),
                lifted_at: lifted.map(Timestamp::from_ms),
                lifted_by: text(6, "lifted_by")?,
                lift_reason: text(7, "lift_reason")?,
            };
            Ok((id, restriction))
        })
        .collect()
}

fn person_of(row: &SqliteRow, index: usize) -> Result<PersonKey> {
    let key: Vec<u8> = row
        .try_get(index)
        .map_err(Error::database("read restrictions"))?;
    let damaged = |_| Error::damaged("a restriction", "its key is malformed");
    Ok(PersonKey(key.try_into().map_err(damaged)?))
}

/// Reads who is restricted now into every account's record.
pub(crate) async fn read_into(session: &mut Session, records: &mut [Record]) -> Result<()> {
    const ACT: &str = "read restrictions";
    const IN_FORCE: &str =
        "SELECT account, person, set_at FROM restrictions WHERE lifted_at IS NULL";
    let rows = sqlx::query(IN_FORCE)
        .fetch_all(session.connection())
        .await
        .map_err(Error::database(ACT))?;
    for row in &rows {
        let account: String = row.try_get(0).map_err(Error::database(ACT))?;
        let since: i64 = row.try_get(2).map_err(Error::database(ACT))?;
        let restricted = Restricted {
            person: person_of(row, 1)?,
            since: Timestamp::from_ms(since),
        };
        let found = records.binary_search_by(|record| record.id.as_str().cmp(&account));
        if let Some(record) = found.ok().and_then(|index| records.get_mut(index)) {
            record.restricted.insert(restricted);
        }
    }
    Ok(())
}
