//! Several acts on users as one: all of them happen, or none.

use governance::access::Grant;
use model::{AccountId, Secret, Timestamp};
use sqlx::Row as _;

use super::grants::{admins, count_users, delete_grants, insert_grant, keep_an_admin};
use super::links::{self, NewLink};
use super::reading::{by_email, held, require_in};
use super::{UserId, disabled, insert, legal_email, legal_text, require_place, roles, until};
use crate::audit::Action;
use crate::authz::Act;
use crate::control::{Control, Desk};
use crate::database::Session;
use crate::sign_in;
use crate::{Actor, Error, Result};

/// Acts in one.
pub const USER_ACTS_MAX: usize = 50;

/// One act on a user of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserAct {
    /// Give the owner of an address a role; whoever is new is invited by mail.
    Invite {
        /// The address.
        email: String,
        /// The user's name; may be empty.
        name: String,
        /// The role.
        role: String,
        /// Until when; for ever when none.
        expires_at: Option<Timestamp>,
    },
    /// Give a user another role.
    Grant {
        /// The user's address.
        email: String,
        /// The role.
        role: String,
        /// Until when; for ever when none.
        expires_at: Option<Timestamp>,
    },
    /// Take a role from a user.
    Withdraw {
        /// The user's address.
        email: String,
        /// The role.
        role: String,
    },
    /// Take every role from a user.
    Revoke {
        /// The user's address.
        email: String,
    },
    /// Send an invitation that was not accepted again.
    Resend {
        /// The user's address.
        email: String,
    },
    /// Let a user's roles count no more.
    Disable {
        /// The user's address.
        email: String,
    },
    /// Let a user's roles count again.
    Enable {
        /// The user's address.
        email: String,
    },
}

impl UserAct {
    /// Whom it is about.
    #[must_use]
    pub fn email(&self) -> &str {
        match self {
            Self::Invite { email, .. }
            | Self::Grant { email, .. }
            | Self::Withdraw { email, .. }
            | Self::Revoke { email }
            | Self::Resend { email }
            | Self::Disable { email }
            | Self::Enable { email } => email,
        }
    }

    const fn end(&self) -> Option<Timestamp> {
        match self {
            Self::Invite { expires_at, .. } | Self::Grant { expires_at, .. } => *expires_at,
            Self::Withdraw { .. }
            | Self::Revoke { .. }
            | Self::Resend { .. }
            | Self::Disable { .. }
            | Self::Enable { .. } => None,
        }
    }
}

/// An act with what it needs of randomness, made before the transaction begins.
struct Prepared {
    act: UserAct,
    email: String,
    user: UserId,
    link: NewLink,
    url: String,
    mail: [u8; 16],
}

impl Control {
    /// Carries out up to [`USER_ACTS_MAX`] acts on users of an account, in order, in one
    /// transaction: when one of them fails, none has happened. Each leaves its own entry. Returns the
    /// link of each invitation, in the order of the acts.
    ///
    /// # Errors
    /// [`model::ErrorKind::Invalid`] for none or too many acts, what is not an address, a role that is
    /// not of such an account, or an end that has passed; [`model::ErrorKind::NotFound`] for an
    /// unknown account, role or user; [`model::ErrorKind::Conflict`] when the last Admin would go;
    /// [`model::ErrorKind::Denied`] when the actor may not, or has less than a role gives.
    pub async fn change_users(
        &self,
        actor: &Actor,
        account: AccountId,
        acts: Vec<UserAct>,
    ) -> Result<Vec<Secret<String>>> {
        if acts.is_empty() || acts.len() > USER_ACTS_MAX {
            let text = format!("1 to {USER_ACTS_MAX} users at a time");
            return Err(Error::Invalid(text));
        }
        let mut prepared = Vec::with_capacity(acts.len());
        for act in acts {
            self.refuse_past(act.end())?;
            let email = legal_email(act.email())?;
            let link = NewLink::generate(self.random.as_ref());
            let url = self.link_url(&link.text);
            prepared.push(Prepared {
                act,
                email,
                user: UserId(self.random.bytes16()),
                link,
                url,
                mail: self.random.bytes16(),
            });
        }
        self.act(actor, Act::ManageUsers, account, move |session, desk| {
            Box::pin(async move {
                require_place(session, account).await?;
                let mut links = Vec::new();
                for it in prepared {
                    if carry_out(session, &desk, &it).await? {
                        links.push(it.link.text);
                    }
                }
                Ok(links)
            })
        })
        .await
    }
}

/// Carries one act out; whether its link is to be followed.
async fn carry_out(session: &mut Session, desk: &Desk, it: &Prepared) -> Result<bool> {
    match &it.act {
        UserAct::Invite {
            name,
            role,
            expires_at,
            ..
        } => {
            invite(session, desk, it, name, role, *expires_at).await?;
            Ok(true)
        }
        UserAct::Grant {
            role, expires_at, ..
        } => {
            let found = roles::find(session, &desk.sealer, desk.account, role).await?;
            desk.covers(&found)?;
            let id = require_in(session, desk, &it.email).await?;
            // Whoever has not followed this account's link yet is known by an address only: who holds
            // that address here is proven by the link, and by nothing that happened elsewhere.
            let is_pending = held(session, &desk.sealer, id, desk.account)
                .await?
                .is_empty();
            insert_grant(session, desk, id, role, *expires_at, is_pending).await?;
            let words = format!("{role}{}", until(*expires_at));
            desk.note(session, Action::RoleGranted, id.to_string(), words)
                .await?;
            Ok(false)
        }
        UserAct::Withdraw { role, .. } => {
            let found = roles::find(session, &desk.sealer, desk.account, role).await?;
            desk.covers(&found)?;
            let id = require_in(session, desk, &it.email).await?;
            take(session, desk, id, Some(role)).await?;
            let words = role.clone();
            desk.note(session, Action::RoleWithdrawn, id.to_string(), words)
                .await?;
            disabled::end_if_nowhere(session, desk, id).await?;
            Ok(false)
        }
        UserAct::Revoke { .. } => {
            let id = require_in(session, desk, &it.email).await?;
            covers_all(session, desk, id).await?;
            take(session, desk, id, None).await?;
            disabled::enable(session, desk, id).await?;
            links::kill(session, desk, id).await?;
            let words = "every role was taken".to_owned();
            desk.note(session, Action::UserRevoked, id.to_string(), words)
                .await?;
            disabled::end_if_nowhere(session, desk, id).await?;
            Ok(false)
        }
        UserAct::Resend { .. } => {
            resend(session, desk, it).await?;
            Ok(true)
        }
        UserAct::Disable { .. } => {
            let id = require_in(session, desk, &it.email).await?;
            covers_all(session, desk, id).await?;
            let before = admins(session, desk.account).await?;
            if !disabled::disable(session, desk, id).await? {
                return Err(Error::Conflict("this user is disabled already".to_owned()));
            }
            keep_an_admin(session, desk.account, before).await?;
            links::kill(session, desk, id).await?;
            let words = "the roles count no more".to_owned();
            desk.note(session, Action::UserDisabled, id.to_string(), words)
                .await?;
            disabled::end_if_nowhere(session, desk, id).await?;
            Ok(false)
        }
        UserAct::Enable { .. } => {
            let id = require_in(session, desk, &it.email).await?;
            covers_all(session, desk, id).await?;
            if !disabled::enable(session, desk, id).await? {
                return Err(Error::Conflict("this user is not disabled".to_owned()));
            }
            let words = "the roles count again".to_owned();
            desk.note(session, Action::UserEnabled, id.to_string(), words)
                .await?;
            Ok(false)
        }
    }
}

/// Nobody ends, stops or restores more than they have.
async fn covers_all(session: &mut Session, desk: &Desk, id: UserId) -> Result<()> {
    let grants: Vec<Grant> = held(session, &desk.sealer, id, desk.account).await?;
    grants.iter().try_for_each(|it| desk.covers(&it.role))
}

/// Writes the mail of an invitation again, with another link.
async fn resend(session: &mut Session, desk: &Desk, it: &Prepared) -> Result<()> {
    let id = require_in(session, desk, &it.email).await?;
    let Some(role) = offered(session, desk, id).await? else {
        let text = "this user has accepted already, and needs no invitation";
        return Err(Error::Conflict(text.to_owned()));
    };
    desk.covers(&roles::find(session, &desk.sealer, desk.account, &role).await?)?;
    links::kill(session, desk, id).await?;
    links::insert(session, desk, it.link.hash, &role, Some(id)).await?;
    let mail = sign_in::invitation(&it.email, &role, &it.url);
    sign_in::write_mail(session, desk, it.mail, &mail).await?;
    let words = format!("invited again as {role}; the link before is dead");
    desk.note(session, Action::UserInvited, id.to_string(), words)
        .await
}

/// A role that was offered to a user and not accepted.
async fn offered(session: &mut Session, desk: &Desk, id: UserId) -> Result<Option<String>> {
    const ACT: &str = "read an invitation";
    let row = sqlx::query(
        "SELECT role FROM grants WHERE user_id = $1 AND account = $2 AND pending = 1 \
         ORDER BY granted_at DESC, role LIMIT 1",
    )
    .bind(id.0.to_vec())
    .bind(desk.account.as_str().to_owned())
    .fetch_optional(session.connection())
    .await
    .map_err(Error::database(ACT))?;
    row.map(|row| row.try_get(0).map_err(Error::database(ACT)))
        .transpose()
}

async fn invite(
    session: &mut Session,
    desk: &Desk,
    it: &Prepared,
    name: &str,
    role: &str,
    end: Option<Timestamp>,
) -> Result<()> {
    let name = legal_text("a user's name", name)?;
    let found = roles::find(session, &desk.sealer, desk.account, role).await?;
    desk.covers(&found)?;
    let id = match by_email(session, desk, &it.email).await? {
        Some(id) => id,
        None => {
            count_users(session, desk.account).await?;
            insert(session, desk, it.user, &it.email, &name).await?;
            it.user
        }
    };
    // It gives nothing until whoever the address belongs to has followed the link.
    insert_grant(session, desk, id, role, end, true).await?;
    links::insert(session, desk, it.link.hash, role, Some(id)).await?;
    let mail = sign_in::invitation(&it.email, role, &it.url);
    sign_in::write_mail(session, desk, it.mail, &mail).await?;
    let words = format!("invited as {role}{}", until(end));
    desk.note(session, Action::UserInvited, id.to_string(), words)
        .await
}

/// Takes one role, or all of them, unless nobody could manage the account then.
async fn take(session: &mut Session, desk: &Desk, id: UserId, role: Option<&str>) -> Result<()> {
    let before = admins(session, desk.account).await?;
    if delete_grants(session, desk.account, id, role).await? == 0 {
        return Err(Error::NotFound("role of this user".to_owned()));
    }
    keep_an_admin(session, desk.account, before).await
}
