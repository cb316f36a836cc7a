//! `/a/{account}/people/{key}/reveal`: what is masked of one person is shown, for a reason.
//!
//! The reason is in the audit log, with the names of what is shown, before a value is read. What is
//! shown is the answer to the form and nothing else: it has no URL, and is gone with the page.

use askama::Template;
use axum::extract::{Path, State as Of};
use axum::response::Response;
use control::Reveal as Outcome;
use governance::{Masks, PropertyOf};
use model::ErrorKind;
use query::{PersonView, ReadPolicy};
use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Known, person, read};
use crate::console::staff::Staff;
use crate::console::view::{Answer, Fields, Posted, Shell, answer, html};
use crate::error::page_of;
use crate::{Error, State};

/// The form.
pub(crate) async fn get(
    staff: Staff,
    Of(state): Of<State>,
    Path((_, key)): Path<(String, String)>,
) -> Response {
    let shown = async {
        let known = Known::find(&staff, &state, &key).await?;
        html(&Ask::new(&staff, &known, ""))
    };
    answer(&staff, Box::pin(shown).await)
}

/// The person's page with nothing masked, or why there is none.
pub(crate) async fn post(
    staff: Staff,
    Of(state): Of<State>,
    Path((_, key)): Path<(String, String)>,
    Posted(fields): Posted,
) -> Response {
    let shown = Box::pin(reveal(&staff, &state, &key, &fields));
    answer(&staff, shown.await)
}

#[derive(Debug, Template)]
#[template(path = "person_reveal.html")]
struct Ask {
    shell: Shell,
    path: String,
    columns: Vec<String>,
    reason: String,
    error: Option<String>,
}

impl Ask {
    fn new(staff: &Staff, known: &Known, reason: &str) -> Self {
        Self {
            shell: known.frame(staff, String::from("Reveal")),
            path: known.path(staff),
            columns: columns(&known.policy, &known.view),
            reason: reason.to_owned(),
            error: None,
        }
    }

    fn refused(self, kind: ErrorKind, error: String) -> Answer {
        let page = Self {
            error: Some(error),
            ..self
        };
        html(&page).map(|it| page_of(kind, it))
    }
}

/// The names of what is masked of a person: properties, kinds of identities, and what events carry.
fn columns(policy: &ReadPolicy, view: &PersonView) -> Vec<String> {
    let properties = view.profile.properties.keys().map(|it| &**it);
    let kinds = view.profile.identities.iter().map(|it| it.kind.as_str());
    let of_person: BTreeSet<&str> = properties
        .chain(kinds)
        .filter(|it| policy.masks_person(it))
        .collect();
    let mut columns: Vec<String> = of_person.into_iter().map(str::to_owned).collect();
    if !view.events.is_empty() {
        let of_events = policy.masks.all(PropertyOf::Event).keys();
        columns.extend(of_events.map(|it| format!("{it} of events")));
    }
    columns
}

async fn reveal(staff: &Staff, state: &State, key: &str, fields: &Fields) -> Answer {
    let known = Known::find(staff, state, key).await?;
    let reason = fields.text("reason");
    let page = Ask::new(staff, &known, reason);
    let words = format!("shown: {}", page.columns.join(", "));
    let control = state.control();
    let person = known.person;
    let asked = control.reveal(staff.actor(), staff.account(), person, &words, reason);
    match asked.await.map_err(Error::from) {
        Ok(Outcome::Granted) => {}
        Ok(Outcome::MinuteExhausted(most)) => {
            let text = format!(
                "Nothing is shown: you have had {most} people's values shown within a minute, which \
                 is as many as your account allows. Wait a minute."
            );
            return page.refused(ErrorKind::Denied, text);
        }
        Ok(Outcome::DayExhausted(most)) => {
            let text = format!(
                "Nothing is shown: you have had {most} people's values shown within 24 hours, which \
                 is as many as your account allows. An Admin may set another number."
            );
            return page.refused(ErrorKind::Denied, text);
        }
        Err(error) if error.kind() == ErrorKind::Invalid => {
            return page.refused(ErrorKind::Invalid, error.words());
        }
        Err(error) => return Err(error),
    }
    let open = open(known.policy);
    let found = read(state, &open, &person.to_string()).await?;
    let (key, view) = found.ok_or(Error::Absent)?;
    person::revealed(staff, state, &open, key, &view, reason).await
}

/// The same reader with nothing masked.
fn open(mut policy: ReadPolicy) -> ReadPolicy {
    policy.masks = Arc::new(Masks::default());
    policy
}
