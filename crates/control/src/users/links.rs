//! Links that let somebody in once: set-up links for the first Operator or Admin, invitations, and
//! those of forgotten passwords.
//!
//! A link carries 160 random bits; the database holds their hash. It works once, for 72 hours; that
//! of a forgotten password for 30 minutes.

use governance::{NewPasscode, PasscodeHash};
use model::{AccountId, Random, Secret, Timestamp};
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;
use std::time::Duration;

use super::{UserId, require_place, roles};
use crate::audit::Action;
use crate::authz::Act;
use crate::control::{Control, Desk};
use crate::database::Session;
use crate::sign_in::RESET_LIFE;
use crate::{Actor, Error, Result};

/// How long a link works.
const LINK_LIFE: Duration = Duration::from_secs(72 * 3_600);

/// A link just made.
#[derive(Debug)]
pub(crate) struct NewLink {
    /// What the link carries: shown once, then forgotten.
    pub(crate) text: Secret<String>,
    pub(crate) hash: [u8; 32],
}

impl NewLink {
    pub(crate) fn generate(random: &dyn Random) -> Self {
        let made = NewPasscode::generate(random);
        Self {
            text: made.text,
            hash: made.hash.to_bytes(),
        }
    }
}

/// What a link is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To give somebody a role.
    Invitation,
    /// To set a new password.
    Reset,
}

impl Purpose {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Invitation => "invitation",
            Self::Reset => "reset",
        }
    }
}

/// What a link lets its bearer become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    /// What it is for.
    pub purpose: Purpose,
    /// In which account; `0` for the installation.
    pub account: AccountId,
    /// The role.
    pub role: String,
    /// The user who was invited; none for a set-up link, whose bearer names itself.
    pub user: Option<UserId>,
}

impl Control {
    /// Makes a set-up link: for the first Operator of the installation, or the first Admin of an
    /// account. Its text is returned once.
    ///
    /// # Errors
    /// [`model::ErrorKind::NotFound`] for an unknown account; [`model::ErrorKind::Denied`].
    pub async fn create_setup_link(
        &self,
        actor: &Actor,
        account: AccountId,
    ) -> Result<Secret<String>> {
        let link = NewLink::generate(self.random.as_ref());
        let hash = link.hash;
        let role = match account == AccountId::installation() {
            true => "operator",
            false => "admin",
        };
        self.act(
            actor,
            Act::ManageInstallation,
            account,
            move |session, desk| {
                Box::pin(async move {
                    require_place(session, account).await?;
                    desk.covers(&roles::find(session, &desk.sealer, account, role).await?)?;
                    insert(session, &desk, hash, role, None).await?;
                    let words = format!("for the first {role}");
                    desk.note(session, Action::LinkCreated, account.to_string(), words)
                        .await
                })
            },
        )
        .await?;
        Ok(link.text)
    }
}

/// The hash by which the database knows a link.
pub(crate) fn hash(text: &str) -> [u8; 32] {
    PasscodeHash::of(text.trim()).to_bytes()
}

/// Uses a link up; none when it is unknown, used, dead or too old.
pub(crate) async fn take(
    session: &mut Session,
    hash: [u8; 32],
    now: Timestamp,
) -> Result<Option<Invitation>> {
    let row = sqlx::query(
        "UPDATE links SET used_at = $2 WHERE hash = $1 AND used_at IS NULL AND expires_at > $2 \
         RETURNING account, role, user_id, purpose",
    )
    .bind(hash.to_vec())
    .bind(now.ms())
    .fetch_optional(session.connection())
    .await
    .map_err(Error::database(ACT))?;
    row.map(|row| parse(&row)).transpose()
}

/// As [`take`], without using it up.
pub(crate) async fn peek(
    session: &mut Session,
    hash: [u8; 32],
    now: Timestamp,
) -> Result<Option<Invitation>> {
    let row = sqlx::query(
        "SELECT account, role, user_id, purpose FROM links \
         WHERE hash = $1 AND used_at IS NULL AND expires_at > $2",
    )
    .bind(hash.to_vec())
    .bind(now.ms())
    .fetch_optional(session.connection())
    .await
    .map_err(Error::database(ACT))?;
    row.map(|row| parse(&row)).transpose()
}

const ACT: &str = "use a link";

fn parse(row: &SqliteRow) -> Result<Invitation> {
    let damaged = || Error::damaged("a link", "it is malformed");
    let account: String = row.try_get(0).map_err(Error::database(ACT))?;
    let user: Option<Vec<u8>> = row.try_get(2).map_err(Error::database(ACT))?;
    let user = user.map(|id| id.try_into().map(UserId).map_err(|_| damaged()));
    let purpose: String = row.try_get(3).map_err(Error::database(ACT))?;
    Ok(Invitation {
        purpose: [Purpose::Invitation, Purpose::Reset]
            .into_iter()
            .find(|it| it.as_str() == purpose)
            .ok_or_else(damaged)?,
        account: account.parse().map_err(|_| damaged())?,
        role: row.try_get(1).map_err(Error::database(ACT))?,
        user: user.transpose()?,
    })
}

/// Writes down the link of a forgotten password; those before it are dead.
pub(crate) async fn insert_reset(
    session: &mut Session,
    desk: &Desk,
    hash: [u8; 32],
    user: UserId,
) -> Result<()> {
    const ACT: &str = "write a link";
    let reset = Purpose::Reset.as_str();
    sqlx::query("DELETE FROM links WHERE user_id = $1 AND purpose = $2 AND used_at IS NULL")
        .bind(user.0.to_vec())
        .bind(reset)
        .execute(session.connection())
        .await
        .map_err(Error::database(ACT))?;
    sqlx::query(
        "INSERT INTO links (hash, account, role, user_id, created_at, expires_at, purpose) \
         VALUES ($1, $2, '', $3, $4, $5, $6)",
    )
    .bind(hash.to_vec())
    .bind(AccountId::installation().as_str().to_owned())
    .bind(user.0.to_vec())
    .bind(desk.now.ms())
    .bind(desk.now.plus(RESET_LIFE).ms())
    .bind(reset)
    .execute(session.connection())
    .await
    .map(|_| ())
    .map_err(Error::database(ACT))
}

/// Writes an invitation down.
pub(crate) async fn insert(
    session: &mut Session,
    desk: &Desk,
    hash: [u8; 32],
    role: &str,
    user: Option<UserId>,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO links (hash, account, role, user_id, created_at, expires_at, used_at) \
         VALUES ($1, $2, $3, $4, $5, $6, NULL)",
    )
    .bind(hash.to_vec())
    .bind(desk.account.as_str().to_owned())
    .bind(role.to_owned())
    .bind(user.map(|id| id.0.to_vec()))
    .bind(desk.now.ms())
    .bind(desk.now.plus(LINK_LIFE).ms())
    .execute(session.connection())
    .await
    .map(|_| ())
    .map_err(Error::database("write a link"))
}

/// Ends the links of a user in the account.
pub(crate) async fn kill(session: &mut Session, desk: &Desk, id: UserId) -> Result<()> {
    sqlx::query("DELETE FROM links WHERE user_id = $1 AND account = $2 AND used_at IS NULL")
        .bind(id.0.to_vec())
        .bind(desk.account.as_str().to_owned())
        .execute(session.connection())
        .await
        .map(|_| ())
        .map_err(Error::database("end links"))
}
