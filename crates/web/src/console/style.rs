//! `GET /console.css`: how the pages look. A file of its own, so that no page needs inline styles.

use axum::response::Response;
use http::{HeaderValue, header};

use super::page;

/// The style sheet.
pub(crate) async fn get() -> Response {
    let mut response = page(
        include_str!("../../templates/console.css"),
        "text/css; charset=utf-8",
    );
    let caching = HeaderValue::from_static("public, max-age=300");
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, caching);
    response
}
