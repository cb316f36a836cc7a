//! `/enrol`: a second factor is set up, the first one or another one.

use askama::Template;
use axum::extract::State as Of;
use axum::response::Response;
use control::{Enrolled, Stage, TotpOffer};
use qrcode::QrCode;
use qrcode::render::svg;

use super::factor::options_of;
use super::{Card, begin_again, onward, recovery, redirect, refused, set_cookie, show, unusable};
use super::{go_on, words};
use crate::State;
use crate::console::view::Asked;
use crate::console::visit::{Form, Visit, next};

/// The least width of the drawn code, in pixels.
const QR_PIXELS: u32 = 200;

#[derive(Debug, Template)]
#[template(path = "enrol.html")]
struct Enrol {
    card: Card,
    csrf: String,
    next: String,
    is_first: bool,
}

#[derive(Debug, Template)]
#[template(path = "enrol_app.html")]
struct EnrolApp {
    card: Card,
    csrf: String,
    next: String,
    /// A picture of the address, as a `data:` URL.
    picture: String,
    secret: String,
}

/// Which kind it shall be.
pub(crate) async fn get(visit: Visit, Asked(asked): Asked) -> Response {
    let next = next(asked.text("next"));
    let Some(signed_in) = visit.signed_in() else {
        return begin_again();
    };
    match signed_in.stage {
        Stage::Half => return redirect(&onward(Stage::Half, next)),
        Stage::Full if !signed_in.is_fresh() => {
            return redirect(&super::with_query("/sign-in/factor", &[("next", "/enrol")]));
        }
        Stage::Full | Stage::Enrol => {}
    }
    show(&choice(&visit, next, None))
}

fn choice(visit: &Visit, next: &str, error: Option<String>) -> Enrol {
    let is_first = visit.signed_in().is_some_and(|it| it.stage == Stage::Enrol);
    let lead = match is_first {
        true => "Nobody signs in by a password alone. Choose what proves that it is you.",
        false => "Another second factor is a good thing to have when a device is lost.",
    };
    Enrol {
        card: Card {
            error,
            ..Card::new(visit.nonce(), "Set up a second factor").lead(lead)
        },
        csrf: visit.csrf().to_owned(),
        next: next.to_owned(),
        is_first,
    }
}

/// An authenticator app: first its picture, then, with a code of it, the end.
pub(crate) async fn app(visit: Visit, Of(state): Of<State>, Form(form): Form) -> Response {
    let Some(token) = visit.token() else {
        return begin_again();
    };
    let next = next(form.text("next"));
    let error = match form.some("code") {
        None => None,
        Some(code) => match state.control().enrol_totp(token, code, visit.peer()).await {
            Ok(enrolled) => return done(&visit, &enrolled, next),
            Err(error) => match words(&error) {
                Some(words) => Some(words),
                None => return refused::unavailable(&error),
            },
        },
    };
    match state.control().offer_totp(token).await {
        Ok(offer) => {
            let is_wrong = error.is_some();
            let card = draw(&visit, &offer, next, error);
            if is_wrong {
                unusable(&card)
            } else {
                show(&card)
            }
        }
        Err(error) => refuse(&visit, next, &error),
    }
}

/// What the browser makes a passkey with, as JSON.
pub(crate) async fn options(visit: Visit, Of(state): Of<State>, _: Form) -> Response {
    match visit.token() {
        Some(token) => options_of(state.control().offer_passkey(token).await),
        None => begin_again(),
    }
}

/// A passkey, by what the browser answered.
pub(crate) async fn passkey(visit: Visit, Of(state): Of<State>, Form(form): Form) -> Response {
    let Some(token) = visit.token() else {
        return begin_again();
    };
    let next = next(form.text("next"));
    let (answer, name) = (form.text("passkey"), form.text("name"));
    let made = state
        .control()
        .enrol_passkey(token, answer, name, visit.peer())
        .await;
    match made {
        Ok(enrolled) => done(&visit, &enrolled, next),
        Err(error) => refuse(&visit, next, &error),
    }
}

/// The session goes on; recovery codes are shown if there are new ones.
fn done(visit: &Visit, enrolled: &Enrolled, next: &str) -> Response {
    if enrolled.recovery_codes.is_empty() {
        return go_on(&enrolled.session, next);
    }
    let mut response = recovery(visit, &enrolled.recovery_codes, next);
    set_cookie(&mut response, &enrolled.session);
    response
}

fn refuse(visit: &Visit, next: &str, error: &control::Error) -> Response {
    match words(error) {
        Some(words) => unusable(&choice(visit, next, Some(words))),
        None => refused::unavailable(error),
    }
}

fn draw(visit: &Visit, offer: &TotpOffer, next: &str, error: Option<String>) -> EnrolApp {
    let code = QrCode::new(offer.url.expose().as_bytes());
    let drawn = code.map(|code| {
        code.render::<svg::Color<'_>>()
            .min_dimensions(QR_PIXELS, QR_PIXELS)
            .build()
    });
    let lead = "Scan the picture with your authenticator app, then type the six digits that it \
                shows.";
    EnrolApp {
        card: Card {
            error,
            ..Card::new(visit.nonce(), "Authenticator app").lead(lead)
        },
        csrf: visit.csrf().to_owned(),
        next: next.to_owned(),
        picture: drawn.map(|svg| data_url(&svg)).unwrap_or_default(),
        secret: offer.secret.expose().clone(),
    }
}

/// A picture as a `data:` URL: nothing of the page's own must run in it.
fn data_url(svg: &str) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(svg);
    format!("data:image/svg+xml;base64,{text}")
}
