//! The pages in front of the sign-in, and those of the sign-in itself.

pub(crate) mod enrol;
pub(crate) mod factor;
pub(crate) mod forgot;
pub(crate) mod link;
pub(crate) mod password;
pub(crate) mod start;

use askama::Template;
use axum::response::Response;
use control::NewSession;
use model::{ErrorKind, Secret};

use super::refused;
use super::view::{Card, link as with_query};
use super::visit::{Visit, set_cookie};
use super::{HTML, page};
use crate::error::{page_of, redirect};

/// A card.
fn show(template: &impl Template) -> Response {
    page(template.render().unwrap_or_default(), HTML)
}

/// A card whose form could not be used.
fn unusable(template: &impl Template) -> Response {
    page_of(ErrorKind::Invalid, show(template))
}

/// Goes on with a new token in the browser.
fn go_on(session: &NewSession, to: &str) -> Response {
    let mut response = redirect(to);
    set_cookie(&mut response, session);
    response
}

/// Where a session of that stage goes on, and then to `next`.
fn onward(stage: control::Stage, next: &str) -> String {
    let step = match stage {
        control::Stage::Half => "/sign-in/factor",
        control::Stage::Enrol => "/enrol",
        control::Stage::Full => return next.to_owned(),
    };
    with_query(step, &[("next", next)])
}

/// What went wrong, for a form: words for what its sender can mend, none for anything else.
fn words(error: &control::Error) -> Option<String> {
    match error.kind() {
        ErrorKind::Invalid | ErrorKind::Denied | ErrorKind::Conflict | ErrorKind::NotFound => {
            let text = error.to_string();
            let mut letters = text.chars();
            let first = letters.next().map(|it| it.to_uppercase().to_string());
            Some(format!(
                "{}{}.",
                first.unwrap_or_default(),
                letters.as_str()
            ))
        }
        ErrorKind::Unavailable | ErrorKind::Corrupt | ErrorKind::Internal => None,
    }
}

/// The sign-in has to begin again: the session is over.
fn begin_again() -> Response {
    redirect("/sign-in")
}

/// Recovery codes, shown once.
#[derive(Debug, Template)]
#[template(path = "recovery.html")]
struct Recovery {
    card: Card,
    codes: Vec<String>,
    next: String,
}

/// The card of recovery codes.
pub(super) fn recovery(visit: &Visit, codes: &[Secret<String>], next: &str) -> Response {
    let lead = "Each of these codes replaces your second factor once, for the day on which the \
                device is lost. They are shown now and never again.";
    show(&Recovery {
        card: Card::new(visit.nonce(), "Keep your recovery codes").lead(lead),
        codes: codes.iter().map(|it| it.expose().clone()).collect(),
        next: next.to_owned(),
    })
}
