//! `/sign-in`: the first step.

use askama::Template;
use axum::extract::State as Of;
use axum::response::Response;
use control::Stage;

use super::{Card, go_on, onward, redirect, refused, show, unusable, words};
use crate::State;
use crate::console::view::Asked;
use crate::console::visit::{Form, Visit, next};

#[derive(Debug, Template)]
#[template(path = "sign_in.html")]
struct SignIn {
    card: Card,
    csrf: String,
    email: String,
    next: String,
}

fn card(visit: &Visit) -> Card {
    Card::new(visit.nonce(), "Sign in")
}

/// The form.
pub(crate) async fn get(visit: Visit, Asked(asked): Asked) -> Response {
    let next = next(asked.text("next"));
    if let Some(signed_in) = visit.signed_in().filter(|it| it.stage == Stage::Full) {
        return redirect(&onward(signed_in.stage, next));
    }
    let done = match asked.text("done") {
        "out" => Some("You have signed out."),
        "password" => Some("Your password is set."),
        _ => None,
    };
    let card = Card {
        done: done.map(str::to_owned),
        ..card(&visit)
    };
    show(&SignIn {
        card,
        csrf: visit.csrf().to_owned(),
        email: String::new(),
        next: next.to_owned(),
    })
}

/// Judges address and password.
pub(crate) async fn post(visit: Visit, Of(state): Of<State>, Form(form): Form) -> Response {
    let next = next(form.text("next"));
    let email = form.text("email");
    let password = form.raw("password").unwrap_or_default();
    match state
        .control()
        .sign_in(email, password, visit.client())
        .await
    {
        Ok(session) => go_on(&session, &onward(session.stage, next)),
        Err(error) => match words(&error) {
            Some(words) => unusable(&SignIn {
                card: Card {
                    error: Some(words),
                    ..card(&visit)
                },
                csrf: visit.csrf().to_owned(),
                email: email.to_owned(),
                next: next.to_owned(),
            }),
            None => refused::unavailable(&error),
        },
    }
}
