//! `/a/{account}/people/deletions`: every deletion, and how far it is; and taking one back until its
//! job begins.

use askama::Template;
use axum::extract::State as Of;
use axum::response::Response;
use control::{Deletion, DeletionId, DeletionState};
use model::ErrorKind;
use serde_json::Value;
use std::time::Duration;

use super::clock;
use crate::console::staff::Staff;
use crate::console::view::{
    Answer, Asked, Badge, Column, Fields, Heads, Moment, Pager, Posted, Section, Sheet, Shell,
    Times, Tone, answer, count, file, html, link, see_other,
};
use crate::{Error, State};

/// The columns of the table and of its file.
const COLUMNS: &[Column<Deletion>] = &[
    Column::new("deletion", "Deletion", |it: &Deletion, _| it.id.to_string()),
    Column::new("state", "State", |it: &Deletion, times| {
        state(it, times).0.to_owned()
    })
    .by(|a, b| a.state.as_str().cmp(b.state.as_str())),
    Column::new("ordered_at", "Ordered", |it: &Deletion, times| {
        times.cell(Some(it.requested_at))
    })
    .most(|a, b| a.requested_at.cmp(&b.requested_at)),
    Column::new("keys", "Keys", |it: &Deletion, _| it.keys.len().to_string())
        .most(|a, b| a.keys.len().cmp(&b.keys.len()))
        .number(),
    Column::new("began_at", "Began", |it: &Deletion, times| {
        times.cell(it.started_at)
    })
    .most(|a, b| a.started_at.cmp(&b.started_at)),
    Column::new("done_at", "Done", |it: &Deletion, times| {
        times.cell(it.completed_at)
    })
    .most(|a, b| a.completed_at.cmp(&b.completed_at)),
    Column::new("due_at", "", |it: &Deletion, times| {
        times.cell(Some(it.requested_at.plus(DUE)))
    }),
    Column::new("what_was_done", "What was done", |it: &Deletion, _| {
        let receipt = it.receipt.as_ref().map(|it| figures(it.as_str()));
        let receipt = receipt.unwrap_or_default().into_iter();
        let words = receipt.map(|(name, value)| format!("{name} {value}"));
        words.collect::<Vec<_>>().join("; ")
    }),
];
/// The states that the page filters by, with what it calls them.
const STATES: [(&str, &str); 5] = [
    ("overdue", "overdue"),
    ("pending", "hidden, waiting"),
    ("running", "being removed"),
    ("done", "done"),
    ("cancelled", "cancelled"),
];
/// How long one may take.
const DUE: Duration = Duration::from_secs(24 * 3_600);

/// The page.
pub(crate) async fn get(staff: Staff, Of(state): Of<State>, Asked(asked): Asked) -> Response {
    answer(&staff, show(&staff, &state, &asked).await)
}

/// Cancels one.
pub(crate) async fn post(staff: Staff, Of(state): Of<State>, Posted(fields): Posted) -> Response {
    answer(&staff, cancel(&staff, &state, &fields).await)
}

#[derive(Debug, Template)]
#[template(path = "deletions.html")]
struct Deletions {
    shell: Shell,
    path: String,
    deletions: Vec<Listed>,
    is_new: bool,
    states: [(&'static str, &'static str); 5],
    wanted: String,
    heads: Heads,
    pager: Pager,
    csv: String,
}

#[derive(Debug)]
struct Listed {
    id: String,
    is_asked: bool,
    state: Badge,
    requested: Moment,
    keys: String,
    started: Option<Moment>,
    completed: Option<Moment>,
    due: Option<Moment>,
    is_cancellable: bool,
    receipt: Vec<(String, String)>,
}

async fn show(staff: &Staff, state: &State, asked: &Fields) -> Answer {
    let all = state.control().deletions(staff.actor(), staff.account());
    let all = all.await?;
    let times = clock(staff, state);
    let done = match asked.text("done") {
        "requested" => Some(
            "The person is hidden everywhere now. Their data is rewritten in the background, and the \
             keys of the old data are destroyed. Until that begins you can cancel it here.",
        ),
        "cancelled" => Some(
            "The deletion is cancelled. The person is seen again, with all that was held when it was \
             ordered; what was sent of them since then was not kept.",
        ),
        _ => None,
    };
    let late = (asked.text("error") == "late")
        .then_some("It is too late: the deletion has begun, or it was cancelled before.");
    let people = format!("/a/{}/people", staff.account());
    let path = format!("{people}/deletions");
    let (is_new, wanted) = (all.is_empty(), asked.text("state"));
    let meant = all.into_iter().rev();
    let meant = meant.filter(|it| wanted.is_empty() || self::state(it, &times).0 == wanted);
    let mut found: Vec<Deletion> = meant.collect();
    let sheet = Sheet::new(asked, &path);
    let heads = sheet.sort(COLUMNS, Some(("ordered_at", true)), &mut found);
    if sheet.is_file() {
        return Ok(file(COLUMNS, &found, &times, "deletions.csv"));
    }
    let csv = sheet.csv();
    let (found, pager) = sheet.cut(found, "deletion");
    html(&Deletions {
        shell: Shell::new(staff, Section::People, "Deletions")
            .under("People", people)
            .done(done)
            .error(late),
        is_new,
        states: STATES,
        wanted: wanted.to_owned(),
        heads,
        pager,
        csv,
        deletions: found
            .iter()
            .map(|it| listed(it, asked.text("id"), &times))
            .collect(),
        path: path.clone(),
    })
}

async fn cancel(staff: &Staff, state: &State, fields: &Fields) -> Answer {
    let id: DeletionId = fields.text("id").parse().map_err(|_| Error::Absent)?;
    let (control, actor) = (state.control(), staff.actor());
    // An id says nothing of its account: one of another account is not there.
    let found = control.deletions(actor, staff.account()).await?;
    if !found.iter().any(|it| it.id == id) {
        return Err(Error::Absent);
    }
    let path = format!("/a/{}/people/deletions", staff.account());
    let id_text = id.to_string();
    match control.cancel_deletion(actor, id).await {
        Ok(()) => see_other(&link(&path, &[("id", &id_text), ("done", "cancelled")])),
        Err(error) if error.kind() == ErrorKind::Conflict => {
            see_other(&link(&path, &[("id", &id_text), ("error", "late")]))
        }
        Err(error) => Err(error.into()),
    }
}

/// How far a deletion is, as a word of the URL and as it looks.
fn state(deletion: &Deletion, times: &Times) -> (&'static str, Badge) {
    let is_late = deletion.is_open() && deletion.requested_at.plus(DUE) < times.now();
    match deletion.state {
        _ if is_late => ("overdue", Badge::new(Tone::Bad, "Overdue")),
        DeletionState::Pending => ("pending", Badge::new(Tone::Info, "Hidden, waiting")),
        DeletionState::Running => ("running", Badge::new(Tone::Info, "Being removed")),
        DeletionState::Done => ("done", Badge::new(Tone::Ok, "Done")),
        DeletionState::Cancelled => ("cancelled", Badge::new(Tone::Plain, "Cancelled")),
    }
}

fn listed(deletion: &Deletion, asked: &str, times: &Times) -> Listed {
    let due = deletion.requested_at.plus(DUE);
    let (_, state) = state(deletion, times);
    let id = deletion.id.to_string();
    let keys = u64::try_from(deletion.keys.len()).unwrap_or(u64::MAX);
    Listed {
        is_asked: id == asked,
        id,
        state,
        requested: times.at(deletion.requested_at),
        keys: count(keys),
        started: deletion.started_at.map(|at| times.at(at)),
        completed: deletion.completed_at.map(|at| times.at(at)),
        due: deletion.is_open().then(|| times.ago(due)),
        is_cancellable: deletion.is_cancellable(),
        receipt: deletion
            .receipt
            .as_ref()
            .map(|it| figures(it.as_str()))
            .unwrap_or_default(),
    }
}

/// The receipt's figures, by name: its numbers, the sums of what is counted by table, and how many
/// things are listed.
fn figures(receipt: &str) -> Vec<(String, String)> {
    let Ok(Value::Object(members)) = serde_json::from_str(receipt) else {
        return Vec::new();
    };
    let figure = |(name, value): (String, Value)| {
        let number = match value {
            Value::Number(number) => number.as_u64()?,
            Value::Object(counts) if counts.values().all(Value::is_u64) => {
                counts.values().filter_map(Value::as_u64).sum::<u64>()
            }
            Value::Array(listed) if listed.iter().all(Value::is_object) => {
                u64::try_from(listed.len()).ok()?
            }
            Value::Null
            | Value::Bool(_)
            | Value::String(_)
            | Value::Object(_)
            | Value::Array(_) => return None,
        };
        (name != "version").then(|| (name.replace('_', " "), count(number)))
    };
    members.into_iter().filter_map(figure).collect()
}

#[cfg(test)]
mod tests {
    use super::figures;

    #[test]
    fn what_was_done_is_told_in_numbers() {
        let receipt = r#"{"version":1,"key":"k","keys":2,"found":{"events":3,"links":1},
            "found_in_journal":{},"replaced":[{"part":"a"},{"part":"b"}],
            "last_turn":{"tables":["events"],"epoch":2},"audit":{"size":9,"root":"r"}}"#;
        let mut told = figures(receipt);
        told.sort_unstable();
        let expected = [
            ("found", "4"),
            ("found in journal", "0"),
            ("keys", "2"),
            ("replaced", "2"),
        ];
        let expected = expected.map(|(name, number)| (name.to_owned(), number.to_owned()));
        assert_eq!(told, expected);
    }
}
