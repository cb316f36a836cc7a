//! `POST /1/counts/top.json`: the most frequent values of properties. Answered at once.

use axum::extract::{Request, State as Of};
use axum::response::Response;
use collect::Call;
use control::Action;
use query::{Subject, ValueCounts, ValueType};
use std::cmp::Reverse;
use wire::rest::export::PropertyKind;
use wire::rest::report::{self, TopGroup, TopValues};

use super::asked::{answered, question};
use super::counts::is_known;
use super::cursors::{self, read_as};
use super::{audit, enter, respond};
use crate::{Result, State};
use wire::rest::Refusal;

pub(crate) const PATH: &str = "/1/counts/top.json";

/// The values of each group.
pub(crate) async fn any(Of(state): Of<State>, request: Request) -> Response {
    match enter(&state, PATH, request).await {
        Ok(call) => respond(answer(&state, &call).await, call.facts),
        Err(response) => response,
    }
}

async fn answer(state: &State, call: &Call) -> Result<String> {
    let asked = question(state, call, PATH)?;
    let (events, groups) = report::decode_top(&asked.query, &asked.body)?;
    let (policy, query) = read_as(call, &events, None)?;
    let subjects: Vec<Subject> = groups.iter().map(subject).collect();
    let counts = state
        .engine()
        .value_counts(&policy, &query, &subjects)
        .await?;
    let nothing = counts.iter().all(ValueCounts::is_empty);
    if nothing && !is_known(state, call, &events.event_name).await? {
        return Err(Refusal::InvalidEvent(events.event_name).into());
    }
    // Values may be a person's own.
    let properties = groups.len();
    let about = cursors::about(
        &events,
        format_args!("frequent values of {properties} properties"),
    );
    audit(state, call, Action::EventsRead, "events", &about).await?;
    let groups: Vec<(String, TopValues)> = groups
        .iter()
        .zip(counts)
        .map(|(group, counts)| (group.key.clone(), first(group, counts)))
        .collect();
    Ok(answered(state, call, PATH, report::top(&groups)))
}

fn subject(group: &TopGroup) -> Subject {
    let name = group.name.clone();
    match group.kind {
        PropertyKind::Event => Subject::Event(name),
        PropertyKind::Context => Subject::Context(name),
        PropertyKind::Person => Subject::Person(name),
    }
}

/// The values that are wanted, of each type, in order.
fn first(group: &TopGroup, counts: ValueCounts) -> TopValues {
    counts
        .into_iter()
        .map(|(kind, values)| {
            let mut values: Vec<_> = values.into_iter().collect();
            if group.ascending {
                values.sort_unstable_by(|a, b| (a.1, &a.0).cmp(&(b.1, &b.0)));
            } else {
                values.sort_unstable_by(|a, b| (Reverse(a.1), &a.0).cmp(&(Reverse(b.1), &b.0)));
            }
            values.truncate(usize::from(group.most));
            (name(kind), values)
        })
        .collect()
}

const fn name(kind: ValueType) -> &'static str {
    match kind {
        ValueType::Text => "STR",
        ValueType::Integer => "INT",
        ValueType::Float => "FLOAT",
        ValueType::Bool => "BOOL",
    }
}
