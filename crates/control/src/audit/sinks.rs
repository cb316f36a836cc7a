//! Streaming the audit log to places outside: how far each has taken it, and what waits.
//!
//! The log itself is the spool: sealed, numbered without gaps, on the volumes. A sink is a position in
//! each account's log; what lies beyond waits for it, and a crash loses neither. A position moves only
//! after the sink has said that it has taken what lies before, so an entry is sent at least once, and
//! those of one account in their order (decision 25).
//!
//! What waits is bounded. Beyond the bound of a *required* sink no act that is audited is done any more:
//! [`Gate`] refuses its entry, and with it the act. An *optional* one loses the oldest, counted.

use model::{AccountId, Timestamp};
use serde::Serialize;
use sqlx::Row as _;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::download::{EntryLine, Head, Line, line_text};
use super::{AuditFilter, AuditOutcome, Saved, list};
use crate::authz::Act;
use crate::control::Control;
use crate::database::Session;
use crate::{Action, Actor, Error, Result};

/// Entries of one batch.
pub const SINK_BATCH_MAX: u32 = 500;

/// A place outside, as the control database needs to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkTerms {
    /// Its name.
    pub name: String,
    /// Whether acts are refused when more waits for it than may.
    pub is_required: bool,
    /// Entries that may wait for it.
    pub waiting_max: u64,
}

/// How far a sink is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SinkProgress {
    /// Its name.
    pub name: String,
    /// Whether acts are refused when more waits for it than may.
    pub is_required: bool,
    /// Entries that wait for it.
    pub waiting: u64,
    /// Entries that may wait for it.
    pub waiting_max: u64,
    /// Entries that it will never get: too many waited.
    pub dropped: u64,
}

/// What a sink is to take next: entries of one account's log, in order.
#[derive(Debug, Clone)]
pub struct SinkBatch {
    /// Whose log.
    pub account: AccountId,
    /// The entries.
    pub entries: Vec<SinkEntry>,
    /// The position when it has taken them.
    pub through: u64,
}

/// An entry as it is sent.
#[derive(Debug, Clone)]
pub struct SinkEntry {
    /// Its number in the account's log.
    pub sequence: u64,
    /// When it was written.
    pub at: Timestamp,
    /// What was done.
    pub action: Action,
    /// Whether it was refused, or failed.
    pub has_failed: bool,
    /// The entry as a line of a download (`docs/formats/audit.md`), without its proof and its end of
    /// line.
    pub line: String,
}

/// What stands between acts and their entries: how much waits for the sinks that are required.
#[derive(Debug, Default)]
pub(crate) struct Gate(Mutex<BTreeMap<String, Waiting>>);

#[derive(Debug, Clone, Copy)]
struct Waiting {
    entries: u64,
    max: u64,
    is_required: bool,
}

impl Gate {
    /// Lets an entry in, or not. Called in the entry's transaction; an entry that is taken back is
    /// counted until the numbers are read again.
    ///
    /// # Errors
    /// [`model::ErrorKind::Unavailable`] when as much waits for a required sink as may.
    pub(crate) fn admit(&self, action: Action, object: &str) -> Result<()> {
        let mut sinks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // What brings a sink back, or tells that it is down, is never refused for its sake.
        let is_cure = match action {
            Action::NodeStarted
            | Action::SinksChanged
            | Action::AlertRaised
            | Action::AlertCleared => true,
            Action::JobRun => object == "sinks",
            _ => false,
        };
        let full = sinks
            .iter()
            .find(|(_, it)| it.is_required && it.entries >= it.max);
        if let Some((sink, it)) = full.filter(|_| !is_cure) {
            return Err(Error::SinkFull {
                sink: sink.clone(),
                waiting: it.entries,
            });
        }
        for it in sinks.values_mut() {
            it.entries = it.entries.saturating_add(1);
        }
        Ok(())
    }

    fn set(&self, terms: &[SinkTerms]) {
        let mut sinks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sinks.clear();
        sinks.extend(terms.iter().map(|it| {
            let waiting = Waiting {
                entries: 0,
                max: it.waiting_max,
                is_required: it.is_required,
            };
            (it.name.clone(), waiting)
        }));
    }

    fn note(&self, sink: &str, waiting: u64) {
        let mut sinks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(it) = sinks.get_mut(sink) {
            it.entries = waiting;
        }
    }

    fn all(&self) -> BTreeMap<String, Waiting> {
        let sinks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sinks.clone()
    }
}

impl Control {
    /// Says which sinks there are. One that is new begins with the next entry: what was written before
    /// is downloaded. One that is gone is forgotten. Either is an entry of the installation's log.
    ///
    /// # Errors
    /// [`model::ErrorKind::Unavailable`] when it cannot be written.
    pub async fn set_sinks(&self, terms: Vec<SinkTerms>) -> Result<()> {
        let known = self
            .database
            .read(|session| Box::pin(registered(session)))
            .await?;
        if terms.is_empty() && known.is_empty() {
            return Ok(());
        }
        let actor = Actor::system("start");
        let gate = Arc::clone(&self.sink_gate);
        self.act(
            &actor,
            Act::ManageInstallation,
            AccountId::installation(),
            move |session, desk| {
                Box::pin(async move {
                    let known = registered(session).await?;
                    for (name, _) in known
                        .iter()
                        .filter(|it| !terms.iter().any(|term| term.name == *it.0))
                    {
                        forget(session, name).await?;
                        let words = String::from("the audit log is not streamed there any more");
                        desk.note(session, Action::SinksChanged, name.clone(), words)
                            .await?;
                    }
                    for it in &terms {
                        let kind = match it.is_required {
                            true => "required",
                            false => "optional",
                        };
                        let words = match known.get(&it.name) {
                            Some(was) if *was == it.is_required => continue,
                            Some(_) => format!("it is {kind} now"),
                            None => format!("the audit log is streamed there from now on; {kind}"),
                        };
                        desk.note(session, Action::SinksChanged, it.name.clone(), words)
                            .await?;
                        register(session, it, desk.now).await?;
                    }
                    gate.set(&terms);
                    for it in &terms {
                        let waits = waiting(session, &it.name).await?;
                        gate.note(&it.name, waits.values().map(|it| it.entries()).sum());
                    }
                    Ok(())
                })
            },
        )
        .await
    }

    /// How far each sink is, by name.
    ///
    /// # Errors
    /// [`model::ErrorKind::Unavailable`] when the database does not answer.
    pub async fn sinks(&self) -> Result<Vec<SinkProgress>> {
        let gate = Arc::clone(&self.sink_gate);
        self.database
            .read(move |session| {
                Box::pin(async move {
                    let mut found = Vec::new();
                    for (name, terms) in gate.all() {
                        let waits = waiting(session, &name).await?;
                        let entries = waits.values().map(|it| it.entries()).sum();
                        gate.note(&name, entries);
                        found.push(SinkProgress {
                            is_required: terms.is_required,
                            waiting: entries,
                            waiting_max: terms.max,
                            dropped: dropped(session, &name).await?,
                            name,
                        });
                    }
                    Ok(found)
                })
            })
            .await
    }

    /// Gives up the oldest entries of an optional sink for which more waits than may, in the log that
    /// has the most of them. Says how many. What it is being sent meanwhile may be among them.
    ///
    /// # Errors
    /// [`model::ErrorKind::Unavailable`] when it cannot be written.
    pub async fn trim_sink(&self, sink: &str) -> Result<u64> {
        let gate = Arc::clone(&self.sink_gate);
        let is_over = |it: &Waiting| !it.is_required && it.entries > it.max;
        let Some(terms) = gate.all().remove(sink).filter(is_over) else {
            return Ok(0);
        };
        let sink = sink.to_owned();
        self.database
            .write(move |session| {
                Box::pin(async move {
                    let mut waits = waiting(session, &sink).await?;
                    let given_up = trim(&mut waits, terms.max);
                    for (account, it) in &waits {
                        advance(session, &sink, *account, it.position).await?;
                    }
                    count_dropped(session, &sink, given_up).await?;
                    gate.note(&sink, waits.values().map(|it| it.entries()).sum());
                    Ok(given_up)
                })
            })
            .await
    }

    /// What a sink is to take next; none when nothing waits for it.
    ///
    /// # Errors
    /// [`model::ErrorKind::Corrupt`] when an entry is not what was logged;
    /// [`model::ErrorKind::Unavailable`].
    pub async fn sink_batch(&self, sink: &str) -> Result<Option<SinkBatch>> {
        let (sink, sealer) = (sink.to_owned(), Arc::clone(&self.sealer));
        self.database
            .read(move |session| {
                Box::pin(async move {
                    let waits = waiting(session, &sink).await?;
                    // The log with the most goes first, so that none is starved by a busy one for long.
                    let most = waits
                        .into_iter()
                        .filter(|(_, it)| it.entries() > 0)
                        .max_by_key(|(_, it)| it.entries());
                    let Some((account, backlog)) = most else {
                        return Ok(None);
                    };
                    let filter = AuditFilter {
                        after: Some(backlog.position),
                        limit: SINK_BATCH_MAX,
                        ..AuditFilter::default()
                    };
                    let page = list(session, &sealer, account, &filter, backlog.size).await?;
                    let is_full =
                        usize::try_from(SINK_BATCH_MAX).is_ok_and(|full| page.len() >= full);
                    let last = page.last().map(|it| it.entry.sequence);
                    Ok(Some(SinkBatch {
                        account,
                        entries: page.iter().map(entry).collect::<Result<_>>()?,
                        // What was purged meanwhile is passed over.
                        through: last.filter(|_| is_full).unwrap_or(backlog.size),
                    }))
                })
            })
            .await
    }

    /// Notes that a sink has taken an account's log up to number `through`.
    ///
    /// # Errors
    /// [`model::ErrorKind::Unavailable`] when it cannot be written: it will be sent again.
    pub async fn sink_took(&self, sink: &str, account: AccountId, through: u64) -> Result<()> {
        let (sink, gate) = (sink.to_owned(), Arc::clone(&self.sink_gate));
        self.database
            .write(move |session| {
                Box::pin(async move {
                    advance(session, &sink, account, through).await?;
                    let waits = waiting(session, &sink).await?;
                    gate.note(&sink, waits.values().map(|it| it.entries()).sum());
                    Ok(())
                })
            })
            .await
    }
}

/// A signed head as it is sent: a line of a download.
///
/// # Errors
/// [`model::ErrorKind::Internal`] when it has no form in JSON, which is a bug of ours.
pub fn head_line(account: AccountId, note: &str) -> Result<String> {
    let size = note.lines().nth(1).and_then(|it| it.parse().ok());
    let text = line_text(&Line::Log(Head {
        account: account.to_string(),
        size: size.unwrap_or(0),
        checkpoint: note.to_owned(),
    }))?;
    Ok(text.trim_end().to_owned())
}

/// Moves positions on until no more than `max` entries wait; says how many were given up.
fn trim(waits: &mut BTreeMap<AccountId, Backlog>, max: u64) -> u64 {
    let mut lost = 0_u64;
    loop {
        let all: u64 = waits.values().map(|it| it.entries()).sum();
        let over = all.saturating_sub(max);
        let largest = waits.values_mut().max_by_key(|it| it.entries());
        let Some(it) = largest.filter(|_| over > 0) else {
            return lost;
        };
        let given_up = over.min(it.entries());
        it.position = it.position.saturating_add(given_up);
        lost = lost.saturating_add(given_up);
    }
}

fn entry(saved: &Saved) -> Result<SinkEntry> {
    let line = line_text(&Line::Entry(Box::new(EntryLine::of(saved, Vec::new()))))?;
    Ok(SinkEntry {
        sequence: saved.entry.sequence,
        at: saved.entry.at,
        action: saved.entry.action,
        has_failed: matches!(
            saved.entry.outcome,
            AuditOutcome::Refused | AuditOutcome::Failed
        ),
        line: line.trim_end().to_owned(),
    })
}

/// How far a sink is in one account's log.
#[derive(Debug, Clone, Copy)]
struct Backlog {
    position: u64,
    size: u64,
}

impl Backlog {
    const fn entries(self) -> u64 {
        self.size.saturating_sub(self.position)
    }
}

async fn waiting(session: &mut Session, sink: &str) -> Result<BTreeMap<AccountId, Backlog>> {
    const ACT: &str = "read how far a sink is";
    let rows = sqlx::query(
        "SELECT t.account, t.size, COALESCE(p.position, 0) FROM audit_trees t \
         LEFT JOIN audit_sink_positions p ON p.account = t.account AND p.sink = $1",
    )
    .bind(sink.to_owned())
    .fetch_all(session.connection())
    .await
    .map_err(Error::database(ACT))?;
    rows.iter()
        .map(|row| {
            let account: String = row.try_get(0).map_err(Error::database(ACT))?;
            let size: i64 = row.try_get(1).map_err(Error::database(ACT))?;
            let position: i64 = row.try_get(2).map_err(Error::database(ACT))?;
            let damaged = || Error::damaged(format!("the sink `{sink}`"), "it is malformed");
            let backlog = Backlog {
                position: u64::try_from(position).map_err(|_| damaged())?,
                size: u64::try_from(size).map_err(|_| damaged())?,
            };
            Ok((account.parse().map_err(|_| damaged())?, backlog))
        })
        .collect()
}

async fn registered(session: &mut Session) -> Result<BTreeMap<String, bool>> {
    const ACT: &str = "read the sinks";
    let rows = sqlx::query("SELECT name, is_required FROM audit_sinks")
        .fetch_all(session.connection())
        .await
        .map_err(Error::database(ACT))?;
    rows.iter()
        .map(|row| {
            let name: String = row.try_get(0).map_err(Error::database(ACT))?;
            let is_required: i64 = row.try_get(1).map_err(Error::database(ACT))?;
            Ok((name, is_required != 0))
        })
        .collect()
}

/// Writes a sink down. One that is new begins at the end of every log.
async fn register(session: &mut Session, terms: &SinkTerms, now: Timestamp) -> Result<()> {
    const ACT: &str = "register a sink";
    let done = sqlx::query(
        "INSERT INTO audit_sinks (name, is_required, registered_at) VALUES ($1, $2, $3) \
         ON CONFLICT (name) DO UPDATE SET is_required = excluded.is_required \
         RETURNING registered_at = $3",
    )
    .bind(terms.name.clone())
    .bind(i64::from(terms.is_required))
    .bind(now.ms())
    .fetch_one(session.connection())
    .await
    .map_err(Error::database(ACT))?;
    let is_new: i64 = done.try_get(0).map_err(Error::database(ACT))?;
    if is_new == 0 {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO audit_sink_positions (sink, account, position) \
         SELECT $1, account, size FROM audit_trees WHERE true \
         ON CONFLICT (sink, account) DO NOTHING",
    )
    .bind(terms.name.clone())
    .execute(session.connection())
    .await
    .map(|_| ())
    .map_err(Error::database(ACT))
}

async fn forget(session: &mut Session, name: &str) -> Result<()> {
    for sql in [
        "DELETE FROM audit_sink_positions WHERE sink = $1",
        "DELETE FROM audit_sinks WHERE name = $1",
    ] {
        sqlx::query(sql)
            .bind(name.to_owned())
            .execute(session.connection())
            .await
            .map_err(Error::database("forget a sink"))?;
    }
    Ok(())
}

/// A position never goes back.
async fn advance(
    session: &mut Session,
    sink: &str,
    account: AccountId,
    through: u64,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO audit_sink_positions (sink, account, position) VALUES ($1, $2, $3) \
         ON CONFLICT (sink, account) DO UPDATE SET position = max(position, excluded.position)",
    )
    .bind(sink.to_owned())
    .bind(account.as_str().to_owned())
    .bind(i64::try_from(through).unwrap_or(i64::MAX))
    .execute(session.connection())
    .await
    .map(|_| ())
    .map_err(Error::database("move a sink's position"))
}

async fn dropped(session: &mut Session, sink: &str) -> Result<u64> {
    const ACT: &str = "read what a sink has lost";
    let row = sqlx::query("SELECT dropped FROM audit_sinks WHERE name = $1")
        .bind(sink.to_owned())
        .fetch_optional(session.connection())
        .await
        .map_err(Error::database(ACT))?;
    let dropped: i64 = match row {
        Some(row) => row.try_get(0).map_err(Error::database(ACT))?,
        None => 0,
    };
    Ok(u64::try_from(dropped).unwrap_or(0))
}

async fn count_dropped(session: &mut Session, sink: &str, more: u64) -> Result<()> {
    sqlx::query("UPDATE audit_sinks SET dropped = dropped + $2 WHERE name = $1")
        .bind(sink.to_owned())
        .bind(i64::try_from(more).unwrap_or(i64::MAX))
        .execute(session.connection())
        .await
        .map(|_| ())
        .map_err(Error::database("count what a sink has lost"))
}
