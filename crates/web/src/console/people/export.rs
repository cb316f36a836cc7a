//! `GET /a/{account}/people/{key}/export`: all that is held of one person, as a JSON file: profile,
//! devices, events. What the reader's roles mask is masked in it too.

use axum::extract::{Path, State as Of};
use axum::response::Response;
use control::{Action, AuditOutcome};
use model::PersonKey;
use query::{EventRow, EventsQuery, ReadPolicy};
use std::fmt::Write as _;

use super::read;
use crate::console::staff::Staff;
use crate::console::view::{Answer, answer, download};
use crate::operate::{self, portrait};
use crate::{Error, Result, State};

/// Events of one file. Whoever has more is exported by the command line.
const EVENTS_MAX: usize = 50_000;
/// Events that are read at a time.
const PAGE: usize = 2_000;

/// The file.
pub(crate) async fn get(
    staff: Staff,
    Of(state): Of<State>,
    Path((_, key)): Path<(String, String)>,
) -> Response {
    answer(&staff, Box::pin(file(&staff, &state, &key)).await)
}

async fn file(staff: &Staff, state: &State, key: &str) -> Answer {
    let policy = staff.policy().ok_or(Error::Absent)?;
    let found = read(state, &policy, key).await?;
    let (person, view) = found.ok_or(Error::Absent)?;
    let object = person.to_string();
    let control = state.control();
    let (actor, account) = (staff.actor(), staff.account());
    let begun = AuditOutcome::Begun;
    let words = "one person as JSON";
    control
        .audit(actor, account, Action::Exported, &object, words, begun)
        .await?;
    let events = events(state, &policy, person).await?;
    let number = events.len();
    let mut text = format!("{{\"person\":{},\"events\":[", portrait::of(&view)?);
    for (place, event) in events.iter().enumerate() {
        text.push_str(if place == 0 { "\n" } else { ",\n" });
        push(&mut text, event);
    }
    text.push_str("\n]}\n");
    let words = format!("one person as JSON: {number} events");
    let done = AuditOutcome::Done;
    control
        .audit(actor, account, Action::Exported, &object, &words, done)
        .await?;
    Ok(download(
        &format!("person-{person}.json"),
        "application/json",
        text,
    ))
}

/// Every event of the person, the newest first.
async fn events(state: &State, policy: &ReadPolicy, person: PersonKey) -> Result<Vec<EventRow>> {
    let everything = EventsQuery::default();
    let mut events: Vec<EventRow> = Vec::new();
    let mut before = None;
    loop {
        let engine = state.engine();
        let page = engine.latest_events(policy, &everything, Some(person), before, PAGE);
        let page = page.await?;
        events.extend(page.records);
        before = page.next;
        if before.is_none() {
            return Ok(events);
        }
        if events.len() >= EVENTS_MAX {
            let text = format!("a file of one person has at most {EVENTS_MAX} events");
            return Err(operate::Error::Invalid(text).into());
        }
    }
}

/// One event as JSON; its properties as they were sent.
fn push(text: &mut String, event: &EventRow) {
    let name = serde_json::Value::String(event.name.to_string());
    // Writing to a string cannot fail.
    let _ = write!(
        text,
        "{{\"name\":{name},\"ts\":\"{}\",\"received_at\":\"{}\",\"source\":\"{}\",\"properties\":{}",
        event.ts,
        event.received_at,
        event.source.as_str(),
        event.properties.as_str()
    );
    if let Some(context) = &event.context {
        let _ = write!(text, ",\"context\":{}", context.as_str());
    }
    text.push('}');
}
