//! Users as they are read: who somebody is, what they have in which account.

use governance::access::{Grant, Standing};
use model::{AccountId, Timestamp};
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;
use std::collections::BTreeMap;

use super::grants::highest;
use super::{User, UserGrant, UserId, disabled, roles};
use crate::control::Desk;
use crate::database::Session;
use crate::sealer::Sealer;
use crate::sign_in;
use crate::{Error, Result};

pub(crate) async fn by_email(
    session: &mut Session,
    desk: &Desk,
    email: &str,
) -> Result<Option<UserId>> {
    const ACT: &str = "look for a user";
    let row = sqlx::query("SELECT id FROM users WHERE email_hash = $1")
        .bind(desk.sealer.hash("user email", email))
        .fetch_optional(session.connection())
        .await
        .map_err(Error::database(ACT))?;
    row.map(|row| user_id(&row)).transpose()
}

pub(super) async fn require(session: &mut Session, desk: &Desk, email: &str) -> Result<UserId> {
    let found = by_email(session, desk, email).await?;
    found.ok_or_else(|| Error::NotFound("user".to_owned()))
}

/// The owner of an address who has, or was offered, a role in the account.
pub(crate) async fn require_in(session: &mut Session, desk: &Desk, email: &str) -> Result<UserId> {
    let id = require(session, desk, email).await?;
    match accounts_of(session, id).await?.contains(&desk.account) {
        true => Ok(id),
        false => Err(Error::NotFound("user".to_owned())),
    }
}

/// A user's address and name.
pub(crate) async fn person(
    session: &mut Session,
    sealer: &Sealer,
    id: UserId,
) -> Result<(String, String)> {
    const ACT: &str = "read a user";
    let row = sqlx::query("SELECT email_sealed, name_sealed FROM users WHERE id = $1")
        .bind(id.0.to_vec())
        .fetch_one(session.connection())
        .await
        .map_err(Error::database(ACT))?;
    let email: Vec<u8> = row.try_get(0).map_err(Error::database(ACT))?;
    let name: Vec<u8> = row.try_get(1).map_err(Error::database(ACT))?;
    Ok((
        sealer.open(&format!("users/email/{id}"), &email)?,
        sealer.open(&format!("users/name/{id}"), &name)?,
    ))
}

/// What a user's roles amount to, in each account.
pub(crate) async fn standings(
    session: &mut Session,
    sealer: &Sealer,
    id: UserId,
    now: Timestamp,
) -> Result<BTreeMap<AccountId, Standing>> {
    let mut standings = BTreeMap::new();
    for account in accounts_of(session, id).await? {
        let grants = grants_of(session, sealer, id, account).await?;
        standings.insert(account, Standing::of(&grants, now));
    }
    Ok(standings)
}

/// The addresses of everybody who has the highest role in the desk's account.
pub(crate) async fn admin_emails(session: &mut Session, desk: &Desk) -> Result<Vec<String>> {
    const ACT: &str = "read Admins";
    let rows = sqlx::query(
        "SELECT user_id FROM grants g WHERE account = $1 AND role = $2 AND pending = 0 \
         AND NOT EXISTS (SELECT 1 FROM disabled_users d \
         WHERE d.user_id = g.user_id AND d.account = g.account) ORDER BY user_id",
    )
    .bind(desk.account.as_str().to_owned())
    .bind(highest(desk.account).as_str())
    .fetch_all(session.connection())
    .await
    .map_err(Error::database(ACT))?;
    let mut emails = Vec::with_capacity(rows.len());
    for row in &rows {
        emails.push(person(session, &desk.sealer, user_id(row)?).await?.0);
    }
    Ok(emails)
}

/// The roles that count, of a user in the account: none while the user is disabled there.
pub(crate) async fn grants_of(
    session: &mut Session,
    sealer: &Sealer,
    id: UserId,
    account: AccountId,
) -> Result<Vec<Grant>> {
    if disabled::is_disabled(session, id, account).await? {
        return Ok(Vec::new());
    }
    held(session, sealer, id, account).await
}

/// The roles that a user has in the account, disabled or not.
pub(crate) async fn held(
    session: &mut Session,
    sealer: &Sealer,
    id: UserId,
    account: AccountId,
) -> Result<Vec<Grant>> {
    const ACT: &str = "read grants";
    let rows = sqlx::query(
        "SELECT role, expires_at FROM grants \
         WHERE user_id = $1 AND account = $2 AND pending = 0 ORDER BY role",
    )
    .bind(id.0.to_vec())
    .bind(account.as_str().to_owned())
    .fetch_all(session.connection())
    .await
    .map_err(Error::database(ACT))?;
    let mut grants = Vec::with_capacity(rows.len());
    for row in &rows {
        let role: String = row.try_get(0).map_err(Error::database(ACT))?;
        let end: Option<i64> = row.try_get(1).map_err(Error::database(ACT))?;
        grants.push(Grant {
            role: roles::find(session, sealer, account, &role).await?,
            expires_at: end.map(Timestamp::from_ms),
        });
    }
    Ok(grants)
}

/// The accounts where a user has, or was offered, a role.
pub(crate) async fn accounts_of(session: &mut Session, id: UserId) -> Result<Vec<AccountId>> {
    const ACT: &str = "read grants";
    let rows = sqlx::query("SELECT DISTINCT account FROM grants WHERE user_id = $1")
        .bind(id.0.to_vec())
        .fetch_all(session.connection())
        .await
        .map_err(Error::database(ACT))?;
    rows.iter()
        .map(|row| {
            let account: String = row.try_get(0).map_err(Error::database(ACT))?;
            let damaged = |_| Error::damaged("a grant", "its account is malformed");
            account.parse().map_err(damaged)
        })
        .collect()
}

pub(super) async fn list(
    session: &mut Session,
    sealer: &Sealer,
    account: AccountId,
    now: Timestamp,
) -> Result<Vec<User>> {
    const ACT: &str = "read users";
    let rows = sqlx::query(
        "SELECT u.id, u.email_hash, u.state, p.signed_in_at, g.role, g.granted_at, g.expires_at, \
         g.pending FROM users u JOIN grants g ON g.user_id = u.id \
         LEFT JOIN proofs p ON p.user_id = u.id WHERE g.account = $1 ORDER BY u.id, g.role",
    )
    .bind(account.as_str().to_owned())
    .fetch_all(session.connection())
    .await
    .map_err(Error::database(ACT))?;
    let mut users: Vec<User> = Vec::new();
    for row in &rows {
        let id = user_id(row)?;
        let at: i64 = row.try_get(5).map_err(Error::database(ACT))?;
        let end: Option<i64> = row.try_get(6).map_err(Error::database(ACT))?;
        let pending: i64 = row.try_get(7).map_err(Error::database(ACT))?;
        let grant = UserGrant {
            role: row.try_get(4).map_err(Error::database(ACT))?,
            granted_at: Timestamp::from_ms(at),
            expires_at: end.map(Timestamp::from_ms),
            is_pending: pending != 0,
        };
        if let Some(last) = users.last_mut().filter(|last| last.id == id.to_string()) {
            last.grants.push(grant);
            continue;
        }
        let (email, name) = person(session, sealer, id).await?;
        let hash: Vec<u8> = row.try_get(1).map_err(Error::database(ACT))?;
        let state: String = row.try_get(2).map_err(Error::database(ACT))?;
        let is_locked = sign_in::locked_until(session, &hash, now).await?.is_some();
        let signed_in: Option<i64> = row.try_get(3).map_err(Error::database(ACT))?;
        users.push(User {
            id: id.to_string(),
            email,
            name,
            state: match (
                disabled::is_disabled(session, id, account).await?,
                is_locked,
            ) {
                (true, _) => "disabled".to_owned(),
                (false, true) => "locked".to_owned(),
                (false, false) => state,
            },
            factors: sign_in::session::factors(session, id).await?,
            signed_in_at: signed_in.map(Timestamp::from_ms),
            grants: vec![grant],
        });
    }
    users.sort_by(|a, b| a.email.cmp(&b.email));
    Ok(users)
}

fn user_id(row: &SqliteRow) -> Result<UserId> {
    let id: Vec<u8> = row.try_get(0).map_err(Error::database("read a user"))?;
    let id = id
        .try_into()
        .map_err(|_| Error::damaged("a user", "its id is malformed"))?;
    Ok(UserId(id))
}
