//! Recovery codes: the second factor of whoever has lost the other one. Ten at a time, each used once.

use governance::PasscodeHash;
use model::{Random, Secret};
use sqlx::Row as _;

use crate::control::Desk;
use crate::database::Session;
use crate::users::UserId;
use crate::{Error, Result};

/// Codes that are made at a time.
const CODES: usize = 10;
/// Characters of a code, five random bits each: 120 bits, so one fast hash is enough.
const CHARS: usize = 24;

/// Makes ten codes; those before them are void.
///
/// # Errors
/// [`model::ErrorKind::Unavailable`] when they cannot be written.
pub(super) async fn renew(
    session: &mut Session,
    id: UserId,
    random: &dyn Random,
) -> Result<Vec<Secret<String>>> {
    const ACT: &str = "write recovery codes";
    sqlx::query("DELETE FROM recovery_codes WHERE user_id = $1")
        .bind(id.0.to_vec())
        .execute(session.connection())
        .await
        .map_err(Error::database(ACT))?;
    let mut codes = Vec::with_capacity(CODES);
    for _ in 0..CODES {
        let code = generate(random);
        sqlx::query("INSERT INTO recovery_codes (user_id, hash) VALUES ($1, $2)")
            .bind(id.0.to_vec())
            .bind(hash(code.expose()).to_vec())
            .execute(session.connection())
            .await
            .map_err(Error::database(ACT))?;
        codes.push(code);
    }
    Ok(codes)
}

/// Uses a code up; whether it was one.
///
/// # Errors
/// [`model::ErrorKind::Unavailable`] when that cannot be written.
pub(super) async fn take(
    session: &mut Session,
    desk: &Desk,
    id: UserId,
    code: &str,
) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE recovery_codes SET used_at = $3 \
         WHERE user_id = $1 AND hash = $2 AND used_at IS NULL",
    )
    .bind(id.0.to_vec())
    .bind(hash(code).to_vec())
    .bind(desk.now.ms())
    .execute(session.connection())
    .await
    .map_err(Error::database("use a recovery code"))?;
    Ok(done.rows_affected() == 1)
}

/// How many codes a user has left.
///
/// # Errors
/// [`model::ErrorKind::Unavailable`] when the database does not answer.
pub(super) async fn left(session: &mut Session, id: UserId) -> Result<u32> {
    const ACT: &str = "count recovery codes";
    let row =
        sqlx::query("SELECT COUNT(*) FROM recovery_codes WHERE user_id = $1 AND used_at IS NULL")
            .bind(id.0.to_vec())
            .fetch_one(session.connection())
            .await
            .map_err(Error::database(ACT))?;
    let count: i64 = row.try_get(0).map_err(Error::database(ACT))?;
    Ok(u32::try_from(count).unwrap_or(u32::MAX))
}

fn generate(random: &dyn Random) -> Secret<String> {
    const LETTERS: [char; 32] = [
        'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o', 'p', 'q', 'r',
        's', 't', 'u', 'v', 'w', 'x', 'y', 'z', '2', '3', '4', '5', '6', '7',
    ];
    let mut text = String::with_capacity(CHARS + 5);
    for (place, byte) in random.bytes32().iter().take(CHARS).enumerate() {
        if place > 0 && place % 4 == 0 {
            text.push('-');
        }
        text.extend(LETTERS.get(usize::from(byte & 31)));
    }
    Secret::new(text)
}

/// The hash of a code as people type it: with or without hyphens, in small or large letters.
fn hash(code: &str) -> [u8; 32] {
    let plain: String = code
        .chars()
        .filter(|it| it.is_ascii_alphanumeric())
        .map(|it| it.to_ascii_lowercase())
        .collect();
    PasscodeHash::of(&plain).to_bytes()
}
