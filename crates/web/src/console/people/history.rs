//! How what is known of a person came about: a table of their page, and
//! `GET /a/{account}/people/{key}/history`, the table as a file.

use axum::extract::{Path, State as Of};
use axum::response::Response;
use control::{Act, Action, AuditOutcome};
use governance::Stretch;
use model::record::ChangeOp;
use model::{PersonKey, Timestamp};
use query::{PersonView, ReadPolicy};

use super::{Known, clock};
use crate::console::records::shown;
use crate::console::staff::Staff;
use crate::console::view::{
    Answer, Asked, Column, Fields, Heads, Moment, Pager, Sheet, Times, answer, file,
};
use crate::operate::{rows_under, text, time};
use crate::{Result, State};

/// The newest changes: so many are read.
const CHANGES: usize = 1_000;
/// Keys whose changes are asked for.
const KEYS_MAX: usize = 100;
/// The table, in the URL.
const NAME: &str = "changes";

/// The columns of the changes.
const COLUMNS: &[Column<Change>] = &[
    Column::new("time", "Time", |it: &Change, times| times.cell(Some(it.at)))
        .most(|a, b| a.at.cmp(&b.at)),
    Column::new("property", "Property", |it: &Change, _| it.property.clone())
        .by(|a, b| a.property.cmp(&b.property)),
    Column::new("change", "Change", |it: &Change, _| it.what.to_owned())
        .by(|a, b| a.what.cmp(b.what)),
    Column::new("source", "Source", |it: &Change, _| it.source.clone())
        .by(|a, b| a.source.cmp(&b.source)),
    Column::new("value", "", |it: &Change, _| it.value.clone()),
];

/// One change.
#[derive(Debug)]
pub(super) struct Change {
    at: Timestamp,
    pub(super) source: String,
    pub(super) what: &'static str,
    pub(super) property: String,
    pub(super) value: String,
}

/// The table, as it is shown.
#[derive(Debug)]
pub(super) struct History {
    pub(super) lines: Vec<(Moment, Change)>,
    pub(super) heads: Heads,
    pub(super) pager: Pager,
    /// Where the table is downloaded, for those who may.
    pub(super) file: Option<String>,
}

impl History {
    /// Of the page at `path`.
    pub(super) fn new(
        staff: &Staff,
        asked: &Fields,
        path: &str,
        mut changes: Vec<Change>,
        times: &Times,
    ) -> Self {
        let sheet = Sheet::new(asked, path).named(NAME);
        let heads = sheet.sort(COLUMNS, Some(("time", true)), &mut changes);
        let (changes, pager) = sheet.cut(changes, "change");
        let without = ["before", "done", "changes_page"];
        let file = || asked.link(&format!("{path}/history"), &without, &[]);
        let lines = changes.into_iter().map(|it| (times.at(it.at), it));
        Self {
            lines: lines.collect(),
            heads,
            pager,
            file: staff.may(Act::Export).then(file),
        }
    }
}

/// The file.
pub(crate) async fn get(
    staff: Staff,
    Of(state): Of<State>,
    Path((_, key)): Path<(String, String)>,
    Asked(asked): Asked,
) -> Response {
    let exported = export(&staff, &state, &key, &asked);
    answer(&staff, Box::pin(exported).await)
}

async fn export(staff: &Staff, state: &State, key: &str, asked: &Fields) -> Answer {
    let known = Known::find(staff, state, key).await?;
    let reader = known.reader(staff, state);
    let (object, words) = (known.person.to_string(), "the history of one profile");
    reader
        .note(Action::Exported, &object, words, AuditOutcome::Begun)
        .await?;
    let mut changes = read(state, &known.policy, &known.view).await?;
    let path = known.path(staff);
    let sheet = Sheet::new(asked, &path).named(NAME);
    sheet.sort(COLUMNS, None, &mut changes);
    let words = format!("{words}: {} rows", changes.len());
    reader
        .note(Action::Exported, &object, &words, AuditOutcome::Done)
        .await?;
    let name = format!("history-{object}.csv");
    Ok(file(COLUMNS, &changes, &clock(staff, state), &name))
}

/// The newest changes of what is known, under the keys that are the person's, the newest first.
pub(super) async fn read(
    state: &State,
    policy: &ReadPolicy,
    view: &PersonView,
) -> Result<Vec<Change>> {
    let keys = view.keys.get(..KEYS_MAX).unwrap_or(&view.keys);
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let conditions: Vec<String> = keys
        .iter()
        .map(|(key, _)| format!("person_key = X'{key}'"))
        .collect();
    let sql = format!(
        "SELECT person_key, ts, source, op, property, value FROM profile_changes \
         WHERE {} ORDER BY ts DESC, record_id DESC, ordinal DESC LIMIT {}",
        conditions.join(" OR "),
        CHANGES * 2
    );
    let rows = rows_under(state, policy, &sql).await?;
    let mut changes = Vec::new();
    for row in &rows {
        let at = time(row, "ts")?;
        let key = text(row, "person_key");
        let is_theirs = |(known, stretch): &(PersonKey, Stretch)| {
            known.to_string() == key && stretch.contains(at)
        };
        if !keys.iter().any(is_theirs) || changes.len() >= CHANGES {
            continue;
        }
        let op = ChangeOp::from_name(text(row, "op"));
        let value = match op {
            // Push tokens are credentials of a kind, and facts of devices stand above.
            Some(ChangeOp::Token | ChangeOp::Device | ChangeOp::Delete) => String::new(),
            _ => shown(text(row, "value")),
        };
        changes.push(Change {
            at,
            source: text(row, "source").to_owned(),
            what: words(op),
            property: text(row, "property").to_owned(),
            value,
        });
    }
    Ok(changes)
}

const fn words(op: Option<ChangeOp>) -> &'static str {
    match op {
        Some(ChangeOp::Put | ChangeOp::Set) => "set",
        Some(ChangeOp::Add) => "added to",
        Some(ChangeOp::Remove) => "taken from",
        Some(ChangeOp::Incr) => "raised",
        Some(ChangeOp::Decr) => "lowered",
        Some(ChangeOp::Delete) => "removed",
        Some(ChangeOp::Identify) => "known as",
        Some(ChangeOp::Token) => "push token",
        Some(ChangeOp::Device) => "device seen",
        None => "changed",
    }
}
