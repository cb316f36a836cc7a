//! `/forgot`: a link by mail for whoever has forgotten the password.

use askama::Template;
use axum::extract::State as Of;
use axum::response::Response;

use super::{Card, refused, show};
use crate::State;
use crate::console::visit::{Form, Visit};

#[derive(Debug, Template)]
#[template(path = "forgot.html")]
struct Forgot {
    card: Card,
    csrf: String,
    is_sent: bool,
}

/// The form.
pub(crate) async fn get(visit: Visit) -> Response {
    let lead = "A link to set a new one goes to your address. Your second factor stays as it is.";
    show(&Forgot {
        card: Card::new(visit.nonce(), "Forgotten password").lead(lead),
        csrf: visit.csrf().to_owned(),
        is_sent: false,
    })
}

/// The same answer, whoever the address belongs to.
pub(crate) async fn post(visit: Visit, Of(state): Of<State>, Form(form): Form) -> Response {
    let asked = state
        .control()
        .forget_password(form.text("email"), visit.peer())
        .await;
    if let Err(error) = asked {
        return refused::unavailable(&error);
    }
    let lead = "If the address is a user's, a link is on its way to it. It works once, for 30 \
                minutes. Without mail, whoever runs this installation can read it in the outbox.";
    show(&Forgot {
        card: Card::new(visit.nonce(), "Look into your mail").lead(lead),
        csrf: visit.csrf().to_owned(),
        is_sent: true,
    })
}
