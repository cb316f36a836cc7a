//! Grants: given, taken, counted. An account that has an Admin keeps one.

use governance::access::SystemRole;
use model::{AccountId, Timestamp};
use sqlx::Row as _;

use super::{UserId, roles};
use crate::control::Desk;
use crate::database::Session;
use crate::{Error, Result};

/// Users of one account.
const USERS_MAX: i64 = 10_000;
/// Grants of one user in one account.
const GRANTS_MAX: i64 = 20;

/// Gives a role; one that is pending gives nothing yet, and never takes from one that counts.
pub(crate) async fn insert_grant(
    session: &mut Session,
    desk: &Desk,
    id: UserId,
    role: &str,
    expires_at: Option<Timestamp>,
    is_pending: bool,
) -> Result<()> {
    const ACT: &str = "write a grant";
    let row = sqlx::query("SELECT COUNT(*) FROM grants WHERE user_id = $1 AND account = $2")
        .bind(id.0.to_vec())
        .bind(desk.account.as_str().to_owned())
        .fetch_one(session.connection())
        .await
        .map_err(Error::database(ACT))?;
    let held: i64 = row.try_get(0).map_err(Error::database(ACT))?;
    if held >= GRANTS_MAX {
        return Err(Error::Invalid(format!(
            "a user has at most {GRANTS_MAX} roles"
        )));
    }
    roles::refuse_second_filter_of(session, desk, id, role).await?;
    let before = admins(session, desk.account).await?;
    sqlx::query(
        "INSERT INTO grants (user_id, account, role, granted_at, expires_at, pending) \
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (user_id, account, role) \
         DO UPDATE SET granted_at = excluded.granted_at, expires_at = excluded.expires_at, \
         pending = MIN(grants.pending, excluded.pending)",
    )
    .bind(id.0.to_vec())
    .bind(desk.account.as_str().to_owned())
    .bind(role.to_owned())
    .bind(desk.now.ms())
    .bind(expires_at.map(Timestamp::ms))
    .bind(i64::from(is_pending))
    .execute(session.connection())
    .await
    .map_err(Error::database(ACT))?;
    // An Admin who is given an end may have been the last one without.
    keep_an_admin(session, desk.account, before).await
}

/// Takes one role, or all of them.
pub(super) async fn delete_grants(
    session: &mut Session,
    account: AccountId,
    id: UserId,
    role: Option<&str>,
) -> Result<u64> {
    let done = sqlx::query(
        "DELETE FROM grants WHERE user_id = $1 AND account = $2 AND ($3 IS NULL OR role = $3)",
    )
    .bind(id.0.to_vec())
    .bind(account.as_str().to_owned())
    .bind(role.map(str::to_owned))
    .execute(session.connection())
    .await
    .map_err(Error::database("take a role"))?;
    Ok(done.rows_affected())
}

/// Lets the roles count that a user was invited to in the account.
pub(crate) async fn activate_grants(session: &mut Session, desk: &Desk, id: UserId) -> Result<()> {
    sqlx::query("UPDATE grants SET pending = 0 WHERE user_id = $1 AND account = $2")
        .bind(id.0.to_vec())
        .bind(desk.account.as_str().to_owned())
        .execute(session.connection())
        .await
        .map(|_| ())
        .map_err(Error::database("write a grant"))
}

pub(super) async fn count_users(session: &mut Session, account: AccountId) -> Result<()> {
    const ACT: &str = "count users";
    let row = sqlx::query("SELECT COUNT(DISTINCT user_id) FROM grants WHERE account = $1")
        .bind(account.as_str().to_owned())
        .fetch_one(session.connection())
        .await
        .map_err(Error::database(ACT))?;
    let count: i64 = row.try_get(0).map_err(Error::database(ACT))?;
    if count >= USERS_MAX {
        return Err(Error::Invalid(format!(
            "an account has at most {USERS_MAX} users"
        )));
    }
    Ok(())
}

/// An account that had an Admin `before` must still have one; the installation an Operator.
pub(super) async fn keep_an_admin(
    session: &mut Session,
    account: AccountId,
    before: i64,
) -> Result<()> {
    if before == 0 || admins(session, account).await? > 0 {
        return Ok(());
    }
    Err(Error::Conflict(format!(
        "the last {} cannot be removed or demoted, and its role cannot end: give somebody else the \
         role first",
        highest(account).as_str()
    )))
}

/// How many users have the account's highest role without an end.
pub(super) async fn admins(session: &mut Session, account: AccountId) -> Result<i64> {
    const ACT: &str = "count Admins";
    let row = sqlx::query(
        "SELECT COUNT(*) FROM grants g WHERE account = $1 AND role = $2 AND expires_at IS NULL \
         AND pending = 0 AND NOT EXISTS (SELECT 1 FROM disabled_users d \
         WHERE d.user_id = g.user_id AND d.account = g.account)",
    )
    .bind(account.as_str().to_owned())
    .bind(highest(account).as_str())
    .fetch_one(session.connection())
    .await
    .map_err(Error::database(ACT))?;
    row.try_get(0).map_err(Error::database(ACT))
}

pub(super) fn highest(account: AccountId) -> SystemRole {
    match account == AccountId::installation() {
        true => SystemRole::Operator,
        false => SystemRole::Admin,
    }
}
