//! Carries out what an operator asked for.
//!
//! Every read of personal data is in the audit before its first row leaves.

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use control::{Action, Actor, AuditOutcome, Deletion, DeletionId, DeletionState, LedgerKey};
use futures::StreamExt as _;
use governance::{AccountRules, Suppressions};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use model::{AccountId, IdentityKind, PersonKey, Timestamp};
use query::{EventsQuery, Lookup, PersonView, ReadPolicy};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::io::AsyncReadExt as _;
use tokio::sync::mpsc;

use super::{DeletionsAct, ExportFormat, ExportWhat, Frame, Progress, Request, Whom};
use super::{account, dictionary};
use crate::compose::Installation;
use crate::failure::{Failure, Kind};
use crate::jobs::{self, Job};

/// Text that is gathered before it is handed on.
const PIECE_BYTES: usize = 64 * 1024;

/// Carries out a request. Pieces of its result go to `out`; what is returned is said at the end.
///
/// # Errors
/// What it failed with, or that the reader of `out` has gone.
pub(crate) async fn execute(
    installation: &Installation,
    actor: &Actor,
    request: Request,
    out: mpsc::Sender<Frame>,
) -> Result<Value> {
    match request {
        Request::Account(act) => Box::pin(account::execute(installation, actor, act)).await,
        Request::ApiKey(request) => {
            Box::pin(super::api_key::execute(installation, actor, request)).await
        }
        Request::Dictionary { account, change } => {
            Box::pin(dictionary::say(installation, actor, &account, change)).await
        }
        Request::Names { account } => {
            Box::pin(super::learned::names(installation, actor, &account, out)).await
        }
        Request::Errors { account } => {
            Box::pin(super::learned::errors(installation, actor, &account, out)).await
        }
        Request::Query { account, sql } => {
            Box::pin(run_query(installation, actor, &account, &sql, out)).await
        }
        Request::PersonShow { account, whom } => {
            Box::pin(show_person(installation, actor, &account, whom, out)).await
        }
        Request::PersonRestriction { account, whom, act } => {
            let act = super::restriction::execute(installation, actor, &account, whom, act);
            Box::pin(act).await
        }
        Request::PersonDelete { account, whom } => {
            Box::pin(delete_person(installation, actor, &account, whom)).await
        }
        Request::Deletions { account, act } => {
            Box::pin(deletions(installation, actor, &account, act, out)).await
        }
        Request::Export {
            account,
            what,
            from,
            to,
            format,
        } => {
            let days = Days { from, to };
            Box::pin(export(
                installation,
                actor,
                &account,
                what,
                days,
                format,
                out,
            ))
            .await
        }
        Request::Drops(act) => Box::pin(super::drops::execute(installation, actor, act, out)).await,
        Request::Requests(search) => {
            Box::pin(super::requests::execute(installation, actor, search, out)).await
        }
        Request::Quarantine(act) => {
            Box::pin(super::quarantine::execute(installation, actor, act, out)).await
        }
        Request::VolumeStatus => serde_json::to_value(installation.store().status())
            .context("failed to show the volumes"),
        Request::Audit(request) => {
            Box::pin(super::audit::execute(installation, actor, request, out)).await
        }
        Request::Allowlist(request) => {
            super::allowlist::execute(installation, actor, request).await
        }
        Request::Access(request) => {
            Box::pin(super::access::execute(installation, actor, request)).await
        }
        Request::Credential(request) => {
            Box::pin(super::credential::execute(installation, actor, request)).await
        }
        Request::JobRun { job } => Box::pin(run_job(installation, actor, job)).await,
    }
}

/// Runs a background job, once that is written down.
async fn run_job(installation: &Installation, actor: &Actor, job: Job) -> Result<Value> {
    let (action, outcome) = (Action::JobRun, AuditOutcome::Begun);
    let nobody = AccountId::installation();
    installation
        .control()
        .audit(actor, nobody, action, job.as_str(), "", outcome)
        .await
        .context("failed to write the audit log: nothing was run")?;
    jobs::run(installation, job).await
}

pub(super) fn account_id(text: &str) -> Result<AccountId> {
    text.parse()
        .map_err(|_| Failure::new(Kind::Invalid, format!("`{text}` is not an account's id")).into())
}

/// The account's rules; what belongs to no account (`0`) has none, but can be read.
pub(super) fn rules(
    installation: &Installation,
    account: &str,
) -> Result<(AccountId, Option<Arc<AccountRules>>)> {
    let id = account_id(account)?;
    let rules = installation.rules().account(id).cloned();
    if rules.is_none() && id != AccountId::installation() {
        let message = format!("there is no account `{id}` (see `strongroom account list`)");
        bail!(Failure::new(Kind::NotFound, message));
    }
    Ok((id, rules))
}

/// What queries and exports see.
fn policy(id: AccountId, rules: Option<&AccountRules>) -> ReadPolicy {
    let restricted = rules.map(|it| Arc::clone(&it.restricted));
    person_policy(id, rules).without(restricted.unwrap_or_default())
}

/// What is seen of one person who is named: people whose processing is restricted are found too.
pub(super) fn person_policy(id: AccountId, rules: Option<&AccountRules>) -> ReadPolicy {
    let suppressed = rules.map_or_else(Arc::<Suppressions>::default, |it| {
        Arc::clone(&it.suppressed)
    });
    ReadPolicy::new(id, suppressed)
}

/// Rules of an account that has people.
pub(super) fn rules_of_people(
    installation: &Installation,
    account: &str,
) -> Result<Arc<AccountRules>> {
    match rules(installation, account)? {
        (_, Some(rules)) => Ok(rules),
        (id, None) => bail!(Failure::new(
            Kind::NotFound,
            format!("account `{id}` has no people")
        )),
    }
}

pub(super) async fn send(out: &mpsc::Sender<Frame>, data: impl Into<Bytes>) -> Result<()> {
    if out.send(Frame::Data(data.into())).await.is_err() {
        bail!("the reader of the result has gone");
    }
    Ok(())
}

async fn run_query(
    installation: &Installation,
    actor: &Actor,
    account: &str,
    sql: &str,
    out: mpsc::Sender<Frame>,
) -> Result<Value> {
    let (id, rules) = rules(installation, account)?;
    let policy = policy(id, rules.as_deref());
    let mut rows = installation.engine().sql(&policy, sql).await?;
    // The statement may name a person, so its digest stands for it.
    let digest = blake3::hash(sql.as_bytes()).to_hex();
    let note = format!("sql of {} bytes, blake3 {}", sql.len(), digest.as_str());
    installation
        .control()
        .audit(
            actor,
            id,
            Action::QueryRun,
            "tables",
            &note,
            AuditOutcome::Begun,
        )
        .await
        .context("failed to write the audit log: nothing was read")?;
    let columns: Vec<String> = rows
        .schema
        .fields()
        .iter()
        .map(|field| field.name().clone())
        .collect();
    let mut text = String::from("[");
    let mut count: u64 = 0;
    while let Some(batch) = rows.batches.next().await {
        let batch = batch?;
        for row in 0..batch.num_rows() {
            text.push_str(if count == 0 { "\n" } else { ",\n" });
            query::json::object(&rows.schema, &batch, row, &mut text)?;
            count += 1;
            if text.len() >= PIECE_BYTES {
                send(&out, std::mem::take(&mut text)).await?;
            }
        }
    }
    text.push_str(if count == 0 { "]" } else { "\n]" });
    send(&out, text).await?;
    let note = format!("{count} rows, blake3 {}", digest.as_str());
    installation
        .control()
        .audit(
            actor,
            id,
            Action::QueryRun,
            "tables",
            &note,
            AuditOutcome::Done,
        )
        .await
        .context("failed to close the entry in the audit log")?;
    Ok(json!({"columns": columns, "rows": count}))
}

/// The key that a name stands for; by email the person is looked up.
pub(super) fn key_of(rules: &AccountRules, whom: &Whom) -> Option<PersonKey> {
    match whom {
        Whom::Identity(text) => Some(rules.person_key(IdentityKind::Identity, text)),
        Whom::ObjectId(text) => Some(rules.person_key(IdentityKind::ObjectId, text)),
        Whom::Email(_) => None,
    }
}

pub(super) fn nobody() -> anyhow::Error {
    Failure::new(Kind::NotFound, "nothing is held of such a person").into()
}

pub(super) async fn find_person(
    installation: &Installation,
    rules: &AccountRules,
    whom: Whom,
) -> Result<Option<PersonView>> {
    let lookup = match (key_of(rules, &whom), whom) {
        (Some(key), _) => Lookup::Key(key),
        (None, Whom::Email(address) | Whom::Identity(address) | Whom::ObjectId(address)) => {
            Lookup::Email(address)
        }
    };
    Ok(installation
        .engine()
        .profile(&person_policy(rules.id, Some(rules)), &lookup)
        .await?)
}

async fn show_person(
    installation: &Installation,
    actor: &Actor,
    account: &str,
    whom: Whom,
    out: mpsc::Sender<Frame>,
) -> Result<Value> {
    let rules = rules_of_people(installation, account)?;
    let found = find_person(installation, &rules, whom).await?;
    let object = found
        .as_ref()
        .and_then(|view| view.key)
        .map_or_else(|| "nobody".to_owned(), |key| format!("person {key}"));
    installation
        .control()
        .audit(
            actor,
            rules.id,
            Action::PersonShown,
            &object,
            "",
            AuditOutcome::Done,
        )
        .await
        .context("failed to write the audit log: nothing was read")?;
    let view = found.ok_or_else(nobody)?;
    send(&out, web::operate::portrait::of(&view)?).await?;
    Ok(json!({"person_key": view.key.map(|key| key.to_string())}))
}

async fn delete_person(
    installation: &Installation,
    actor: &Actor,
    account: &str,
    whom: Whom,
) -> Result<Value> {
    let rules = rules_of_people(installation, account)?;
    let key = match key_of(&rules, &whom) {
        Some(key) => key,
        None => {
            let found = find_person(installation, &rules, whom).await?;
            found.and_then(|view| view.key).ok_or_else(nobody)?
        }
    };
    let policy = person_policy(rules.id, Some(&rules));
    let mut keys: Vec<LedgerKey> = installation
        .engine()
        .person_keys(&policy, &[key])
        .await?
        .keys
        .into_iter()
        .map(|(person, stretch)| LedgerKey {
            person,
            from: stretch.from,
            to: stretch.to,
        })
        .collect();
    // Also of somebody of whom nothing is held yet: what comes later is not kept.
    if !keys.iter().any(|it| it.person == key) {
        keys.push(LedgerKey {
            person: key,
            from: None,
            to: None,
        });
    }
    let count = keys.len();
    let deletion = installation
        .control()
        .request_deletion(actor, rules.id, keys, "asked for by the operator")
        .await
        .context("failed to write the ledger: nobody was deleted")?;
    Ok(json!({"deletion": deletion.to_string(), "keys": count, "state": "hidden"}))
}

/// The deletions of an account, the newest first, after cancelling one where that is asked; or the
/// receipt of one.
async fn deletions(
    installation: &Installation,
    actor: &Actor,
    account: &str,
    act: DeletionsAct,
    out: mpsc::Sender<Frame>,
) -> Result<Value> {
    let rules = rules_of_people(installation, account)?;
    let control = installation.control();
    match act {
        DeletionsAct::List => {}
        DeletionsAct::Cancel(id) => {
            let deletion = deletion(installation, actor, rules.id, &id).await?;
            let cancelled = control.cancel_deletion(actor, deletion.id).await;
            cancelled.context("nothing was cancelled")?;
        }
        DeletionsAct::Receipt(id) => {
            let deletion = deletion(installation, actor, rules.id, &id).await?;
            let Some(note) = deletion.signed_receipt else {
                let text = match deletion.state {
                    DeletionState::Done => "it was done before receipts were signed",
                    DeletionState::Pending | DeletionState::Running => "it is not done yet",
                    DeletionState::Cancelled => "it was cancelled",
                };
                let text = format!("there is no receipt of that deletion: {text}");
                bail!(Failure::new(Kind::NotFound, text));
            };
            for piece in note.as_bytes().chunks(PIECE_BYTES) {
                send(&out, Bytes::copy_from_slice(piece)).await?;
            }
            return Ok(json!({"deletion": deletion.id.to_string()}));
        }
    }
    let all = control.deletions(actor, rules.id).await;
    let all = all.context("failed to list the deletions")?;
    let line = |it: &Deletion| {
        json!({
            "deletion": it.id.to_string(),
            "state": it.state,
            "keys": it.keys.len(),
            "requested_at": it.requested_at.to_string(),
            "started_at": it.started_at.map(|at| at.to_string()),
            "completed_at": it.completed_at.map(|at| at.to_string()),
            "cancellable": it.is_cancellable(),
        })
    };
    Ok(Value::Array(all.iter().rev().map(line).collect()))
}

/// A deletion of an account, by its id as it is written.
async fn deletion(
    installation: &Installation,
    actor: &Actor,
    account: AccountId,
    id: &str,
) -> Result<Deletion> {
    let id: DeletionId = id
        .parse()
        .map_err(|_| Failure::new(Kind::Invalid, "that is not a deletion's id"))?;
    let known = installation.control().deletions(actor, account).await;
    let known = known.context("failed to list the deletions")?;
    let absent = format!("there is no deletion `{id}` in that account");
    let found = known.into_iter().find(|it| it.id == id);
    found.ok_or_else(|| Failure::new(Kind::NotFound, absent).into())
}

/// The first moment of a day, or of the one that follows it. Where the calendar ends, that is its last
/// moment: its last day is a usual way to say that there is no end.
pub(super) fn day_start(text: &str, following: bool, zone: &TimeZone) -> Result<Timestamp> {
    let wrong = || {
        Failure::new(
            Kind::Invalid,
            format!("`{text}` is not a day: write YYYY-MM-DD"),
        )
    };
    let day: Date = text.parse().map_err(|_| wrong())?;
    let start = |day: Date| {
        let zoned = day.to_zoned_datetime(zone.clone()).ok()?;
        Some(Timestamp::from_ms(zoned.timestamp().as_millisecond()))
    };
    if following {
        let last = Timestamp::from_ms(jiff::Timestamp::MAX.as_millisecond());
        return Ok(day.tomorrow().ok().and_then(start).unwrap_or(last));
    }
    start(day).ok_or_else(|| wrong().into())
}

/// The days of an export, as written.
struct Days {
    from: Option<String>,
    to: Option<String>,
}

impl Days {
    /// The first moment, and the first after the last.
    fn bounds(&self, rules: &AccountRules) -> Result<(Timestamp, Timestamp)> {
        let zone = &rules.time_zone;
        let from = self
            .from
            .as_deref()
            .map(|text| day_start(text, false, zone))
            .transpose()?;
        let to = self
            .to
            .as_deref()
            .map(|text| day_start(text, true, zone))
            .transpose()?;
        let all = EventsQuery::default();
        let (from, to) = (from.unwrap_or(all.from), to.unwrap_or(all.to));
        if from >= to {
            bail!(Failure::new(
                Kind::Invalid,
                "the last day is before the first one"
            ));
        }
        Ok((from, to))
    }
}

async fn export(
    installation: &Installation,
    actor: &Actor,
    account: &str,
    what: ExportWhat,
    days: Days,
    format: ExportFormat,
    out: mpsc::Sender<Frame>,
) -> Result<Value> {
    let rules = rules_of_people(installation, account)?;
    let (from, to) = days.bounds(&rules)?;
    let policy = policy(rules.id, Some(&rules));
    let (object, rows) = match what {
        ExportWhat::Events => {
            let query = EventsQuery {
                from,
                to,
                ..EventsQuery::default()
            };
            (
                "events",
                installation.engine().export_events(&policy, &query).await?,
            )
        }
        ExportWhat::People => (
            "people",
            installation
                .engine()
                .export_people(&policy, from, to)
                .await?,
        ),
    };
    let note = format!(
        "from {} to {}",
        days.from.as_deref().unwrap_or("the beginning"),
        days.to.as_deref().unwrap_or("the end")
    );
    installation
        .control()
        .audit(
            actor,
            rules.id,
            Action::Exported,
            object,
            &note,
            AuditOutcome::Begun,
        )
        .await
        .context("failed to write the audit log: nothing was read")?;
    let format = match format {
        ExportFormat::Jsonl => query::export::Format::JsonLines,
        ExportFormat::Csv => query::export::Format::Csv(query::csv::Formulas::Defused),
        ExportFormat::Parquet => query::export::Format::Parquet,
    };
    let (writer, mut reader) = tokio::io::duplex(4 * PIECE_BYTES);
    let told = out.clone();
    let write = query::export::write(rows, format, writer, move |progress| {
        // Progress that finds no room is out of date anyway.
        drop(told.try_send(Frame::Progress(Progress {
            done: progress.rows,
            total: None,
        })));
    });
    let read = async {
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            let count = reader
                .read(&mut piece)
                .await
                .context("failed to pass the file on")?;
            let Some(read) = piece.get(..count).filter(|read| !read.is_empty()) else {
                return anyhow::Ok(());
            };
            send(&out, Bytes::copy_from_slice(read)).await?;
        }
    };
    let (written, read) = tokio::join!(write, read);
    // When the reader has gone, the writer fails for that reason alone.
    read?;
    let written = written?;
    let note = format!("{note}: {} rows", written.rows);
    installation
        .control()
        .audit(
            actor,
            rules.id,
            Action::Exported,
            object,
            &note,
            AuditOutcome::Done,
        )
        .await
        .context("failed to close the entry in the audit log")?;
    Ok(json!({"rows": written.rows, "bytes": written.bytes}))
}
