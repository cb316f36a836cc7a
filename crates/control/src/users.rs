//! Users: who has access to which account, in which roles, and until when.
//!
//! A user is known by an email address, which is a sealed field and a keyed hash; nothing else of a
//! user is in the database in plain text. Nobody gives what they do not have, and an account that
//! has an Admin keeps one.

pub(crate) mod bulk;
pub(crate) mod disabled;
pub(crate) mod grants;
pub(crate) mod links;
pub(crate) mod reading;
pub(crate) mod roles;

use governance::access::{Component, GrantedRole, Level, Rights};
use governance::{Scope, Scopes};
use model::{AccountId, Secret, Timestamp};
use serde::Serialize;

use crate::authz::Act;
use crate::control::{Control, Desk};
use crate::database::Session;
use crate::sign_in::Factors;
use crate::{Actor, ActorKind, Error, Result, account};
use bulk::UserAct;

const EMAIL_BYTES_MAX: usize = 254;
const NAME_BYTES_MAX: usize = 200;

/// A user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(pub [u8; 16]);

impl std::fmt::Display for UserId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// A user as an account sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct User {
    /// Its id, as text.
    pub id: String,
    /// Its address.
    pub email: String,
    /// Its name.
    pub name: String,
    /// `invited`, `active`, `locked` or `disabled`.
    pub state: String,
    /// What proves the second factor.
    pub factors: Factors,
    /// When both factors were shown last.
    pub signed_in_at: Option<Timestamp>,
    /// Its roles in the account.
    pub grants: Vec<UserGrant>,
}

/// Whether a user's roles count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enabled {
    /// They do.
    Yes,
    /// They do not.
    No,
}

/// A role that a user has in an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UserGrant {
    /// The role's name.
    pub role: String,
    /// Since when.
    pub granted_at: Timestamp,
    /// Until when; for ever when none.
    pub expires_at: Option<Timestamp>,
    /// Whether it gives nothing until the user has followed the invitation.
    pub is_pending: bool,
}

impl Control {
    /// Gives the owner of an address a role in an account; whoever is new is invited by the link
    /// that is returned, once.
    ///
    /// # Errors
    /// [`model::ErrorKind::Invalid`] for what is not an address, a role that is not of such an
    /// account, or an end that has passed; [`model::ErrorKind::NotFound`] for an unknown account or
    /// role; [`model::ErrorKind::Denied`] when the actor may not, or has less than the role gives.
    pub async fn invite_user(
        &self,
        actor: &Actor,
        account: AccountId,
        email: &str,
        name: &str,
        role: &str,
        expires_at: Option<Timestamp>,
    ) -> Result<Secret<String>> {
        let act = UserAct::Invite {
            email: email.to_owned(),
            name: name.to_owned(),
            role: role.to_owned(),
            expires_at,
        };
        let mut links = self.change_users(actor, account, vec![act]).await?;
        let none = || Error::Internal("failed to make the link of an invitation".to_owned());
        links.pop().ok_or_else(none)
    }

    /// Gives a user another role in an account.
    ///
    /// # Errors
    /// As [`Control::invite_user`].
    pub async fn grant_role(
        &self,
        actor: &Actor,
        account: AccountId,
        email: &str,
        role: &str,
        expires_at: Option<Timestamp>,
    ) -> Result<()> {
        let act = UserAct::Grant {
            email: email.to_owned(),
            role: role.to_owned(),
            expires_at,
        };
        let done = self.change_users(actor, account, vec![act]).await;
        done.map(drop)
    }

    /// Takes a role from a user.
    ///
    /// # Errors
    /// [`model::ErrorKind::Conflict`] when it is the last Admin's; [`model::ErrorKind::NotFound`]
    /// when the user does not have it; [`model::ErrorKind::Denied`].
    pub async fn withdraw_role(
        &self,
        actor: &Actor,
        account: AccountId,
        email: &str,
        role: &str,
    ) -> Result<()> {
        let act = UserAct::Withdraw {
            email: email.to_owned(),
            role: role.to_owned(),
        };
        let done = self.change_users(actor, account, vec![act]).await;
        done.map(drop)
    }

    /// Ends a user's access to an account: every role there is taken, every link dies.
    ///
    /// # Errors
    /// As [`Control::withdraw_role`].
    pub async fn revoke_user(&self, actor: &Actor, account: AccountId, email: &str) -> Result<()> {
        let act = UserAct::Revoke {
            email: email.to_owned(),
        };
        let done = self.change_users(actor, account, vec![act]).await;
        done.map(drop)
    }

    /// Sends an invitation that was not accepted again: the link before is dead.
    ///
    /// # Errors
    /// [`model::ErrorKind::Conflict`] when the user has accepted already;
    /// [`model::ErrorKind::NotFound`]; [`model::ErrorKind::Denied`].
    pub async fn resend_invitation(
        &self,
        actor: &Actor,
        account: AccountId,
        email: &str,
    ) -> Result<Secret<String>> {
        let act = UserAct::Resend {
            email: email.to_owned(),
        };
        let mut links = self.change_users(actor, account, vec![act]).await?;
        let none = || Error::Internal("failed to make the link of an invitation".to_owned());
        links.pop().ok_or_else(none)
    }

    /// Lets a user's roles in an account count no more, or again. Whoever has no role that counts
    /// anywhere is signed out, and does not sign in.
    ///
    /// # Errors
    /// As [`Control::withdraw_role`].
    pub async fn set_user_enabled(
        &self,
        actor: &Actor,
        account: AccountId,
        email: &str,
        enabled: Enabled,
    ) -> Result<()> {
        let email = email.to_owned();
        let act = match enabled {
            Enabled::Yes => UserAct::Enable { email },
            Enabled::No => UserAct::Disable { email },
        };
        let done = self.change_users(actor, account, vec![act]).await;
        done.map(drop)
    }

    /// The users of an account, by address.
    ///
    /// # Errors
    /// [`model::ErrorKind::Denied`]; [`model::ErrorKind::Unavailable`].
    pub async fn users(&self, actor: &Actor, account: AccountId) -> Result<Vec<User>> {
        self.authorize(actor, Act::ReadUsers, account).await?;
        let (sealer, now) = (std::sync::Arc::clone(&self.sealer), self.clock.now());
        self.database
            .read(move |session| {
                Box::pin(async move { reading::list(session, &sealer, account, now).await })
            })
            .await
    }

    /// The owner of an address as an actor, with what the roles amount to at this moment: asked for
    /// at each request, so that who lost a role has lost it at once.
    ///
    /// # Errors
    /// [`model::ErrorKind::NotFound`] when there is no such user; [`model::ErrorKind::Unavailable`].
    pub async fn user_actor(&self, email: &str) -> Result<Actor> {
        let email = legal_email(email)?;
        let (desk, now) = (
            self.desk(&Actor::system("sign-in"), AccountId::installation()),
            self.clock.now(),
        );
        self.database
            .read(move |session| {
                Box::pin(async move {
                    let id = reading::require(session, &desk, &email).await?;
                    let standings = reading::standings(session, &desk.sealer, id, now).await?;
                    Ok(Actor::user(&email, standings))
                })
            })
            .await
    }

    fn refuse_past(&self, end: Option<Timestamp>) -> Result<()> {
        match end {
            Some(end) if end <= self.clock.now() => {
                Err(Error::Invalid("a role must end later than now".to_owned()))
            }
            Some(_) | None => Ok(()),
        }
    }
}

impl Desk {
    /// Whether the actor has all that a role gives: nobody gives, or takes, more than that.
    pub(crate) fn covers(&self, role: &GrantedRole) -> Result<()> {
        let rights = match role {
            GrantedRole::System(role) => role.rights(),
            GrantedRole::Custom { rights, .. } => *rights,
        };
        self.covers_rights(&rights)
    }

    /// As [`Desk::covers`], of rights.
    pub(crate) fn covers_rights(&self, rights: &Rights) -> Result<()> {
        let covered = match &self.actor.kind {
            ActorKind::OsUser(_) => true,
            ActorKind::System(_) => false,
            ActorKind::Passcode {
                account, scopes, ..
            } => *account == self.account && scopes.rights().cover(rights),
            // Whoever sees some people only gives and takes no role: all others let somebody see more.
            ActorKind::User { standings, .. } => standings
                .get(&self.account)
                .is_some_and(|it| it.filters.is_empty() && it.rights.cover(rights)),
        };
        if covered {
            return Ok(());
        }
        Err(Error::Exceeds("give or take a role"))
    }

    /// Whether the actor has all that a passcode is to be good for.
    pub(crate) fn covers_scopes(&self, scopes: &Scopes) -> Result<()> {
        let data = scopes.data().iter();
        let needed = match &self.actor.kind {
            // A program gives of what it has itself, word by word.
            ActorKind::Passcode { scopes: own, .. } => {
                let mut data = data;
                data.all(|it| own.hold(*it)).then(|| *scopes.rights())
            }
            ActorKind::OsUser(_) | ActorKind::System(_) | ActorKind::User { .. } => {
                let all = data.map(|it| rights_of(*it));
                Some(all.fold(*scopes.rights(), |all, more| all.union(&more)))
            }
        };
        match needed {
            Some(rights) if self.covers_rights(&rights).is_ok() => Ok(()),
            Some(_) | None => Err(Error::Exceeds("make a passcode")),
        }
    }
}

/// What a user must have to make a passcode of a scope. Who makes one that sends needs no right to
/// people: it shows nothing.
fn rights_of(scope: Scope) -> Rights {
    use Component as C;
    match scope {
        Scope::Upload => Rights::NONE,
        Scope::Read => Rights::of(&[
            (C::Analysis, Level::Read),
            (C::People, Level::Read),
            (C::Exports, Level::Read),
        ]),
        Scope::PersonalInformation => Rights::of(&[(C::PersonalInformation, Level::Write)]),
        Scope::Delete => Rights::of(&[(C::PrivacyRequests, Level::Write)]),
    }
}

fn until(end: Option<Timestamp>) -> String {
    end.map_or_else(String::new, |end| format!(" until {end}"))
}

/// An address as it is looked for: without white space around it, in small letters.
pub(crate) fn legal_email(text: &str) -> Result<String> {
    let text = text.trim().to_lowercase();
    let parts = text.split_once('@');
    let legal = text.len() <= EMAIL_BYTES_MAX
        && !text.contains(|it: char| it.is_whitespace() || it.is_control())
        && parts.is_some_and(|(local, domain)| {
            !local.is_empty() && !domain.is_empty() && !domain.contains('@')
        });
    if legal {
        return Ok(text);
    }
    Err(Error::Invalid(
        "what was given is not an email address".to_owned(),
    ))
}

pub(crate) fn legal_text(what: &str, text: &str) -> Result<String> {
    let text = text.trim();
    if text.len() > NAME_BYTES_MAX || text.chars().any(char::is_control) {
        return Err(Error::Invalid(format!(
            "{what} must be at most {NAME_BYTES_MAX} bytes without control characters"
        )));
    }
    Ok(text.to_owned())
}

/// Fails unless it is the installation, or an account that exists.
pub(crate) async fn require_place(session: &mut Session, place: AccountId) -> Result<()> {
    if place == AccountId::installation() {
        return Ok(());
    }
    account::require(session, place).await
}

/// Sets how far a user has come.
pub(crate) async fn set_state(session: &mut Session, id: UserId, state: &str) -> Result<()> {
    sqlx::query("UPDATE users SET state = $2 WHERE id = $1")
        .bind(id.0.to_vec())
        .bind(state.to_owned())
        .execute(session.connection())
        .await
        .map(|_| ())
        .map_err(Error::database("write a user"))
}

pub(crate) async fn insert(
    session: &mut Session,
    desk: &Desk,
    id: UserId,
    email: &str,
    name: &str,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO users (id, email_hash, email_sealed, name_sealed, state, created_at) \
         VALUES ($1, $2, $3, $4, 'invited', $5)",
    )
    .bind(id.0.to_vec())
    .bind(desk.sealer.hash("user email", email))
    .bind(desk.sealer.seal(&format!("users/email/{id}"), email)?)
    .bind(desk.sealer.seal(&format!("users/name/{id}"), name)?)
    .bind(desk.now.ms())
    .execute(session.connection())
    .await
    .map(|_| ())
    .map_err(Error::database("write a user"))
}
