//! Every other URL of the console. The page is the same whatever was asked for.

use axum::extract::Request;
use axum::response::Response;
use collect::Facts;
use http::Method;

use super::{HTML, page};
use crate::error::{method_not_allowed, not_found};
use crate::headers;

/// 404, or 405 for a method that no page takes.
pub(crate) async fn any(request: Request) -> Response {
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::POST) {
        return absent();
    }
    wrong_method().await
}

/// The page of everything that is not there, or not for whoever asks: which, is not said.
pub(crate) fn absent() -> Response {
    let mut response = not_found(page(include_str!("../../templates/not_found.html"), HTML));
    let policy = http::header::CONTENT_SECURITY_POLICY;
    response.headers_mut().insert(policy, headers::BARE);
    response
}

/// 405.
pub(crate) async fn wrong_method() -> Response {
    method_not_allowed(Facts::default())
}
