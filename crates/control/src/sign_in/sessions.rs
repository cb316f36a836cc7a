//! A user's sessions as their user sees them: listed, and ended; and how many there may be.

use model::Timestamp;
use serde::Serialize;
use sqlx::Row as _;

use super::session::{Row, SignedIn, Stage, delete, limits, parse};
use crate::control::{Control, Desk};
use crate::database::Session as Database;
use crate::sealer::Sealer;
use crate::users::UserId;
use crate::{Action, Error, Result};

/// Sessions of one user at a time: whole ones, and as many that wait for a second factor.
const SESSIONS_MAX: usize = 20;

/// A session as its user sees it in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SessionView {
    /// Its id.
    pub id: String,
    /// Since when.
    pub created_at: Timestamp,
    /// The last request that was noted.
    pub seen_at: Timestamp,
    /// From where it began.
    pub peer: String,
    /// With which browser.
    pub agent: String,
}

impl Control {
    /// The user's sessions that live, the newest first.
    ///
    /// # Errors
    /// [`model::ErrorKind::Unavailable`] when the database does not answer.
    pub async fn sessions(&self, user: UserId) -> Result<Vec<SessionView>> {
        let (sealer, now) = (std::sync::Arc::clone(&self.sealer), self.clock.now());
        self.database
            .read(move |session| Box::pin(async move { list(session, &sealer, user, now).await }))
            .await
    }

    /// Ends one session of the user, or all but the one that asks.
    ///
    /// # Errors
    /// [`model::ErrorKind::NotFound`] when the user has no such session.
    pub async fn end_sessions(&self, by: &SignedIn, which: Option<&str>) -> Result<u64> {
        let desk = self.sign_in_desk(&by.actor);
        let (user, own) = (by.user, by.session.clone());
        let which = which.map(str::to_owned);
        self.database
            .write(move |session| {
                Box::pin(async move {
                    let ended = match &which {
                        Some(id) => delete(session, user, Some(id), None).await?,
                        None => delete(session, user, None, Some(&own)).await?,
                    };
                    if which.is_some() && ended == 0 {
                        return Err(Error::NotFound("session of yours".to_owned()));
                    }
                    let words = match &which {
                        Some(_) => "one session, by its user".to_owned(),
                        None => format!("{ended} other sessions, by their user"),
                    };
                    let object = which.unwrap_or(own);
                    super::note(session, &desk, user, Action::SessionEnded, &object, &words)
                        .await?;
                    Ok(ended)
                })
            })
            .await
    }
}

/// Ends the oldest of a user's sessions of which there are more than may be: of the whole ones, or of
/// those that wait for a second factor, whichever `own` has just become. `own` stays in any case.
///
/// # Errors
/// [`model::ErrorKind::Unavailable`] when it cannot be written.
pub(super) async fn end_surplus(
    session: &mut Database,
    desk: &Desk,
    user: UserId,
    own: &str,
    stage: Stage,
) -> Result<()> {
    let is_whole = stage == Stage::Full;
    let rows = sqlx::query(
        "SELECT id, user_id, stage, created_at, seen_at, factor_at, tries, pending_sealed \
         FROM sessions WHERE user_id = $1 AND (stage = 'full') = $2 \
         ORDER BY created_at DESC, seen_at DESC",
    )
    .bind(user.0.to_vec())
    .bind(is_whole)
    .fetch_all(session.connection())
    .await
    .map_err(Error::database("count sessions"))?;
    let limits = limits(session, user).await?;
    let rows: Vec<Row> = rows.iter().map(parse).collect::<Result<_>>()?;
    // What is over already leaves its own entry when it is next seen.
    let others = rows.iter().filter(|it| it.lives(desk.now, limits));
    let others = others.map(Row::id_text).filter(|it| *it != *own);
    for id in others.skip(SESSIONS_MAX - 1) {
        delete(session, user, Some(&id), None).await?;
        if is_whole {
            let words = format!("the oldest of more than {SESSIONS_MAX}");
            super::note(session, desk, user, Action::SessionEnded, &id, &words).await?;
        }
    }
    Ok(())
}

async fn list(
    session: &mut Database,
    sealer: &Sealer,
    user: UserId,
    now: Timestamp,
) -> Result<Vec<SessionView>> {
    const ACT: &str = "list sessions";
    let rows = sqlx::query(
        "SELECT id, user_id, stage, created_at, seen_at, factor_at, tries, pending_sealed, \
         peer_sealed, agent_sealed FROM sessions \
         WHERE user_id = $1 AND stage = 'full' ORDER BY created_at DESC",
    )
    .bind(user.0.to_vec())
    .fetch_all(session.connection())
    .await
    .map_err(Error::database(ACT))?;
    let limits = limits(session, user).await?;
    let mut views = Vec::with_capacity(rows.len());
    for sql in &rows {
        let row = parse(sql)?;
        if !row.lives(now, limits) {
            continue;
        }
        let id = row.id_text();
        let peer: Vec<u8> = sql.try_get(8).map_err(Error::database(ACT))?;
        let agent: Vec<u8> = sql.try_get(9).map_err(Error::database(ACT))?;
        views.push(SessionView {
            created_at: row.created_at,
            seen_at: row.seen_at,
            peer: sealer.open(&format!("sessions/peer/{id}"), &peer)?,
            agent: sealer.open(&format!("sessions/agent/{id}"), &agent)?,
            id,
        });
    }
    Ok(views)
}
