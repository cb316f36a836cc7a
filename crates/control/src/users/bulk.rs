//! Several acts on users as one: all of them happen, or none.

use governance::access::Grant;
use model::{AccountId, Secret, Timestamp};

use super::links::{self, NewLink};
use super::{
    UserId, admins, by_email, count_users, delete_grants, grants_of, insert, insert_grant,
    keep_an_admin, legal_email, legal_text, require_in, require_place, roles, until,
};
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
}

impl UserAct {
    /// Whom it is about.
    #[must_use]
    pub fn email(&self) -> &str {
        match self {
            Self::Invite { email, .. }
            | Self::Grant { email, .. }
            | Self::Withdraw { email, .. }
            | Self::Revoke { email } => email,
        }
    }

    const fn end(&self) -> Option<Timestamp> {
        match self {
            Self::Invite { expires_at, .. } | Self::Grant { expires_at, .. } => *expires_at,
            Self::Withdraw { .. } | Self::Revoke { .. } => None,
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
            let found = roles::find(session, desk.account, role).await?;
            desk.covers(&found)?;
            let id = require_in(session, desk, &it.email).await?;
            // Whoever has not followed this account's link yet is known by an address only: who holds
            // that address here is proven by the link, and by nothing that happened elsewhere.
            let is_pending = grants_of(session, id, desk.account).await?.is_empty();
            insert_grant(session, desk, id, role, *expires_at, is_pending).await?;
            let words = format!("{role}{}", until(*expires_at));
            desk.note(session, Action::RoleGranted, id.to_string(), words)
                .await?;
            Ok(false)
        }
        UserAct::Withdraw { role, .. } => {
            let found = roles::find(session, desk.account, role).await?;
            desk.covers(&found)?;
            let id = require_in(session, desk, &it.email).await?;
            take(session, desk, id, Some(role)).await?;
            let words = role.clone();
            desk.note(session, Action::RoleWithdrawn, id.to_string(), words)
                .await?;
            Ok(false)
        }
        UserAct::Revoke { .. } => {
            let id = require_in(session, desk, &it.email).await?;
            let grants: Vec<Grant> = grants_of(session, id, desk.account).await?;
            for grant in grants {
                desk.covers(&grant.role)?;
            }
            take(session, desk, id, None).await?;
            links::kill(session, desk, id).await?;
            let words = "every role was taken".to_owned();
            desk.note(session, Action::UserRevoked, id.to_string(), words)
                .await?;
            Ok(false)
        }
    }
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
    let found = roles::find(session, desk.account, role).await?;
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
