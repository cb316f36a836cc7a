//! The tokens that apps carry: the newest, and those before it until their overlap ends.
//!
//! A token is in every copy of an app that is installed, so it cannot be exchanged at once: for a
//! time both the new one and the old one are accepted; an old one can be ended alone before that.
//! What is kept of one is a hash.

use governance::access::Rights;
use governance::{NewPasscode, PasscodeHash, SdkTokenRule};
use model::{AccountId, Secret, Timestamp};
use serde::Serialize;
use sqlx::Row as _;
use std::time::Duration;

use crate::account::{Record, read};
use crate::audit::Action;
use crate::authz::Act;
use crate::control::{Control, Desk};
use crate::database::Session;
use crate::{Actor, Error, Result};

/// Tokens of one account that are accepted at the same time.
const TOKENS_MAX: usize = 10;
/// The longest overlap, days.
const OVERLAP_DAYS_MAX: u32 = 3_660;
const DAY: Duration = Duration::from_secs(86_400);

/// A token that apps carry, without its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SdkToken {
    /// Which of the account's it is, from 1.
    pub number: u32,
    /// Since when.
    pub created_at: Timestamp,
    /// From when on it is refused; none for the newest.
    pub ends_at: Option<Timestamp>,
    /// When it was accepted last, to the minute or so.
    pub used_at: Option<Timestamp>,
}

/// A token just made.
#[derive(Debug, Clone)]
pub struct NewSdkToken {
    /// What apps are to carry: shown once, then forgotten.
    pub text: Secret<String>,
    /// From when on those before it are refused.
    pub others_end_at: Timestamp,
}

impl Control {
    /// Makes another token for apps. Those before it are accepted for `overlap_days` more, or refused
    /// from now on when that is 0; one that was to end earlier still does.
    ///
    /// # Errors
    /// [`model::ErrorKind::Invalid`] for an overlap of more than ten years;
    /// [`model::ErrorKind::Conflict`] when ten tokens are accepted already;
    /// [`model::ErrorKind::Denied`] for whoever sees some people only; as [`Control::account`].
    pub async fn rotate_sdk_token(
        &self,
        actor: &Actor,
        id: AccountId,
        overlap_days: u32,
    ) -> Result<NewSdkToken> {
        if overlap_days > OVERLAP_DAYS_MAX {
            let text = format!("an overlap must be 0 to {OVERLAP_DAYS_MAX} days");
            return Err(Error::Invalid(text));
        }
        let others_end_at = self.clock.now().plus(DAY * overlap_days);
        let token = NewPasscode::generate(self.random.as_ref());
        let hash = token.hash.to_bytes();
        self.change(actor, Act::ManageCredentials, id, move |session, desk| {
            Box::pin(async move {
                // Whoever sees some people only makes nothing that sends for all of them.
                if desk.covers_rights(&Rights::NONE).is_err() {
                    return Err(Error::Exceeds("make a token"));
                }
                let tokens = read(session, id).await?.account.sdk_tokens;
                let lives_on = |it: &&SdkToken| it.ends_at.is_none_or(|end| desk.now < end);
                if overlap_days > 0 && tokens.iter().filter(lives_on).count() >= TOKENS_MAX {
                    let text = format!(
                        "{TOKENS_MAX} tokens are accepted already: wait until one ends, or rotate with 0 days"
                    );
                    return Err(Error::Conflict(text));
                }
                end_others(session, id, others_end_at).await?;
                let last = tokens.iter().map(|it| it.number).max().unwrap_or(0);
                let number = last.saturating_add(1);
                insert(session, &desk, number, hash).await?;
                let words = match overlap_days {
                    0 => "those before are refused from now on".to_owned(),
                    _ => format!("those before are accepted until {others_end_at}"),
                };
                desk.note(session, Action::SdkTokenRotated, number.to_string(), words)
                    .await
            })
        })
        .await?;
        Ok(NewSdkToken {
            text: token.text,
            others_end_at,
        })
    }

    /// Ends one token before its overlap does: it is refused from now on. The newest is not ended: an
    /// account without a token would take nothing from apps.
    ///
    /// # Errors
    /// [`model::ErrorKind::Conflict`] for the newest; [`model::ErrorKind::NotFound`] when there is none
    /// of that number in force; as [`Control::account`].
    pub async fn end_sdk_token(&self, actor: &Actor, id: AccountId, number: u32) -> Result<()> {
        self.change(actor, Act::ManageCredentials, id, move |session, desk| {
            Box::pin(async move {
                let tokens = read(session, id).await?.account.sdk_tokens;
                let found = tokens.iter().find(|it| it.number == number);
                match found.map(|it| it.ends_at) {
                    Some(None) => {
                        let text = "the newest token is not ended: make another one first";
                        return Err(Error::Conflict(text.to_owned()));
                    }
                    Some(Some(end)) if desk.now < end => {}
                    Some(Some(_)) | None => {
                        return Err(Error::NotFound(format!("SDK token {number} in force")));
                    }
                }
                end(session, id, number, desk.now).await?;
                let words = "refused from now on".to_owned();
                desk.note(session, Action::SdkTokenEnded, number.to_string(), words)
                    .await
            })
        })
        .await
    }
}

async fn end(session: &mut Session, id: AccountId, number: u32, at: Timestamp) -> Result<()> {
    sqlx::query("UPDATE sdk_tokens SET ends_at = $1 WHERE account = $2 AND number = $3")
        .bind(at.ms())
        .bind(id.as_str().to_owned())
        .bind(i64::from(number))
        .execute(session.connection())
        .await
        .map(|_| ())
        .map_err(Error::database("end a token"))
}

async fn end_others(session: &mut Session, id: AccountId, at: Timestamp) -> Result<()> {
    sqlx::query(
        "UPDATE sdk_tokens SET ends_at = $1 WHERE account = $2 AND (ends_at IS NULL OR ends_at > $1)",
    )
    .bind(at.ms())
    .bind(id.as_str().to_owned())
    .execute(session.connection())
    .await
    .map(|_| ())
    .map_err(Error::database("end the tokens before"))
}

/// Writes a token down.
pub(crate) async fn insert(
    session: &mut Session,
    desk: &Desk,
    number: u32,
    hash: [u8; 32],
) -> Result<()> {
    sqlx::query(
        "INSERT INTO sdk_tokens (account, number, hash, created_at) VALUES ($1, $2, $3, $4)",
    )
    .bind(desk.account.as_str().to_owned())
    .bind(i64::from(number))
    .bind(hash.to_vec())
    .bind(desk.now.ms())
    .execute(session.connection())
    .await
    .map(|_| ())
    .map_err(Error::database("write a token"))
}

/// Reads the tokens of every account into `records`, which are in the order of their ids.
pub(crate) async fn read_into(session: &mut Session, records: &mut [Record]) -> Result<()> {
    const ACT: &str = "read the accounts";
    let rows = sqlx::query(
        "SELECT account, number, hash, created_at, ends_at, used_at FROM sdk_tokens \
         ORDER BY account, number",
    )
    .fetch_all(session.connection())
    .await
    .map_err(Error::database(ACT))?;
    let damaged = || Error::damaged("a token", "its number or its hash is malformed");
    for row in &rows {
        let account: String = row.try_get(0).map_err(Error::database(ACT))?;
        let found = records.binary_search_by(|record| record.id.as_str().cmp(&account));
        let Some(record) = found.ok().and_then(|index| records.get_mut(index)) else {
            continue;
        };
        let number: i64 = row.try_get(1).map_err(Error::database(ACT))?;
        let hash: Vec<u8> = row.try_get(2).map_err(Error::database(ACT))?;
        let hash: [u8; 32] = hash.try_into().map_err(|_| damaged())?;
        let time = |index: usize| {
            let ms: Option<i64> = row.try_get(index).map_err(Error::database(ACT))?;
            Ok::<_, Error>(ms.map(Timestamp::from_ms))
        };
        let token = SdkToken {
            number: u32::try_from(number).map_err(|_| damaged())?,
            created_at: time(3)?.ok_or_else(damaged)?,
            ends_at: time(4)?,
            used_at: time(5)?,
        };
        record.tokens.push(SdkTokenRule {
            number: token.number,
            hash: PasscodeHash::from_bytes(hash),
            ends_at: token.ends_at,
        });
        record.account.sdk_tokens.push(token);
    }
    Ok(())
}
