//! How long an account lets its users stay signed in: never longer than the product does.

use model::AccountId;
use serde::Serialize;
use sqlx::Row as _;

use super::session::{HOURS_MAX, IDLE_MINUTES_MAX, IDLE_MINUTES_MIN};
use crate::authz::Act;
use crate::control::Control;
use crate::database::Session;
use crate::{Action, Actor, Error, Result, users};

/// How long an account's users stay signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct SessionLimits {
    /// Without a request, minutes.
    pub idle_minutes: u32,
    /// At most, hours.
    pub hours: u32,
}

impl SessionLimits {
    /// What holds where nothing is said, and the most that can be.
    pub const MOST: Self = Self {
        idle_minutes: IDLE_MINUTES_MAX,
        hours: HOURS_MAX,
    };
}

impl Control {
    /// How long an account's users stay signed in.
    ///
    /// # Errors
    /// [`model::ErrorKind::Denied`]; [`model::ErrorKind::Unavailable`].
    pub async fn session_limits(&self, actor: &Actor, account: AccountId) -> Result<SessionLimits> {
        self.authorize(actor, Act::ManageAccount, account).await?;
        self.database
            .read(move |session| Box::pin(async move { read(session, account).await }))
            .await
    }

    /// Sets how long an account's users stay signed in. It holds at once, for sessions that are there
    /// too; whoever has roles in several accounts has the shortest of their limits.
    ///
    /// # Errors
    /// [`model::ErrorKind::Invalid`] for more than the product allows, or too little;
    /// [`model::ErrorKind::NotFound`]; [`model::ErrorKind::Denied`].
    pub async fn set_session_limits(
        &self,
        actor: &Actor,
        account: AccountId,
        limits: SessionLimits,
    ) -> Result<()> {
        let idle = IDLE_MINUTES_MIN..=IDLE_MINUTES_MAX;
        if !idle.contains(&limits.idle_minutes) || !(1..=HOURS_MAX).contains(&limits.hours) {
            return Err(Error::Invalid(format!(
                "a session ends after {IDLE_MINUTES_MIN} to {IDLE_MINUTES_MAX} minutes without a \
                 request, and after 1 to {HOURS_MAX} hours at most"
            )));
        }
        self.act(actor, Act::ManageAccount, account, move |session, desk| {
            Box::pin(async move {
                users::require_place(session, account).await?;
                let before = read(session, account).await?;
                sqlx::query(
                    "INSERT INTO session_limits (account, idle_minutes, hours) \
                     VALUES ($1, $2, $3) ON CONFLICT (account) DO UPDATE SET \
                     idle_minutes = excluded.idle_minutes, hours = excluded.hours",
                )
                .bind(account.as_str().to_owned())
                .bind(i64::from(limits.idle_minutes))
                .bind(i64::from(limits.hours))
                .execute(session.connection())
                .await
                .map_err(Error::database("write how long sessions live"))?;
                let words = format!("{}; before, {}", words(limits), words(before));
                let object = account.to_string();
                desk.note(session, Action::SessionLimitsChanged, object, words)
                    .await
            })
        })
        .await
    }
}

fn words(limits: SessionLimits) -> String {
    format!(
        "{} minutes idle, {} hours",
        limits.idle_minutes, limits.hours
    )
}

async fn read(session: &mut Session, account: AccountId) -> Result<SessionLimits> {
    const ACT: &str = "read how long sessions live";
    let row = sqlx::query("SELECT idle_minutes, hours FROM session_limits WHERE account = $1")
        .bind(account.as_str().to_owned())
        .fetch_optional(session.connection())
        .await
        .map_err(Error::database(ACT))?;
    let Some(row) = row else {
        return Ok(SessionLimits::MOST);
    };
    let number = |at: usize| -> Result<u32> {
        let number: i64 = row.try_get(at).map_err(Error::database(ACT))?;
        u32::try_from(number).map_err(|_| Error::damaged("session limits", "they are malformed"))
    };
    Ok(SessionLimits {
        idle_minutes: number(0)?,
        hours: number(1)?,
    })
}
