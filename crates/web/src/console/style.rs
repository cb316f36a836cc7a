//! `GET /console.css`, `/console.js`, `/passkey.js`, `/icon.svg`: files of their own, so that no page needs styles or
//! scripts inside it.

use axum::response::Response;
use http::{HeaderValue, header};

use super::page;

/// The style sheet.
pub(crate) async fn get() -> Response {
    let text = include_str!("../../templates/console.css");
    file(text, "text/css; charset=utf-8")
}

/// The script: a few comforts, no page needs it.
pub(crate) async fn script() -> Response {
    let text = include_str!("../../templates/console.js");
    file(text, "text/javascript; charset=utf-8")
}

/// The script of passkeys, which a browser gives to nothing else.
pub(crate) async fn passkey() -> Response {
    let text = include_str!("../../templates/passkey.js");
    file(text, "text/javascript; charset=utf-8")
}

/// The mark in the window's title.
pub(crate) async fn icon() -> Response {
    let text = include_str!("../../templates/icon.svg");
    file(text, "image/svg+xml")
}

fn file(text: &'static str, content_type: &'static str) -> Response {
    let mut response = page(text, content_type);
    let caching = HeaderValue::from_static("public, max-age=300");
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, caching);
    response
}
