//! Users who are disabled in an account, and users who have no role that counts anywhere.
//!
//! A user who is disabled keeps the roles; they count again when the user is enabled.

use model::AccountId;
use sqlx::Row as _;

use super::UserId;
use crate::control::Desk;
use crate::database::Session;
use crate::sign_in::session::delete;
use crate::{Action, Error, Result};

const ACT: &str = "read who is disabled";

/// Whether a user is disabled in an account.
pub(crate) async fn is_disabled(
    session: &mut Session,
    id: UserId,
    account: AccountId,
) -> Result<bool> {
    let row = sqlx::query("SELECT 1 FROM disabled_users WHERE user_id = $1 AND account = $2")
        .bind(id.0.to_vec())
        .bind(account.as_str().to_owned())
        .fetch_optional(session.connection())
        .await
        .map_err(Error::database(ACT))?;
    Ok(row.is_some())
}

/// Whether a user is disabled wherever there is a role, or the offer of one. Whoever has none at all is
/// not: an invitation may be on its way.
pub(crate) async fn is_disabled_everywhere(session: &mut Session, id: UserId) -> Result<bool> {
    let row = sqlx::query(
        "SELECT COUNT(*), COUNT(d.account) FROM grants g LEFT JOIN disabled_users d \
         ON d.user_id = g.user_id AND d.account = g.account WHERE g.user_id = $1",
    )
    .bind(id.0.to_vec())
    .fetch_one(session.connection())
    .await
    .map_err(Error::database(ACT))?;
    let all: i64 = row.try_get(0).map_err(Error::database(ACT))?;
    let disabled: i64 = row.try_get(1).map_err(Error::database(ACT))?;
    Ok(all > 0 && all == disabled)
}

/// Disables a user in an account; whether that was new.
pub(crate) async fn disable(session: &mut Session, desk: &Desk, id: UserId) -> Result<bool> {
    let done = sqlx::query(
        "INSERT INTO disabled_users (user_id, account, disabled_at) VALUES ($1, $2, $3) \
         ON CONFLICT (user_id, account) DO NOTHING",
    )
    .bind(id.0.to_vec())
    .bind(desk.account.as_str().to_owned())
    .bind(desk.now.ms())
    .execute(session.connection())
    .await
    .map_err(Error::database("disable a user"))?;
    Ok(done.rows_affected() > 0)
}

/// Enables a user in an account; whether the user was disabled.
pub(crate) async fn enable(session: &mut Session, desk: &Desk, id: UserId) -> Result<bool> {
    let done = sqlx::query("DELETE FROM disabled_users WHERE user_id = $1 AND account = $2")
        .bind(id.0.to_vec())
        .bind(desk.account.as_str().to_owned())
        .execute(session.connection())
        .await
        .map_err(Error::database("enable a user"))?;
    Ok(done.rows_affected() > 0)
}

/// Ends the sessions of a user who has no role that counts anywhere, and says so in the account's log.
pub(crate) async fn end_if_nowhere(session: &mut Session, desk: &Desk, id: UserId) -> Result<()> {
    let row = sqlx::query(
        "SELECT COUNT(*) FROM grants g WHERE user_id = $1 AND pending = 0 \
         AND (expires_at IS NULL OR expires_at > $2) AND NOT EXISTS (SELECT 1 \
         FROM disabled_users d WHERE d.user_id = g.user_id AND d.account = g.account)",
    )
    .bind(id.0.to_vec())
    .bind(desk.now.ms())
    .fetch_one(session.connection())
    .await
    .map_err(Error::database(ACT))?;
    let left: i64 = row.try_get(0).map_err(Error::database(ACT))?;
    if left > 0 {
        return Ok(());
    }
    let ended = delete(session, id, None, None).await?;
    if ended == 0 {
        return Ok(());
    }
    let words = format!("{ended} sessions: no role is left that counts");
    desk.note(session, Action::SessionEnded, id.to_string(), words)
        .await
}
