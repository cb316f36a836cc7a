//! The passcodes of an account: made on terms, listed without their text, revoked.
//!
//! What is kept of one is a hash. It must never hold a passcode's text, nor make one that is good for
//! more than whoever makes it.

use governance::{NewPasscode, PasscodeTerms, Scopes};
use model::{AccountId, Secret, Timestamp};
use serde::{Serialize, Serializer};
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use crate::account::{Record, legal_name, read};
use crate::audit::Action;
use crate::authz::Act;
use crate::control::{Control, Desk};
use crate::database::Session;
use crate::{Actor, ActorKind, Error, Result};

/// Passcodes of one account, revoked ones too.
const PASSCODES_MAX: usize = 100;
/// Networks that one passcode may be used from.
const NETWORKS_MAX: usize = 20;

/// A passcode, without the secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Passcode {
    /// The name that people know it by.
    pub name: String,
    /// Since when.
    pub created_at: Timestamp,
    /// Since when it is not accepted any more.
    pub revoked_at: Option<Timestamp>,
    /// When it was accepted last, to the minute or so.
    pub used_at: Option<Timestamp>,
    /// Until when, for what and from where it is accepted.
    #[serde(flatten, serialize_with = "show_terms")]
    pub terms: PasscodeTerms,
}

fn show_terms<S: Serializer>(terms: &PasscodeTerms, to: S) -> std::result::Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Shown {
        expires_at: Option<Timestamp>,
        scopes: String,
        networks: Vec<String>,
    }
    let networks = terms.networks.iter().map(ToString::to_string);
    Shown {
        expires_at: terms.expires_at,
        scopes: terms.scopes.to_string(),
        networks: networks.collect(),
    }
    .serialize(to)
}

impl Control {
    /// Makes another passcode. Its text is returned once.
    ///
    /// # Errors
    /// [`model::ErrorKind::Conflict`] when the name is taken; [`model::ErrorKind::Invalid`] for an
    /// illegal name or too many passcodes; as [`Control::account`].
    pub async fn create_passcode(
        &self,
        actor: &Actor,
        id: AccountId,
        name: &str,
    ) -> Result<Secret<String>> {
        let terms = PasscodeTerms::default();
        self.create_passcode_on(actor, id, name, terms).await
    }

    /// Makes another passcode, accepted on `terms` only. Its text is returned once.
    ///
    /// # Errors
    /// As [`Control::create_passcode`]; [`model::ErrorKind::Invalid`] for a time that has passed, or
    /// too many networks; [`model::ErrorKind::Denied`] when it would be good for more than the actor
    /// may do.
    pub async fn create_passcode_on(
        &self,
        actor: &Actor,
        id: AccountId,
        name: &str,
        terms: PasscodeTerms,
    ) -> Result<Secret<String>> {
        let name = legal_name("a passcode", name)?;
        if terms.expires_at.is_some_and(|end| end <= self.clock.now()) {
            return Err(Error::Invalid(
                "a passcode must expire later than now".to_owned(),
            ));
        }
        if terms.networks.len() > NETWORKS_MAX {
            let text = format!("a passcode has at most {NETWORKS_MAX} networks");
            return Err(Error::Invalid(text));
        }
        let passcode = NewPasscode::generate(self.random.as_ref());
        let hash = passcode.hash.to_bytes();
        self.change(actor, Act::ManageCredentials, id, move |session, desk| {
            Box::pin(async move {
                desk.covers_scopes(&terms.scopes)?;
                let record = read(session, id).await?;
                if record
                    .account
                    .passcodes
                    .iter()
                    .any(|passcode| passcode.name == name)
                {
                    return Err(Error::Conflict(format!(
                        "there is a passcode `{name}` already"
                    )));
                }
                if record.account.passcodes.len() >= PASSCODES_MAX {
                    let text = format!("an account has at most {PASSCODES_MAX} passcodes");
                    return Err(Error::Invalid(text));
                }
                insert(session, &desk, &name, hash, &terms).await?;
                let words = words(&terms);
                desk.note(session, Action::PasscodeCreated, name, words)
                    .await
            })
        })
        .await?;
        Ok(passcode.text)
    }

    /// Revokes a passcode: it is refused from now on. A program does not revoke the one that it uses:
    /// it would be locked out by its own mistake.
    ///
    /// # Errors
    /// [`model::ErrorKind::Conflict`] when it is the actor's own;
    /// [`model::ErrorKind::NotFound`] when there is none of that name in force; as
    /// [`Control::account`].
    pub async fn revoke_passcode(&self, actor: &Actor, id: AccountId, name: &str) -> Result<()> {
        let name = name.to_owned();
        self.change(actor, Act::ManageCredentials, id, move |session, desk| {
            Box::pin(async move {
                let own = &desk.actor.kind;
                if matches!(own, ActorKind::Passcode { name: own, .. } if **own == *name) {
                    let text = "a passcode does not revoke itself: use another one";
                    return Err(Error::Conflict(text.to_owned()));
                }
                let done = sqlx::query(
                    "UPDATE passcodes SET revoked_at = $1 \
                     WHERE account = $2 AND name = $3 AND revoked_at IS NULL",
                )
                .bind(desk.now.ms())
                .bind(id.as_str().to_owned())
                .bind(name.clone())
                .execute(session.connection())
                .await
                .map_err(Error::database("revoke a passcode"))?;
                if done.rows_affected() == 0 {
                    return Err(Error::NotFound(format!("passcode `{name}` in force")));
                }
                desk.note(session, Action::PasscodeRevoked, name, "revoked".to_owned())
                    .await
            })
        })
        .await
    }
}

/// Writes a passcode down.
pub(crate) async fn insert(
    session: &mut Session,
    desk: &Desk,
    name: &str,
    hash: [u8; 32],
    terms: &PasscodeTerms,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO passcodes (account, name, hash, scopes, created_at, revoked_at, expires_at, \
         networks) VALUES ($1, $2, $3, $4, $5, NULL, $6, $7)",
    )
    .bind(desk.account.as_str().to_owned())
    .bind(name.to_owned())
    .bind(hash.to_vec())
    .bind(terms.scopes.to_string())
    .bind(desk.now.ms())
    .bind(terms.expires_at.map(Timestamp::ms))
    .bind(networks(terms))
    .execute(session.connection())
    .await
    .map(|_| ())
    .map_err(Error::database("write a passcode"))
}

const PASSCODE_COLUMNS: &str = "SELECT account, name, hash, created_at, revoked_at, expires_at, \
    scopes, networks, used_at FROM passcodes ORDER BY account, name";

/// The networks with commas between.
fn networks(terms: &PasscodeTerms) -> String {
    let networks: Vec<String> = terms.networks.iter().map(ToString::to_string).collect();
    networks.join(",")
}

/// The terms for the audit log.
fn words(terms: &PasscodeTerms) -> String {
    let until = match terms.expires_at {
        Some(end) => format!("until {end}"),
        None => "for ever".to_owned(),
    };
    let from = match terms.networks.is_empty() {
        true => "everywhere".to_owned(),
        false => networks(terms),
    };
    format!("created {until}, for {}, from {from}", terms.scopes)
}

fn read_terms(row: &SqliteRow) -> Result<PasscodeTerms> {
    const ACT: &str = "read the accounts";
    let damaged = || Error::damaged("a passcode", "its terms are malformed");
    let expires: Option<i64> = row.try_get(5).map_err(Error::database(ACT))?;
    let scopes: String = row.try_get(6).map_err(Error::database(ACT))?;
    let networks: String = row.try_get(7).map_err(Error::database(ACT))?;
    let parts = networks.split(',').filter(|text| !text.is_empty());
    let networks: std::result::Result<Vec<_>, _> = parts.map(str::parse).collect();
    Ok(PasscodeTerms {
        expires_at: expires.map(Timestamp::from_ms),
        scopes: Scopes::parse(&scopes).ok_or_else(damaged)?,
        networks: networks.map_err(|_| damaged())?,
    })
}

/// Reads the passcodes of every account into `records`, which are in the order of their ids.
pub(crate) async fn read_into(session: &mut Session, records: &mut [Record]) -> Result<()> {
    const ACT: &str = "read the accounts";
    let rows = sqlx::query(PASSCODE_COLUMNS)
        .fetch_all(session.connection())
        .await
        .map_err(Error::database(ACT))?;
    for row in &rows {
        let account: String = row.try_get(0).map_err(Error::database(ACT))?;
        let found = records.binary_search_by(|record| record.id.as_str().cmp(&account));
        let Some(record) = found.ok().and_then(|index| records.get_mut(index)) else {
            continue;
        };
        let hash: Vec<u8> = row.try_get(2).map_err(Error::database(ACT))?;
        let damaged = |_| Error::damaged("a passcode", "its hash is malformed");
        record.hashes.push(hash.try_into().map_err(damaged)?);
        let revoked: Option<i64> = row.try_get(4).map_err(Error::database(ACT))?;
        let used: Option<i64> = row.try_get(8).map_err(Error::database(ACT))?;
        record.account.passcodes.push(Passcode {
            name: row.try_get(1).map_err(Error::database(ACT))?,
            created_at: Timestamp::from_ms(row.try_get(3).map_err(Error::database(ACT))?),
            revoked_at: revoked.map(Timestamp::from_ms),
            used_at: used.map(Timestamp::from_ms),
            terms: read_terms(row)?,
        });
    }
    Ok(())
}
