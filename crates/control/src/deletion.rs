//! Deletions of people: the ledger, and the state of each deletion's job.
//!
//! The ledger's lines come first: from that transaction on everybody reads through them. They hold
//! person keys only. A deletion goes pending → running → done, and back to pending when it is found
//! to reach further. Until its job has begun for the first time it can be cancelled: up to then its
//! people are hidden and nothing else (decision 28). So it is with each key by which one is extended:
//! its records stay in the lake until the job begins again, which follows its links first.

mod receipt;
mod rows;
mod work;

use model::{AccountId, PersonKey, RawJson, Timestamp};
use serde::{Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

use self::rows::{add_keys, begin, id_of, read, read_each};
use crate::account;
use crate::audit::{self, Action};
use crate::authz::Act;
use crate::control::{Control, ledger_of};
use crate::state::Effect;
use crate::{Actor, Error, Result};
pub use receipt::{LastTurn, VerifiedReceipt, verify_receipt};
pub(crate) use work::count_left_out;

/// Keys in one deletion.
pub const DELETION_KEYS_MAX: usize = 100_000;
const REASON_BYTES_MAX: usize = 1_000;

/// A deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeletionId(pub [u8; 16]);

impl fmt::Display for DeletionId {
    /// 32 lower-case hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl FromStr for DeletionId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut bytes = [0; 16];
        hex::decode_to_slice(text, &mut bytes)
            .map_err(|_| Error::Invalid("not a well-formed deletion id".to_owned()))?;
        Ok(Self(bytes))
    }
}

impl Serialize for DeletionId {
    fn serialize<S: Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

/// One key that a deletion hides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct LedgerKey {
    /// The key.
    pub person: PersonKey,
    /// From when on; none for always.
    pub from: Option<Timestamp>,
    /// Until before when; none for ever.
    pub to: Option<Timestamp>,
}

impl LedgerKey {
    /// All of a person.
    #[must_use]
    pub const fn whole(person: PersonKey) -> Self {
        Self {
            person,
            from: None,
            to: None,
        }
    }
}

/// How far a deletion is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DeletionState {
    /// The people are hidden; the job has not begun, or must begin again.
    Pending,
    /// The job runs.
    Running,
    /// The data is gone.
    Done,
    /// It was taken back before its job had begun: nobody is hidden by it any more.
    Cancelled,
}

impl DeletionState {
    /// Its stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Done => "done",
            Self::Cancelled => "cancelled",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::Pending, Self::Running, Self::Done, Self::Cancelled]
            .into_iter()
            .find(|it| it.as_str() == name)
    }
}

/// One deletion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Deletion {
    /// Its id.
    pub id: DeletionId,
    /// In which account.
    pub account: AccountId,
    /// How far it is.
    pub state: DeletionState,
    /// Grows when it is found to reach further.
    pub revision: u32,
    /// Whom it hides.
    pub keys: Vec<LedgerKey>,
    /// When it was requested.
    pub requested_at: Timestamp,
    /// When its job began.
    pub started_at: Option<Timestamp>,
    /// Whether its job has ever begun: from then on it cannot be cancelled.
    pub has_begun: bool,
    /// When it was done, or cancelled.
    pub completed_at: Option<Timestamp>,
    /// What the job found and did.
    pub receipt: Option<RawJson>,
    /// The receipt as it is signed, which [`verify_receipt`] checks; none of what was done before
    /// receipts were signed.
    pub signed_receipt: Option<String>,
}

impl Deletion {
    /// Whether its job has something to do.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self.state, DeletionState::Pending | DeletionState::Running)
    }

    /// Whether it can still be cancelled.
    #[must_use]
    pub const fn is_cancellable(&self) -> bool {
        matches!(self.state, DeletionState::Pending) && !self.has_begun
    }
}

impl Control {
    /// Orders the deletion of people: they are hidden everywhere when this returns.
    ///
    /// # Errors
    /// [`model::ErrorKind::Invalid`] without keys, with too many, or with a reason of more than 1,000
    /// bytes; [`model::ErrorKind::NotFound`]; [`model::ErrorKind::Denied`];
    /// [`model::ErrorKind::Unavailable`] when it cannot be made durable.
    pub async fn request_deletion(
        &self,
        actor: &Actor,
        account: AccountId,
        keys: Vec<LedgerKey>,
        reason: &str,
    ) -> Result<DeletionId> {
        if keys.is_empty() || keys.len() > DELETION_KEYS_MAX {
            let text = format!("a deletion names 1 to {DELETION_KEYS_MAX} keys");
            return Err(Error::Invalid(text));
        }
        if reason.len() > REASON_BYTES_MAX {
            let text = format!("a deletion's reason has at most {REASON_BYTES_MAX} bytes");
            return Err(Error::Invalid(text));
        }
        let id = DeletionId(self.random.bytes16());
        let reason = self
            .sealer
            .seal(&format!("deletions/reason/{id}"), reason)?;
        self.act(actor, Act::DeletePeople, account, move |session, desk| {
            Box::pin(async move {
                account::require(session, account).await?;
                sqlx::query(
                    "INSERT INTO deletions (id, account, state, revision, reason_sealed, \
                     requested_at, started_at, completed_at, receipt, begun) \
                     VALUES ($1, $2, $3, 1, $4, $5, NULL, NULL, NULL, 0)",
                )
                .bind(id.0.to_vec())
                .bind(account.as_str().to_owned())
                .bind(DeletionState::Pending.as_str())
                .bind(reason)
                .bind(desk.now.ms())
                .execute(session.connection())
                .await
                .map_err(Error::database("write a deletion"))?;
                let added = add_keys(session, account, (id, false), &[], &keys).await?;
                let description = format!("{added} keys hidden");
                desk.note(
                    session,
                    Action::DeletionRequested,
                    id.to_string(),
                    description,
                )
                .await?;
                Ok(id)
            })
        })
        .await
    }

    /// Adds keys that were found to be the same person, and reopens the deletion. Keys that it has
    /// already change nothing. Returns how many were new.
    ///
    /// # Errors
    /// As [`Control::request_deletion`]; [`model::ErrorKind::NotFound`] for an unknown id.
    pub async fn extend_deletion(
        &self,
        actor: &Actor,
        id: DeletionId,
        keys: Vec<LedgerKey>,
    ) -> Result<usize> {
        let before = self.find_deletion(id).await?;
        if keys.iter().all(|key| before.keys.contains(key)) {
            return Ok(0);
        }
        let account = before.account;
        self.act(
            actor,
            Act::CarryOutDeletion,
            account,
            move |session, desk| {
                Box::pin(async move {
                    let now = read(session, id).await?;
                    if now.state == DeletionState::Cancelled {
                        return Err(Error::Conflict(format!("deletion `{id}` is cancelled")));
                    }
                    let whose = (id, false);
                    let added = add_keys(session, account, whose, &now.keys, &keys).await?;
                    if added == 0 {
                        return Ok(0);
                    }
                    sqlx::query(
                        "UPDATE deletions SET state = $1, revision = revision + 1, \
                     started_at = NULL, completed_at = NULL WHERE id = $2",
                    )
                    .bind(DeletionState::Pending.as_str())
                    .bind(id.0.to_vec())
                    .execute(session.connection())
                    .await
                    .map_err(Error::database("reopen a deletion"))?;
                    let description = format!("{added} more keys hidden");
                    desk.note(
                        session,
                        Action::DeletionExtended,
                        id.to_string(),
                        description,
                    )
                    .await?;
                    Ok(added)
                })
            },
        )
        .await
    }

    /// Begins a deletion's job, or takes up one that was interrupted. From then on its people are left
    /// out of parts, so their links must have been followed: as it was at `revision`.
    ///
    /// # Errors
    /// [`model::ErrorKind::Conflict`] when it is done or cancelled, or was extended after `revision`;
    /// as [`Control::extend_deletion`].
    pub async fn start_deletion(
        &self,
        actor: &Actor,
        id: DeletionId,
        revision: u32,
    ) -> Result<Deletion> {
        let account = self.find_deletion(id).await?.account;
        self.act(
            actor,
            Act::CarryOutDeletion,
            account,
            move |session, desk| {
                Box::pin(async move {
                    let mut deletion = read(session, id).await?;
                    if !deletion.is_open() {
                        let state = deletion.state.as_str();
                        return Err(Error::Conflict(format!("deletion `{id}` is {state}")));
                    }
                    if deletion.revision != revision {
                        let text = format!("deletion `{id}` reaches further than was known");
                        return Err(Error::Conflict(text));
                    }
                    if deletion.state == DeletionState::Running {
                        return Ok(deletion);
                    }
                    sqlx::query(
                        "UPDATE deletions SET state = $1, started_at = $2, begun = 1 WHERE id = $3",
                    )
                    .bind(DeletionState::Running.as_str())
                    .bind(desk.now.ms())
                    .bind(id.0.to_vec())
                    .execute(session.connection())
                    .await
                    .map_err(Error::database("start a deletion"))?;
                    begin(session, &deletion).await?;
                    deletion.has_begun = true;
                    deletion.state = DeletionState::Running;
                    deletion.started_at = Some(desk.now);
                    let description = format!("revision {}", deletion.revision);
                    desk.note(
                        session,
                        Action::DeletionStarted,
                        id.to_string(),
                        description,
                    )
                    .await?;
                    Ok(deletion)
                })
            },
        )
        .await
    }

    /// Takes a deletion back whose job has not begun: its people are seen again when this returns, with
    /// everything that was held of them when it was ordered.
    ///
    /// # Errors
    /// [`model::ErrorKind::Conflict`] when its job has begun, or it is cancelled already;
    /// [`model::ErrorKind::NotFound`]; [`model::ErrorKind::Denied`];
    /// [`model::ErrorKind::Unavailable`].
    pub async fn cancel_deletion(&self, actor: &Actor, id: DeletionId) -> Result<()> {
        let account = self.find_deletion(id).await?.account;
        self.act(actor, Act::DeletePeople, account, move |session, desk| {
            Box::pin(async move {
                const ACT: &str = "cancel a deletion";
                let deletion = read(session, id).await?;
                if !deletion.is_cancellable() {
                    let why = match deletion.state {
                        DeletionState::Cancelled => "it is cancelled already",
                        DeletionState::Pending | DeletionState::Running | DeletionState::Done => {
                            "its job has begun"
                        }
                    };
                    let text = format!("deletion `{id}` cannot be cancelled: {why}");
                    return Err(Error::Conflict(text));
                }
                sqlx::query("DELETE FROM ledger WHERE deletion = $1")
                    .bind(id.0.to_vec())
                    .execute(session.connection())
                    .await
                    .map_err(Error::database(ACT))?;
                sqlx::query("UPDATE deletions SET state = $1, completed_at = $2 WHERE id = $3")
                    .bind(DeletionState::Cancelled.as_str())
                    .bind(desk.now.ms())
                    .bind(id.0.to_vec())
                    .execute(session.connection())
                    .await
                    .map_err(Error::database(ACT))?;
                let left = ledger_of(session, account).await?;
                session.then(Effect::Released(account, left));
                let words = format!("{} keys seen again", deletion.keys.len());
                desk.note(session, Action::DeletionCancelled, id.to_string(), words)
                    .await
            })
        })
        .await
    }

    /// Completes a deletion: its receipt says what its job did at this turn, and what was found and
    /// replaced at all of them. It is signed, and names the audit entry that says that it is done.
    ///
    /// # Errors
    /// [`model::ErrorKind::Conflict`] when it does not run, or was extended after `revision`: the job
    /// must run again; as [`Control::extend_deletion`].
    pub async fn complete_deletion(
        &self,
        actor: &Actor,
        id: DeletionId,
        revision: u32,
        last_turn: LastTurn,
    ) -> Result<()> {
        let account = self.find_deletion(id).await?.account;
        let key = audit::signing_key(&self.keyring)?;
        self.act(
            actor,
            Act::CarryOutDeletion,
            account,
            move |session, desk| {
                Box::pin(async move {
                    const ACT: &str = "complete a deletion";
                    let done = sqlx::query(
                        "UPDATE deletions SET state = $1, completed_at = $2 \
                     WHERE id = $3 AND revision = $4 AND state = $5",
                    )
                    .bind(DeletionState::Done.as_str())
                    .bind(desk.now.ms())
                    .bind(id.0.to_vec())
                    .bind(i64::from(revision))
                    .bind(DeletionState::Running.as_str())
                    .execute(session.connection())
                    .await
                    .map_err(Error::database(ACT))?;
                    if done.rows_affected() != 1 {
                        let text = format!("deletion `{id}` reaches further than its job has gone");
                        return Err(Error::Conflict(text));
                    }
                    let words = format!("revision {revision}");
                    desk.note(session, Action::DeletionCompleted, id.to_string(), words)
                        .await?;
                    let head = audit::log::frontier(session, account).await?;
                    let deletion = read(session, id).await?;
                    let work = work::read(session, id).await?;
                    let note = receipt::sign(&key, &deletion, work, last_turn, &head)?;
                    sqlx::query(
                        "UPDATE deletions SET receipt = NULL, receipt_note = $1 WHERE id = $2",
                    )
                    .bind(note)
                    .bind(id.0.to_vec())
                    .execute(session.connection())
                    .await
                    .map(|_| ())
                    .map_err(Error::database(ACT))
                })
            },
        )
        .await
    }

    /// The deletions whose job is not done, oldest first.
    ///
    /// # Errors
    /// [`model::ErrorKind::Unavailable`].
    pub async fn pending_deletions(&self) -> Result<Vec<Deletion>> {
        self.database
            .read(|session| {
                Box::pin(async {
                    let rows = sqlx::query(
                        "SELECT id FROM deletions WHERE state NOT IN ($1, $2) \
                         ORDER BY requested_at, id",
                    )
                    .bind(DeletionState::Done.as_str())
                    .bind(DeletionState::Cancelled.as_str())
                    .fetch_all(session.connection())
                    .await
                    .map_err(Error::database("list deletions"))?;
                    read_each(session, &rows).await
                })
            })
            .await
    }

    /// The deletions of an account, oldest first.
    ///
    /// # Errors
    /// [`model::ErrorKind::Denied`]; [`model::ErrorKind::Unavailable`].
    pub async fn deletions(&self, actor: &Actor, account: AccountId) -> Result<Vec<Deletion>> {
        self.authorize(actor, Act::DeletePeople, account).await?;
        self.database
            .read(move |session| {
                Box::pin(async move {
                    let rows = sqlx::query(
                        "SELECT id FROM deletions WHERE account = $1 ORDER BY requested_at, id",
                    )
                    .bind(account.as_str().to_owned())
                    .fetch_all(session.connection())
                    .await
                    .map_err(Error::database("list deletions"))?;
                    read_each(session, &rows).await
                })
            })
            .await
    }

    /// One deletion.
    ///
    /// # Errors
    /// [`model::ErrorKind::NotFound`]; [`model::ErrorKind::Denied`];
    /// [`model::ErrorKind::Unavailable`].
    pub async fn deletion(&self, actor: &Actor, id: DeletionId) -> Result<Deletion> {
        let deletion = self.find_deletion(id).await?;
        self.authorize(actor, Act::DeletePeople, deletion.account)
            .await?;
        Ok(deletion)
    }

    /// The newest deletion that hides all of a person; none when none does.
    ///
    /// # Errors
    /// [`model::ErrorKind::Unavailable`].
    pub async fn deletion_of(
        &self,
        account: AccountId,
        person: PersonKey,
    ) -> Result<Option<DeletionId>> {
        self.database
            .read(move |session| {
                Box::pin(async move {
                    const ACT: &str = "look for a deletion";
                    let row = sqlx::query(
                        "SELECT deletion FROM ledger WHERE account = $1 AND person = $2 \
                         AND from_ms IS NULL AND to_ms IS NULL ORDER BY position DESC LIMIT 1",
                    )
                    .bind(account.as_str().to_owned())
                    .bind(person.0.to_vec())
                    .fetch_optional(session.connection())
                    .await
                    .map_err(Error::database(ACT))?;
                    row.map(|row| id_of(&row)).transpose()
                })
            })
            .await
    }

    async fn find_deletion(&self, id: DeletionId) -> Result<Deletion> {
        self.database
            .read(move |session| Box::pin(async move { read(session, id).await }))
            .await
    }
}
