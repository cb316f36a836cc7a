//! Quarantined records: the kinds of errors, what there is, one of them, its replay, its deletion.
//!
//! They hold what people's apps sent, so reading is in the audit before the first row, and each
//! replay and deletion is an entry of its own. A replay keeps the record's id and happens once: the
//! mark says so, and where a crash has swallowed the mark, the id is found in the tables.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use collect::Replayed;
use control::{Action, Actor, AuditOutcome, QuarantineMark};
use model::record::{Quarantined, Source};
use model::{AccountId, RecordId, Timestamp};
use serde_json::json;
use std::collections::HashMap;

use super::rows::{moment, number, quoted, rows_seen_by, text, time};
use super::{Error, Reading, Result, Row};
use crate::State;

/// Records on one page.
const PAGE_MAX: u32 = 10_000;
/// Records that are replayed or deleted at once.
const RECORDS_MAX: usize = 1_000;
/// Records that one statement names.
const NAMED_MAX: usize = 500;

/// Errors of one kind: nothing of any record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorGroup {
    /// The protocol's record code; 0 for a body that could not be decoded.
    pub code: u16,
    /// What was wrong, in words.
    pub error: String,
    /// How they came.
    pub source: String,
    /// How many.
    pub count: u64,
    /// The first.
    pub first_seen: Timestamp,
    /// The last.
    pub last_seen: Timestamp,
}

/// What became of a record that is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordState {
    /// Nothing yet.
    Waiting,
    /// It was stored after all.
    Replayed,
}

impl RecordState {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Waiting, Self::Replayed];

    /// Its name in lists and URLs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Replayed => "replayed",
        }
    }

    /// The one of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == name)
    }

    /// Of a record with this mark; none for one that was deleted, which is not listed.
    const fn of(mark: Option<QuarantineMark>) -> Option<Self> {
        match mark {
            None => Some(Self::Waiting),
            Some(QuarantineMark::Replayed) => Some(Self::Replayed),
            Some(QuarantineMark::Deleted) => None,
        }
    }
}

/// Which records are listed. What is none does not restrict.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// With this code.
    pub code: Option<u16>,
    /// That came in this way.
    pub source: Option<Source>,
    /// Of which this became.
    pub state: Option<RecordState>,
    /// That came not before.
    pub from: Option<Timestamp>,
    /// That came before.
    pub to: Option<Timestamp>,
    /// The oldest first; else the newest.
    pub oldest_first: bool,
    /// After this record, the last one of the page before.
    pub after: Option<RecordId>,
    /// At most so many, and never more than 10,000.
    pub limit: u32,
}

/// Some records.
#[derive(Debug, Clone)]
pub struct Page {
    /// Without their content: `record_id`, `ts`, `source`, `person_key`, `code`,
    /// `error`, and `state`: `waiting` or `replayed`.
    pub records: Vec<Row>,
    /// The record after which the next page begins; none after the last.
    pub next: Option<String>,
}

/// What became of one record's replay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was replayed before.
    ReplayedBefore,
    /// So many records are durable.
    Stored(u32),
    /// The rules still refuse it, or its people were deleted, with this code and these words.
    Refused(u16, String),
    /// It came in a dialect of which single records cannot be decoded again.
    NotReplayable,
}

/// The kinds of errors since a moment, those seen last first.
///
/// # Errors
/// Unavailable.
pub async fn groups(
    state: &State,
    actor: &Actor,
    account: AccountId,
    since: Timestamp,
) -> Result<Vec<ErrorGroup>> {
    let sql = format!(
        "SELECT code, error, source, count(*) AS n, min(ts) AS first_seen, max(ts) AS last_seen \
         FROM quarantine WHERE ts >= {} GROUP BY code, error, source \
         ORDER BY last_seen DESC, code, error, source LIMIT {PAGE_MAX}",
        moment(since)
    );
    let found = rows_seen_by(state, actor, account, &sql).await?;
    let group = |row: &Row| {
        Ok(ErrorGroup {
            code: u16::try_from(number(row, "code")).unwrap_or(0),
            error: text(row, "error").to_owned(),
            source: text(row, "source").to_owned(),
            count: number(row, "n"),
            first_seen: time(row, "first_seen")?,
            last_seen: time(row, "last_seen")?,
        })
    };
    found.iter().map(group).collect()
}

/// Somebody at the records of one account.
#[derive(Debug, Clone, Copy)]
pub struct Desk<'a> {
    /// The parts.
    pub state: &'a State,
    /// Who.
    pub actor: &'a Actor,
    /// Whose records.
    pub account: AccountId,
}

impl Desk<'_> {
    async fn rows_of(self, sql: &str) -> Result<Vec<Row>> {
        rows_seen_by(self.state, self.actor, self.account, sql).await
    }

    async fn marks(self) -> Result<HashMap<RecordId, QuarantineMark>> {
        let control = self.state.control();
        Ok(control.quarantine_marks(self.actor, self.account).await?)
    }

    fn reading<'o>(&'o self, object: &'o str) -> Reading<'o> {
        Reading {
            state: self.state,
            actor: self.actor,
            account: self.account,
            action: Action::QuarantineRead,
            object,
        }
    }

    /// The records that are wanted and not deleted.
    ///
    /// # Errors
    /// Not found without the record that the page is to follow; denied; unavailable.
    pub async fn list(self, wanted: &Wanted) -> Result<Page> {
        let limit = usize::try_from(wanted.limit.clamp(1, PAGE_MAX)).unwrap_or(usize::MAX);
        let marks = self.marks().await?;
        let conditions = self.conditions(wanted).await?;
        self.reading("quarantine").begin("list").await?;
        let mut records = Vec::new();
        let mut has_more = false;
        for mut row in self.found(wanted, &conditions, &marks).await? {
            let id = parsed(text(&row, "record_id"))?;
            let Some(state) = RecordState::of(marks.get(&id).copied()) else {
                continue;
            };
            if wanted.state.is_some_and(|it| it != state) {
                continue;
            }
            if records.len() >= limit {
                has_more = true;
                break;
            }
            row.insert("state".to_owned(), json!(state.as_str()));
            records.push(row);
        }
        let words = format!("list: {} records", records.len());
        self.reading("quarantine").end(&words).await?;
        let next = records
            .last()
            .filter(|_| has_more)
            .map(|it| text(it, "record_id").to_owned());
        Ok(Page { records, next })
    }

    /// What is wanted, but for what the marks say, as conditions of a statement.
    async fn conditions(self, wanted: &Wanted) -> Result<String> {
        let mut conditions = vec![String::from("true")];
        if let Some(id) = wanted.after {
            let sql = format!("SELECT ts FROM quarantine WHERE record_id = X'{id}'");
            let found = self.rows_of(&sql).await?;
            let row = found.first().ok_or_else(|| not_found(id))?;
            let at = moment(time(row, "ts")?);
            let beyond = if wanted.oldest_first { ">" } else { "<" };
            conditions.push(format!(
                "(ts {beyond} {at} OR (ts = {at} AND record_id {beyond} X'{id}'))"
            ));
        }
        if let Some(code) = wanted.code {
            conditions.push(format!("code = {code}"));
        }
        if let Some(source) = wanted.source {
            conditions.push(format!("source = {}", quoted(source.as_str())));
        }
        if let Some(from) = wanted.from {
            conditions.push(format!("ts >= {}", moment(from)));
        }
        if let Some(to) = wanted.to {
            conditions.push(format!("ts < {}", moment(to)));
        }
        Ok(conditions.join(" AND "))
    }

    /// Rows enough for a page and one more, in order; those that the marks leave out among them.
    async fn found(
        self,
        wanted: &Wanted,
        conditions: &str,
        marks: &HashMap<RecordId, QuarantineMark>,
    ) -> Result<Vec<Row>> {
        let direction = if wanted.oldest_first { "ASC" } else { "DESC" };
        let sql = |more: &str, rows_max: u64| {
            format!(
                "SELECT record_id, ts, source, person_key, code, error FROM quarantine \
                 WHERE {conditions}{more} \
                 ORDER BY ts {direction}, record_id {direction} LIMIT {rows_max}"
            )
        };
        let rows_max = u64::from(wanted.limit.clamp(1, PAGE_MAX)) + 1;
        let marked = |mark: QuarantineMark| {
            let ids = marks.iter().filter(move |(_, it)| **it == mark);
            ids.map(|(id, _)| format!("X'{id}'")).collect::<Vec<_>>()
        };
        let left_out = match wanted.state {
            Some(RecordState::Waiting) => marks.len(),
            None => marked(QuarantineMark::Deleted).len(),
            // They are few among many: they are asked for by name.
            Some(RecordState::Replayed) => {
                let mut found = Vec::new();
                for some in marked(QuarantineMark::Replayed).chunks(NAMED_MAX) {
                    let more = format!(" AND record_id IN ({})", some.join(", "));
                    found.extend(self.rows_of(&sql(&more, rows_max)).await?);
                }
                return in_order(found, wanted.oldest_first);
            }
        };
        self.rows_of(&sql("", rows_max + left_out as u64)).await
    }

    /// A record that is there and not deleted, and its mark.
    async fn find(self, id: RecordId) -> Result<(Quarantined, Option<QuarantineMark>)> {
        let mark = self.marks().await?.get(&id).copied();
        let sql = format!(
            "SELECT record_id, ts, source, person_key, code, error, body FROM quarantine \
             WHERE record_id = X'{id}'"
        );
        let found = self.rows_of(&sql).await?;
        let row = found
            .first()
            .filter(|_| mark != Some(QuarantineMark::Deleted));
        let row = row.ok_or_else(|| not_found(id))?;
        let source = text(row, "source");
        let source = Source::ALL.into_iter().find(|it| it.as_str() == source);
        let body = STANDARD
            .decode(text(row, "body"))
            .map_err(|_| Error::Row("a quarantined body"))?;
        let quarantined = Quarantined {
            id,
            received_at: time(row, "ts")?,
            source: source.ok_or(Error::Row("how a quarantined record came"))?,
            person: text(row, "person_key").parse().ok(),
            code: u16::try_from(number(row, "code")).unwrap_or(0),
            error: text(row, "error").into(),
            body,
        };
        Ok((quarantined, mark))
    }

    /// One record with its content, and what became of it.
    ///
    /// # Errors
    /// Not found; denied; unavailable.
    pub async fn show(self, id: RecordId) -> Result<(Quarantined, Option<QuarantineMark>)> {
        self.reading(&id.to_string()).begin("content").await?;
        self.find(id).await
    }

    /// Decodes records again and stores what the rules now let in.
    ///
    /// # Errors
    /// Invalid for no record or more than 1,000; not found; denied; unavailable: the outcome of the
    /// record that was being replayed is not known, those before it are.
    pub async fn replay(self, records: &[RecordId]) -> Result<Vec<(RecordId, Outcome)>> {
        check(records)?;
        // Two replays of one record must not both find that it was not replayed.
        let _alone = self.state.quarantine().lock().await;
        let mut outcomes = Vec::with_capacity(records.len());
        for id in records {
            outcomes.push((*id, self.replay_one(*id).await?));
        }
        Ok(outcomes)
    }

    async fn replay_one(self, id: RecordId) -> Result<Outcome> {
        let (found, mark) = self.find(id).await?;
        if mark.is_some() {
            return Ok(Outcome::ReplayedBefore);
        }
        if self.is_stored(id).await? {
            self.mark(vec![id], QuarantineMark::Replayed).await?;
            return Ok(Outcome::ReplayedBefore);
        }
        // Said before it is done: what is stored must be in the audit whatever happens next.
        let control = self.state.control();
        control
            .audit(
                self.actor,
                self.account,
                Action::QuarantineReplayed,
                &id.to_string(),
                "replay of a quarantined record",
                AuditOutcome::Begun,
            )
            .await?;
        let replayed = collect::replay(self.state.collect(), self.account, &found).await;
        let act = "store a quarantined record: the outcome is not known";
        Ok(match replayed.map_err(Error::journal(act))? {
            Replayed::Stored(records) => {
                self.mark(vec![id], QuarantineMark::Replayed).await?;
                Outcome::Stored(records)
            }
            Replayed::Refused(code, error) => Outcome::Refused(code, error),
            Replayed::NotReplayable => Outcome::NotReplayable,
        })
    }

    /// Whether a record of this id is in the tables.
    async fn is_stored(self, id: RecordId) -> Result<bool> {
        for table in ["events", "profile_changes"] {
            let sql = format!("SELECT count(*) AS n FROM {table} WHERE record_id = X'{id}'");
            let found = self.rows_of(&sql).await?;
            if found.iter().any(|row| number(row, "n") > 0) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Takes records away; how many.
    ///
    /// # Errors
    /// Invalid for no record or more than 1,000; not found when one of them is not there: none is
    /// taken then; denied; unavailable.
    pub async fn delete(self, records: Vec<RecordId>) -> Result<usize> {
        check(&records)?;
        let _alone = self.state.quarantine().lock().await;
        for id in &records {
            self.find(*id).await?;
        }
        let count = records.len();
        self.mark(records, QuarantineMark::Deleted).await?;
        Ok(count)
    }

    async fn mark(self, records: Vec<RecordId>, mark: QuarantineMark) -> Result<()> {
        let control = self.state.control();
        control
            .mark_quarantined(self.actor, self.account, records, mark)
            .await?;
        Ok(())
    }
}

/// Rows by when they came.
fn in_order(rows: Vec<Row>, oldest_first: bool) -> Result<Vec<Row>> {
    let place = |row: Row| {
        let at = time(&row, "ts")?.ms();
        Ok(((at, text(&row, "record_id").to_owned()), row))
    };
    let mut placed: Vec<((i64, String), Row)> =
        rows.into_iter().map(place).collect::<Result<_>>()?;
    placed.sort_by(|(a, _), (b, _)| match oldest_first {
        true => a.cmp(b),
        false => b.cmp(a),
    });
    Ok(placed.into_iter().map(|(_, row)| row).collect())
}

fn check(records: &[RecordId]) -> Result<()> {
    if records.is_empty() || records.len() > RECORDS_MAX {
        return Err(Error::Invalid(format!("name 1 to {RECORDS_MAX} records")));
    }
    Ok(())
}

fn parsed(text: &str) -> Result<RecordId> {
    text.parse().map_err(|_| Error::Row("a record's id"))
}

fn not_found(id: RecordId) -> Error {
    Error::NotFound(format!("quarantined record `{id}`"))
}
