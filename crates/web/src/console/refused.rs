//! Pages that say why there is no other.

use askama::Template;
use axum::response::Response;
use model::ErrorKind;

use super::view::Card;
use super::visit::Visit;
use super::{HTML, page};
use crate::error::page_of;

/// A card with a sentence and a way on.
#[derive(Debug, Template)]
#[template(path = "refused.html")]
struct Refused {
    card: Card,
}

/// 403: the request does not come from a page of this console.
pub(crate) fn foreign(visit: &Visit) -> Response {
    let words = "This form was not sent from a page of this console, or it is too old. Nothing was \
                 changed. Open the page again and send it from there.";
    show(
        visit.nonce(),
        ErrorKind::Denied,
        "Not sent from here",
        words,
    )
}

/// 403: the roles do not allow it.
pub(crate) fn denied(visit: &Visit) -> Response {
    let words = "Your roles in this account do not allow this page. An Admin can see what each role \
                 gives, and change it.";
    show(visit.nonce(), ErrorKind::Denied, "Not allowed", words)
}

/// 503: the control database does not answer.
pub(crate) fn unavailable(error: &control::Error) -> Response {
    tracing::warn!(
        error = error as &dyn std::error::Error,
        "a page was not served"
    );
    let words = "Who you are cannot be checked at the moment. Try again in a minute.";
    show("", ErrorKind::Unavailable, "Not available", words)
}

/// A card of that kind.
pub(crate) fn show(nonce: &str, kind: ErrorKind, title: &str, words: &str) -> Response {
    let card = Card::new(nonce, title).lead(words);
    let text = Refused { card }.render().unwrap_or_default();
    page_of(kind, page(text, HTML))
}
