//! `GET /a/{account}/people/deletions`: every deletion, and how far it is.

use askama::Template;
use axum::extract::State as Of;
use axum::response::Response;
use control::{Deletion, DeletionState};
use serde_json::Value;
use std::time::Duration;

use super::clock;
use crate::State;
use crate::console::staff::Staff;
use crate::console::view::{
    Answer, Asked, Badge, Fields, Moment, Section, Shell, Times, Tone, answer, count, html,
};

/// Deletions on the page.
const LISTED: usize = 200;
/// How long one may take.
const DUE: Duration = Duration::from_secs(24 * 3_600);

/// The page.
pub(crate) async fn get(staff: Staff, Of(state): Of<State>, Asked(asked): Asked) -> Response {
    answer(&staff, show(&staff, &state, &asked).await)
}

#[derive(Debug, Template)]
#[template(path = "deletions.html")]
struct Deletions {
    shell: Shell,
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
    receipt: Vec<(String, String)>,
}

async fn show(staff: &Staff, state: &State, asked: &Fields) -> Answer {
    let all = state.control().deletions(staff.actor(), staff.account());
    let all = all.await?;
    let times = clock(staff, state);
    let done = (asked.text("done") == "requested").then_some(
        "The person is hidden everywhere now. Their data is rewritten in the background, and the \
         keys of the old data are destroyed.",
    );
    let newest = all.iter().rev().take(LISTED);
    let path = format!("/a/{}/people", staff.account());
    html(&Deletions {
        shell: Shell::new(staff, Section::People, "Deletions")
            .under("People", path)
            .done(done),
        more: all.len().saturating_sub(LISTED),
        deletions: newest
            .map(|it| listed(it, asked.text("id"), &times))
            .collect(),
    })
}

fn listed(deletion: &Deletion, asked: &str, times: &Times) -> Listed {
    let due = deletion.requested_at.plus(DUE);
    let is_late = deletion.state != DeletionState::Done && due < times.now();
    let state = match deletion.state {
        _ if is_late => Badge::new(Tone::Bad, "Overdue"),
        DeletionState::Pending => Badge::new(Tone::Info, "Hidden, waiting"),
        DeletionState::Running => Badge::new(Tone::Info, "Being removed"),
        DeletionState::Done => Badge::new(Tone::Ok, "Done"),
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
        due: (deletion.state != DeletionState::Done).then(|| times.ago(due)),
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
