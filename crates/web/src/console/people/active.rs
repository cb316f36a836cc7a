//! Who was active last: the list of the page of people, and `GET /a/{account}/people/active`, the list as
//! a file.
//!
//! It is a glance at the newest events: what is further back is in the exports.

use axum::extract::State as Of;
use axum::response::Response;
use control::{Act, AuditOutcome};
use query::{EventsQuery, ReadPolicy};
use std::collections::BTreeSet;

use super::{Listed, note_export};
use crate::console::overview::times;
use crate::console::staff::Staff;
use crate::console::view::{Answer, Asked, Column, Fields, Sheet, answer, file};
use crate::{Error, Result, State};

/// People on the list.
const LISTED: usize = 20;
/// The newest events that are looked through for them.
const EVENTS: usize = 200;

/// The columns of those who were active last.
pub(super) const COLUMNS: &[Column<Listed>] = &[
    Column::new("person", "Person", |it: &Listed, _| it.title().to_owned())
        .by(|a, b| a.title().to_lowercase().cmp(&b.title().to_lowercase())),
    Column::new("identity", "Identity", |it: &Listed, _| it.identity.clone())
        .by(|a, b| a.identity.cmp(&b.identity)),
    Column::new("devices", "Devices", |it: &Listed, _| it.devices.clone())
        .by(|a, b| a.devices.cmp(&b.devices)),
    Column::new("last_event", "Last event", |it: &Listed, _| {
        it.event.clone()
    })
    .most(|a, b| a.seen_at.cmp(&b.seen_at)),
    Column::new("key", "Key", |it: &Listed, _| it.full_key.clone()),
];

/// What the list is filtered by.
#[derive(Debug)]
pub(super) struct Active {
    /// The event that they did last; every one when it is empty.
    pub(super) event: String,
    /// Events that stand on the list.
    pub(super) events: BTreeSet<String>,
    /// Where the list is downloaded, for those who may.
    pub(super) file: Option<String>,
}

impl Active {
    pub(super) fn new(staff: &Staff, asked: &Fields, path: &str, people: &[Listed]) -> Self {
        let file = || asked.link(&format!("{path}/active"), &["done"], &[]);
        Self {
            event: asked.text("event").to_owned(),
            events: people.iter().map(|it| it.event.clone()).collect(),
            file: staff.may(Act::Export).then(file),
        }
    }
}

/// The file.
pub(crate) async fn get(staff: Staff, Of(state): Of<State>, Asked(asked): Asked) -> Response {
    answer(&staff, Box::pin(export(&staff, &state, &asked)).await)
}

async fn export(staff: &Staff, state: &State, asked: &Fields) -> Answer {
    let policy = staff.policy().ok_or(Error::Absent)?;
    let words = format!("people {}", words(asked));
    note_export(staff, state, &words, AuditOutcome::Begun).await?;
    let mut people = read(staff, state, &policy, asked).await?;
    let path = format!("/a/{}/people/active", staff.account());
    Sheet::new(asked, &path).sort(COLUMNS, None, &mut people);
    let words = format!("{words}: {} rows", people.len());
    note_export(staff, state, &words, AuditOutcome::Done).await?;
    Ok(file(COLUMNS, &people, &times(staff, state), "active.csv"))
}

/// What is read, for the audit log.
pub(super) fn words(asked: &Fields) -> String {
    match asked.some("event") {
        None => String::from("active last"),
        Some(event) => format!("active last with `{event}`"),
    }
}

/// Those who did something last, or the event that is asked for, the newest first.
pub(super) async fn read(
    staff: &Staff,
    state: &State,
    policy: &ReadPolicy,
    asked: &Fields,
) -> Result<Vec<Listed>> {
    let query = EventsQuery {
        event: asked.some("event").map(str::to_owned),
        ..EventsQuery::default()
    };
    let times = times(staff, state);
    let active = state.engine().active_last(policy, &query, EVENTS, LISTED);
    let listed = Box::pin(active).await?.into_iter().filter_map(|it| {
        let mut listed = Listed::new(staff, &it.person, it.person.key?);
        listed.event = String::from(it.event);
        listed.seen = Some(times.ago(it.ts));
        listed.seen_at = Some(it.ts);
        Some(listed)
    });
    Ok(listed.collect())
}
