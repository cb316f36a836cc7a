//! Links that let somebody in once: set-up links for the first Operator or Admin, invitations.
//!
//! A link carries 160 random bits; the database holds their hash. It works once, for 72 hours.

use governance::{NewPasscode, PasscodeHash};
use model::{AccountId, Random, Secret, Timestamp};
use sqlx::Row as _;
use std::time::Duration;

use super::{UserId, require_place, roles};
use crate::audit::{Action, AuditOutcome};
use crate::authz::Act;
use crate::control::{Control, Desk};
use crate::database::Session;
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

/// What a link lets its bearer become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
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
                    desk.covers(&roles::find(session, account, role).await?)?;
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

    /// Uses a link up. It works once, whoever comes second is refused; refusals are noted.
    ///
    /// # Errors
    /// [`model::ErrorKind::NotFound`] when it is unknown, used, dead or too old: which, is not said.
    pub async fn use_link(&self, text: &str) -> Result<Invitation> {
        let hash = PasscodeHash::of(text).to_bytes();
        let desk = self.desk(&Actor::system("sign-in"), AccountId::installation());
        let found = self
            .database
            .write(move |session| {
                Box::pin(async move {
                    let found = take(session, hash, desk.now).await?;
                    let (account, object, outcome) = match &found {
                        Some(it) => (it.account, it.role.clone(), AuditOutcome::Done),
                        None => (desk.account, String::new(), AuditOutcome::Refused),
                    };
                    let desk = Desk { account, ..desk };
                    let words = "a link was presented".to_owned();
                    desk.note_outcome(session, Action::LinkUsed, object, words, outcome)
                        .await?;
                    Ok(found)
                })
            })
            .await?;
        found.ok_or_else(|| Error::NotFound("link that still works".to_owned()))
    }
}

async fn take(session: &mut Session, hash: [u8; 32], now: Timestamp) -> Result<Option<Invitation>> {
    const ACT: &str = "use a link";
    let row = sqlx::query(
        "UPDATE links SET used_at = $2 WHERE hash = $1 AND used_at IS NULL AND expires_at > $2 \
         RETURNING account, role, user_id",
    )
    .bind(hash.to_vec())
    .bind(now.ms())
    .fetch_optional(session.connection())
    .await
    .map_err(Error::database(ACT))?;
    let Some(row) = row else { return Ok(None) };
    let damaged = || Error::damaged("a link", "it is malformed");
    let account: String = row.try_get(0).map_err(Error::database(ACT))?;
    let user: Option<Vec<u8>> = row.try_get(2).map_err(Error::database(ACT))?;
    let user = user.map(|id| id.try_into().map(UserId).map_err(|_| damaged()));
    Ok(Some(Invitation {
        account: account.parse().map_err(|_| damaged())?,
        role: row.try_get(1).map_err(Error::database(ACT))?,
        user: user.transpose()?,
    }))
}

/// Writes a link down.
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
