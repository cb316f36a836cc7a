//! `GET /`: the page that names the product.

use axum::response::Response;

use super::{HTML, page};

/// The page.
pub(crate) async fn get() -> Response {
    page(include_str!("../../templates/home.html"), HTML)
}
