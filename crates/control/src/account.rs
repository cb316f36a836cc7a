//! Accounts: made and read.

mod terms;

use governance::{
    AccountRules, Classes, Limits, NewPasscode, PasscodeHash, PasscodeRule, PasscodeTerms,
    Restricted, SdkTokenRule,
};
use jiff::tz::TimeZone;
use model::{AccountId, PersonKeySecret, Random, Secret, Timestamp, limit};
use serde::Serialize;
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
use crate::passcodes::{self, Passcode};
use crate::restriction;
use crate::reveal::RevealQuota;
use crate::sdk_tokens::{self, SdkToken};
use crate::sealer::Sealer;
use crate::state::Effect;
use crate::{Actor, Error, Result};

pub use self::terms::{LimitsChange, RequestRetention, Retention, RetentionChange};

const NAME_BYTES_MAX: usize = 200;
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
    /// How long its events are kept, days.
    pub retention_days: u32,
    /// How long its request log is kept, days; as long as the installation's own when none.
    pub request_retention_days: Option<u32>,
    /// How often one of its users may have masked values shown.
    pub reveals: RevealQuota,
    /// The domains whose pages may send to it; pages of any domain when there are none.
    pub domains: Vec<String>,
    /// Whether it takes messages that SDKs have encrypted in transit.
    pub takes_encrypted: bool,
    /// Its passcodes, by name.
    pub passcodes: Vec<Passcode>,
    /// The tokens that its apps carry, the newest last.
    pub sdk_tokens: Vec<SdkToken>,
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
    pub(crate) restricted: BTreeSet<Restricted>,
    /// Its keys for encrypted calls.
    pub(crate) api: Stored,
    pub(crate) tokens: Vec<SdkTokenRule>,
    /// As many as `account.passcodes`, in the same order.
    pub(crate) hashes: Vec<[u8; 32]>,
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
        let newest = self
            .tokens
            .last()
            .ok_or_else(|| Error::damaged(format!("account `{}`", self.id), "it has no token"))?;
        let token = newest.hash;
        let mut rules = AccountRules::new(self.id, &self.account.name, zone, secret, token);
        rules.sdk_tokens.clone_from(&self.tokens);
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
                insert_account(session, &desk, &name, &zone).await?;
                sdk_tokens::insert(session, &desk, 1, token_hash).await?;
                let terms = PasscodeTerms::default();
                passcodes::insert(session, &desk, FIRST_PASSCODE, hash, &terms).await?;
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

pub(crate) fn legal_name(what: &str, name: &str) -> Result<String> {
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

async fn insert_account(session: &mut Session, desk: &Desk, name: &str, zone: &str) -> Result<()> {
    sqlx::query(
        "INSERT INTO accounts (id, name, time_zone, created_at, uploads_max, calls_max, \
         retention_days) VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(desk.account.as_str().to_owned())
    .bind(name.to_owned())
    .bind(zone.to_owned())
    .bind(desk.now.ms())
    .bind(i64::from(limit::CONCURRENT_UPLOADS_DEFAULT))
    .bind(i64::from(limit::CONCURRENT_CALLS_DEFAULT))
    .bind(i64::from(limit::RETENTION_DAYS_DEFAULT))
    .execute(session.connection())
    .await
    .map(|_| ())
    .map_err(Error::database("write an account"))
}

const ACCOUNT_COLUMNS: &str = "SELECT id, name, time_zone, created_at, uploads_max, calls_max, \
    retention_days, request_retention_days, encrypted_refused, \
    undefined_events, undefined_properties, api_encryption, answer_key, answer_prefix, \
    mismatched_properties, undefined_profile, mismatched_profile, \
    reveals_minute_max, reveals_day_max FROM accounts ORDER BY id";
const DOMAIN_COLUMNS: &str = "SELECT account, domain FROM account_domains ORDER BY account, domain";
/// Every account, by id.
pub(crate) async fn read_all(session: &mut Session) -> Result<Vec<Record>> {
    const ACT: &str = "read the accounts";
    let rows = sqlx::query(ACCOUNT_COLUMNS)
        .fetch_all(session.connection())
        .await
        .map_err(Error::database(ACT))?;
    let mut records = rows.iter().map(decode).collect::<Result<Vec<_>>>()?;
    passcodes::read_into(session, &mut records).await?;
    sdk_tokens::read_into(session, &mut records).await?;
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
    let small = |number: i64| {
        u32::try_from(number).map_err(|_| Error::damaged("an account", "a number is out of range"))
    };
    let number = |index: usize| small(row.try_get(index).map_err(Error::database(ACT))?);
    let own: Option<i64> = row.try_get(7).map_err(Error::database(ACT))?;
    let id = text(0)?
        .parse()
        .map_err(|_| Error::damaged("an account", "its id is malformed"))?;
    let policy = [text(9)?, text(10)?, text(14)?, text(15)?, text(16)?];
    Ok(Record {
        id,
        said: Said::of_policy(&policy.each_ref().map(String::as_str))?,
        classes: Classes::default(),
        restricted: BTreeSet::new(),
        api: Stored::decode(row, 11)?,
        account: Account {
            id,
            name: text(1)?,
            time_zone: text(2)?,
            created_at: Timestamp::from_ms(row.try_get(3).map_err(Error::database(ACT))?),
            uploads_max: number(4)?,
            calls_max: number(5)?,
            retention_days: number(6)?,
            request_retention_days: own.map(small).transpose()?,
            reveals: RevealQuota {
                per_minute: number(17)?,
                per_day: number(18)?,
            },
            domains: Vec::new(),
            takes_encrypted: number(8)? == 0,
            passcodes: Vec::new(),
            sdk_tokens: Vec::new(),
        },
        tokens: Vec::new(),
        hashes: Vec::new(),
    })
}
