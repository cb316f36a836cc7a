//! The ways in: set-up links, invitations and forgotten passwords. Each link works once.

use model::{AccountId, Secret, Timestamp};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::mail::{self, Mail};
use super::session::{self, Client, NewSession, SignedIn, Stage};
use super::words::Whose;
use super::{actor, failures, note, password, password_of, write_password};
use crate::authz::Act;
use crate::control::{Control, Desk};
use crate::database::Session;
use crate::users::links::{self, Invitation, NewLink, Purpose};
use crate::users::{self, UserId};
use crate::{Action, Actor, AuditOutcome, Error, Result};

/// How long failures, sessions, links and mails are kept that have no meaning any more.
const OLD: Duration = Duration::from_secs(30 * 86_400);
/// How long the link of a forgotten password works.
pub(crate) const RESET_LIFE: Duration = Duration::from_secs(30 * 60);

/// What a link is for, before it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkView {
    /// Where it leads.
    pub invitation: Invitation,
    /// The invited address; none when its bearer names itself.
    pub email: Option<String>,
    /// The invited user's name.
    pub name: String,
    /// Whether the user has a password: then signing in is enough.
    pub is_known: bool,
}

/// What the bearer of a link says of itself.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// The address; of no use where the link names one.
    pub email: String,
    /// The name.
    pub name: String,
    /// The password from now on.
    pub password: Secret<String>,
    /// Whether the terms were accepted.
    pub accepts_terms: bool,
}

impl Control {
    /// What a link is for; it is not used up.
    ///
    /// # Errors
    /// [`model::ErrorKind::NotFound`] when it is unknown, used, dead or too old: which, is not said.
    pub async fn link(&self, text: &str) -> Result<LinkView> {
        let (desk, hash) = (self.sign_in_desk(&actor("", None)), links::hash(text));
        self.database
            .read(move |session| {
                Box::pin(async move {
                    let found = links::peek(session, hash, desk.now).await?;
                    let invitation = found.ok_or_else(dead)?;
                    view(session, &desk, invitation).await
                })
            })
            .await
    }

    /// Writes down that somebody presented a link that is unknown, used, dead or too old.
    ///
    /// # Errors
    /// [`model::ErrorKind::Unavailable`] when it cannot be written.
    pub async fn note_dead_link(&self, client: &Client) -> Result<()> {
        let desk = self.sign_in_desk(&actor("unknown", client.peer));
        self.database
            .write(move |session| {
                Box::pin(async move {
                    let (action, outcome) = (Action::LinkUsed, AuditOutcome::Refused);
                    let words = String::from("it is unknown, used, dead or too old");
                    desk.note_outcome(session, action, String::from("link"), words, outcome)
                        .await
                })
            })
            .await
    }

    /// Uses a link up: its bearer gets a password, or another one, and a session that still wants a
    /// second factor.
    ///
    /// A user who has a password already keeps it, whatever an invitation says: only the link of a
    /// forgotten password changes one, and no link ever touches a second factor.
    ///
    /// # Errors
    /// [`model::ErrorKind::NotFound`] as [`Control::link`]; [`model::ErrorKind::Invalid`] when the
    /// password, the address or the name is not taken, or the terms are not accepted;
    /// [`model::ErrorKind::Conflict`] when the address is a user's who must sign in instead.
    pub async fn follow_link(
        &self,
        text: &str,
        new: NewUser,
        client: &Client,
    ) -> Result<NewSession> {
        let hash = links::hash(text);
        let seen = self.link(text).await?;
        let email = match &seen.email {
            Some(email) => email.clone(),
            None => users::legal_email(&new.email)?,
        };
        let name = match seen.name.is_empty() {
            true => users::legal_text("a name", &new.name)?,
            false => seen.name.clone(),
        };
        if !new.accepts_terms && seen.invitation.purpose == Purpose::Invitation {
            return Err(Error::Invalid("the terms must be accepted".to_owned()));
        }
        let words = self.words_around(Whose {
            email: &email,
            name: &name,
            user: seen.invitation.user,
            account: Some(seen.invitation.account),
        });
        password::check(new.password.expose(), &words.await?)?;
        let made = self.hash_password(new.password.expose()).await?;
        let desk = self.sign_in_desk(&actor(&email, client.peer));
        let (random, client) = (Arc::clone(&self.random), client.clone());
        let fresh = UserId(self.random.bytes16());
        self.database
            .write(move |session| {
                Box::pin(async move {
                    let taken = links::take(session, hash, desk.now).await?;
                    let invitation = taken.ok_or_else(dead)?;
                    let id = match invitation.purpose {
                        Purpose::Reset => {
                            let id = invitation.user.ok_or_else(dead)?;
                            forget_failures(session, &desk, &email).await?;
                            session::delete(session, id, None, None).await?;
                            let words = "by the link of a forgotten password; sessions ended";
                            let object = id.to_string();
                            note(session, &desk, id, Action::PasswordSet, &object, words).await?;
                            id
                        }
                        Purpose::Invitation => {
                            join(session, &desk, &invitation, fresh, &email, &name).await?
                        }
                    };
                    write_password(session, &desk, id, &made).await?;
                    if invitation.purpose == Purpose::Invitation {
                        accept_terms(session, &desk, id).await?;
                    }
                    let stage = match session::factors(session, id).await?.any() {
                        true => Stage::Half,
                        false => Stage::Enrol,
                    };
                    session::insert(session, &desk, random.as_ref(), id, stage, &client).await
                })
            })
            .await
    }

    /// Uses a link up for somebody who has signed in: the role that it gives is theirs.
    ///
    /// # Errors
    /// [`model::ErrorKind::NotFound`] as [`Control::link`], and for an invitation of somebody else.
    pub async fn accept_link(&self, text: &str, by: &SignedIn) -> Result<AccountId> {
        let (hash, user) = (links::hash(text), by.user);
        let desk = self.sign_in_desk(&by.actor);
        self.database
            .write(move |session| {
                Box::pin(async move {
                    let taken = links::take(session, hash, desk.now).await?;
                    let invitation = taken
                        .filter(|it| it.purpose == Purpose::Invitation)
                        .filter(|it| it.user.is_none_or(|invited| invited == user))
                        .ok_or_else(dead)?;
                    settle(session, &desk, &invitation, user).await?;
                    Ok(invitation.account)
                })
            })
            .await
    }

    /// Sends a link to whoever has forgotten the password. The answer, and what is done in the time of
    /// it, is the same for an address that nobody has.
    ///
    /// # Errors
    /// [`model::ErrorKind::Unavailable`] when it cannot be written down.
    pub async fn forget_password(&self, email: &str, peer: Option<IpAddr>) -> Result<()> {
        let email = users::legal_email(email).unwrap_or_default();
        let now = self.clock.now();
        if !self.gate.networks.admit(peer, now) {
            return Ok(());
        }
        // Mails can be used to annoy, so asking counts as much as failing.
        self.gate.networks.count(peer, now);
        let link = NewLink::generate(self.random.as_ref());
        let mail = Mail {
            to: email.clone(),
            subject: "Set a new password for Strongroom".to_owned(),
            text: format!(
                "Somebody, probably you, asked for a new password for the Strongroom console.\n\n\
                 Open this link within 30 minutes to set one; it works once:\n\n\
                 {}\n\n\
                 Your second factor stays as it is. If it was not you, there is nothing to do.\n",
                self.link_url(&link.text)
            ),
        };
        let (desk, id) = (
            self.sign_in_desk(&actor(&email, peer)),
            self.random.bytes16(),
        );
        self.database
            .write(move |session| {
                Box::pin(async move {
                    let (action, words) = (Action::PasswordResetAsked, "by mail");
                    let found = users::reading::by_email(session, &desk, &email).await?;
                    let user = match found {
                        Some(user) => password_of(session, &desk, user).await?.map(|_| user),
                        None => None,
                    };
                    let Some(user) = user else {
                        let outcome = AuditOutcome::Refused;
                        return desk
                            .note_outcome(session, action, String::new(), words.to_owned(), outcome)
                            .await;
                    };
                    links::insert_reset(session, &desk, link.hash, user).await?;
                    mail::write(session, &desk, id, &mail).await?;
                    note(session, &desk, user, action, &user.to_string(), words).await
                })
            })
            .await
    }

    /// Forgets what has no meaning any more: failures of addresses that nobody has failed for since long,
    /// sessions that are over, links and mails that are old. Returns how many rows went.
    ///
    /// # Errors
    /// [`model::ErrorKind::Unavailable`] when it cannot be written.
    pub async fn sweep_sign_ins(&self) -> Result<u64> {
        let now = self.clock.now();
        self.database
            .write(move |session| {
                Box::pin(async move {
                    let old = now.minus(OLD).ms();
                    let mut gone = 0;
                    for sql in [
                        "DELETE FROM failures WHERE failed_at < $1 AND paused_until < $1",
                        "DELETE FROM sessions WHERE created_at < $1",
                        "DELETE FROM links WHERE expires_at < $1",
                        "DELETE FROM mails WHERE created_at < $1",
                    ] {
                        let done = sqlx::query(sql)
                            .bind(old)
                            .execute(session.connection())
                            .await
                            .map_err(Error::database("forget old sign-ins"))?;
                        gone += done.rows_affected();
                    }
                    Ok(gone)
                })
            })
            .await
    }

    /// Lets a user of the account sign in again who is paused after failed attempts.
    ///
    /// # Errors
    /// [`model::ErrorKind::NotFound`] when the account has no such user;
    /// [`model::ErrorKind::Denied`].
    pub async fn unlock_user(&self, actor: &Actor, account: AccountId, email: &str) -> Result<()> {
        let email = users::legal_email(email)?;
        self.act(actor, Act::ManageUsers, account, move |session, desk| {
            Box::pin(async move {
                let id = users::reading::require_in(session, &desk, &email).await?;
                forget_failures(session, &desk, &email).await?;
                let words = "failed attempts are forgotten".to_owned();
                desk.note(session, Action::UserUnlocked, id.to_string(), words)
                    .await
            })
        })
        .await
    }

    /// Takes a user's second factors away, so that the next sign-in sets one up; sessions end.
    ///
    /// # Errors
    /// As [`Control::unlock_user`]; [`model::ErrorKind::Denied`] also when the user has a role
    /// elsewhere that the actor does not cover: nobody gets into another account this way.
    pub async fn reset_factors(
        &self,
        actor: &Actor,
        account: AccountId,
        email: &str,
    ) -> Result<()> {
        let email = users::legal_email(email)?;
        self.act(actor, Act::ManageUsers, account, move |session, desk| {
            Box::pin(async move {
                let id = users::reading::require_in(session, &desk, &email).await?;
                for elsewhere in users::reading::accounts_of(session, id).await? {
                    let place = Desk {
                        account: elsewhere,
                        ..desk.clone()
                    };
                    for grant in users::reading::held(session, &desk.sealer, id, elsewhere).await? {
                        place.covers(&grant.role)?;
                    }
                }
                for sql in [
                    "UPDATE proofs SET totp_sealed = NULL WHERE user_id = $1",
                    "DELETE FROM passkeys WHERE user_id = $1",
                    "DELETE FROM recovery_codes WHERE user_id = $1",
                    "DELETE FROM sessions WHERE user_id = $1",
                ] {
                    sqlx::query(sql)
                        .bind(id.0.to_vec())
                        .execute(session.connection())
                        .await
                        .map_err(Error::database("take second factors away"))?;
                }
                let words = "every second factor is gone; the next sign-in sets one up".to_owned();
                desk.note(session, Action::FactorReset, id.to_string(), words)
                    .await
            })
        })
        .await
    }
}

fn dead() -> Error {
    Error::NotFound("link that still works".to_owned())
}

async fn view(session: &mut Session, desk: &Desk, invitation: Invitation) -> Result<LinkView> {
    let Some(user) = invitation.user else {
        return Ok(LinkView {
            invitation,
            email: None,
            name: String::new(),
            is_known: false,
        });
    };
    let (email, name) = users::reading::person(session, &desk.sealer, user).await?;
    Ok(LinkView {
        email: Some(email),
        name,
        is_known: password_of(session, desk, user).await?.is_some(),
        invitation,
    })
}

/// The user that an invitation makes of its bearer.
async fn join(
    session: &mut Session,
    desk: &Desk,
    invitation: &Invitation,
    fresh: UserId,
    email: &str,
    name: &str,
) -> Result<UserId> {
    let id = match invitation.user {
        Some(id) => id,
        None => match users::reading::by_email(session, desk, email).await? {
            Some(id) => id,
            None => {
                users::insert(session, desk, fresh, email, name).await?;
                fresh
            }
        },
    };
    // Whoever has a password is somebody already: only they may say what it is.
    if password_of(session, desk, id).await?.is_some() {
        return Err(Error::Conflict(
            "this address has a password already: sign in, then open the link again".to_owned(),
        ));
    }
    settle(session, desk, invitation, id).await?;
    Ok(id)
}

/// Gives the user what the invitation promises.
async fn settle(
    session: &mut Session,
    desk: &Desk,
    invitation: &Invitation,
    user: UserId,
) -> Result<()> {
    let desk = Desk {
        account: invitation.account,
        ..desk.clone()
    };
    match invitation.user {
        Some(_) => users::grants::activate_grants(session, &desk, user).await?,
        None => {
            users::grants::insert_grant(session, &desk, user, &invitation.role, None, false).await?
        }
    }
    let words = format!("accepted; {}", invitation.role);
    desk.note(session, Action::LinkUsed, user.to_string(), words)
        .await
}

async fn accept_terms(session: &mut Session, desk: &Desk, user: UserId) -> Result<()> {
    sqlx::query("UPDATE proofs SET terms_at = $2 WHERE user_id = $1")
        .bind(user.0.to_vec())
        .bind(desk.now.ms())
        .execute(session.connection())
        .await
        .map_err(Error::database("note that terms were accepted"))?;
    let (object, words) = (user.to_string(), "terms of 2026-11");
    note(session, desk, user, Action::TermsAccepted, &object, words).await
}

async fn forget_failures(session: &mut Session, desk: &Desk, email: &str) -> Result<()> {
    failures::clear(session, &desk.sealer.hash("user email", email)).await
}

/// When a user's address is locked, until when; for the list of users.
///
/// # Errors
/// [`model::ErrorKind::Unavailable`] when the database does not answer.
pub(crate) async fn locked_until(
    session: &mut Session,
    email_hash: &[u8],
    now: Timestamp,
) -> Result<Option<Timestamp>> {
    let failed = failures::read(session, email_hash).await?;
    Ok(failed
        .is_locked(now)
        .then(|| Timestamp::from_ms(failed.paused_until)))
}
