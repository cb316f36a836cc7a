//! `/sign-in/factor`: the second step, and the same again where an act wants it fresh.

use askama::Template;
use axum::extract::State as Of;
use axum::response::Response;
use control::{Code, Factors, SignedIn, Stage};
use model::ErrorKind;

use super::{Card, begin_again, go_on, onward, refused, show, unusable, words};
use crate::State;
use crate::console::view::Asked;
use crate::console::visit::{Form, Visit, next};
use crate::console::{JSON, page};
use crate::error::page_of;

#[derive(Debug, Template)]
#[template(path = "factor.html")]
struct Factor {
    card: Card,
    csrf: String,
    next: String,
    factors: Factors,
}

fn card(visit: &Visit, signed_in: &SignedIn, error: Option<String>) -> Card {
    let card = match signed_in.stage {
        Stage::Full => Card::new(visit.nonce(), "Confirm that it is you").lead(
            "This act asks for your second factor again, because you showed it more than ten \
             minutes ago.",
        ),
        Stage::Half | Stage::Enrol => Card::new(visit.nonce(), "Second factor"),
    };
    Card { error, ..card }
}

fn form(visit: &Visit, signed_in: &SignedIn, next: &str, error: Option<String>) -> Factor {
    Factor {
        card: card(visit, signed_in, error),
        csrf: visit.csrf().to_owned(),
        next: next.to_owned(),
        factors: signed_in.factors,
    }
}

/// The form.
pub(crate) async fn get(visit: Visit, Asked(asked): Asked) -> Response {
    let Some(signed_in) = visit.signed_in() else {
        return begin_again();
    };
    let next = next(asked.text("next"));
    match signed_in.stage {
        Stage::Enrol => super::redirect(&onward(Stage::Enrol, next)),
        Stage::Half | Stage::Full => show(&form(&visit, signed_in, next, None)),
    }
}

/// Judges a code, or what a browser answered for a passkey.
pub(crate) async fn post(visit: Visit, Of(state): Of<State>, Form(fields): Form) -> Response {
    let (Some(signed_in), Some(token)) = (visit.signed_in(), visit.token()) else {
        return begin_again();
    };
    let next = next(fields.text("next"));
    let (control, peer) = (state.control(), visit.peer());
    let shown = match (fields.some("passkey"), fields.some("recovery")) {
        (Some(answer), _) => control.show_passkey(token, answer, peer).await,
        (None, Some(code)) => {
            let code = Code::Recovery(code.to_owned());
            control.show_code(token, code, peer).await
        }
        (None, None) => {
            let code = Code::Totp(fields.text("code").to_owned());
            control.show_code(token, code, peer).await
        }
    };
    match shown {
        Ok(session) => go_on(&session, next),
        Err(error) => match words(&error) {
            Some(words) => unusable(&form(&visit, signed_in, next, Some(words))),
            None => refused::unavailable(&error),
        },
    }
}

/// What the browser asks a passkey with, as JSON.
pub(crate) async fn options(visit: Visit, Of(state): Of<State>, _: Form) -> Response {
    let Some(token) = visit.token() else {
        return page_of(ErrorKind::Denied, Response::default());
    };
    options_of(state.control().ask_passkey(token).await)
}

/// Options for a passkey, or why there are none.
pub(super) fn options_of(asked: control::Result<String>) -> Response {
    match asked {
        Ok(options) => page(options, JSON),
        Err(error) => match words(&error) {
            Some(words) => page_of(error.kind(), page(words, "text/plain; charset=utf-8")),
            None => refused::unavailable(&error),
        },
    }
}
