//! The audit log: who did what to what, written in the same transaction as the act.
//!
//! Entries of an account are numbered from 1 without gaps, and each is a leaf of the account's
//! Merkle tree. They hold person keys where a person is meant, never an identity; who acted, from
//! where, and the words are sealed fields.

pub(crate) mod checkpoint;
mod csv;
pub(crate) mod download;
mod expected;
pub(crate) mod leaf;
pub(crate) mod log;
pub(crate) mod sinks;
mod verify;

use model::{AccountId, Timestamp};
use seal::merkle::Hash;
use serde::{Serialize, Serializer};
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row as _, Sqlite};
use std::net::IpAddr;

use crate::database::Session;
use crate::sealer::Sealer;
use crate::{Actor, Error, Result};
pub use checkpoint::Checkpoint;
pub(crate) use checkpoint::{hash_text, signing_key};
pub use download::{AuditDownload, DownloadFormat};
pub use expected::{Audit, Unaudited};
pub use sinks::{
    SINK_BATCH_MAX, SinkBatch, SinkEntry, SinkProgress, SinkTerms, head_line as sink_head_line,
};
pub use verify::{Verification, VerifiedLog, verify};

/// Entries in one answer.
pub const AUDIT_PAGE_MAX: u32 = 10_000;
/// Days that entries are kept.
pub const AUDIT_RETENTION_DAYS: u32 = 400;
/// Bytes of a description, and of an object's id.
const TEXT_BYTES_MAX: usize = 16 * 1024;

macro_rules! names {
    ($(#[$doc:meta])* $name:ident { $($(#[$item:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$item])* $variant,)+
        }

        impl $name {
            /// Every one.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The stable name.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }

            /// The one of that name.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|it| it.as_str() == name)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
                to.serialize_str(self.as_str())
            }
        }
    };
}

names! {
    /// What was done. The names are stable: filters and downloads use them.
    Action {
        /// An account was created.
        AccountCreated = "account.created",
        /// An account's concurrency ceilings were changed.
        LimitsChanged = "account.limits_changed",
        /// The domains whose pages may send to an account were changed.
        DomainsChanged = "account.domains_changed",
        /// What an account says of its events was changed.
        DictionaryChanged = "dictionary.changed",
        /// Whether an account takes messages that are encrypted in transit was changed.
        EncryptionChanged = "account.encryption_changed",
        /// Where people and programs may come from was changed.
        AllowlistChanged = "allowlist.changed",
        /// Whether calls of the API may or must be encrypted was changed, or the key for answers.
        ApiEncryptionChanged = "account.api_encryption_changed",
        /// A key for encrypted calls of the API was made.
        ApiKeyCreated = "api_key.created",
        /// A key for encrypted calls of the API was retired.
        ApiKeyRetired = "api_key.retired",
        /// An account's retention was changed.
        RetentionChanged = "account.retention_changed",
        /// How often masked values may be shown was changed.
        RevealQuotaChanged = "account.reveal_quota_changed",
        /// A passcode was created.
        PasscodeCreated = "passcode.created",
        /// A passcode was revoked.
        PasscodeRevoked = "passcode.revoked",
        /// Apps of an account carry another token from now on.
        SdkTokenRotated = "sdk_token.rotated",
        /// A token that apps carried is refused before its overlap ended.
        SdkTokenEnded = "sdk_token.ended",
        /// Somebody was given access to an account.
        UserInvited = "user.invited",
        /// A user's roles in an account count no more until the user is enabled.
        UserDisabled = "user.disabled",
        /// A user's roles in an account count again.
        UserEnabled = "user.enabled",
        /// How long an account's users stay signed in was changed.
        SessionLimitsChanged = "account.session_limits_changed",
        /// A user's access to an account ended.
        UserRevoked = "user.revoked",
        /// A user was given a role.
        RoleGranted = "role.granted",
        /// A role was taken from a user.
        RoleWithdrawn = "role.withdrawn",
        /// A role of an account's own was made or changed.
        RoleChanged = "role.changed",
        /// A role of an account's own was deleted.
        RoleDeleted = "role.deleted",
        /// A set-up link was made.
        LinkCreated = "link.created",
        /// A link was presented.
        LinkUsed = "link.used",
        /// A password was right; the second factor is still to be shown.
        PasswordShown = "sign_in.password",
        /// Somebody signed in, by both factors; or the second one was wrong.
        SignedIn = "sign_in.done",
        /// An attempt to sign in was refused.
        SignInFailed = "sign_in.failed",
        /// Somebody signed out.
        SignedOut = "session.signed_out",
        /// A session was over: idle for too long, or too old.
        SessionExpired = "session.expired",
        /// A session was ended.
        SessionEnded = "session.ended",
        /// The second factor was shown again.
        SteppedUp = "session.stepped_up",
        /// A password was set.
        PasswordSet = "password.set",
        /// A link for a forgotten password was asked for.
        PasswordResetAsked = "password.reset_asked",
        /// A second factor was set up.
        FactorAdded = "factor.added",
        /// A second factor was removed by its user.
        FactorRemoved = "factor.removed",
        /// A user's second factors were taken away.
        FactorReset = "factor.reset",
        /// A user who was locked may sign in again.
        UserUnlocked = "user.unlocked",
        /// The terms were accepted.
        TermsAccepted = "terms.accepted",
        /// A program was refused: its passcode was wrong, or is not for what it asked.
        ProgramRefused = "program.refused",
        /// The outbox was read.
        OutboxRead = "mail.outbox_read",
        /// A node started.
        NodeStarted = "node.started",
        /// What a deletion would take was counted.
        DeletionPreviewed = "deletion.previewed",
        /// A deletion was requested.
        DeletionRequested = "deletion.requested",
        /// A deletion was found to reach further.
        DeletionExtended = "deletion.extended",
        /// A deletion was cancelled before its job began.
        DeletionCancelled = "deletion.cancelled",
        /// A deletion's job began.
        DeletionStarted = "deletion.started",
        /// A deletion was completed.
        DeletionCompleted = "deletion.completed",
        /// A person's data was shown.
        PersonShown = "person.shown",
        /// Masked values of a person were shown for a reason, or not because the quota was used up.
        PersonRevealed = "person.revealed",
        /// The processing of a person was restricted.
        PersonRestricted = "person.restricted",
        /// … and that was lifted.
        RestrictionLifted = "person.restriction_lifted",
        /// What is known of a person was corrected.
        PersonChanged = "person.changed",
        /// People who share addresses or numbers were subscribed or unsubscribed.
        PeopleSubscribed = "people.subscribed",
        /// Telephone numbers were taken from the people who had them.
        PhonesRemoved = "people.phones_removed",
        /// Devices were separated from the people who used them.
        PeopleDemerged = "people.demerged",
        /// Events were read.
        EventsRead = "events.read",
        /// People were read.
        PeopleRead = "people.read",
        /// Data was counted.
        CountRead = "count.read",
        /// An SQL query was run.
        QueryRun = "query.run",
        /// Data was exported to a file.
        Exported = "data.exported",
        /// The audit log was read.
        AuditRead = "audit.read",
        /// The audit log was downloaded.
        AuditExported = "audit.exported",
        /// Entries past their retention were removed; their leaves stay.
        AuditPurged = "audit.purged",
        /// Where the audit log is streamed to was changed.
        SinksChanged = "audit.sinks_changed",
        /// The head of an account's log was written into the installation's.
        AuditHeadLogged = "audit.head_logged",
        /// A background job was run by hand.
        JobRun = "job.run",
        /// Drops were read with the addresses they came from.
        DropsRead = "drops.read",
        /// Drops were marked as reviewed.
        DropsReviewed = "drops.reviewed",
        /// The request log was read.
        RequestsRead = "requests.read",
        /// Quarantined records were read.
        QuarantineRead = "quarantine.read",
        /// A quarantined record was stored after all.
        QuarantineReplayed = "quarantine.replayed",
        /// A quarantined record was deleted.
        QuarantineDeleted = "quarantine.deleted",
        /// What was past its retention was removed.
        Purged = "data.purged",
        /// Something turned red, and was told.
        AlertRaised = "alert.raised",
        /// Something that was red is in order again, and was told.
        AlertCleared = "alert.cleared",
        /// Something was refused for want of permission.
        Refused = "access.refused",
    }
}

names! {
    /// How it ended.
    AuditOutcome {
        /// It is about to be done: a read's entry is written before the first row.
        Begun = "begun",
        /// It was done.
        Done = "done",
        /// The actor may not do it.
        Refused = "refused",
        /// It was tried and failed.
        Failed = "failed",
    }
}

/// What an entry says beside who and when.
#[derive(Debug, Clone)]
pub(crate) struct Note {
    pub(crate) account: AccountId,
    pub(crate) action: Action,
    /// The object's id.
    pub(crate) object: String,
    pub(crate) description: String,
    pub(crate) outcome: AuditOutcome,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditEntry {
    /// In which account.
    pub account: AccountId,
    /// Its number in the account, from 1, without gaps.
    pub sequence: u64,
    /// When.
    pub at: Timestamp,
    /// What kind of actor: `os_user`, `passcode`, `system`, `user`.
    pub actor_kind: String,
    /// Who.
    pub actor: String,
    /// In which role.
    pub role: String,
    /// What was done.
    pub action: Action,
    /// To which object.
    pub action_id: String,
    /// In words.
    pub description: String,
    /// How it ended.
    pub outcome: AuditOutcome,
    /// From which address; none for the machine itself.
    pub peer: Option<IpAddr>,
}

/// Which entries are wanted. Everything that is empty or none does not restrict.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// Not before.
    pub from: Option<Timestamp>,
    /// Before.
    pub to: Option<Timestamp>,
    /// By one of these actors, by name.
    pub actors: Vec<String>,
    /// One of these actions.
    pub actions: Vec<Action>,
    /// Numbered above this one: the last entry of the page before.
    pub after: Option<u64>,
    /// Numbered below this one: the last entry of the page before, when the newest come first.
    pub before: Option<u64>,
    /// The newest first; else the oldest.
    pub newest_first: bool,
    /// At most so many, and never more than [`AUDIT_PAGE_MAX`]; 0 for that many.
    pub limit: u32,
}

impl AuditFilter {
    /// Whether it leaves anything out of a whole log.
    #[must_use]
    pub fn restricts(&self) -> bool {
        self.from.is_some()
            || self.to.is_some()
            || !self.actors.is_empty()
            || !self.actions.is_empty()
    }
}

/// An entry as it is kept: with what its leaf needs.
#[derive(Debug, Clone)]
pub(crate) struct Saved {
    pub(crate) entry: AuditEntry,
    pub(crate) salt: [u8; leaf::SALT_BYTES],
    pub(crate) leaf: Hash,
}

/// Writes an entry and its leaf, in the transaction under way.
///
/// # Errors
/// [`model::ErrorKind::Unavailable`] when it cannot be written: the act must not happen then.
pub(crate) async fn write(
    session: &mut Session,
    sealer: &Sealer,
    at: Timestamp,
    actor: &Actor,
    note: &Note,
) -> Result<()> {
    const ACT: &str = "write an audit entry";
    let head = log::frontier(session, note.account).await?;
    let entry = AuditEntry {
        account: note.account,
        sequence: head.size().saturating_add(1),
        at,
        actor_kind: actor.kind_name().to_owned(),
        actor: actor.name().to_owned(),
        role: actor.role_in(note.account).to_owned(),
        action: note.action,
        action_id: cut(&note.object).to_owned(),
        description: cut(&note.description).to_owned(),
        outcome: note.outcome,
        peer: actor.peer,
    };
    let salt = sealer.salt();
    let account = note.account.as_str().to_owned();
    let number = i64::try_from(entry.sequence).unwrap_or(i64::MAX);
    let place = |column: &str| context(column, &account, number);
    let peer = match entry.peer {
        Some(peer) => Some(sealer.seal(&place("peer"), &peer.to_string())?),
        None => None,
    };
    sqlx::query(
        "INSERT INTO audit (account, sequence, at, actor_kind, actor_hash, actor_sealed, role, \
         action, action_id, description_sealed, outcome, peer_sealed, salt_sealed) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
    )
    .bind(account.clone())
    .bind(number)
    .bind(at.ms())
    .bind(actor.kind_name())
    .bind(sealer.hash("audit actor", actor.name()))
    .bind(sealer.seal(&place("actor"), actor.name())?)
    .bind(entry.role.clone())
    .bind(entry.action.as_str())
    .bind(entry.action_id.clone())
    .bind(sealer.seal(&place("description"), &entry.description)?)
    .bind(entry.outcome.as_str())
    .bind(peer)
    .bind(sealer.seal(&place("salt"), &hex::encode(salt))?)
    .execute(session.connection())
    .await
    .map_err(Error::database(ACT))?;
    log::append(session, note.account, head, leaf::hash(&entry, &salt)).await
}

/// Words of an entry have a limit, so that every reader can have one.
fn cut(text: &str) -> &str {
    let end = (0..=text.len().min(TEXT_BYTES_MAX))
        .rev()
        .find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or(0)).unwrap_or_default()
}

const COLUMNS: &str = "SELECT a.account, a.sequence, a.at, a.actor_kind, a.actor_sealed, a.role, \
    a.action, a.action_id, a.description_sealed, a.outcome, a.peer_sealed, a.salt_sealed, l.hash \
    FROM audit a LEFT JOIN audit_leaves l ON l.account = a.account AND l.sequence = a.sequence";

/// The entries that `filter` wants, by number, up to number `through`. Each is compared with its
/// leaf.
///
/// # Errors
/// [`model::ErrorKind::Unavailable`] when the database does not answer;
/// [`model::ErrorKind::Corrupt`] when an entry is not what was written.
pub(crate) async fn list(
    session: &mut Session,
    sealer: &Sealer,
    account: AccountId,
    filter: &AuditFilter,
    through: u64,
) -> Result<Vec<Saved>> {
    const ACT: &str = "read the audit log";
    let mut query = QueryBuilder::<Sqlite>::new(COLUMNS);
    query.push(" WHERE a.account = ");
    query.push_bind(account.as_str().to_owned());
    query
        .push(" AND a.sequence <= ")
        .push_bind(i64::try_from(through).unwrap_or(i64::MAX));
    if let Some(from) = filter.from {
        query.push(" AND a.at >= ").push_bind(from.ms());
    }
    if let Some(to) = filter.to {
        query.push(" AND a.at < ").push_bind(to.ms());
    }
    if let Some(after) = filter.after {
        query
            .push(" AND a.sequence > ")
            .push_bind(i64::try_from(after).unwrap_or(i64::MAX));
    }
    if let Some(before) = filter.before {
        query
            .push(" AND a.sequence < ")
            .push_bind(i64::try_from(before).unwrap_or(i64::MAX));
    }
    if !filter.actors.is_empty() {
        query.push(" AND a.actor_hash IN (");
        let mut list = query.separated(", ");
        for actor in &filter.actors {
            list.push_bind(sealer.hash("audit actor", actor));
        }
        query.push(")");
    }
    if !filter.actions.is_empty() {
        query.push(" AND a.action IN (");
        let mut list = query.separated(", ");
        for action in &filter.actions {
            list.push_bind(action.as_str());
        }
        query.push(")");
    }
    let limit = if filter.limit == 0 {
        AUDIT_PAGE_MAX
    } else {
        filter.limit.min(AUDIT_PAGE_MAX)
    };
    query.push(match filter.newest_first {
        true => " ORDER BY a.sequence DESC LIMIT ",
        false => " ORDER BY a.sequence LIMIT ",
    });
    query.push_bind(i64::from(limit));
    let rows = query
        .build()
        .fetch_all(session.connection())
        .await
        .map_err(Error::database(ACT))?;
    rows.iter()
        .map(|row| {
            let saved = saved(row, sealer)?;
            log::check(&saved)?;
            Ok(saved)
        })
        .collect()
}

/// Entries behind `after` that have no leaf yet, in order.
pub(crate) async fn unplanted(
    session: &mut Session,
    sealer: &Sealer,
    after: Option<(AccountId, u64)>,
    limit: u32,
) -> Result<Vec<AuditEntry>> {
    let mut query = QueryBuilder::<Sqlite>::new(COLUMNS);
    query.push(" WHERE a.salt_sealed IS NULL");
    if let Some((account, sequence)) = after {
        query.push(" AND (a.account, a.sequence) > (");
        query.push_bind(account.as_str().to_owned());
        query.push(", ");
        query.push_bind(i64::try_from(sequence).unwrap_or(i64::MAX));
        query.push(")");
    }
    query
        .push(" ORDER BY a.account, a.sequence LIMIT ")
        .push_bind(i64::from(limit));
    let rows = query
        .build()
        .fetch_all(session.connection())
        .await
        .map_err(Error::database("read the audit log"))?;
    rows.iter().map(|row| decode(row, sealer)).collect()
}

/// Gives an entry its salt.
pub(crate) async fn set_salt(
    session: &mut Session,
    sealer: &Sealer,
    entry: &AuditEntry,
    salt: &[u8; leaf::SALT_BYTES],
) -> Result<()> {
    let account = entry.account.as_str().to_owned();
    let number = i64::try_from(entry.sequence).unwrap_or(i64::MAX);
    let sealed = sealer.seal(&context("salt", &account, number), &hex::encode(salt))?;
    sqlx::query("UPDATE audit SET salt_sealed = $1 WHERE account = $2 AND sequence = $3")
        .bind(sealed)
        .bind(account)
        .bind(number)
        .execute(session.connection())
        .await
        .map(|_| ())
        .map_err(Error::database("write the salt of an audit entry"))
}

const COLUMN_SALT: usize = 11;
const COLUMN_LEAF: usize = 12;

fn saved(row: &SqliteRow, sealer: &Sealer) -> Result<Saved> {
    const ACT: &str = "decode an audit entry";
    let entry = decode(row, sealer)?;
    let damaged = |reason: &str| {
        let name = format!("audit entry {}/{}", entry.account, entry.sequence);
        Error::damaged(name, reason)
    };
    let sealed: Option<Vec<u8>> = row.try_get(COLUMN_SALT).map_err(Error::database(ACT))?;
    let sealed = sealed.ok_or_else(|| damaged("its salt is missing"))?;
    let number = i64::try_from(entry.sequence).unwrap_or(i64::MAX);
    let place = context("salt", entry.account.as_str(), number);
    let mut salt = [0; leaf::SALT_BYTES];
    hex::decode_to_slice(sealer.open(&place, &sealed)?, &mut salt)
        .map_err(|_| damaged("its salt is malformed"))?;
    let leaf: Option<Vec<u8>> = row.try_get(COLUMN_LEAF).map_err(Error::database(ACT))?;
    let leaf = leaf.and_then(|leaf| Hash::try_from(leaf).ok());
    let leaf = leaf.ok_or_else(|| damaged("its leaf is missing"))?;
    Ok(Saved { entry, salt, leaf })
}

fn decode(row: &SqliteRow, sealer: &Sealer) -> Result<AuditEntry> {
    const ACT: &str = "decode an audit entry";
    let text = |index: usize| {
        row.try_get::<String, _>(index)
            .map_err(Error::database(ACT))
    };
    let account: AccountId = text(0)?
        .parse()
        .map_err(|_| Error::damaged("the audit log", "the id of an account is malformed"))?;
    let number: i64 = row.try_get(1).map_err(Error::database(ACT))?;
    let open = |index: usize, column: &str| {
        let sealed: Option<Vec<u8>> = row.try_get(index).map_err(Error::database(ACT))?;
        let place = context(column, account.as_str(), number);
        sealed
            .map(|sealed| sealer.open(&place, &sealed))
            .transpose()
    };
    let damaged = |reason: &str| Error::damaged(format!("audit entry {account}/{number}"), reason);
    let peer = open(10, "peer")?
        .map(|peer| {
            peer.parse()
                .map_err(|_| damaged("its peer is not an address"))
        })
        .transpose()?;
    Ok(AuditEntry {
        account,
        sequence: u64::try_from(number).unwrap_or(0),
        at: Timestamp::from_ms(row.try_get(2).map_err(Error::database(ACT))?),
        actor_kind: text(3)?,
        actor: open(4, "actor")?.unwrap_or_default(),
        role: text(5)?,
        action: Action::from_name(&text(6)?).ok_or_else(|| damaged("its action is unknown"))?,
        action_id: text(7)?,
        description: open(8, "description")?.unwrap_or_default(),
        outcome: AuditOutcome::from_name(&text(9)?)
            .ok_or_else(|| damaged("its outcome is unknown"))?,
        peer,
    })
}

fn context(column: &str, account: &str, sequence: i64) -> String {
    format!("audit/{column}/{account}/{sequence}")
}
