//! Sessions: who has come how far, and for how long that holds.
//!
//! A session is a random token of 256 bits; the database holds its hash. It begins after the
//! password, in which it opens nothing, and gets a new token when the second factor follows. What
//! the user may do is read anew with every request.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use governance::PasscodeHash;
use model::{Random, Secret, Timestamp};
use serde::Serialize;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;
use std::net::IpAddr;
use std::time::Duration;

use super::recovery;
use super::sessions::end_surplus;
use crate::control::{Control, Desk};
use crate::database::Session as Database;
use crate::sealer::Sealer;
use crate::users::{self, UserId};
use crate::{Action, Actor, AuditOutcome, Error, Result};

/// How long a session lives without a request.
const IDLE: Duration = Duration::from_secs(60 * 60);
/// How long a session lives at most.
const ABSOLUTE: Duration = Duration::from_secs(24 * 60 * 60);
/// The same, in the units in which an account shortens them.
pub(crate) const IDLE_MINUTES_MAX: u32 = 60;
pub(crate) const HOURS_MAX: u32 = 24;
/// A session that ended while its user reads one page would help nobody.
pub(crate) const IDLE_MINUTES_MIN: u32 = 5;
/// How long a session waits for the second factor.
const UNFINISHED: Duration = Duration::from_secs(15 * 60);
/// How long a second factor is good for acts that ask for a fresh one.
pub(super) const FRESH: Duration = Duration::from_secs(10 * 60);
/// A request is noted when the last noted one is as old.
const NOTED_EVERY: Duration = Duration::from_secs(60);
/// Wrong codes that a session outlives.
pub(super) const TRIES_MAX: i64 = 10;
/// Characters that are kept of a browser's name.
const AGENT_CHARS_MAX: usize = 200;

/// How far somebody has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The password was right; the second factor is still to be shown.
    Half,
    /// The password was right; there is no second factor yet, and one must be set up.
    Enrol,
    /// Both factors were shown.
    Full,
}

impl Stage {
    const ALL: [Self; 3] = [Self::Half, Self::Enrol, Self::Full];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Half => "half",
            Self::Enrol => "enrol",
            Self::Full => "full",
        }
    }
}

/// A session's token, to be put into the browser's cookie, and how far it reaches.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// The token: given out once.
    pub token: Secret<String>,
    /// How far its bearer has come.
    pub stage: Stage,
}

/// From where and by what a session is used.
#[derive(Debug, Clone, Default)]
pub struct Client {
    /// The address.
    pub peer: Option<IpAddr>,
    /// What the browser calls itself.
    pub agent: String,
}

/// A session, and whose it is.
#[derive(Debug, Clone)]
pub struct SignedIn {
    /// The session's id, which is no secret.
    pub session: String,
    /// Whose.
    pub user: UserId,
    /// By which address.
    pub email: String,
    /// The user's name.
    pub name: String,
    /// How far the user has come.
    pub stage: Stage,
    /// When a second factor was shown last.
    pub factor_at: Option<Timestamp>,
    /// What the user can prove the second factor with.
    pub factors: Factors,
    /// The user, with what the roles amount to now, seen where this request comes from. Nobody, with
    /// no role anywhere, until both factors were shown.
    pub actor: Actor,
    /// The time of reading.
    pub now: Timestamp,
}

impl SignedIn {
    /// Whether the second factor was shown within the last ten minutes.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.factor_at.is_some_and(|at| self.now < at.plus(FRESH))
    }
}

/// What a user can prove the second factor with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Factors {
    /// An authenticator app.
    pub totp: bool,
    /// Passkeys.
    pub passkeys: u32,
    /// Recovery codes that are left.
    pub recovery_codes: u32,
}

impl Factors {
    /// Whether there is one that lasts.
    #[must_use]
    pub const fn any(self) -> bool {
        self.totp || self.passkeys > 0
    }
}

/// How long a user's sessions live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    idle: Duration,
    absolute: Duration,
}

/// The shortest of what the accounts say where the user has a role; never longer than the product's.
pub(super) async fn limits(session: &mut Database, user: UserId) -> Result<Limits> {
    const ACT: &str = "read how long sessions live";
    let row = sqlx::query(
        "SELECT MIN(idle_minutes), MIN(hours) FROM session_limits \
         WHERE account IN (SELECT account FROM grants WHERE user_id = $1)",
    )
    .bind(user.0.to_vec())
    .fetch_one(session.connection())
    .await
    .map_err(Error::database(ACT))?;
    let idle: Option<i64> = row.try_get(0).map_err(Error::database(ACT))?;
    let hours: Option<i64> = row.try_get(1).map_err(Error::database(ACT))?;
    let of = |number: Option<i64>, seconds: u64, most: Duration| {
        let number = number.and_then(|it| u64::try_from(it).ok());
        let said = number.map(|it| Duration::from_secs(it.saturating_mul(seconds)));
        said.map_or(most, |said| said.min(most))
    };
    Ok(Limits {
        idle: of(idle, 60, IDLE),
        absolute: of(hours, 3_600, ABSOLUTE),
    })
}

/// A session as it is stored.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) id: [u8; 16],
    pub(super) user: UserId,
    pub(super) stage: Stage,
    pub(super) created_at: Timestamp,
    pub(super) seen_at: Timestamp,
    pub(super) factor_at: Option<Timestamp>,
    pub(super) tries: i64,
    pub(super) pending: Option<Vec<u8>>,
}

impl Row {
    pub(super) fn lives(&self, now: Timestamp, limits: Limits) -> bool {
        let limit = match self.stage {
            Stage::Half | Stage::Enrol => self.created_at.plus(UNFINISHED),
            Stage::Full => {
                let end = self.created_at.plus(limits.absolute);
                end.min(self.seen_at.plus(limits.idle))
            }
        };
        now < limit
    }

    pub(super) fn id_text(&self) -> String {
        hex::encode(self.id)
    }

    /// Where `pending` is sealed for.
    pub(super) fn pending_context(&self) -> String {
        format!("sessions/pending/{}", self.id_text())
    }
}

impl Control {
    /// The session of a token; none when it is unknown, over, or its user has gone.
    ///
    /// # Errors
    /// [`model::ErrorKind::Unavailable`] when the database does not answer.
    pub async fn session(&self, token: &str, peer: Option<IpAddr>) -> Result<Option<SignedIn>> {
        let hash = hash(token);
        let now = self.clock.now();
        let sealer = std::sync::Arc::clone(&self.sealer);
        let found = self
            .database
            .read(move |session| {
                Box::pin(async move {
                    let Some(row) = read(session, hash).await? else {
                        return Ok(None);
                    };
                    let person = users::reading::person(session, &sealer, row.user).await?;
                    let factors = factors(session, row.user).await?;
                    let standings = match row.stage {
                        Stage::Full => {
                            users::reading::standings(session, &sealer, row.user, now).await?
                        }
                        Stage::Half | Stage::Enrol => std::collections::BTreeMap::new(),
                    };
                    let limits = limits(session, row.user).await?;
                    Ok(Some((row, person, factors, standings, limits)))
                })
            })
            .await?;
        let Some((row, (email, name), factors, mut standings, limits)) = found else {
            return Ok(None);
        };
        // An account whose allowlist does not hold the address is not there.
        let had_any = !standings.is_empty();
        let rules = std::sync::Arc::clone(&self.rules().borrow());
        standings.retain(|account, _| rules.admits_to_console(*account, peer));
        let is_outside = had_any && standings.is_empty();
        let actor = Actor::user(&email, standings);
        let actor = match peer {
            Some(peer) => actor.with_peer(peer),
            None => actor,
        };
        if is_outside {
            let words = "an address outside the allowlist";
            self.end(&actor, &row, Action::SessionEnded, words).await?;
            return Ok(None);
        }
        if !row.lives(now, limits) {
            self.end(&actor, &row, Action::SessionExpired, "").await?;
            return Ok(None);
        }
        if now >= row.seen_at.plus(NOTED_EVERY) {
            self.database
                .write(move |session| Box::pin(async move { note_seen(session, hash, now).await }))
                .await?;
        }
        Ok(Some(SignedIn {
            session: row.id_text(),
            user: row.user,
            email,
            name,
            stage: row.stage,
            factor_at: row.factor_at,
            factors,
            actor,
            now,
        }))
    }

    /// What a form that changes something must carry in this session.
    #[must_use]
    pub fn form_token(&self, token: &str) -> String {
        hex::encode(self.sealer.hash("form token", token))
    }

    /// Ends a session.
    ///
    /// # Errors
    /// [`model::ErrorKind::Unavailable`] when that cannot be made durable.
    pub async fn sign_out(&self, token: &str, peer: Option<IpAddr>) -> Result<()> {
        let Some(signed_in) = self.session(token, peer).await? else {
            return Ok(());
        };
        let hash = hash(token);
        let row = self
            .database
            .read(move |session| Box::pin(async move { read(session, hash).await }))
            .await?;
        match row {
            Some(row) => {
                self.end(&signed_in.actor, &row, Action::SignedOut, "")
                    .await
            }
            None => Ok(()),
        }
    }

    async fn end(
        &self,
        actor: &Actor,
        row: &Row,
        action: Action,
        words: &'static str,
    ) -> Result<()> {
        let (desk, row) = (self.sign_in_desk(actor), row.clone());
        self.database
            .write(move |session| {
                Box::pin(async move {
                    let id = row.id_text();
                    // Of two requests that see it over, one writes that down.
                    if delete(session, row.user, Some(&id), None).await? == 0 {
                        return Ok(());
                    }
                    super::note(session, &desk, row.user, action, &id, words).await
                })
            })
            .await
    }
}

/// Writes a new session down. The oldest of the user's that wait as this one does may end.
///
/// # Errors
/// [`model::ErrorKind::Unavailable`] when it cannot be written.
pub(super) async fn insert(
    session: &mut Database,
    desk: &Desk,
    random: &dyn Random,
    user: UserId,
    stage: Stage,
    client: &Client,
) -> Result<NewSession> {
    let token = Secret::new(URL_SAFE_NO_PAD.encode(random.bytes32()));
    let id = random.bytes16();
    let text = hex::encode(id);
    let agent: String = client.agent.chars().take(AGENT_CHARS_MAX).collect();
    let peer = client.peer.map(|it| it.to_canonical().to_string());
    sqlx::query(
        "INSERT INTO sessions \
         (hash, id, user_id, stage, created_at, seen_at, factor_at, peer_sealed, agent_sealed) \
         VALUES ($1, $2, $3, $4, $5, $5, $6, $7, $8)",
    )
    .bind(hash(token.expose()).to_vec())
    .bind(id.to_vec())
    .bind(user.0.to_vec())
    .bind(stage.as_str())
    .bind(desk.now.ms())
    .bind((stage == Stage::Full).then(|| desk.now.ms()))
    .bind(
        desk.sealer
            .seal(&format!("sessions/peer/{text}"), &peer.unwrap_or_default())?,
    )
    .bind(
        desk.sealer
            .seal(&format!("sessions/agent/{text}"), &agent)?,
    )
    .execute(session.connection())
    .await
    .map_err(Error::database("write a session"))?;
    end_surplus(session, desk, user, &text, stage).await?;
    Ok(NewSession { token, stage })
}

/// Gives a session a new token, and sets what it has reached: the second factor was shown now. The
/// oldest of the user's whole sessions may end.
///
/// # Errors
/// As [`insert`].
pub(super) async fn complete(
    session: &mut Database,
    desk: &Desk,
    random: &dyn Random,
    row: &Row,
) -> Result<NewSession> {
    let token = Secret::new(URL_SAFE_NO_PAD.encode(random.bytes32()));
    // Its age counts from the sign-in; a step-up does not lengthen it.
    let created = match row.stage {
        Stage::Full => row.created_at,
        Stage::Half | Stage::Enrol => desk.now,
    };
    sqlx::query(
        "UPDATE sessions SET hash = $2, stage = 'full', created_at = $3, seen_at = $4, \
         factor_at = $4, tries = 0, pending_sealed = NULL WHERE id = $1",
    )
    .bind(row.id.to_vec())
    .bind(hash(token.expose()).to_vec())
    .bind(created.ms())
    .bind(desk.now.ms())
    .execute(session.connection())
    .await
    .map_err(Error::database("complete a session"))?;
    if row.stage != Stage::Full {
        end_surplus(session, desk, row.user, &row.id_text(), Stage::Full).await?;
    }
    Ok(NewSession {
        token,
        stage: Stage::Full,
    })
}

/// Counts a wrong code; a session that has seen too many is over.
///
/// # Errors
/// As [`insert`].
pub(super) async fn count_try(session: &mut Database, row: &Row) -> Result<()> {
    const ACT: &str = "count a wrong code";
    if row.tries.saturating_add(1) >= TRIES_MAX {
        delete(session, row.user, Some(&row.id_text()), None).await?;
        return Ok(());
    }
    sqlx::query("UPDATE sessions SET tries = tries + 1 WHERE id = $1")
        .bind(row.id.to_vec())
        .execute(session.connection())
        .await
        .map(|_| ())
        .map_err(Error::database(ACT))
}

/// Keeps what the next step of a session needs, sealed; or forgets it.
///
/// # Errors
/// As [`insert`].
pub(super) async fn set_pending(
    session: &mut Database,
    sealer: &Sealer,
    row: &Row,
    pending: Option<&str>,
) -> Result<()> {
    let sealed = pending
        .map(|text| sealer.seal(&row.pending_context(), text))
        .transpose()?;
    sqlx::query("UPDATE sessions SET pending_sealed = $2 WHERE id = $1")
        .bind(row.id.to_vec())
        .bind(sealed)
        .execute(session.connection())
        .await
        .map(|_| ())
        .map_err(Error::database("write what a session waits for"))
}

/// Ends sessions of a user: one, or all but one.
///
/// # Errors
/// As [`insert`].
pub(crate) async fn delete(
    session: &mut Database,
    user: UserId,
    only: Option<&str>,
    but: Option<&str>,
) -> Result<u64> {
    let bytes = |id: &str| hex::decode(id).unwrap_or_default();
    let done = sqlx::query(
        "DELETE FROM sessions WHERE user_id = $1 AND ($2 IS NULL OR id = $2) \
         AND ($3 IS NULL OR id <> $3)",
    )
    .bind(user.0.to_vec())
    .bind(only.map(bytes))
    .bind(but.map(bytes))
    .execute(session.connection())
    .await
    .map_err(Error::database("end sessions"))?;
    Ok(done.rows_affected())
}

/// The session of a token that lives.
///
/// # Errors
/// [`Error::Denied`] when there is none: one answer, whatever the reason.
pub(super) async fn require(session: &mut Database, token: &str, now: Timestamp) -> Result<Row> {
    let over = || Error::Refused("the sign-in is over: begin again".to_owned());
    let row = read(session, hash(token)).await?.ok_or_else(over)?;
    let limits = limits(session, row.user).await?;
    match row.lives(now, limits) {
        true => Ok(row),
        false => Err(over()),
    }
}

async fn read(session: &mut Database, hash: [u8; 32]) -> Result<Option<Row>> {
    const ACT: &str = "read a session";
    let row = sqlx::query(
        "SELECT id, user_id, stage, created_at, seen_at, factor_at, tries, pending_sealed \
         FROM sessions WHERE hash = $1",
    )
    .bind(hash.to_vec())
    .fetch_optional(session.connection())
    .await
    .map_err(Error::database(ACT))?;
    row.map(|row| parse(&row)).transpose()
}

pub(super) fn parse(row: &SqliteRow) -> Result<Row> {
    const ACT: &str = "read a session";
    let damaged = || Error::damaged("a session", "it is malformed");
    let bytes = |at: usize| -> Result<[u8; 16]> {
        let bytes: Vec<u8> = row.try_get(at).map_err(Error::database(ACT))?;
        bytes.try_into().map_err(|_| damaged())
    };
    let stage: String = row.try_get(2).map_err(Error::database(ACT))?;
    let time = |at: usize| -> Result<Option<Timestamp>> {
        let ms: Option<i64> = row.try_get(at).map_err(Error::database(ACT))?;
        Ok(ms.map(Timestamp::from_ms))
    };
    Ok(Row {
        id: bytes(0)?,
        user: UserId(bytes(1)?),
        stage: Stage::ALL
            .into_iter()
            .find(|it| it.as_str() == stage)
            .ok_or_else(damaged)?,
        created_at: time(3)?.ok_or_else(damaged)?,
        seen_at: time(4)?.ok_or_else(damaged)?,
        factor_at: time(5)?,
        tries: row.try_get(6).map_err(Error::database(ACT))?,
        pending: row.try_get(7).map_err(Error::database(ACT))?,
    })
}

async fn note_seen(session: &mut Database, hash: [u8; 32], now: Timestamp) -> Result<()> {
    sqlx::query("UPDATE sessions SET seen_at = $2 WHERE hash = $1")
        .bind(hash.to_vec())
        .bind(now.ms())
        .execute(session.connection())
        .await
        .map(|_| ())
        .map_err(Error::database("note a session's use"))
}

/// What a user can prove the second factor with.
///
/// # Errors
/// [`model::ErrorKind::Unavailable`] when the database does not answer.
pub(crate) async fn factors(session: &mut Database, user: UserId) -> Result<Factors> {
    const ACT: &str = "read second factors";
    let row = sqlx::query(
        "SELECT (SELECT COUNT(*) FROM proofs WHERE user_id = $1 AND totp_sealed IS NOT NULL), \
         (SELECT COUNT(*) FROM passkeys WHERE user_id = $1)",
    )
    .bind(user.0.to_vec())
    .fetch_one(session.connection())
    .await
    .map_err(Error::database(ACT))?;
    let totp: i64 = row.try_get(0).map_err(Error::database(ACT))?;
    let passkeys: i64 = row.try_get(1).map_err(Error::database(ACT))?;
    Ok(Factors {
        totp: totp > 0,
        passkeys: u32::try_from(passkeys).unwrap_or(u32::MAX),
        recovery_codes: recovery::left(session, user).await?,
    })
}

fn hash(token: &str) -> [u8; 32] {
    PasscodeHash::of(token).to_bytes()
}

/// As an outcome: a refusal is an entry too.
pub(super) const fn outcome(is_right: bool) -> AuditOutcome {
    match is_right {
        true => AuditOutcome::Done,
        false => AuditOutcome::Refused,
    }
}
