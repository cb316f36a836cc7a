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
    Answer, Asked, Badge, Fields, Moment, Posted, Section, Shell, Times, Tone, answer, count, html,
    link, see_other,
};
use crate::{Error, State};

/// Deletions on the page.
const LISTED: usize = 200;
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
    more: usize,
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
    let newest = all.iter().rev().take(LISTED);
    let path = format!("/a/{}/people", staff.account());
    html(&Deletions {
        shell: Shell::new(staff, Section::People, "Deletions")
            .under("People", path.clone())
            .done(done)
            .error(late),
        path: format!("{path}/deletions"),
        more: all.len().saturating_sub(LISTED),
        deletions: newest
            .map(|it| listed(it, asked.text("id"), &times))
            .collect(),
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

fn listed(deletion: &Deletion, asked: &str, times: &Times) -> Listed {
    let due = deletion.requested_at.plus(DUE);
    let is_late = deletion.is_open() && due < times.now();
    let state = match deletion.state {
        _ if is_late => Badge::new(Tone::Bad, "Overdue"),
        DeletionState::Pending => Badge::new(Tone::Info, "Hidden, waiting"),
        DeletionState::Running => Badge::new(Tone::Info, "Being removed"),
        DeletionState::Done => Badge::new(Tone::Ok, "Done"),
        DeletionState::Cancelled => Badge::new(Tone::Plain, "Cancelled"),
    };
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

/// The receipt's figures, by name.
fn figures(receipt: &str) -> Vec<(String, String)> {
    let Ok(Value::Object(members)) = serde_json::from_str(receipt) else {
        return Vec::new();
    };
    let figure = |(name, value): (String, Value)| match value {
        Value::Number(number) => {
            let number = number.as_u64().map_or_else(|| number.to_string(), count);
            Some((name.replace('_', " "), number))
        }
        Value::String(text) => Some((name.replace('_', " "), text)),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    members.into_iter().filter_map(figure).collect()
}
