//! `/link/{token}`: the way in for the first user, an invited one, or one with a new password.

use askama::Template;
use axum::extract::{Path, State as Of};
use axum::response::Response;
use control::{LinkView, NewUser, PASSWORD_CHARS_MIN, Purpose, Stage};
use model::{AccountId, ErrorKind, Secret};

use super::{Card, go_on, onward, redirect, refused, show, unusable, with_query, words};
use crate::State;
use crate::console::visit::{Form, Visit};

#[derive(Debug, Template)]
#[template(path = "link.html")]
struct Link {
    card: Card,
    csrf: String,
    path: String,
    /// The invited address; none when the bearer says it.
    email: Option<String>,
    typed_email: String,
    name: String,
    chars_min: usize,
    is_reset: bool,
    /// Who has signed in and can accept at once.
    accepts_as: Option<String>,
    /// Where an invited user signs in who has a password.
    sign_in: Option<String>,
}

fn form(state: &State, visit: &Visit, token: &str, link: &LinkView) -> Link {
    let account = link.invitation.account;
    let rules = state.control().rules().borrow().account(account).cloned();
    let place = match &rules {
        Some(rules) => format!("the account “{}”", rules.name),
        None if account == AccountId::installation() => "this installation".to_owned(),
        None => "an account".to_owned(),
    };
    let is_reset = link.invitation.purpose == Purpose::Reset;
    let (title, lead) = match is_reset {
        true => (
            "Set a new password",
            "Every session of yours ends. Your second factor stays as it is.".to_owned(),
        ),
        false => (
            "Welcome to Strongroom",
            format!(
                "This link gives the role “{}” in {place}.",
                link.invitation.role
            ),
        ),
    };
    let path = format!("/link/{token}");
    let full = visit.signed_in().filter(|it| it.stage == Stage::Full);
    Link {
        card: Card::new(visit.nonce(), title).lead(&lead),
        csrf: visit.csrf().to_owned(),
        email: link.email.clone(),
        typed_email: String::new(),
        name: link.name.clone(),
        chars_min: PASSWORD_CHARS_MIN,
        is_reset,
        accepts_as: full.filter(|_| !is_reset).map(|it| it.email.clone()),
        sign_in: (link.is_known && !is_reset && full.is_none())
            .then(|| with_query("/sign-in", &[("next", &path)])),
        path,
    }
}

fn dead(visit: &Visit) -> Response {
    let words = "It was used already, it is too old, or it never was one. Ask whoever sent it for \
                 another one.";
    refused::show(
        visit.nonce(),
        ErrorKind::NotFound,
        "This link does not work",
        words,
    )
}

/// A dead link that somebody tried to use is written down.
async fn presented_dead(state: &State, visit: &Visit) -> Response {
    match state.control().note_dead_link(visit.client()).await {
        Ok(()) => dead(visit),
        Err(error) => refused::unavailable(&error),
    }
}

/// The form; the link is not used up.
pub(crate) async fn get(visit: Visit, Of(state): Of<State>, Path(token): Path<String>) -> Response {
    match state.control().link(&token).await {
        Ok(link) => show(&form(&state, &visit, &token, &link)),
        Err(error) if error.kind() == ErrorKind::NotFound => dead(&visit),
        Err(error) => refused::unavailable(&error),
    }
}

/// Uses the link up.
pub(crate) async fn post(
    visit: Visit,
    Of(state): Of<State>,
    Path(token): Path<String>,
    Form(fields): Form,
) -> Response {
    let control = state.control();
    let link = match control.link(&token).await {
        Ok(link) => link,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return presented_dead(&state, &visit).await;
        }
        Err(error) => return refused::unavailable(&error),
    };
    let full = visit.signed_in().filter(|it| it.stage == Stage::Full);
    if let Some(signed_in) = full.filter(|_| fields.ticked("accept")) {
        return match control.accept_link(&token, signed_in).await {
            Ok(account) => redirect(&format!("/a/{account}/overview")),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                presented_dead(&state, &visit).await
            }
            Err(error) => refused::unavailable(&error),
        };
    }
    let new = NewUser {
        email: fields.text("email").to_owned(),
        name: fields.text("name").to_owned(),
        password: Secret::new(fields.raw("password").unwrap_or_default().to_owned()),
        accepts_terms: fields.ticked("terms"),
    };
    match control.follow_link(&token, new, visit.client()).await {
        Ok(session) => go_on(&session, &onward(session.stage, "/")),
        Err(error) if error.kind() == ErrorKind::NotFound => presented_dead(&state, &visit).await,
        Err(error) => match words(&error) {
            Some(words) => {
                let shown = form(&state, &visit, &token, &link);
                unusable(&Link {
                    card: Card {
                        error: Some(words),
                        ..shown.card
                    },
                    typed_email: fields.text("email").to_owned(),
                    name: match shown.name.is_empty() {
                        true => fields.text("name").to_owned(),
                        false => shown.name,
                    },
                    ..shown
                })
            }
            None => refused::unavailable(&error),
        },
    }
}
