//! Keys for encrypted calls of the API: made, rotated and retired here, used in collection.
//!
//! A private key lies in the database as a sealed field, in no log and in no answer, and is removed
//! when its key is retired. The caller's key, to which answers are encrypted, is public.

use governance::{AnswerKey, ApiEncryption, ApiEncryptionPolicy, ApiKey};
use model::{AccountId, Secret, Timestamp};
use serde::Serialize;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;
use std::time::Duration;

use crate::account::{Record, read};
use crate::audit::Action;
use crate::authz::Act;
use crate::control::{Control, Desk};
use crate::database::Session;
use crate::sealer::Sealer;
use crate::{Actor, Error, Result};

/// Retired keys of one account that are kept, the newest. The audit log knows of all.
const RETIRED_MAX: i64 = 100;
/// Keys of one account that are accepted at a time.
const ACCEPTED_MAX: usize = 4;
/// The longest time that an older key is accepted beside a newer one.
const OVERLAP_MAX: Duration = Duration::from_secs(90 * 86_400);

/// What an account wants of encryption on the API, for people and programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ApiEncryptionView {
    /// `off`, `optional` or `required`.
    pub policy: &'static str,
    /// The key that answers are encrypted to; none when they cannot be.
    pub answer_key: Option<AnswerKeyView>,
    /// Every key that calls may be encrypted to, or might once, newest first.
    pub keys: Vec<ApiKeyView>,
}

/// The caller's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AnswerKeyView {
    /// 64 hexadecimal digits.
    #[serde(serialize_with = "in_hex")]
    pub public_key: [u8; 32],
    /// The number that stands before each answer.
    pub prefix: Option<u32>,
}

/// A key, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ApiKeyView {
    /// The number that it is known by.
    pub key_id: u32,
    /// 64 hexadecimal digits.
    #[serde(serialize_with = "in_hex")]
    pub public_key: [u8; 32],
    /// What it is now.
    pub state: ApiKeyState,
    /// Since when.
    pub created_at: Timestamp,
    /// Until when calls to it are taken; open while there is no newer one.
    pub accepted_until: Option<Timestamp>,
    /// Since when it is retired.
    pub retired_at: Option<Timestamp>,
}

/// What a key is at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ApiKeyState {
    /// The one to encrypt to.
    Current,
    /// Still taken, beside a newer one.
    Accepted,
    /// Its time is over.
    Ended,
    /// It was retired; its private half is gone.
    Retired,
}

/// What is read of an account.
#[derive(Debug, Default)]
pub(crate) struct Stored {
    policy: ApiEncryptionPolicy,
    answer_key: Option<AnswerKey>,
    /// Newest first.
    keys: Vec<StoredKey>,
}

#[derive(Debug)]
struct StoredKey {
    id: u32,
    public_key: [u8; 32],
    private_key_sealed: Option<Vec<u8>>,
    created_at: Timestamp,
    accepted_until: Option<Timestamp>,
    retired_at: Option<Timestamp>,
}

const POLICIES: [(ApiEncryptionPolicy, &str); 3] = [
    (ApiEncryptionPolicy::Off, "off"),
    (ApiEncryptionPolicy::Optional, "optional"),
    (ApiEncryptionPolicy::Required, "required"),
];

fn word(policy: ApiEncryptionPolicy) -> &'static str {
    let found = POLICIES.iter().find(|(it, _)| *it == policy);
    found.map_or("optional", |(_, word)| word)
}

/// The place that a private key is sealed for.
fn place(account: AccountId, id: u32) -> String {
    format!("api_keys.private_key {account} {id}")
}

impl Stored {
    /// From the account's row: the policy, the caller's key and its number, from column `at` on.
    pub(crate) fn decode(row: &SqliteRow, at: usize) -> Result<Self> {
        const ACT: &str = "read an account";
        let damaged = || Error::damaged("an account", "its encryption of calls is malformed");
        let policy: String = row.try_get(at).map_err(Error::database(ACT))?;
        let policy = POLICIES.iter().find(|(_, word)| *word == policy);
        let (key_at, prefix_at) = (at.saturating_add(1), at.saturating_add(2));
        let key: Option<Vec<u8>> = row.try_get(key_at).map_err(Error::database(ACT))?;
        let prefix: Option<i64> = row.try_get(prefix_at).map_err(Error::database(ACT))?;
        let prefix = prefix.map(u32::try_from).transpose();
        let answer_key = match key {
            None => None,
            Some(key) => Some(AnswerKey {
                public_key: key.try_into().map_err(|_| damaged())?,
                prefix: prefix.map_err(|_| damaged())?,
            }),
        };
        Ok(Self {
            policy: policy.ok_or_else(damaged)?.0,
            answer_key,
            keys: Vec::new(),
        })
    }

    /// What collection works from.
    ///
    /// # Errors
    /// [`model::ErrorKind::Corrupt`] when a private key does not open.
    pub(crate) fn open(&self, account: AccountId, sealer: &Sealer) -> Result<ApiEncryption> {
        let mut keys = Vec::new();
        for key in self.keys.iter().filter(|key| key.retired_at.is_none()) {
            let Some(sealed) = &key.private_key_sealed else {
                continue;
            };
            keys.push(ApiKey {
                id: key.id,
                private_key: sealer.open_key(&place(account, key.id), sealed)?,
                accepted_until: key.accepted_until,
            });
        }
        Ok(ApiEncryption {
            policy: self.policy,
            keys,
            answer_key: self.answer_key,
        })
    }

    fn accepted(&self, now: Timestamp) -> usize {
        let is_accepted = |key: &&StoredKey| {
            let state = key.state(now);
            matches!(state, ApiKeyState::Current | ApiKeyState::Accepted)
        };
        self.keys.iter().filter(is_accepted).count()
    }

    fn has_current(&self, now: Timestamp) -> bool {
        let mut keys = self.keys.iter();
        keys.any(|key| key.state(now) == ApiKeyState::Current)
    }

    fn view(&self, now: Timestamp) -> ApiEncryptionView {
        let keys = self.keys.iter().map(|key| ApiKeyView {
            key_id: key.id,
            public_key: key.public_key,
            state: key.state(now),
            created_at: key.created_at,
            accepted_until: key.accepted_until,
            retired_at: key.retired_at,
        });
        ApiEncryptionView {
            policy: word(self.policy),
            answer_key: self.answer_key.map(|key| AnswerKeyView {
                public_key: key.public_key,
                prefix: key.prefix,
            }),
            keys: keys.collect(),
        }
    }
}

impl StoredKey {
    fn state(&self, now: Timestamp) -> ApiKeyState {
        match (self.retired_at, self.accepted_until) {
            (Some(_), _) => ApiKeyState::Retired,
            (None, None) => ApiKeyState::Current,
            (None, Some(end)) if now < end => ApiKeyState::Accepted,
            (None, Some(_)) => ApiKeyState::Ended,
        }
    }
}

impl Control {
    /// What an account wants of encryption on the API.
    ///
    /// # Errors
    /// As [`Control::account`].
    pub async fn api_encryption(&self, actor: &Actor, id: AccountId) -> Result<ApiEncryptionView> {
        self.account(actor, id).await?;
        let record = self
            .database
            .read(move |session| Box::pin(async move { read(session, id).await }))
            .await?;
        Ok(record.api.view(self.clock.now()))
    }

    /// Makes an account's first key, or its next one after all others have ended.
    ///
    /// # Errors
    /// [`model::ErrorKind::Conflict`] when there is a current one, which is to be rotated; as
    /// [`Control::account`].
    pub async fn create_api_key(&self, actor: &Actor, id: AccountId) -> Result<ApiEncryptionView> {
        self.add_api_key(actor, id, None).await
    }

    /// Makes a key in place of the current one, which is accepted for `overlap` longer.
    ///
    /// # Errors
    /// [`model::ErrorKind::NotFound`] when there is no current one; [`model::ErrorKind::Invalid`] for
    /// more than 90 days; [`model::ErrorKind::Conflict`] when more keys would be accepted at a time
    /// than may be; as [`Control::account`].
    pub async fn rotate_api_key(
        &self,
        actor: &Actor,
        id: AccountId,
        overlap: Duration,
    ) -> Result<ApiEncryptionView> {
        if overlap > OVERLAP_MAX {
            let text = "an older key is accepted for at most 90 days";
            return Err(Error::Invalid(text.to_owned()));
        }
        self.add_api_key(actor, id, Some(overlap)).await
    }

    async fn add_api_key(
        &self,
        actor: &Actor,
        id: AccountId,
        rotate: Option<Duration>,
    ) -> Result<ApiEncryptionView> {
        let private_key = Secret::new(self.random.bytes32());
        let public_key = seal::hpke::public_key(&private_key)?;
        let [a, b, c, d, ..] = self.random.bytes16();
        // Never 0, and never above what a signed number of 32 bits holds.
        let key_id = u32::from_be_bytes([a & 0x7f, b, c, d]) | 1;
        self.change(actor, Act::ManageCredentials, id, move |session, desk| {
            Box::pin(async move {
                let stored = read(session, id).await?.api;
                check_room(&stored, rotate, key_id, desk.now)?;
                let mut words = String::from("created");
                if let Some(overlap) = rotate {
                    let end = desk.now.plus(overlap);
                    end_current(session, id, end).await?;
                    words = format!("created; the key before it is accepted until {end}");
                }
                forget_ended(session, id, desk.now).await?;
                let sealed = desk.sealer.seal_key(&place(id, key_id), &private_key)?;
                insert(session, &desk, key_id, public_key, sealed).await?;
                desk.note(session, Action::ApiKeyCreated, key_id.to_string(), words)
                    .await
            })
        })
        .await?;
        self.api_encryption(actor, id).await
    }

    /// Retires a key: calls to it are refused from now on, and its private half is removed.
    ///
    /// # Errors
    /// [`model::ErrorKind::NotFound`] when there is none of that number that is not retired;
    /// [`model::ErrorKind::Conflict`] when calls must be encrypted and could not be any more; as
    /// [`Control::account`].
    pub async fn retire_api_key(
        &self,
        actor: &Actor,
        id: AccountId,
        key_id: u32,
    ) -> Result<ApiEncryptionView> {
        self.change(actor, Act::ManageCredentials, id, move |session, desk| {
            Box::pin(async move {
                retire(session, id, key_id, desk.now).await?;
                let stored = read(session, id).await?.api;
                if stored.policy == ApiEncryptionPolicy::Required && !stored.has_current(desk.now) {
                    let text = "calls must be encrypted in this account: make another key first, \
                                or take the rule back";
                    return Err(Error::Conflict(text.to_owned()));
                }
                let words = "retired; its private half is removed".to_owned();
                desk.note(session, Action::ApiKeyRetired, key_id.to_string(), words)
                    .await
            })
        })
        .await?;
        self.api_encryption(actor, id).await
    }

    /// Sets whether calls may or must be encrypted.
    ///
    /// # Errors
    /// [`model::ErrorKind::Conflict`] when they must and there is no current key; as
    /// [`Control::account`].
    pub async fn set_api_encryption(
        &self,
        actor: &Actor,
        id: AccountId,
        policy: ApiEncryptionPolicy,
    ) -> Result<ApiEncryptionView> {
        self.change(actor, Act::ManageCredentials, id, move |session, desk| {
            Box::pin(async move {
                let stored = read(session, id).await?.api;
                if policy == ApiEncryptionPolicy::Required && !stored.has_current(desk.now) {
                    let text = "there is no key to encrypt to: make one first";
                    return Err(Error::Conflict(text.to_owned()));
                }
                sqlx::query("UPDATE accounts SET api_encryption = $1 WHERE id = $2")
                    .bind(word(policy))
                    .bind(id.as_str().to_owned())
                    .execute(session.connection())
                    .await
                    .map_err(Error::database("set encryption of calls"))?;
                let words = format!("encryption of calls: {}", word(policy));
                desk.note(session, Action::ApiEncryptionChanged, id.to_string(), words)
                    .await
            })
        })
        .await?;
        self.api_encryption(actor, id).await
    }

    /// Sets the key that answers are encrypted to where the caller asks for that; none: such calls
    /// are refused.
    ///
    /// # Errors
    /// [`model::ErrorKind::Invalid`] for a key that nothing can be encrypted to; as
    /// [`Control::account`].
    pub async fn set_answer_key(
        &self,
        actor: &Actor,
        id: AccountId,
        key: Option<AnswerKey>,
    ) -> Result<ApiEncryptionView> {
        if let Some(key) = &key
            && seal::hpke::seal(&key.public_key, &[]).is_err()
        {
            let text = "nothing can be encrypted to that public key";
            return Err(Error::Invalid(text.to_owned()));
        }
        self.change(actor, Act::ManageCredentials, id, move |session, desk| {
            Box::pin(async move {
                sqlx::query(
                    "UPDATE accounts SET answer_key = $1, answer_prefix = $2 WHERE id = $3",
                )
                .bind(key.map(|it| it.public_key.to_vec()))
                .bind(key.and_then(|it| it.prefix).map(i64::from))
                .bind(id.as_str().to_owned())
                .execute(session.connection())
                .await
                .map_err(Error::database("set the key for answers"))?;
                let words = match key {
                    Some(key) => format!("answers go to {}", hex::encode(key.public_key)),
                    None => "there is no key for answers".to_owned(),
                };
                desk.note(session, Action::ApiEncryptionChanged, id.to_string(), words)
                    .await
            })
        })
        .await?;
        self.api_encryption(actor, id).await
    }
}

fn check_room(
    stored: &Stored,
    rotate: Option<Duration>,
    key_id: u32,
    now: Timestamp,
) -> Result<()> {
    if stored.keys.iter().any(|key| key.id == key_id) {
        return Err(Error::Conflict("drew a number twice: try again".to_owned()));
    }
    match (stored.has_current(now), rotate) {
        (true, None) => {
            let text = "there is a key already: rotate it";
            Err(Error::Conflict(text.to_owned()))
        }
        (false, Some(_)) => Err(Error::NotFound("key to rotate: make the first".to_owned())),
        _ if stored.accepted(now) >= ACCEPTED_MAX => {
            let text = format!("{ACCEPTED_MAX} keys are accepted already: retire one first");
            Err(Error::Conflict(text))
        }
        (true, Some(_)) | (false, None) => Ok(()),
    }
}

async fn insert(
    session: &mut Session,
    desk: &Desk,
    key_id: u32,
    public_key: [u8; 32],
    sealed: Vec<u8>,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO api_keys (account, id, public_key, private_key_sealed, created_at) \
         VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(desk.account.as_str().to_owned())
    .bind(i64::from(key_id))
    .bind(public_key.to_vec())
    .bind(sealed)
    .bind(desk.now.ms())
    .execute(session.connection())
    .await
    .map(|_| ())
    .map_err(Error::database("write a key"))
}

async fn end_current(session: &mut Session, id: AccountId, end: Timestamp) -> Result<()> {
    sqlx::query(
        "UPDATE api_keys SET accepted_until = $1 \
         WHERE account = $2 AND accepted_until IS NULL AND retired_at IS NULL",
    )
    .bind(end.ms())
    .bind(id.as_str().to_owned())
    .execute(session.connection())
    .await
    .map(|_| ())
    .map_err(Error::database("end a key"))
}

/// Removes the private halves of keys whose time is over, and the oldest of the retired keys.
async fn forget_ended(session: &mut Session, id: AccountId, now: Timestamp) -> Result<()> {
    sqlx::query(
        "UPDATE api_keys SET private_key_sealed = NULL, retired_at = accepted_until \
         WHERE account = $1 AND accepted_until <= $2 AND retired_at IS NULL",
    )
    .bind(id.as_str().to_owned())
    .bind(now.ms())
    .execute(session.connection())
    .await
    .map_err(Error::database("retire keys whose time is over"))?;
    sqlx::query(
        "DELETE FROM api_keys WHERE account = $1 AND retired_at IS NOT NULL AND id NOT IN \
         (SELECT id FROM api_keys WHERE account = $1 AND retired_at IS NOT NULL \
         ORDER BY retired_at DESC, created_at DESC, id LIMIT $2)",
    )
    .bind(id.as_str().to_owned())
    .bind(RETIRED_MAX)
    .execute(session.connection())
    .await
    .map(|_| ())
    .map_err(Error::database("forget retired keys"))
}

async fn retire(session: &mut Session, id: AccountId, key_id: u32, now: Timestamp) -> Result<()> {
    let done = sqlx::query(
        "UPDATE api_keys SET private_key_sealed = NULL, retired_at = $1 \
         WHERE account = $2 AND id = $3 AND retired_at IS NULL",
    )
    .bind(now.ms())
    .bind(id.as_str().to_owned())
    .bind(i64::from(key_id))
    .execute(session.connection())
    .await
    .map_err(Error::database("retire a key"))?;
    if done.rows_affected() == 0 {
        return Err(Error::NotFound(format!("key `{key_id}` in force")));
    }
    Ok(())
}

/// Reads every account's keys into its record.
pub(crate) async fn read_into(session: &mut Session, records: &mut [Record]) -> Result<()> {
    const ACT: &str = "read the keys for calls";
    let rows = sqlx::query(
        "SELECT account, id, public_key, private_key_sealed, created_at, accepted_until, \
         retired_at FROM api_keys ORDER BY account, retired_at IS NOT NULL, \
         accepted_until IS NOT NULL, created_at DESC, id",
    )
    .fetch_all(session.connection())
    .await
    .map_err(Error::database(ACT))?;
    for row in &rows {
        let account: String = row.try_get(0).map_err(Error::database(ACT))?;
        let found = records.binary_search_by(|record| record.id.as_str().cmp(&account));
        if let Some(record) = found.ok().and_then(|index| records.get_mut(index)) {
            record.api.keys.push(StoredKey::decode(row)?);
        }
    }
    Ok(())
}

impl StoredKey {
    fn decode(row: &SqliteRow) -> Result<Self> {
        const ACT: &str = "read the keys for calls";
        let damaged = || Error::damaged("a key for calls", "a number or the key is malformed");
        let time = |index: usize| {
            let ms: Option<i64> = row.try_get(index).map_err(Error::database(ACT))?;
            Ok::<_, Error>(ms.map(Timestamp::from_ms))
        };
        let id: i64 = row.try_get(1).map_err(Error::database(ACT))?;
        let public_key: Vec<u8> = row.try_get(2).map_err(Error::database(ACT))?;
        Ok(Self {
            id: u32::try_from(id).map_err(|_| damaged())?,
            public_key: public_key.try_into().map_err(|_| damaged())?,
            private_key_sealed: row.try_get(3).map_err(Error::database(ACT))?,
            created_at: time(4)?.ok_or_else(damaged)?,
            accepted_until: time(5)?,
            retired_at: time(6)?,
        })
    }
}

fn in_hex<S: serde::Serializer>(key: &[u8; 32], to: S) -> std::result::Result<S::Ok, S::Error> {
    to.serialize_str(&hex::encode(key))
}
