//! Passkeys (W3C Web Authentication) as second factors.
//!
//! What a ceremony must remember between its two requests is sealed in the session, so that it ends
//! with it and works on every node.

use serde::Serialize;
use sqlx::Row as _;
use std::net::IpAddr;
use std::sync::Arc;
use uuid::Uuid;
use webauthn_rs::prelude::{
    Passkey, PasskeyAuthentication, PasskeyRegistration, PublicKeyCredential,
    RegisterPublicKeyCredential, WebauthnError,
};
use webauthn_rs::{Webauthn, WebauthnBuilder};

use super::session::{self, SignedIn};
use super::{Enrolled, NewSession, actor, enrol, enrolling, finish, note, own_desk, pending};
use super::{require_a_factor, require_fresh};
use crate::control::{Control, Desk};
use crate::database::Session;
use crate::sealer::Sealer;
use crate::users::{self, UserId};
use crate::{Action, Error, Result};

/// Passkeys of one user.
const PASSKEYS_MAX: usize = 20;
/// Characters of a passkey's name.
const NAME_CHARS_MAX: usize = 60;

/// Who asks browsers for passkeys: the console, by its name.
#[derive(Debug, Clone)]
pub struct Passkeys(Option<Arc<Webauthn>>);

impl Passkeys {
    /// For a console that people reach at `https://NAME/`, whatever the port. A bare address has no
    /// name, so browsers give it no passkeys.
    #[must_use]
    pub fn of(console_name: &str) -> Self {
        let Ok(origin) = url::Url::parse(&format!("https://{console_name}/")) else {
            return Self(None);
        };
        if !matches!(origin.host(), Some(url::Host::Domain(_))) {
            return Self(None);
        }
        let built = WebauthnBuilder::new(console_name, &origin)
            .and_then(|builder| builder.rp_name("Strongroom").allow_any_port(true).build());
        Self(built.ok().map(Arc::new))
    }

    fn get(&self) -> Result<&Webauthn> {
        self.0.as_deref().ok_or_else(|| {
            Error::Conflict("passkeys need the console at a name: an address has none".to_owned())
        })
    }
}

/// A passkey as its user sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PasskeyView {
    /// Its id.
    pub id: String,
    /// What the user calls it.
    pub name: String,
    /// Since when.
    pub created_at: model::Timestamp,
    /// Its last use.
    pub used_at: Option<model::Timestamp>,
}

impl Control {
    /// Begins to set up a passkey: what the browser's `navigator.credentials.create` is given, as
    /// JSON.
    ///
    /// # Errors
    /// [`model::ErrorKind::Denied`] as [`Control::offer_totp`]; [`model::ErrorKind::Conflict`] when
    /// the console has no name, or the user has too many.
    pub async fn offer_passkey(&self, token: &str) -> Result<String> {
        let (desk, token) = (self.sign_in_desk(&actor("", None)), token.to_owned());
        let passkeys = self.gate.passkeys.clone();
        self.database
            .write(move |session| {
                Box::pin(async move {
                    let row = enrolling(session, &token, desk.now).await?;
                    let (email, name) =
                        users::reading::person(session, &desk.sealer, row.user).await?;
                    let held = read(session, &desk.sealer, row.user).await?;
                    if held.len() >= PASSKEYS_MAX {
                        return Err(Error::Conflict(format!(
                            "a user has at most {PASSKEYS_MAX} passkeys"
                        )));
                    }
                    let known = held.iter().map(|it| it.key.cred_id().clone()).collect();
                    let shown = if name.is_empty() { &email } else { &name };
                    let (options, state) = passkeys
                        .get()?
                        .start_passkey_registration(
                            Uuid::from_bytes(row.user.0),
                            &email,
                            shown,
                            Some(known),
                        )
                        .map_err(|error| broken(&error))?;
                    wait(session, &desk, &row, "register", &state).await?;
                    json(&options)
                })
            })
            .await
    }

    /// Sets a passkey up, by what the browser answered, as JSON.
    ///
    /// # Errors
    /// [`model::ErrorKind::Invalid`] when it does not fit what was asked;
    /// [`model::ErrorKind::Denied`] as [`Control::offer_totp`].
    pub async fn enrol_passkey(
        &self,
        token: &str,
        answer: &str,
        name: &str,
        peer: Option<IpAddr>,
    ) -> Result<Enrolled> {
        let (desk, token) = (self.sign_in_desk(&actor("", peer)), token.to_owned());
        let answer: RegisterPublicKeyCredential = parse(answer)?;
        let name: String = name
            .trim()
            .chars()
            .filter(|it| !it.is_control())
            .take(NAME_CHARS_MAX)
            .collect();
        let (passkeys, random) = (self.gate.passkeys.clone(), Arc::clone(&self.random));
        self.database
            .write(move |session| {
                Box::pin(async move {
                    let row = enrolling(session, &token, desk.now).await?;
                    let (desk, key) = own_desk(session, desk, row.user).await?;
                    let state: PasskeyRegistration = waited(&desk, &row, "register")?;
                    let made = passkeys
                        .get()?
                        .finish_passkey_registration(&answer, &state)
                        .map_err(|error| unfit(&error))?;
                    insert(session, &desk, row.user, &made, &name).await?;
                    enrol(session, &desk, random.as_ref(), &row, &key, "a passkey").await
                })
            })
            .await
    }

    /// Begins the second step by a passkey: what the browser's `navigator.credentials.get` is given,
    /// as JSON.
    ///
    /// # Errors
    /// [`model::ErrorKind::NotFound`] when the user has none; [`model::ErrorKind::Denied`] when the
    /// session is over.
    pub async fn ask_passkey(&self, token: &str) -> Result<String> {
        let (desk, token) = (self.sign_in_desk(&actor("", None)), token.to_owned());
        let passkeys = self.gate.passkeys.clone();
        self.database
            .write(move |session| {
                Box::pin(async move {
                    let row = session::require(session, &token, desk.now).await?;
                    let held = read(session, &desk.sealer, row.user).await?;
                    if held.is_empty() {
                        return Err(Error::NotFound("passkey of yours".to_owned()));
                    }
                    let keys: Vec<Passkey> = held.into_iter().map(|it| it.key).collect();
                    let (options, state) = passkeys
                        .get()?
                        .start_passkey_authentication(&keys)
                        .map_err(|error| broken(&error))?;
                    wait(session, &desk, &row, "ask", &state).await?;
                    json(&options)
                })
            })
            .await
    }

    /// The second step by a passkey, or a step-up by one.
    ///
    /// # Errors
    /// [`model::ErrorKind::Denied`] when it is not one of the user's, or the session is over;
    /// [`model::ErrorKind::Invalid`] when the answer is malformed.
    pub async fn show_passkey(
        &self,
        token: &str,
        answer: &str,
        peer: Option<IpAddr>,
    ) -> Result<NewSession> {
        let (desk, token) = (self.sign_in_desk(&actor("", peer)), token.to_owned());
        let answer: PublicKeyCredential = parse(answer)?;
        let (passkeys, random) = (self.gate.passkeys.clone(), Arc::clone(&self.random));
        let made = self
            .database
            .write(move |session| {
                Box::pin(async move {
                    let row = session::require(session, &token, desk.now).await?;
                    let (desk, key) = own_desk(session, desk, row.user).await?;
                    let state: PasskeyAuthentication = waited(&desk, &row, "ask")?;
                    // A challenge is answered once.
                    session::set_pending(session, &desk.sealer, &row, None).await?;
                    let is_right = match passkeys
                        .get()?
                        .finish_passkey_authentication(&answer, &state)
                    {
                        Ok(result) => {
                            let held = read(session, &desk.sealer, row.user).await?;
                            let used = held
                                .into_iter()
                                .find(|it| it.key.cred_id() == result.cred_id());
                            match used {
                                Some(mut used) => {
                                    used.key.update_credential(&result);
                                    update(session, &desk, &used).await?;
                                    true
                                }
                                None => false,
                            }
                        }
                        Err(_) => false,
                    };
                    let how = "a passkey";
                    finish(session, &desk, random.as_ref(), &row, &key, is_right, how).await
                })
            })
            .await?;
        made.ok_or_else(|| Error::Refused("this passkey was not taken".to_owned()))
    }

    /// The passkeys of a user, the oldest first.
    ///
    /// # Errors
    /// [`model::ErrorKind::Unavailable`] when the database does not answer.
    pub async fn passkeys(&self, user: UserId) -> Result<Vec<PasskeyView>> {
        let sealer = Arc::clone(&self.sealer);
        let held = self
            .database
            .read(move |session| Box::pin(async move { read(session, &sealer, user).await }))
            .await?;
        Ok(held.into_iter().map(|it| it.view).collect())
    }

    /// Removes a passkey of the user; another second factor must be there. Other sessions end.
    ///
    /// # Errors
    /// [`model::ErrorKind::NotFound`]; [`model::ErrorKind::Conflict`] when it is the only factor.
    pub async fn remove_passkey(&self, by: &SignedIn, id: &str) -> Result<()> {
        require_fresh(by)?;
        let (desk, user, own) = (self.sign_in_desk(&by.actor), by.user, by.session.clone());
        let bytes = hex::decode(id).unwrap_or_default();
        self.database
            .write(move |session| {
                Box::pin(async move {
                    let done = sqlx::query("DELETE FROM passkeys WHERE id = $1 AND user_id = $2")
                        .bind(bytes)
                        .bind(user.0.to_vec())
                        .execute(session.connection())
                        .await
                        .map_err(Error::database("remove a passkey"))?;
                    if done.rows_affected() == 0 {
                        return Err(Error::NotFound("passkey of yours".to_owned()));
                    }
                    require_a_factor(session, user).await?;
                    session::delete(session, user, None, Some(&own)).await?;
                    let object = user.to_string();
                    note(
                        session,
                        &desk,
                        user,
                        Action::FactorRemoved,
                        &object,
                        "a passkey",
                    )
                    .await
                })
            })
            .await
    }
}

/// A passkey as it is stored.
struct Held {
    id: Vec<u8>,
    view: PasskeyView,
    key: Passkey,
}

async fn read(session: &mut Session, sealer: &Sealer, user: UserId) -> Result<Vec<Held>> {
    const ACT: &str = "read passkeys";
    let rows = sqlx::query(
        "SELECT id, name_sealed, key_sealed, created_at, used_at FROM passkeys \
         WHERE user_id = $1 ORDER BY created_at, id",
    )
    .bind(user.0.to_vec())
    .fetch_all(session.connection())
    .await
    .map_err(Error::database(ACT))?;
    let mut held = Vec::with_capacity(rows.len());
    for row in &rows {
        let id: Vec<u8> = row.try_get(0).map_err(Error::database(ACT))?;
        let name: Vec<u8> = row.try_get(1).map_err(Error::database(ACT))?;
        let key: Vec<u8> = row.try_get(2).map_err(Error::database(ACT))?;
        let created: i64 = row.try_get(3).map_err(Error::database(ACT))?;
        let used: Option<i64> = row.try_get(4).map_err(Error::database(ACT))?;
        let text = hex::encode(&id);
        let key = sealer.open(&format!("passkeys/key/{text}"), &key)?;
        held.push(Held {
            view: PasskeyView {
                name: sealer.open(&format!("passkeys/name/{text}"), &name)?,
                id: text,
                created_at: model::Timestamp::from_ms(created),
                used_at: used.map(model::Timestamp::from_ms),
            },
            key: serde_json::from_str(&key)
                .map_err(|_| Error::damaged("a passkey", "it is malformed"))?,
            id,
        });
    }
    Ok(held)
}

async fn insert(
    session: &mut Session,
    desk: &Desk,
    user: UserId,
    key: &Passkey,
    name: &str,
) -> Result<()> {
    let id = blake3::hash(key.cred_id().as_ref()).as_bytes().to_vec();
    let text = hex::encode(&id);
    let name = if name.is_empty() { "Passkey" } else { name };
    sqlx::query(
        "INSERT INTO passkeys (id, user_id, name_sealed, key_sealed, created_at) \
         VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(id)
    .bind(user.0.to_vec())
    .bind(desk.sealer.seal(&format!("passkeys/name/{text}"), name)?)
    .bind(
        desk.sealer
            .seal(&format!("passkeys/key/{text}"), &json(key)?)?,
    )
    .bind(desk.now.ms())
    .execute(session.connection())
    .await
    .map(|_| ())
    .map_err(Error::database("write a passkey"))
}

async fn update(session: &mut Session, desk: &Desk, used: &Held) -> Result<()> {
    let text = hex::encode(&used.id);
    let sealed = desk
        .sealer
        .seal(&format!("passkeys/key/{text}"), &json(&used.key)?)?;
    sqlx::query("UPDATE passkeys SET key_sealed = $2, used_at = $3 WHERE id = $1")
        .bind(used.id.clone())
        .bind(sealed)
        .bind(desk.now.ms())
        .execute(session.connection())
        .await
        .map(|_| ())
        .map_err(Error::database("write a passkey"))
}

async fn wait<T: Serialize>(
    session: &mut Session,
    desk: &Desk,
    row: &session::Row,
    what: &str,
    state: &T,
) -> Result<()> {
    let text = format!("{what}:{}", json(state)?);
    session::set_pending(session, &desk.sealer, row, Some(&text)).await
}

fn waited<T: serde::de::DeserializeOwned>(
    desk: &Desk,
    row: &session::Row,
    what: &str,
) -> Result<T> {
    let none = || Error::Refused("no passkey was asked for: begin again".to_owned());
    let text = pending(desk, row)?.ok_or_else(none)?;
    let (kind, state) = text.split_once(':').ok_or_else(none)?;
    if kind != what {
        return Err(none());
    }
    serde_json::from_str(state).map_err(|_| Error::damaged("a session", "it is malformed"))
}

fn json<T: Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value)
        .map_err(|_| Error::Internal("failed to write a passkey as JSON".to_owned()))
}

fn parse<T: serde::de::DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text)
        .map_err(|_| Error::Invalid("the browser's answer is malformed".to_owned()))
}

fn broken(error: &WebauthnError) -> Error {
    Error::Internal(format!("failed to ask for a passkey: {error}"))
}

fn unfit(error: &WebauthnError) -> Error {
    Error::Invalid(format!("this passkey was not taken: {error}"))
}
