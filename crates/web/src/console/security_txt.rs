//! `GET /.well-known/security.txt`: where to report a vulnerability (RFC 9116).

use axum::extract::State as Of;
use axum::response::Response;
use model::Timestamp;
use std::time::Duration;

use super::page;
use crate::{Settings, State};

/// How long the file may be believed, from the day it is fetched. RFC 9116, section 2.5.5 asks for
/// less than a year.
const VALID: Duration = Duration::from_secs(180 * 24 * 60 * 60);

/// The file.
pub(crate) async fn get(Of(state): Of<State>) -> Response {
    let text = render(state.settings(), state.clock().now());
    page(text, "text/plain; charset=utf-8")
}

/// The text: settings that hold a line break are left out, they could say anything.
pub(crate) fn render(settings: &Settings, now: Timestamp) -> String {
    let expires = now.plus(VALID).day().start();
    let expires = format!("{}T00:00:00Z", expires.day());
    let fields = [
        ("Contact", Some(settings.security_contact.as_str())),
        ("Expires", Some(expires.as_str())),
        (
            "Preferred-Languages",
            Some(settings.preferred_languages.as_str()),
        ),
        ("Canonical", settings.security_canonical.as_deref()),
        ("Policy", settings.security_policy.as_deref()),
    ];
    let mut text = String::new();
    for (name, value) in fields {
        let Some(value) = value.filter(|value| !value.is_empty()) else {
            continue;
        };
        if value.chars().any(char::is_control) {
            continue;
        }
        text.extend([name, ": ", value, "\n"]);
    }
    text
}
