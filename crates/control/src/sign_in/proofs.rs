//! What is kept of what users prove themselves with: a password, the secret of an authenticator app.

use model::Secret;
use sqlx::Row as _;

use super::totp;
use crate::control::Desk;
use crate::database::Session;
use crate::users::UserId;
use crate::{Error, Result};

/// What is kept of a user's password; none when there is none yet.
pub(super) async fn password_of(
    session: &mut Session,
    desk: &Desk,
    id: UserId,
) -> Result<Option<Secret<String>>> {
    const ACT: &str = "read a password";
    let row = sqlx::query("SELECT password_sealed FROM proofs WHERE user_id = $1")
        .bind(id.0.to_vec())
        .fetch_optional(session.connection())
        .await
        .map_err(Error::database(ACT))?;
    let sealed: Option<Vec<u8>> = match row {
        Some(row) => row.try_get(0).map_err(Error::database(ACT))?,
        None => None,
    };
    sealed
        .map(|sealed| desk.sealer.open(&format!("proofs/password/{id}"), &sealed))
        .transpose()
        .map(|found| found.map(Secret::new))
}

/// Writes a password down, as what is kept of it.
pub(super) async fn write_password(
    session: &mut Session,
    desk: &Desk,
    id: UserId,
    made: &Secret<String>,
) -> Result<()> {
    let sealed = desk
        .sealer
        .seal(&format!("proofs/password/{id}"), made.expose())?;
    sqlx::query(
        "INSERT INTO proofs (user_id, password_sealed) VALUES ($1, $2) \
         ON CONFLICT (user_id) DO UPDATE SET password_sealed = excluded.password_sealed",
    )
    .bind(id.0.to_vec())
    .bind(sealed)
    .execute(session.connection())
    .await
    .map(|_| ())
    .map_err(Error::database("write a password"))
}

/// Writes the secret of an authenticator app down, and the step that was shown of it.
pub(super) async fn write_totp(
    session: &mut Session,
    desk: &Desk,
    id: UserId,
    secret: &Secret<Vec<u8>>,
    step: u64,
) -> Result<()> {
    let text = hex::encode(secret.expose());
    let sealed = desk.sealer.seal(&format!("proofs/totp/{id}"), &text)?;
    sqlx::query(
        "INSERT INTO proofs (user_id, totp_sealed, totp_step) VALUES ($1, $2, $3) \
         ON CONFLICT (user_id) DO UPDATE SET totp_sealed = excluded.totp_sealed, \
         totp_step = excluded.totp_step",
    )
    .bind(id.0.to_vec())
    .bind(sealed)
    .bind(i64::try_from(step).unwrap_or(i64::MAX))
    .execute(session.connection())
    .await
    .map(|_| ())
    .map_err(Error::database("write a second factor"))
}

/// Uses a code of the authenticator app up; whether it was right.
pub(super) async fn take_totp(
    session: &mut Session,
    desk: &Desk,
    id: UserId,
    code: &str,
) -> Result<bool> {
    const ACT: &str = "use a code";
    let row = sqlx::query(
        "SELECT totp_sealed, totp_step FROM proofs WHERE user_id = $1 AND totp_sealed IS NOT NULL",
    )
    .bind(id.0.to_vec())
    .fetch_optional(session.connection())
    .await
    .map_err(Error::database(ACT))?;
    let Some(row) = row else { return Ok(false) };
    let sealed: Vec<u8> = row.try_get(0).map_err(Error::database(ACT))?;
    let used: i64 = row.try_get(1).map_err(Error::database(ACT))?;
    let text = desk.sealer.open(&format!("proofs/totp/{id}"), &sealed)?;
    let secret = hex::decode(text)
        .map(Secret::new)
        .map_err(|_| Error::damaged("a second factor", "it is malformed"))?;
    let used = u64::try_from(used).unwrap_or(u64::MAX);
    let Some(step) = totp::step(&secret, code, desk.now, used) else {
        return Ok(false);
    };
    sqlx::query("UPDATE proofs SET totp_step = $2 WHERE user_id = $1")
        .bind(id.0.to_vec())
        .bind(i64::try_from(step).unwrap_or(i64::MAX))
        .execute(session.connection())
        .await
        .map_err(Error::database(ACT))?;
    Ok(true)
}

/// Notes that both factors were shown.
pub(super) async fn note_sign_in(session: &mut Session, desk: &Desk, id: UserId) -> Result<()> {
    sqlx::query("UPDATE proofs SET signed_in_at = $2 WHERE user_id = $1")
        .bind(id.0.to_vec())
        .bind(desk.now.ms())
        .execute(session.connection())
        .await
        .map(|_| ())
        .map_err(Error::database("note a sign-in"))
}
