//! Every other URL of the console. The page is the same whatever was asked for.

use axum::extract::Request;
use axum::response::Response;
use collect::Facts;
use http::Method;

use super::{HTML, page};
use crate::error::{method_not_allowed, not_found};

/// 404, or 405 for a method that no page takes.
pub(crate) async fn any(request: Request) -> Response {
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::POST) {
        return not_found(page(include_str!("../../templates/not_found.html"), HTML));
    }
    wrong_method().await
}

/// 405.
pub(crate) async fn wrong_method() -> Response {
    method_not_allowed(Facts::default())
}
