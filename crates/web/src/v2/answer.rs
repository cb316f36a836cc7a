//! From an operation to its answer.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};
use serde::Serialize;
use utoipa::ToSchema;

use crate::Error;
use crate::error::problem::problem;

/// What a handler ends with.
pub(super) type Answer = Result<Response, Failure>;

/// Why there is no other answer.
#[derive(Debug)]
pub(super) struct Failure(Error);

impl<E> From<E> for Failure
where
    Error: From<E>,
{
    fn from(error: E) -> Self {
        Self(Error::from(error))
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        problem(&self.0)
    }
}

/// Some of a list, and where the rest is.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Page<T> {
    /// What was found, in order.
    items: Vec<T>,
    /// The `cursor` of the next page; null on the last one.
    next: Option<String>,
}

impl<T> Page<T> {
    /// A page and its successor's cursor.
    pub(super) const fn new(items: Vec<T>, next: Option<String>) -> Self {
        Self { items, next }
    }

    /// All that there is.
    pub(super) const fn whole(items: Vec<T>) -> Self {
        Self { items, next: None }
    }
}

/// An answer in JSON.
pub(super) fn json(value: &impl Serialize) -> Answer {
    Ok(text(serde_json::to_string(value)?, "application/json"))
}

/// An answer of another type.
pub(super) fn text(body: impl Into<Body>, content_type: &'static str) -> Response {
    let mut response = Response::new(body.into());
    let headers = response.headers_mut();
    let content_type = HeaderValue::from_static(content_type);
    headers.insert(header::CONTENT_TYPE, content_type);
    let no_store = HeaderValue::from_static("no-store");
    headers.insert(header::CACHE_CONTROL, no_store);
    response
}
