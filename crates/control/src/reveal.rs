//! Masked values of one person are shown for a reason, so often a minute and a day.
//!
//! The entry that says who saw what of whom, and why, is in the audit log before a value is read. An
//! attempt beyond the quota is an entry too.

use model::{AccountId, PersonKey};
use serde::Serialize;
use sqlx::Row as _;
use std::time::Duration;

use crate::audit::{Action, AuditOutcome};
use crate::authz::Act;
use crate::control::{Control, Desk};
use crate::database::Session;
use crate::{Actor, Error, Result, account};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);
/// Characters of a reason.
const REASON_CHARS: std::ops::RangeInclusive<usize> = 10..=500;
/// The most that a quota may allow.
const QUOTA_MAX: u32 = 10_000;

/// How often one user may have masked values shown, each time those of one person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RevealQuota {
    /// In any minute.
    pub per_minute: u32,
    /// In any 24 hours.
    pub per_day: u32,
}

/// Whether masked values are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reveal {
    /// They may be read now.
    Granted,
    /// The user has had as many shown as may be in a minute.
    MinuteExhausted(u32),
    /// … in 24 hours.
    DayExhausted(u32),
}

impl Control {
    /// Asks that masked values of a person be shown; `columns` names them. Unless it is granted,
    /// nothing may be shown.
    ///
    /// # Errors
    /// [`model::ErrorKind::Invalid`] for a reason of less than 10 or more than 500 characters;
    /// [`model::ErrorKind::Denied`] when the actor may not; [`model::ErrorKind::Unavailable`] when the
    /// entry cannot be made durable.
    pub async fn reveal(
        &self,
        actor: &Actor,
        account: AccountId,
        person: PersonKey,
        columns: &str,
        reason: &str,
    ) -> Result<Reveal> {
        let reason = reason.trim();
        let is_legal = REASON_CHARS.contains(&reason.chars().count());
        if !is_legal || reason.chars().any(char::is_control) {
            let (least, most) = (REASON_CHARS.start(), REASON_CHARS.end());
            let text = format!("a reason has {least} to {most} characters on one line");
            return Err(Error::Invalid(text));
        }
        let words = format!("{columns}; reason: {reason}");
        self.act(actor, Act::RevealPerson, account, move |session, desk| {
            Box::pin(async move { reveal(session, &desk, person, words).await })
        })
        .await
    }

    /// Sets how often a user of an account may have masked values shown.
    ///
    /// # Errors
    /// [`model::ErrorKind::Invalid`] for more than 10,000, or fewer a day than a minute; as
    /// [`Control::account`].
    pub async fn set_reveal_quota(
        &self,
        actor: &Actor,
        id: AccountId,
        quota: RevealQuota,
    ) -> Result<()> {
        if quota.per_day > QUOTA_MAX || quota.per_minute > quota.per_day {
            let text = format!(
                "a quota allows at most {QUOTA_MAX} a day, and no more in a minute than in a day"
            );
            return Err(Error::Invalid(text));
        }
        self.change(actor, Act::ManageAccount, id, move |session, desk| {
            Box::pin(async move {
                let before = account::read(session, id).await?.account.reveals;
                sqlx::query(
                    "UPDATE accounts SET reveals_minute_max = $1, reveals_day_max = $2 \
                     WHERE id = $3",
                )
                .bind(i64::from(quota.per_minute))
                .bind(i64::from(quota.per_day))
                .bind(id.as_str().to_owned())
                .execute(session.connection())
                .await
                .map_err(Error::database("set the quota of reveals"))?;
                let words =
                    |it: RevealQuota| format!("{} a minute, {} a day", it.per_minute, it.per_day);
                let text = format!("from {} to {}", words(before), words(quota));
                desk.note(session, Action::RevealQuotaChanged, id.to_string(), text)
                    .await
            })
        })
        .await
    }
}

async fn reveal(
    session: &mut Session,
    desk: &Desk,
    person: PersonKey,
    words: String,
) -> Result<Reveal> {
    const ACT: &str = "count reveals";
    let quota = account::read(session, desk.account).await?.account.reveals;
    let hash = desk.sealer.hash("reveal actor", desk.actor.name());
    let (day, minute) = (desk.now.minus(DAY), desk.now.minus(MINUTE));
    sqlx::query("DELETE FROM reveals WHERE at <= $1")
        .bind(day.ms())
        .execute(session.connection())
        .await
        .map_err(Error::database(ACT))?;
    let row = sqlx::query(
        "SELECT COUNT(*), COALESCE(SUM(CASE WHEN at > $3 THEN 1 ELSE 0 END), 0) FROM reveals \
         WHERE account = $1 AND actor_hash = $2",
    )
    .bind(desk.account.as_str().to_owned())
    .bind(hash.clone())
    .bind(minute.ms())
    .fetch_one(session.connection())
    .await
    .map_err(Error::database(ACT))?;
    let in_day: i64 = row.try_get(0).map_err(Error::database(ACT))?;
    let in_minute: i64 = row.try_get(1).map_err(Error::database(ACT))?;
    let outcome = if in_day >= i64::from(quota.per_day) {
        Reveal::DayExhausted(quota.per_day)
    } else if in_minute >= i64::from(quota.per_minute) {
        Reveal::MinuteExhausted(quota.per_minute)
    } else {
        Reveal::Granted
    };
    let (noted, words) = match outcome {
        Reveal::Granted => (AuditOutcome::Done, words),
        Reveal::DayExhausted(most) => {
            let words = format!("refused, {most} a day are used up: {words}");
            (AuditOutcome::Refused, words)
        }
        Reveal::MinuteExhausted(most) => {
            let words = format!("refused, {most} a minute are used up: {words}");
            (AuditOutcome::Refused, words)
        }
    };
    if outcome == Reveal::Granted {
        sqlx::query("INSERT INTO reveals (account, actor_hash, at) VALUES ($1, $2, $3)")
            .bind(desk.account.as_str().to_owned())
            .bind(hash)
            .bind(desk.now.ms())
            .execute(session.connection())
            .await
            .map_err(Error::database(ACT))?;
    }
    let (action, object) = (Action::PersonRevealed, person.to_string());
    desk.note_outcome(session, action, object, words, noted)
        .await?;
    Ok(outcome)
}
