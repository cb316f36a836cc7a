//! The console's pages. Until people can sign in there is one that names the product.

pub(crate) mod home;
pub(crate) mod not_found;
pub(crate) mod security_txt;
pub(crate) mod style;

use axum::body::Body;
use axum::response::Response;
use http::{HeaderValue, header};

/// A text of ours, whole, with its type.
fn page(text: impl Into<Body>, content_type: &'static str) -> Response {
    let mut response = Response::new(text.into());
    let content_type = HeaderValue::from_static(content_type);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    response
}

const HTML: &str = "text/html; charset=utf-8";
