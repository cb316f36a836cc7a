//! Signing in: a password, then a second factor, then a session; nobody gets further with less.
//!
//! An attempt is judged the same way whether the address is a user's or not: the failures of the
//! address are read, a password is hashed, one transaction is written. So neither the answer nor the
//! time it takes says who is a user. Every step, and every refusal, is in the audit log of each
//! account where the user has a role, or else of the installation.

mod failures;
mod limits;
mod mail;
mod onboarding;
mod passkey;
mod password;
mod proofs;
mod recovery;
pub(crate) mod session;
mod sessions;
mod totp;
mod words;

use governance::access::Standing;
use model::{AccountId, Secret, Timestamp};
use std::net::IpAddr;
use std::sync::Arc;

use crate::control::{Control, Desk};
use crate::database::Session;
use crate::users::disabled::is_disabled_everywhere;
use crate::users::{self, UserId};
use crate::{Action, Actor, AuditOutcome, Error, Result};

pub(crate) use failures::Networks;
pub use limits::SessionLimits;
pub use mail::{Mail, OutboxEntry};
pub(crate) use mail::{invitation, write as write_mail};
pub use onboarding::{LinkView, NewUser};
pub(crate) use onboarding::{RESET_LIFE, locked_until};
pub use passkey::{PasskeyView, Passkeys};
pub(crate) use password::Hasher;
pub use password::{PASSWORD_CHARS_MAX, PASSWORD_CHARS_MIN};
use proofs::{note_sign_in, password_of, take_totp, write_password, write_totp};
pub use session::{Client, Factors, NewSession, SignedIn, Stage};
pub use sessions::SessionView;
pub use totp::TotpOffer;
use words::Whose;

/// Passwords that are hashed at a time: each takes 19 MiB and a core.
const HASHES_AT_A_TIME: usize = 2;

/// What signing in needs besides the database.
#[derive(Debug)]
pub(crate) struct Gate {
    hasher: Hasher,
    networks: Networks,
    hashing: Arc<tokio::sync::Semaphore>,
    passkeys: Passkeys,
}

impl Gate {
    pub(crate) fn new(secret: Secret<[u8; 32]>, passkeys: Passkeys) -> Self {
        Self {
            hasher: Hasher::new(secret),
            networks: Networks::default(),
            hashing: Arc::new(tokio::sync::Semaphore::new(HASHES_AT_A_TIME)),
            passkeys,
        }
    }
}

/// A second factor that is typed.
#[derive(Debug, Clone)]
pub enum Code {
    /// Of an authenticator app.
    Totp(String),
    /// One of the recovery codes.
    Recovery(String),
}

/// A second factor just set up, and what goes with it.
#[derive(Debug, Clone)]
pub struct Enrolled {
    /// The session from now on.
    pub session: NewSession,
    /// Recovery codes, shown once; none when the user has some already.
    pub recovery_codes: Vec<Secret<String>>,
}

impl Control {
    /// The first step: the password. The session that begins opens nothing yet.
    ///
    /// # Errors
    /// [`model::ErrorKind::Denied`] when there is no such user, the password is wrong, or nothing is
    /// taken for now: which, is not said. [`model::ErrorKind::Unavailable`].
    pub async fn sign_in(
        &self,
        email: &str,
        password: &str,
        client: &Client,
    ) -> Result<NewSession> {
        let refused = || {
            Error::Refused(
                "the address or the password is wrong, or signing in is paused for a while after \
                 failed attempts"
                    .to_owned(),
            )
        };
        let email = users::legal_email(email).unwrap_or_default();
        let now = self.clock.now();
        if !self.gate.networks.admit(client.peer, now) {
            return Err(refused());
        }
        let desk = self.sign_in_desk(&actor(&email, client.peer));
        let key = desk.sealer.hash("user email", &email);
        let (before, kept, accounts) = {
            let (desk, email, key) = (desk.clone(), email.clone(), key.clone());
            self.database
                .read(move |session| {
                    Box::pin(async move {
                        let before = failures::read(session, &key).await?;
                        let Some(id) = users::reading::by_email(session, &desk, &email).await?
                        else {
                            return Ok((before, None, Vec::new()));
                        };
                        let kept = password_of(session, &desk, id).await?;
                        // Whoever is disabled is answered as one who is not there.
                        let kept = match is_disabled_everywhere(session, id).await? {
                            true => None,
                            false => kept,
                        };
                        Ok((
                            before,
                            kept,
                            users::reading::accounts_of(session, id).await?,
                        ))
                    })
                })
                .await?
        };
        // Wherever the user has a role, an allowlist may keep this address out.
        let rules = Arc::clone(&self.rules().borrow());
        let admitted = |it: &AccountId| rules.admits_to_console(*it, client.peer);
        let is_inside = accounts.is_empty() || accounts.iter().any(admitted);
        let is_right = self.compare(password, kept).await? && !before.is_paused(now) && is_inside;
        if !is_right {
            self.gate.networks.count(client.peer, now);
        }
        let (random, client) = (Arc::clone(&self.random), client.clone());
        let made = self
            .database
            .write(move |session| {
                Box::pin(async move {
                    let failed = failures::read(session, &key).await?;
                    let found = users::reading::by_email(session, &desk, &email).await?;
                    // Another attempt may have paused the address meanwhile.
                    if let Some(id) = found.filter(|_| is_right && !failed.is_paused(now)) {
                        let stage = match session::factors(session, id).await?.any() {
                            true => Stage::Half,
                            false => Stage::Enrol,
                        };
                        let words = "the password was right";
                        note(
                            session,
                            &desk,
                            id,
                            Action::PasswordShown,
                            &id.to_string(),
                            words,
                        )
                        .await?;
                        let random = random.as_ref();
                        return session::insert(session, &desk, random, id, stage, &client)
                            .await
                            .map(Some);
                    }
                    let after = match failed.is_paused(now) {
                        true => failed,
                        false => failed.one_more(now),
                    };
                    failures::write(session, &desk, &key, after).await?;
                    note_failure(session, &desk, found, after.is_locked(now)).await?;
                    Ok(None)
                })
            })
            .await?;
        made.ok_or_else(refused)
    }

    /// The second step by a typed code, or a step-up by one. The session has a new token after.
    ///
    /// # Errors
    /// [`model::ErrorKind::Denied`] when the code is wrong, used already, or the session is over.
    pub async fn show_code(
        &self,
        token: &str,
        code: Code,
        peer: Option<IpAddr>,
    ) -> Result<NewSession> {
        let (desk, token) = (self.sign_in_desk(&actor("", peer)), token.to_owned());
        let random = Arc::clone(&self.random);
        let made = self
            .database
            .write(move |session| {
                Box::pin(async move {
                    let row = session::require(session, &token, desk.now).await?;
                    let (desk, key) = own_desk(session, desk, row.user).await?;
                    let failed = failures::read(session, &key).await?;
                    let how = match code {
                        Code::Totp(_) => "a code of the authenticator app",
                        Code::Recovery(_) => "a recovery code",
                    };
                    let is_right = !failed.is_paused(desk.now)
                        && match &code {
                            Code::Totp(code) => take_totp(session, &desk, row.user, code).await?,
                            Code::Recovery(code) => {
                                recovery::take(session, &desk, row.user, code).await?
                            }
                        };
                    finish(session, &desk, random.as_ref(), &row, &key, is_right, how).await
                })
            })
            .await?;
        made.ok_or_else(|| Error::Refused("this code is wrong, or was used already".to_owned()))
    }

    /// Begins to set up an authenticator app: its secret, which counts once a code of it was shown.
    ///
    /// # Errors
    /// [`model::ErrorKind::Denied`] when the session is over, or has not shown the second factor
    /// that there is.
    pub async fn offer_totp(&self, token: &str) -> Result<TotpOffer> {
        let (desk, token) = (self.sign_in_desk(&actor("", None)), token.to_owned());
        let secret = totp::generate(self.random.as_ref());
        self.database
            .write(move |session| {
                Box::pin(async move {
                    let row = enrolling(session, &token, desk.now).await?;
                    let (email, _) =
                        users::reading::person(session, &desk.sealer, row.user).await?;
                    let pending = format!("totp:{}", hex::encode(secret.expose()));
                    session::set_pending(session, &desk.sealer, &row, Some(&pending)).await?;
                    totp::offer(&secret, &email)
                })
            })
            .await
    }

    /// Sets the offered authenticator app up, by a code of it.
    ///
    /// # Errors
    /// [`model::ErrorKind::Invalid`] when the code is not of the offered secret;
    /// [`model::ErrorKind::Denied`] as [`Control::offer_totp`].
    pub async fn enrol_totp(
        &self,
        token: &str,
        code: &str,
        peer: Option<IpAddr>,
    ) -> Result<Enrolled> {
        let (desk, token) = (self.sign_in_desk(&actor("", peer)), token.to_owned());
        let (random, code) = (Arc::clone(&self.random), code.to_owned());
        self.database
            .write(move |session| {
                Box::pin(async move {
                    let row = enrolling(session, &token, desk.now).await?;
                    let (desk, key) = own_desk(session, desk, row.user).await?;
                    let offered = pending(&desk, &row)?
                        .and_then(|text| hex::decode(text.strip_prefix("totp:")?).ok())
                        .map(Secret::new);
                    let step = offered.as_ref().and_then(|secret| {
                        totp::step(secret, &code, desk.now, 0).map(|step| (secret, step))
                    });
                    let Some((secret, step)) = step else {
                        let words = "this code is not of the app that was offered; is the device's \
                                     clock right?";
                        return Err(Error::Invalid(words.to_owned()));
                    };
                    write_totp(session, &desk, row.user, secret, step).await?;
                    let words = "an authenticator app";
                    enrol(session, &desk, random.as_ref(), &row, &key, words).await
                })
            })
            .await
    }

    /// New recovery codes; the old ones are void, and other sessions end. Wants a second factor shown
    /// lately.
    ///
    /// # Errors
    /// [`model::ErrorKind::Unavailable`] when they cannot be written.
    pub async fn renew_recovery_codes(&self, by: &SignedIn) -> Result<Vec<Secret<String>>> {
        require_fresh(by)?;
        let (desk, user, own) = (self.sign_in_desk(&by.actor), by.user, by.session.clone());
        let random = Arc::clone(&self.random);
        self.database
            .write(move |session| {
                Box::pin(async move {
                    let codes = recovery::renew(session, user, random.as_ref()).await?;
                    session::delete(session, user, None, Some(&own)).await?;
                    let words = "new recovery codes; the old ones are void";
                    let object = user.to_string();
                    note(session, &desk, user, Action::FactorAdded, &object, words).await?;
                    Ok(codes)
                })
            })
            .await
    }

    /// Removes the authenticator app; a passkey must be there. Other sessions end.
    ///
    /// # Errors
    /// [`model::ErrorKind::Conflict`] when it is the only second factor.
    pub async fn remove_totp(&self, by: &SignedIn) -> Result<()> {
        require_fresh(by)?;
        let (desk, user, own) = (self.sign_in_desk(&by.actor), by.user, by.session.clone());
        self.database
            .write(move |session| {
                Box::pin(async move {
                    sqlx::query("UPDATE proofs SET totp_sealed = NULL WHERE user_id = $1")
                        .bind(user.0.to_vec())
                        .execute(session.connection())
                        .await
                        .map_err(Error::database("remove a second factor"))?;
                    require_a_factor(session, user).await?;
                    session::delete(session, user, None, Some(&own)).await?;
                    let (object, words) = (user.to_string(), "the authenticator app");
                    note(session, &desk, user, Action::FactorRemoved, &object, words).await
                })
            })
            .await
    }

    /// Changes the password of whoever knows the old one and has shown the second factor lately; other
    /// sessions end.
    ///
    /// # Errors
    /// [`model::ErrorKind::Denied`] when the old one is wrong; [`model::ErrorKind::Invalid`] when
    /// the new one is not taken.
    pub async fn change_password(&self, by: &SignedIn, old: &str, new: &str) -> Result<()> {
        require_fresh(by)?;
        let words = self.words_around(Whose {
            email: &by.email,
            name: &by.name,
            user: Some(by.user),
            account: None,
        });
        password::check(new, &words.await?)?;
        let (desk, user, own) = (self.sign_in_desk(&by.actor), by.user, by.session.clone());
        let key = desk.sealer.hash("user email", &by.email);
        let (kept, before) = {
            let (desk, key) = (desk.clone(), key.clone());
            self.database
                .read(move |session| {
                    Box::pin(async move {
                        let kept = password_of(session, &desk, user).await?;
                        Ok((kept, failures::read(session, &key).await?))
                    })
                })
                .await?
        };
        // Guessing here is guessing at the sign-in: the same pauses hold.
        let is_right = self.compare(old, kept).await? && !before.is_paused(desk.now);
        let made = self.hash_password(new).await?;
        let done = self
            .database
            .write(move |session| {
                Box::pin(async move {
                    let object = user.to_string();
                    if !is_right {
                        let failed = failures::read(session, &key).await?;
                        if !failed.is_paused(desk.now) {
                            let after = failed.one_more(desk.now);
                            failures::write(session, &desk, &key, after).await?;
                        }
                        let (action, words) = (Action::PasswordSet, "the old one was wrong");
                        let outcome = AuditOutcome::Refused;
                        note_outcome(session, &desk, user, action, &object, words, outcome).await?;
                        return Ok(false);
                    }
                    write_password(session, &desk, user, &made).await?;
                    session::delete(session, user, None, Some(&own)).await?;
                    let words = "by the user; other sessions ended";
                    note(session, &desk, user, Action::PasswordSet, &object, words).await?;
                    Ok(true)
                })
            })
            .await?;
        match done {
            true => Ok(()),
            false => Err(Error::Refused(
                "the old password is wrong, or trying is paused for a while".to_owned(),
            )),
        }
    }

    /// Whether a password is the kept one; takes as long when nothing is kept.
    async fn compare(&self, password: &str, kept: Option<Secret<String>>) -> Result<bool> {
        let (hasher, password) = (self.gate.hasher.clone(), Secret::new(password.to_owned()));
        let random = Arc::clone(&self.random);
        self.hashing(move || match kept {
            Some(kept) => Ok(hasher.verify(password.expose(), kept.expose())),
            None => hasher
                .hash(password.expose(), random.as_ref())
                .map(|_| false),
        })
        .await?
    }

    pub(crate) async fn hash_password(&self, password: &str) -> Result<Secret<String>> {
        let (hasher, password) = (self.gate.hasher.clone(), Secret::new(password.to_owned()));
        let random = Arc::clone(&self.random);
        self.hashing(move || hasher.hash(password.expose(), random.as_ref()))
            .await?
    }

    async fn hashing<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        let closed = |_| Error::Internal("hashing has ended".to_owned());
        let permit = Arc::clone(&self.gate.hashing)
            .acquire_owned()
            .await
            .map_err(closed)?;
        tokio::task::spawn_blocking(move || {
            let done = work();
            drop(permit);
            done
        })
        .await
        .map_err(|_| Error::Internal("hashing a password failed".to_owned()))
    }

    /// For acts of the sign-in, which nobody but the gate itself permits.
    pub(crate) fn sign_in_desk(&self, actor: &Actor) -> Desk {
        self.desk(actor, AccountId::installation())
    }
}

/// Who tries to sign in: no role anywhere.
fn actor(email: &str, peer: Option<IpAddr>) -> Actor {
    let name = match email.is_empty() {
        true => "no address",
        false => email,
    };
    let actor = Actor::user(name, std::iter::empty::<(AccountId, Standing)>());
    match peer {
        Some(peer) => actor.with_peer(peer),
        None => actor,
    }
}

/// The desk of the user whom a session belongs to, and the key of the address's failures.
async fn own_desk(session: &mut Session, desk: Desk, user: UserId) -> Result<(Desk, Vec<u8>)> {
    let (email, _) = users::reading::person(session, &desk.sealer, user).await?;
    let key = desk.sealer.hash("user email", &email);
    let own = actor(&email, desk.actor.peer);
    Ok((Desk { actor: own, ..desk }, key))
}

/// Ends the second step: a full session, or one more failure.
async fn finish(
    session: &mut Session,
    desk: &Desk,
    random: &dyn model::Random,
    row: &session::Row,
    key: &[u8],
    is_right: bool,
    how: &str,
) -> Result<Option<NewSession>> {
    let action = match row.stage {
        Stage::Full => Action::SteppedUp,
        Stage::Half | Stage::Enrol => Action::SignedIn,
    };
    let (object, outcome) = (row.id_text(), session::outcome(is_right));
    note_outcome(session, desk, row.user, action, &object, how, outcome).await?;
    if !is_right {
        let failed = failures::read(session, key).await?;
        if !failed.is_paused(desk.now) {
            failures::write(session, desk, key, failed.one_more(desk.now)).await?;
        }
        session::count_try(session, row).await?;
        return Ok(None);
    }
    failures::clear(session, key).await?;
    note_sign_in(session, desk, row.user).await?;
    session::complete(session, desk, random, row)
        .await
        .map(Some)
}

/// Ends the setting up of a factor: other sessions end, and the first one comes with recovery codes.
async fn enrol(
    session: &mut Session,
    desk: &Desk,
    random: &dyn model::Random,
    row: &session::Row,
    key: &[u8],
    what: &str,
) -> Result<Enrolled> {
    let object = row.user.to_string();
    note(session, desk, row.user, Action::FactorAdded, &object, what).await?;
    session::delete(session, row.user, None, Some(&row.id_text())).await?;
    let recovery_codes = match recovery::left(session, row.user).await? {
        0 => recovery::renew(session, row.user, random).await?,
        _ => Vec::new(),
    };
    users::set_state(session, row.user, "active").await?;
    let done = finish(session, desk, random, row, key, true, what).await?;
    let session = done.ok_or_else(|| Error::Internal("a right factor was refused".to_owned()))?;
    Ok(Enrolled {
        session,
        recovery_codes,
    })
}

/// The session of whoever may set up a second factor: one who has none, or has just shown it.
async fn enrolling(session: &mut Session, token: &str, now: Timestamp) -> Result<session::Row> {
    let row = session::require(session, token, now).await?;
    let is_fresh = row
        .factor_at
        .is_some_and(|at| now < at.plus(session::FRESH));
    match row.stage {
        Stage::Enrol => {
            // Somebody may have set one up in another window since.
            match session::factors(session, row.user).await?.any() {
                true => Err(Error::Refused(
                    "sign in again: a second factor is set up".to_owned(),
                )),
                false => Ok(row),
            }
        }
        Stage::Full if is_fresh => Ok(row),
        Stage::Full => Err(Error::Refused(
            "show your second factor again first".to_owned(),
        )),
        Stage::Half => Err(Error::Refused("show your second factor first".to_owned())),
    }
}

fn require_fresh(by: &SignedIn) -> Result<()> {
    match by.is_fresh() {
        true => Ok(()),
        false => Err(Error::Refused(
            "show your second factor again first".to_owned(),
        )),
    }
}

async fn require_a_factor(session: &mut Session, user: UserId) -> Result<()> {
    match session::factors(session, user).await?.any() {
        true => Ok(()),
        false => Err(Error::Conflict(
            "this is your only second factor: set up another one first".to_owned(),
        )),
    }
}

/// What a session waits for, opened.
fn pending(desk: &Desk, row: &session::Row) -> Result<Option<String>> {
    row.pending
        .as_ref()
        .map(|sealed| desk.sealer.open(&row.pending_context(), sealed))
        .transpose()
}

/// A refused password: one entry wherever the user has a role, or in the installation's log.
async fn note_failure(
    session: &mut Session,
    desk: &Desk,
    found: Option<UserId>,
    is_locked: bool,
) -> Result<()> {
    let (action, outcome) = (Action::SignInFailed, AuditOutcome::Refused);
    let words = match is_locked {
        true => "the address is locked for a while",
        false => "address or password were wrong, or the address is paused",
    };
    match found {
        Some(id) => {
            let object = id.to_string();
            note_outcome(session, desk, id, action, &object, words, outcome).await
        }
        None => {
            let object = String::from("sign-in");
            desk.note_outcome(session, action, object, words.to_owned(), outcome)
                .await
        }
    }
}

/// Writes an entry in the log of each account where the user has a role, or in the installation's.
pub(crate) async fn note(
    session: &mut Session,
    desk: &Desk,
    user: UserId,
    action: Action,
    object: &str,
    words: &str,
) -> Result<()> {
    let outcome = AuditOutcome::Done;
    note_outcome(session, desk, user, action, object, words, outcome).await
}

async fn note_outcome(
    session: &mut Session,
    desk: &Desk,
    user: UserId,
    action: Action,
    object: &str,
    words: &str,
    outcome: AuditOutcome,
) -> Result<()> {
    let mut accounts = users::reading::accounts_of(session, user).await?;
    if accounts.is_empty() {
        accounts.push(AccountId::installation());
    }
    for account in accounts {
        let desk = Desk {
            account,
            ..desk.clone()
        };
        desk.note_outcome(
            session,
            action,
            object.to_owned(),
            words.to_owned(),
            outcome,
        )
        .await?;
    }
    Ok(())
}
