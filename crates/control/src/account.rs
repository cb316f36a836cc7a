//! Accounts and the credentials of programs.

use governance::{
    AccountRules, Classes, Limits, NewPasscode, PasscodeHash, PasscodeRule, PasscodeTerms, Scopes,
};
use jiff::tz::TimeZone;
use model::{AccountId, PersonKey, PersonKeySecret, Random, Secret, Timestamp, limit};
use serde::{Serialize, Serializer};
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::api_keys::{self, Stored};
use crate::audit::Action;
use crate::authz::Act;
use crate::classes;
use crate::control::{Control, Desk};
use crate::database::Session;
use crate::dictionary::{self, Said};
use crate::restriction;
use crate::reveal::RevealQuota;
use crate::sealer::Sealer;
use crate::state::Effect;
use crate::{Actor, ActorKind, Error, Result};

const NAME_BYTES_MAX: usize = 200;
/// Passcodes of one account, revoked ones too.
const PASSCODES_MAX: usize = 100;
const RETENTION_DAYS_MAX: u32 = 3_660;
/// Networks that one passcode may be used from.
const NETWORKS_MAX: usize = 20;
/// The name of the passcode that an account is created with.
const FIRST_PASSCODE: &str = "default";

/// An account just made, with its credentials: shown once, then forgotten.
#[derive(Debug, Clone)]
pub struct NewAccount {
    /// Its id.
    pub account_id: AccountId,
    /// The passcode for the REST API.
    pub passcode: Secret<String>,
    /// The token that apps carry.
    pub sdk_token: Secret<String>,
}

/// An account as operators see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// Its name.
    pub name: String,
    /// The IANA name of its time zone.
    pub time_zone: String,
    /// Since when it exists.
    pub created_at: Timestamp,
    /// Uploads at a time.
    pub uploads_max: u32,
    /// Other calls at a time, for each path.
    pub calls_max: u32,
    /// How long its data is kept, days.
    pub retention_days: u32,
    /// How long its request log is kept, days.
    pub request_retention_days: u32,
    /// How often one of its users may have masked values shown.
    pub reveals: RevealQuota,
    /// The domains whose pages may send to it; pages of any domain when there are none.
    pub domains: Vec<String>,
    /// Whether it takes messages that SDKs have encrypted in transit.
    pub takes_encrypted: bool,
    /// Its passcodes, by name.
    pub passcodes: Vec<Passcode>,
}

/// A passcode, without the secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Passcode {
    /// The name that people know it by.
    pub name: String,
    /// Since when.
    pub created_at: Timestamp,
    /// Since when it is not accepted any more.
    pub revoked_at: Option<Timestamp>,
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

/// An account and the hashes of its credentials.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) id: AccountId,
    pub(crate) account: Account,
    /// What it says of its events.
    pub(crate) said: Said,
    /// What it says of its properties.
    pub(crate) classes: Classes,
    /// Whose processing is restricted.
    pub(crate) restricted: BTreeSet<PersonKey>,
    /// Its keys for encrypted calls.
    pub(crate) api: Stored,
    sdk_token_hash: [u8; 32],
    /// As many as `account.passcodes`, in the same order.
    hashes: Vec<[u8; 32]>,
}

impl Record {
    /// The rules that collection works from.
    ///
    /// # Errors
    /// [`model::ErrorKind::Corrupt`] when the time zone is not known (any more), or a sealed key does
    /// not open.
    pub(crate) fn rules(&self, secret: PersonKeySecret, sealer: &Sealer) -> Result<AccountRules> {
        let zone = TimeZone::get(&self.account.time_zone).map_err(|_| {
            Error::damaged(format!("account `{}`", self.id), "its time zone is unknown")
        })?;
        let token = PasscodeHash::from_bytes(self.sdk_token_hash);
        let mut rules = AccountRules::new(self.id, &self.account.name, zone, secret, token);
        rules.limits = Limits {
            uploads: self.account.uploads_max,
            calls: self.account.calls_max,
        };
        rules.retention =
            Duration::from_secs(u64::from(self.account.retention_days).saturating_mul(86_400));
        rules.web_domains = self
            .account
            .domains
            .iter()
            .map(|domain| Box::from(domain.as_str()))
            .collect();
        rules.dictionary = self.said.dictionary.clone();
        rules.discarded_events = self.said.discarded.clone();
        rules.classes = Arc::new(self.classes.clone());
        rules.restricted = Arc::new(self.restricted.clone());
        rules.takes_encrypted = self.account.takes_encrypted;
        rules.api_encryption = self.api.open(self.id, sealer)?;
        rules.passcodes = self
            .account
            .passcodes
            .iter()
            .zip(&self.hashes)
            .filter(|(passcode, _)| passcode.revoked_at.is_none())
            .map(|(passcode, hash)| PasscodeRule {
                name: Box::from(passcode.name.as_str()),
                hash: PasscodeHash::from_bytes(*hash),
                terms: passcode.terms.clone(),
            })
            .collect();
        Ok(rules)
    }
}

impl Control {
    /// Creates an account with one passcode and an SDK token.
    ///
    /// # Errors
    /// [`model::ErrorKind::Invalid`] for an empty or overlong name, or a time zone that is not in the
    /// IANA database; [`model::ErrorKind::Denied`]; [`model::ErrorKind::Unavailable`] when it cannot
    /// be made durable.
    pub async fn create_account(
        &self,
        actor: &Actor,
        name: &str,
        time_zone: &str,
    ) -> Result<NewAccount> {
        let name = legal_name("an account", name)?;
        let zone = legal_zone(time_zone)?;
        self.authorize(actor, Act::ManageInstallation, AccountId::installation())
            .await?;
        let id = self.unused_id().await?;
        let secret = self.keys.create_person_key_secret(id).await?;
        let passcode = NewPasscode::generate(self.random.as_ref());
        let token = NewPasscode::generate(self.random.as_ref());
        let (hash, token_hash) = (passcode.hash.to_bytes(), token.hash.to_bytes());
        self.act(actor, Act::ManageInstallation, id, move |session, desk| {
            Box::pin(async move {
                insert_account(session, &desk, &name, &zone, token_hash).await?;
                let terms = PasscodeTerms::default();
                insert_passcode(session, &desk, FIRST_PASSCODE, hash, &terms).await?;
                let record = read(session, id).await?;
                session.then(Effect::Account(Box::new(
                    record.rules(secret, &desk.sealer)?,
                )));
                let description = "account created with its first passcode".to_owned();
                desk.note(session, Action::AccountCreated, id.to_string(), description)
                    .await
            })
        })
        .await?;
        Ok(NewAccount {
            account_id: id,
            passcode: passcode.text,
            sdk_token: token.text,
        })
    }

    /// Every account, by id.
    ///
    /// # Errors
    /// [`model::ErrorKind::Denied`]; [`model::ErrorKind::Unavailable`].
    pub async fn accounts(&self, actor: &Actor) -> Result<Vec<Account>> {
        self.authorize(actor, Act::ManageInstallation, AccountId::installation())
            .await?;
        let records = self
            .database
            .read(|session| Box::pin(async { read_all(session).await }))
            .await?;
        Ok(records.into_iter().map(|record| record.account).collect())
    }

    /// One account.
    ///
    /// # Errors
    /// [`model::ErrorKind::NotFound`]; [`model::ErrorKind::Denied`];
    /// [`model::ErrorKind::Unavailable`].
    pub async fn account(&self, actor: &Actor, id: AccountId) -> Result<Account> {
        self.authorize(actor, Act::ReadAccount, id).await?;
        let record = self
            .database
            .read(move |session| Box::pin(async move { read(session, id).await }))
            .await?;
        Ok(record.account)
    }

    /// Sets how much at a time an account may do.
    ///
    /// # Errors
    /// [`model::ErrorKind::Invalid`] for a limit of 0; as [`Control::account`].
    pub async fn set_limits(&self, actor: &Actor, id: AccountId, limits: Limits) -> Result<()> {
        if limits.uploads == 0 || limits.calls == 0 {
            return Err(Error::Invalid("a limit must be at least 1".to_owned()));
        }
        self.change(actor, Act::ManageAccount, id, move |session, desk| {
            Box::pin(async move {
                sqlx::query("UPDATE accounts SET uploads_max = $1, calls_max = $2 WHERE id = $3")
                    .bind(i64::from(limits.uploads))
                    .bind(i64::from(limits.calls))
                    .bind(id.as_str().to_owned())
                    .execute(session.connection())
                    .await
                    .map_err(Error::database("set limits"))?;
                let text = format!("uploads {}, calls {}", limits.uploads, limits.calls);
                desk.note(session, Action::LimitsChanged, id.to_string(), text)
                    .await
            })
        })
        .await
    }

    /// Sets how long an account's data and its request log are kept, days.
    ///
    /// # Errors
    /// [`model::ErrorKind::Invalid`] for less than 1 day or more than ten years; as
    /// [`Control::account`].
    pub async fn set_retention(
        &self,
        actor: &Actor,
        id: AccountId,
        days: u32,
        request_days: u32,
    ) -> Result<()> {
        let legal = 1..=RETENTION_DAYS_MAX;
        if !legal.contains(&days) || !legal.contains(&request_days) {
            let text = format!("a retention must be 1 to {RETENTION_DAYS_MAX} days");
            return Err(Error::Invalid(text));
        }
        self.change(actor, Act::ManageAccount, id, move |session, desk| {
            Box::pin(async move {
                sqlx::query(
                    "UPDATE accounts SET retention_days = $1, request_retention_days = $2 \
                     WHERE id = $3",
                )
                .bind(i64::from(days))
                .bind(i64::from(request_days))
                .bind(id.as_str().to_owned())
                .execute(session.connection())
                .await
                .map_err(Error::database("set retention"))?;
                let text = format!("data {days} days, request log {request_days} days");
                desk.note(session, Action::RetentionChanged, id.to_string(), text)
                    .await
            })
        })
        .await
    }

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
                insert_passcode(session, &desk, &name, hash, &terms).await?;
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

    /// A change of one account: `body` in a transaction, then the account's new rules.
    pub(crate) async fn change<F>(
        &self,
        actor: &Actor,
        act: Act,
        id: AccountId,
        body: F,
    ) -> Result<()>
    where
        F: for<'c> FnOnce(&'c mut Session, Desk) -> futures::future::BoxFuture<'c, Result<()>>
            + Send
            + 'static,
    {
        self.account(actor, id).await?;
        let secret = self.keys.person_key_secret(id)?;
        self.act(actor, act, id, move |session, desk| {
            Box::pin(async move {
                let sealer = Arc::clone(&desk.sealer);
                body(session, desk).await?;
                let record = read(session, id).await?;
                session.then(Effect::Account(Box::new(record.rules(secret, &sealer)?)));
                Ok(())
            })
        })
        .await
    }

    async fn unused_id(&self) -> Result<AccountId> {
        loop {
            let id = generate_id(self.random.as_ref())?;
            let taken = self
                .database
                .read(move |session| Box::pin(async move { exists(session, id).await }))
                .await?;
            if !taken {
                return Ok(id);
            }
        }
    }
}

/// Three groups of letters and digits that are not mistaken for one another: `4RW-Z6Z-485Z`.
fn generate_id(random: &dyn Random) -> Result<AccountId> {
    const LETTERS: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    let bytes = random.bytes16();
    let mut text = String::with_capacity(12);
    for (place, byte) in bytes.iter().take(9).enumerate() {
        if place == 3 || place == 6 {
            text.push('-');
        }
        text.extend(
            LETTERS
                .get(usize::from(byte & 31))
                .map(|letter| char::from(*letter)),
        );
    }
    text.push('Z');
    text.parse()
        .map_err(|_| Error::Internal("made an illegal account id".to_owned()))
}

fn legal_name(what: &str, name: &str) -> Result<String> {
    let name = name.trim();
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
        return Err(Error::Invalid(format!(
            "the name of {what} must be 1 to {NAME_BYTES_MAX} bytes without control characters"
        )));
    }
    Ok(name.to_owned())
}

/// The zone's name as the database spells it.
fn legal_zone(name: &str) -> Result<String> {
    let unknown = || Error::Invalid(format!("`{name}` is not a time zone of the IANA database"));
    let zone = TimeZone::get(name).map_err(|_| unknown())?;
    zone.iana_name().map(str::to_owned).ok_or_else(unknown)
}

async fn exists(session: &mut Session, id: AccountId) -> Result<bool> {
    let row = sqlx::query("SELECT id FROM accounts WHERE id = $1")
        .bind(id.as_str().to_owned())
        .fetch_optional(session.connection())
        .await
        .map_err(Error::database("look for an account"))?;
    Ok(row.is_some())
}

/// Fails unless the account exists.
pub(crate) async fn require(session: &mut Session, id: AccountId) -> Result<()> {
    if exists(session, id).await? {
        Ok(())
    } else {
        Err(unknown(id))
    }
}

fn unknown(id: AccountId) -> Error {
    Error::NotFound(format!("account `{id}`"))
}

async fn insert_account(
    session: &mut Session,
    desk: &Desk,
    name: &str,
    zone: &str,
    token_hash: [u8; 32],
) -> Result<()> {
    sqlx::query(
        "INSERT INTO accounts (id, name, time_zone, created_at, uploads_max, calls_max, \
         retention_days, request_retention_days, sdk_token_hash) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(desk.account.as_str().to_owned())
    .bind(name.to_owned())
    .bind(zone.to_owned())
    .bind(desk.now.ms())
    .bind(i64::from(limit::CONCURRENT_UPLOADS_DEFAULT))
    .bind(i64::from(limit::CONCURRENT_CALLS_DEFAULT))
    .bind(i64::from(limit::RETENTION_DAYS_DEFAULT))
    .bind(i64::from(limit::REQUEST_RETENTION_DAYS_DEFAULT))
    .bind(token_hash.to_vec())
    .execute(session.connection())
    .await
    .map(|_| ())
    .map_err(Error::database("write an account"))
}

async fn insert_passcode(
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

const ACCOUNT_COLUMNS: &str = "SELECT id, name, time_zone, created_at, uploads_max, calls_max, \
    retention_days, request_retention_days, sdk_token_hash, encrypted_refused, \
    undefined_events, undefined_properties, api_encryption, answer_key, answer_prefix, \
    mismatched_properties, undefined_profile, mismatched_profile, \
    reveals_minute_max, reveals_day_max FROM accounts ORDER BY id";
const DOMAIN_COLUMNS: &str = "SELECT account, domain FROM account_domains ORDER BY account, domain";
const PASSCODE_COLUMNS: &str = "SELECT account, name, hash, created_at, revoked_at, expires_at, \
    scopes, networks FROM passcodes ORDER BY account, name";

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

/// Every account, by id.
pub(crate) async fn read_all(session: &mut Session) -> Result<Vec<Record>> {
    const ACT: &str = "read the accounts";
    let rows = sqlx::query(ACCOUNT_COLUMNS)
        .fetch_all(session.connection())
        .await
        .map_err(Error::database(ACT))?;
    let mut records = rows.iter().map(decode).collect::<Result<Vec<_>>>()?;
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
        record.account.passcodes.push(Passcode {
            name: row.try_get(1).map_err(Error::database(ACT))?,
            created_at: Timestamp::from_ms(row.try_get(3).map_err(Error::database(ACT))?),
            revoked_at: revoked.map(Timestamp::from_ms),
            terms: read_terms(row)?,
        });
    }
    let rows = sqlx::query(DOMAIN_COLUMNS)
        .fetch_all(session.connection())
        .await
        .map_err(Error::database(ACT))?;
    for row in &rows {
        let account: String = row.try_get(0).map_err(Error::database(ACT))?;
        let found = records.binary_search_by(|record| record.id.as_str().cmp(&account));
        if let Some(record) = found.ok().and_then(|index| records.get_mut(index)) {
            let domain = row.try_get(1).map_err(Error::database(ACT))?;
            record.account.domains.push(domain);
        }
    }
    dictionary::read_into(session, &mut records).await?;
    classes::read_into(session, &mut records).await?;
    restriction::read_into(session, &mut records).await?;
    api_keys::read_into(session, &mut records).await?;
    Ok(records)
}

/// One account.
pub(crate) async fn read(session: &mut Session, id: AccountId) -> Result<Record> {
    let all = read_all(session).await?;
    all.into_iter()
        .find(|record| record.id == id)
        .ok_or_else(|| unknown(id))
}

fn decode(row: &SqliteRow) -> Result<Record> {
    const ACT: &str = "read an account";
    let text = |index: usize| {
        row.try_get::<String, _>(index)
            .map_err(Error::database(ACT))
    };
    let number = |index: usize| {
        let number: i64 = row.try_get(index).map_err(Error::database(ACT))?;
        u32::try_from(number).map_err(|_| Error::damaged("an account", "a number is out of range"))
    };
    let id = text(0)?
        .parse()
        .map_err(|_| Error::damaged("an account", "its id is malformed"))?;
    let token: Vec<u8> = row.try_get(8).map_err(Error::database(ACT))?;
    let damaged = |_| Error::damaged("an account", "its token's hash is malformed");
    let policy = [text(10)?, text(11)?, text(15)?, text(16)?, text(17)?];
    Ok(Record {
        id,
        said: Said::of_policy(&policy.each_ref().map(String::as_str))?,
        classes: Classes::default(),
        restricted: BTreeSet::new(),
        api: Stored::decode(row, 12)?,
        account: Account {
            id,
            name: text(1)?,
            time_zone: text(2)?,
            created_at: Timestamp::from_ms(row.try_get(3).map_err(Error::database(ACT))?),
            uploads_max: number(4)?,
            calls_max: number(5)?,
            retention_days: number(6)?,
            request_retention_days: number(7)?,
            reveals: RevealQuota {
                per_minute: number(18)?,
                per_day: number(19)?,
            },
            domains: Vec::new(),
            takes_encrypted: number(9)? == 0,
            passcodes: Vec::new(),
        },
        sdk_token_hash: token.try_into().map_err(damaged)?,
        hashes: Vec::new(),
    })
}
