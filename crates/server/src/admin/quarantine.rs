//! Quarantined records: what there is, one of them, its replay, its deletion.
//!
//! They hold what people's apps sent, so reading is in the audit before the first row, and each replay
//! and deletion is an entry of its own. A replay keeps the record's id and happens once: the mark says
//! so, and where a crash has swallowed the mark, the id is found in the tables.

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use collect::Replayed;
use control::{Action, Actor, AuditOutcome, QuarantineMark};
use model::record::{Quarantined, Source};
use model::{AccountId, PersonKey, RecordId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use tokio::sync::mpsc;

use super::Frame;
use super::rows::{account_id, number, rows, send_array, text, time};
use crate::compose::Installation;
use crate::failure::{Failure, Kind};

/// Records on one page.
const PAGE_MAX: u32 = 10_000;
/// Records that are replayed or deleted at once.
const RECORDS_MAX: usize = 1_000;

/// An operator's act on quarantined records of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct QuarantineRequest {
    /// Whose.
    pub(crate) account: String,
    /// Which act.
    pub(crate) act: QuarantineAct,
}

/// What is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum QuarantineAct {
    /// Lists them, the newest first, without their content. The data is a JSON array.
    List {
        /// How many at most.
        limit: u32,
        /// The record that the page before ended with.
        after: Option<String>,
    },
    /// Shows one with its content.
    Show {
        /// Its id.
        record: String,
    },
    /// Decodes them again and stores what the rules now let in.
    Replay {
        /// Their ids.
        records: Vec<String>,
    },
    /// Takes them away.
    Delete {
        /// Their ids.
        records: Vec<String>,
    },
}

/// Carries an act out.
pub(super) async fn execute(
    installation: &Installation,
    actor: &Actor,
    request: QuarantineRequest,
    out: mpsc::Sender<Frame>,
) -> Result<Value> {
    let account = account_id(&request.account)?;
    if installation.rules().account(account).is_none() {
        let message = format!("there is no account `{account}` (see `strongroom account list`)");
        bail!(Failure::new(Kind::NotFound, message));
    }
    let desk = Desk {
        installation,
        actor,
        account,
    };
    match request.act {
        QuarantineAct::List { limit, after } => desk.list(limit, after.as_deref(), out).await,
        QuarantineAct::Show { record } => desk.show(&record).await,
        QuarantineAct::Replay { records } => {
            // Two replays of one record must not both find that it was not replayed.
            let _guard = installation.guards().quarantine().await;
            let mut outcomes = Vec::new();
            for record in ids(&records)? {
                outcomes.push(desk.replay(record).await?);
            }
            Ok(json!({ "records": outcomes }))
        }
        QuarantineAct::Delete { records } => {
            let _guard = installation.guards().quarantine().await;
            desk.delete(ids(&records)?).await
        }
    }
}

fn ids(records: &[String]) -> Result<Vec<RecordId>> {
    if records.is_empty() || records.len() > RECORDS_MAX {
        let message = format!("name 1 to {RECORDS_MAX} records");
        bail!(Failure::new(Kind::Invalid, message));
    }
    records.iter().map(|record| record_id(record)).collect()
}

fn record_id(text: &str) -> Result<RecordId> {
    text.parse().map_err(|_| {
        let message = format!("`{text}` is not a record's id: 32 hexadecimal digits");
        Failure::new(Kind::Invalid, message).into()
    })
}

/// One operator at the records of one account.
struct Desk<'a> {
    installation: &'a Installation,
    actor: &'a Actor,
    account: AccountId,
}

impl Desk<'_> {
    async fn rows(&self, sql: &str) -> Result<Vec<Map<String, Value>>> {
        rows(self.installation, self.account, sql).await
    }

    async fn marks(&self) -> Result<HashMap<RecordId, QuarantineMark>> {
        self.installation
            .control()
            .quarantine_marks(self.actor, self.account)
            .await
            .context("failed to read what became of quarantined records")
    }

    async fn note_read(&self, object: &str, note: &str, outcome: AuditOutcome) -> Result<()> {
        self.installation
            .control()
            .audit(
                self.actor,
                self.account,
                Action::QuarantineRead,
                object,
                note,
                outcome,
            )
            .await
            .context("failed to write the audit log: nothing was read")
    }

    async fn list(
        &self,
        limit: u32,
        after: Option<&str>,
        out: mpsc::Sender<Frame>,
    ) -> Result<Value> {
        let limit = limit.clamp(1, PAGE_MAX);
        let marks = self.marks().await?;
        let deleted = marks
            .values()
            .filter(|it| **it == QuarantineMark::Deleted)
            .count();
        let mut conditions = String::from("true");
        if let Some(after) = after {
            let id = record_id(after)?;
            let found = self
                .rows(&format!(
                    "SELECT ts FROM quarantine WHERE record_id = X'{id}'"
                ))
                .await?;
            let Some(row) = found.first() else {
                bail!(not_found(id));
            };
            let at = super::rows::moment(time(row, "ts")?);
            conditions = format!("(ts < {at} OR (ts = {at} AND record_id < X'{id}'))");
        }
        self.note_read("quarantine", "list", AuditOutcome::Begun)
            .await?;
        let rows_max = u64::from(limit) + deleted as u64 + 1;
        let sql = format!(
            "SELECT record_id, ts, source, person_key, code, error FROM quarantine \
             WHERE {conditions} ORDER BY ts DESC, record_id DESC LIMIT {rows_max}"
        );
        let mut values = Vec::new();
        let mut has_more = false;
        for mut row in self.rows(&sql).await? {
            let id = record_id(&text(&row, "record_id"))?;
            let mark = marks.get(&id).copied();
            if mark == Some(QuarantineMark::Deleted) {
                continue;
            }
            if values.len() >= usize::try_from(limit).unwrap_or(usize::MAX) {
                has_more = true;
                break;
            }
            let state = if mark.is_some() {
                "replayed"
            } else {
                "waiting"
            };
            row.insert("state".to_owned(), json!(state));
            values.push(Value::Object(row));
        }
        send_array(&out, &values).await?;
        let note = format!("list: {} records", values.len());
        self.note_read("quarantine", &note, AuditOutcome::Done)
            .await?;
        let next = values
            .last()
            .filter(|_| has_more)
            .and_then(|it| it.get("record_id"));
        Ok(json!({"records": values.len(), "next": next}))
    }

    /// A record that is there and not deleted, and its mark.
    async fn find(&self, id: RecordId) -> Result<(Quarantined, Option<QuarantineMark>)> {
        let mark = self.marks().await?.get(&id).copied();
        let sql = format!(
            "SELECT record_id, ts, source, person_key, code, error, body FROM quarantine \
             WHERE record_id = X'{id}'"
        );
        let found = self.rows(&sql).await?;
        let row = found
            .first()
            .filter(|_| mark != Some(QuarantineMark::Deleted));
        let row = row.ok_or_else(|| not_found(id))?;
        let source = text(row, "source");
        let source = Source::ALL.into_iter().find(|it| it.as_str() == source);
        let body = STANDARD
            .decode(text(row, "body"))
            .context("failed to understand a quarantined body")?;
        let person: Option<PersonKey> = text(row, "person_key").parse().ok();
        let quarantined = Quarantined {
            id,
            received_at: time(row, "ts")?,
            source: source.context("a quarantined record came in an unknown way")?,
            person,
            code: u16::try_from(number(row, "code")).unwrap_or(0),
            error: text(row, "error").into_boxed_str(),
            body,
        };
        Ok((quarantined, mark))
    }

    async fn show(&self, record: &str) -> Result<Value> {
        let id = record_id(record)?;
        self.note_read(&id.to_string(), "content", AuditOutcome::Begun)
            .await?;
        let (found, mark) = self.find(id).await?;
        let body = match String::from_utf8(found.body) {
            Ok(text) => json!({ "body": text }),
            Err(error) => json!({ "body_base64": STANDARD.encode(error.as_bytes()) }),
        };
        let mut shown = json!({
            "record_id": found.id.to_string(),
            "received_at": found.received_at.to_string(),
            "source": found.source.as_str(),
            "person_key": found.person.map(|it| it.to_string()),
            "code": found.code,
            "error": found.error,
            "state": if mark.is_some() { "replayed" } else { "waiting" },
        });
        if let (Some(shown), Value::Object(mut body)) = (shown.as_object_mut(), body) {
            shown.append(&mut body);
        }
        Ok(shown)
    }

    async fn replay(&self, id: RecordId) -> Result<Value> {
        let (found, mark) = self.find(id).await?;
        let already = json!({"record_id": id.to_string(), "outcome": "replayed_before"});
        if mark.is_some() {
            return Ok(already);
        }
        if self.is_stored(id).await? {
            self.mark(vec![id], QuarantineMark::Replayed).await?;
            return Ok(already);
        }
        // Said before it is done: what is stored must be in the audit whatever happens next.
        self.installation
            .control()
            .audit(
                self.actor,
                self.account,
                Action::QuarantineReplayed,
                &id.to_string(),
                "replay of a quarantined record",
                AuditOutcome::Begun,
            )
            .await
            .context("failed to write the audit log: nothing was replayed")?;
        let replayed = collect::replay(self.installation.collect(), self.account, &found).await;
        let replayed =
            replayed.context("failed to store a quarantined record: the outcome is not known")?;
        Ok(match replayed {
            Replayed::Stored(records) => {
                self.mark(vec![id], QuarantineMark::Replayed).await?;
                json!({"record_id": id.to_string(), "outcome": "stored", "records": records})
            }
            Replayed::Refused(code, error) => json!({
                "record_id": id.to_string(), "outcome": "refused", "code": code, "error": error,
            }),
            Replayed::NotReplayable => {
                json!({"record_id": id.to_string(), "outcome": "not_replayable"})
            }
        })
    }

    /// Whether a record of this id is in the tables.
    async fn is_stored(&self, id: RecordId) -> Result<bool> {
        for table in ["events", "profile_changes"] {
            let sql = format!("SELECT count(*) AS n FROM {table} WHERE record_id = X'{id}'");
            let found = self.rows(&sql).await?;
            if found.iter().any(|row| number(row, "n") > 0) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn delete(&self, records: Vec<RecordId>) -> Result<Value> {
        for id in &records {
            self.find(*id).await?;
        }
        let count = records.len();
        self.mark(records, QuarantineMark::Deleted).await?;
        Ok(json!({ "deleted": count }))
    }

    async fn mark(&self, records: Vec<RecordId>, mark: QuarantineMark) -> Result<()> {
        self.installation
            .control()
            .mark_quarantined(self.actor, self.account, records, mark)
            .await
            .context("failed to mark quarantined records")
    }
}

fn not_found(id: RecordId) -> Failure {
    Failure::new(
        Kind::NotFound,
        format!("there is no quarantined record `{id}`"),
    )
}
