//! The audit log: who did what to what, written in the same transaction as the act.
//!
//! Entries of an account are numbered from 1 without gaps. They hold person keys where a person is
//! meant, never an identity; who acted, from where, and the words are sealed fields.

use model::{AccountId, Timestamp};
use serde::{Serialize, Serializer};
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row as _, Sqlite};
use std::net::IpAddr;

use crate::database::Session;
use crate::sealer::Sealer;
use crate::{Actor, Error, Result};

/// Entries in one answer.
pub const AUDIT_PAGE_MAX: u32 = 10_000;

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
        /// An account's retention was changed.
        RetentionChanged = "account.retention_changed",
        /// A passcode was created.
        PasscodeCreated = "passcode.created",
        /// A passcode was revoked.
        PasscodeRevoked = "passcode.revoked",
        /// A node started.
        NodeStarted = "node.started",
        /// A deletion was requested.
        DeletionRequested = "deletion.requested",
        /// A deletion was found to reach further.
        DeletionExtended = "deletion.extended",
        /// A deletion's job began.
        DeletionStarted = "deletion.started",
        /// A deletion was completed.
        DeletionCompleted = "deletion.completed",
        /// A person's data was shown.
        PersonShown = "person.shown",
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
    /// What kind of actor: `os_user`, `passcode`, `system`.
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
    /// At most so many, and never more than [`AUDIT_PAGE_MAX`]; 0 for that many.
    pub limit: u32,
}

/// Writes an entry, in the transaction under way.
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
    let account = note.account.as_str().to_owned();
    let row = sqlx::query("SELECT COALESCE(MAX(sequence), 0) FROM audit WHERE account = $1")
        .bind(account.clone())
        .fetch_one(session.connection())
        .await
        .map_err(Error::database(ACT))?;
    let last: i64 = row.try_get(0).map_err(Error::database(ACT))?;
    let sequence = last.saturating_add(1);
    let place = |column: &str| context(column, &account, sequence);
    let peer = match actor.peer {
        Some(peer) => Some(sealer.seal(&place("peer"), &peer.to_string())?),
        None => None,
    };
    sqlx::query(
        "INSERT INTO audit (account, sequence, at, actor_kind, actor_hash, actor_sealed, role, \
         action, action_id, description_sealed, outcome, peer_sealed) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
    )
    .bind(account.clone())
    .bind(sequence)
    .bind(at.ms())
    .bind(actor.kind_name())
    .bind(sealer.hash("audit actor", actor.name()))
    .bind(sealer.seal(&place("actor"), actor.name())?)
    .bind(actor.role())
    .bind(note.action.as_str())
    .bind(note.object.clone())
    .bind(sealer.seal(&place("description"), &note.description)?)
    .bind(note.outcome.as_str())
    .bind(peer)
    .execute(session.connection())
    .await
    .map(|_| ())
    .map_err(Error::database(ACT))
}

/// The entries that `filter` wants, by number.
///
/// # Errors
/// [`model::ErrorKind::Unavailable`] when the database does not answer;
/// [`model::ErrorKind::Corrupt`] when an entry is not what was written.
pub(crate) async fn list(
    session: &mut Session,
    sealer: &Sealer,
    account: AccountId,
    filter: &AuditFilter,
) -> Result<Vec<AuditEntry>> {
    const ACT: &str = "read the audit log";
    let mut query = QueryBuilder::<Sqlite>::new(
        "SELECT sequence, at, actor_kind, actor_sealed, role, action, action_id, \
         description_sealed, outcome, peer_sealed FROM audit WHERE account = ",
    );
    query.push_bind(account.as_str().to_owned());
    if let Some(from) = filter.from {
        query.push(" AND at >= ").push_bind(from.ms());
    }
    if let Some(to) = filter.to {
        query.push(" AND at < ").push_bind(to.ms());
    }
    if let Some(after) = filter.after {
        query
            .push(" AND sequence > ")
            .push_bind(i64::try_from(after).unwrap_or(i64::MAX));
    }
    if !filter.actors.is_empty() {
        query.push(" AND actor_hash IN (");
        let mut list = query.separated(", ");
        for actor in &filter.actors {
            list.push_bind(sealer.hash("audit actor", actor));
        }
        query.push(")");
    }
    if !filter.actions.is_empty() {
        query.push(" AND action IN (");
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
    query
        .push(" ORDER BY sequence LIMIT ")
        .push_bind(i64::from(limit));
    let rows = query
        .build()
        .fetch_all(session.connection())
        .await
        .map_err(Error::database(ACT))?;
    rows.iter()
        .map(|row| decode(row, sealer, account))
        .collect()
}

fn decode(row: &SqliteRow, sealer: &Sealer, account: AccountId) -> Result<AuditEntry> {
    const ACT: &str = "decode an audit entry";
    let number: i64 = row.try_get(0).map_err(Error::database(ACT))?;
    let text = |index: usize| {
        row.try_get::<String, _>(index)
            .map_err(Error::database(ACT))
    };
    let open = |index: usize, column: &str| {
        let sealed: Option<Vec<u8>> = row.try_get(index).map_err(Error::database(ACT))?;
        let place = context(column, account.as_str(), number);
        sealed
            .map(|sealed| sealer.open(&place, &sealed))
            .transpose()
    };
    let damaged = |reason: &str| Error::damaged(format!("audit entry {account}/{number}"), reason);
    let peer = open(9, "peer")?
        .map(|peer| {
            peer.parse()
                .map_err(|_| damaged("its peer is not an address"))
        })
        .transpose()?;
    Ok(AuditEntry {
        account,
        sequence: u64::try_from(number).unwrap_or(0),
        at: Timestamp::from_ms(row.try_get(1).map_err(Error::database(ACT))?),
        actor_kind: text(2)?,
        actor: open(3, "actor")?.unwrap_or_default(),
        role: text(4)?,
        action: Action::from_name(&text(5)?).ok_or_else(|| damaged("its action is unknown"))?,
        action_id: text(6)?,
        description: open(7, "description")?.unwrap_or_default(),
        outcome: AuditOutcome::from_name(&text(8)?)
            .ok_or_else(|| damaged("its outcome is unknown"))?,
        peer,
    })
}

fn context(column: &str, account: &str, sequence: i64) -> String {
    format!("audit/{column}/{account}/{sequence}")
}
