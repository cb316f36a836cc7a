//! Users: who has access to which account, in which roles, and until when.
//!
//! A user is known by an email address, which is a sealed field and a keyed hash; nothing else of a
//! user is in the database in plain text. Nobody gives what they do not have, and an account that
//! has an Admin keeps one.

pub(crate) mod bulk;
pub(crate) mod disabled;
pub(crate) mod links;
pub(crate) mod roles;

use governance::access::{Component, Grant, GrantedRole, Level, Rights, Standing, SystemRole};
use governance::{Scope, Scopes};
use model::{AccountId, Secret, Timestamp};
use serde::Serialize;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;
use std::collections::BTreeMap;

use crate::authz::Act;
use crate::control::{Control, Desk};
use crate::database::Session;
use crate::sealer::Sealer;
use crate::sign_in::{self, Factors};
use crate::{Actor, ActorKind, Error, Result, account};
use bulk::UserAct;

const EMAIL_BYTES_MAX: usize = 254;
const NAME_BYTES_MAX: usize = 200;
/// Users of one account.
const USERS_MAX: i64 = 10_000;
/// Grants of one user in one account.
const GRANTS_MAX: i64 = 20;

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
                Box::pin(async move { read_users(session, &sealer, account, now).await })
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
                    let id = require(session, &desk, &email).await?;
                    let standings = standings(session, &desk.sealer, id, now).await?;
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

pub(crate) async fn by_email(
    session: &mut Session,
    desk: &Desk,
    email: &str,
) -> Result<Option<UserId>> {
    const ACT: &str = "look for a user";
    let row = sqlx::query("SELECT id FROM users WHERE email_hash = $1")
        .bind(desk.sealer.hash("user email", email))
        .fetch_optional(session.connection())
        .await
        .map_err(Error::database(ACT))?;
    row.map(|row| user_id(&row)).transpose()
}

async fn require(session: &mut Session, desk: &Desk, email: &str) -> Result<UserId> {
    let found = by_email(session, desk, email).await?;
    found.ok_or_else(|| Error::NotFound("user".to_owned()))
}

/// The owner of an address who has, or was offered, a role in the account.
pub(crate) async fn require_in(session: &mut Session, desk: &Desk, email: &str) -> Result<UserId> {
    let id = require(session, desk, email).await?;
    match accounts_of(session, id).await?.contains(&desk.account) {
        true => Ok(id),
        false => Err(Error::NotFound("user".to_owned())),
    }
}

/// A user's address and name.
pub(crate) async fn person(
    session: &mut Session,
    sealer: &Sealer,
    id: UserId,
) -> Result<(String, String)> {
    const ACT: &str = "read a user";
    let row = sqlx::query("SELECT email_sealed, name_sealed FROM users WHERE id = $1")
        .bind(id.0.to_vec())
        .fetch_one(session.connection())
        .await
        .map_err(Error::database(ACT))?;
    let email: Vec<u8> = row.try_get(0).map_err(Error::database(ACT))?;
    let name: Vec<u8> = row.try_get(1).map_err(Error::database(ACT))?;
    Ok((
        sealer.open(&format!("users/email/{id}"), &email)?,
        sealer.open(&format!("users/name/{id}"), &name)?,
    ))
}

/// What a user's roles amount to, in each account.
pub(crate) async fn standings(
    session: &mut Session,
    sealer: &Sealer,
    id: UserId,
    now: Timestamp,
) -> Result<BTreeMap<AccountId, Standing>> {
    let mut standings = BTreeMap::new();
    for account in accounts_of(session, id).await? {
        let grants = grants_of(session, sealer, id, account).await?;
        standings.insert(account, Standing::of(&grants, now));
    }
    Ok(standings)
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

/// The addresses of everybody who has the highest role in the desk's account.
pub(crate) async fn admin_emails(session: &mut Session, desk: &Desk) -> Result<Vec<String>> {
    const ACT: &str = "read Admins";
    let rows = sqlx::query(
        "SELECT user_id FROM grants g WHERE account = $1 AND role = $2 AND pending = 0 \
         AND NOT EXISTS (SELECT 1 FROM disabled_users d \
         WHERE d.user_id = g.user_id AND d.account = g.account) ORDER BY user_id",
    )
    .bind(desk.account.as_str().to_owned())
    .bind(highest(desk.account).as_str())
    .fetch_all(session.connection())
    .await
    .map_err(Error::database(ACT))?;
    let mut emails = Vec::with_capacity(rows.len());
    for row in &rows {
        emails.push(person(session, &desk.sealer, user_id(row)?).await?.0);
    }
    Ok(emails)
}

/// Lets the roles count that a user was invited to in the account.
pub(crate) async fn activate_grants(session: &mut Session, desk: &Desk, id: UserId) -> Result<()> {
    sqlx::query("UPDATE grants SET pending = 0 WHERE user_id = $1 AND account = $2")
        .bind(id.0.to_vec())
        .bind(desk.account.as_str().to_owned())
        .execute(session.connection())
        .await
        .map(|_| ())
        .map_err(Error::database("write a grant"))
}

fn user_id(row: &SqliteRow) -> Result<UserId> {
    let id: Vec<u8> = row.try_get(0).map_err(Error::database("read a user"))?;
    let id = id
        .try_into()
        .map_err(|_| Error::damaged("a user", "its id is malformed"))?;
    Ok(UserId(id))
}

async fn count_users(session: &mut Session, account: AccountId) -> Result<()> {
    const ACT: &str = "count users";
    let row = sqlx::query("SELECT COUNT(DISTINCT user_id) FROM grants WHERE account = $1")
        .bind(account.as_str().to_owned())
        .fetch_one(session.connection())
        .await
        .map_err(Error::database(ACT))?;
    let count: i64 = row.try_get(0).map_err(Error::database(ACT))?;
    if count >= USERS_MAX {
        return Err(Error::Invalid(format!(
            "an account has at most {USERS_MAX} users"
        )));
    }
    Ok(())
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

/// Gives a role; one that is pending gives nothing yet, and never takes from one that counts.
pub(crate) async fn insert_grant(
    session: &mut Session,
    desk: &Desk,
    id: UserId,
    role: &str,
    expires_at: Option<Timestamp>,
    is_pending: bool,
) -> Result<()> {
    const ACT: &str = "write a grant";
    let row = sqlx::query("SELECT COUNT(*) FROM grants WHERE user_id = $1 AND account = $2")
        .bind(id.0.to_vec())
        .bind(desk.account.as_str().to_owned())
        .fetch_one(session.connection())
        .await
        .map_err(Error::database(ACT))?;
    let held: i64 = row.try_get(0).map_err(Error::database(ACT))?;
    if held >= GRANTS_MAX {
        return Err(Error::Invalid(format!(
            "a user has at most {GRANTS_MAX} roles"
        )));
    }
    roles::refuse_second_filter_of(session, desk, id, role).await?;
    let before = admins(session, desk.account).await?;
    sqlx::query(
        "INSERT INTO grants (user_id, account, role, granted_at, expires_at, pending) \
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (user_id, account, role) \
         DO UPDATE SET granted_at = excluded.granted_at, expires_at = excluded.expires_at, \
         pending = MIN(grants.pending, excluded.pending)",
    )
    .bind(id.0.to_vec())
    .bind(desk.account.as_str().to_owned())
    .bind(role.to_owned())
    .bind(desk.now.ms())
    .bind(expires_at.map(Timestamp::ms))
    .bind(i64::from(is_pending))
    .execute(session.connection())
    .await
    .map_err(Error::database(ACT))?;
    // An Admin who is given an end may have been the last one without.
    keep_an_admin(session, desk.account, before).await
}

/// Takes one role, or all of them.
async fn delete_grants(
    session: &mut Session,
    account: AccountId,
    id: UserId,
    role: Option<&str>,
) -> Result<u64> {
    let done = sqlx::query(
        "DELETE FROM grants WHERE user_id = $1 AND account = $2 AND ($3 IS NULL OR role = $3)",
    )
    .bind(id.0.to_vec())
    .bind(account.as_str().to_owned())
    .bind(role.map(str::to_owned))
    .execute(session.connection())
    .await
    .map_err(Error::database("take a role"))?;
    Ok(done.rows_affected())
}

/// How many users have the account's highest role without an end.
async fn admins(session: &mut Session, account: AccountId) -> Result<i64> {
    const ACT: &str = "count Admins";
    let row = sqlx::query(
        "SELECT COUNT(*) FROM grants g WHERE account = $1 AND role = $2 AND expires_at IS NULL \
         AND pending = 0 AND NOT EXISTS (SELECT 1 FROM disabled_users d \
         WHERE d.user_id = g.user_id AND d.account = g.account)",
    )
    .bind(account.as_str().to_owned())
    .bind(highest(account).as_str())
    .fetch_one(session.connection())
    .await
    .map_err(Error::database(ACT))?;
    row.try_get(0).map_err(Error::database(ACT))
}

fn highest(account: AccountId) -> SystemRole {
    match account == AccountId::installation() {
        true => SystemRole::Operator,
        false => SystemRole::Admin,
    }
}

/// An account that had an Admin `before` must still have one; the installation an Operator.
async fn keep_an_admin(session: &mut Session, account: AccountId, before: i64) -> Result<()> {
    if before == 0 || admins(session, account).await? > 0 {
        return Ok(());
    }
    Err(Error::Conflict(format!(
        "the last {} cannot be removed or demoted, and its role cannot end: give somebody else the \
         role first",
        highest(account).as_str()
    )))
}

/// The roles that count, of a user in the account: none while the user is disabled there.
pub(crate) async fn grants_of(
    session: &mut Session,
    sealer: &Sealer,
    id: UserId,
    account: AccountId,
) -> Result<Vec<Grant>> {
    if disabled::is_disabled(session, id, account).await? {
        return Ok(Vec::new());
    }
    held(session, sealer, id, account).await
}

/// The roles that a user has in the account, disabled or not.
pub(crate) async fn held(
    session: &mut Session,
    sealer: &Sealer,
    id: UserId,
    account: AccountId,
) -> Result<Vec<Grant>> {
    const ACT: &str = "read grants";
    let rows = sqlx::query(
        "SELECT role, expires_at FROM grants \
         WHERE user_id = $1 AND account = $2 AND pending = 0 ORDER BY role",
    )
    .bind(id.0.to_vec())
    .bind(account.as_str().to_owned())
    .fetch_all(session.connection())
    .await
    .map_err(Error::database(ACT))?;
    let mut grants = Vec::with_capacity(rows.len());
    for row in &rows {
        let role: String = row.try_get(0).map_err(Error::database(ACT))?;
        let end: Option<i64> = row.try_get(1).map_err(Error::database(ACT))?;
        grants.push(Grant {
            role: roles::find(session, sealer, account, &role).await?,
            expires_at: end.map(Timestamp::from_ms),
        });
    }
    Ok(grants)
}

/// The accounts where a user has, or was offered, a role.
pub(crate) async fn accounts_of(session: &mut Session, id: UserId) -> Result<Vec<AccountId>> {
    const ACT: &str = "read grants";
    let rows = sqlx::query("SELECT DISTINCT account FROM grants WHERE user_id = $1")
        .bind(id.0.to_vec())
        .fetch_all(session.connection())
        .await
        .map_err(Error::database(ACT))?;
    rows.iter()
        .map(|row| {
            let account: String = row.try_get(0).map_err(Error::database(ACT))?;
            let damaged = |_| Error::damaged("a grant", "its account is malformed");
            account.parse().map_err(damaged)
        })
        .collect()
}

async fn read_users(
    session: &mut Session,
    sealer: &Sealer,
    account: AccountId,
    now: Timestamp,
) -> Result<Vec<User>> {
    const ACT: &str = "read users";
    let rows = sqlx::query(
        "SELECT u.id, u.email_hash, u.state, p.signed_in_at, g.role, g.granted_at, g.expires_at, \
         g.pending FROM users u JOIN grants g ON g.user_id = u.id \
         LEFT JOIN proofs p ON p.user_id = u.id WHERE g.account = $1 ORDER BY u.id, g.role",
    )
    .bind(account.as_str().to_owned())
    .fetch_all(session.connection())
    .await
    .map_err(Error::database(ACT))?;
    let mut users: Vec<User> = Vec::new();
    for row in &rows {
        let id = user_id(row)?;
        let at: i64 = row.try_get(5).map_err(Error::database(ACT))?;
        let end: Option<i64> = row.try_get(6).map_err(Error::database(ACT))?;
        let pending: i64 = row.try_get(7).map_err(Error::database(ACT))?;
        let grant = UserGrant {
            role: row.try_get(4).map_err(Error::database(ACT))?,
            granted_at: Timestamp::from_ms(at),
            expires_at: end.map(Timestamp::from_ms),
            is_pending: pending != 0,
        };
        if let Some(last) = users.last_mut().filter(|last| last.id == id.to_string()) {
            last.grants.push(grant);
            continue;
        }
        let (email, name) = person(session, sealer, id).await?;
        let hash: Vec<u8> = row.try_get(1).map_err(Error::database(ACT))?;
        let state: String = row.try_get(2).map_err(Error::database(ACT))?;
        let is_locked = sign_in::locked_until(session, &hash, now).await?.is_some();
        let signed_in: Option<i64> = row.try_get(3).map_err(Error::database(ACT))?;
        users.push(User {
            id: id.to_string(),
            email,
            name,
            state: match (
                disabled::is_disabled(session, id, account).await?,
                is_locked,
            ) {
                (true, _) => "disabled".to_owned(),
                (false, true) => "locked".to_owned(),
                (false, false) => state,
            },
            factors: sign_in::session::factors(session, id).await?,
            signed_in_at: signed_in.map(Timestamp::from_ms),
            grants: vec![grant],
        });
    }
    users.sort_by(|a, b| a.email.cmp(&b.email));
    Ok(users)
}
