//! What a program asks with: the query string, the body, the names in the path. What is not in the
//! document is refused.

use axum::extract::FromRequestParts;
use axum::extract::Path;
use axum::response::Response;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use serde::de::DeserializeOwned;
use wire::rest::hpke;

use super::program::Program;
use super::values::Number;
use crate::Error;
use crate::error::problem::problem;

/// The query string.
#[derive(Debug)]
pub(super) struct Asked<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        let query = parts.uri.query().unwrap_or_default();
        let read = serde_html_form::from_str(query);
        read.map(Self)
            .map_err(|error| malformed("the query string", &error))
    }
}

/// The body: JSON.
#[derive(Debug)]
pub(super) struct Sent<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Sent<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let program = Program::from_request_parts(parts, state).await?;
        let kind = parts.headers.get(CONTENT_TYPE).map(|it| it.to_str());
        let is_json = matches!(kind, Some(Ok(kind)) if is_json(kind) || hpke::is_encrypted(kind));
        if !is_json {
            return Err(problem(&Error::WrongType));
        }
        let body = wire::without_byte_order_mark(program.body());
        if body
            .trim_ascii_start()
            .first()
            .is_some_and(|it| *it == b'[')
        {
            // Members by their places are nowhere documented.
            let words = "the body is not as documented: it must be an object";
            return Err(problem(&Error::Malformed(words.to_owned())));
        }
        let read = serde_json::from_slice(body);
        read.map(Self)
            .map_err(|error| malformed("the body", &error))
    }
}

/// Names in the path.
#[derive(Debug)]
pub(super) struct Named<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Named<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let read = Path::<T>::from_request_parts(parts, state).await;
        // Bytes that are no text name nothing.
        read.map(|Path(names)| Self(names))
            .map_err(|_| problem(&Error::Absent))
    }
}

/// Items on a page when nothing is said, and at most.
const LIMIT: u32 = 100;
const LIMIT_MAX: u32 = 1_000;

/// How many items a page is to have.
///
/// # Errors
/// [`Error::Malformed`] for more than there may be, or none.
pub(super) fn limit(asked: Option<Number<u32>>) -> Result<u32, Error> {
    let limit = asked.map_or(LIMIT, |it| it.0);
    if !(1..=LIMIT_MAX).contains(&limit) {
        let words = format!("`limit` must be 1 to {LIMIT_MAX}");
        return Err(Error::Malformed(words));
    }
    Ok(limit)
}

/// Refuses what is longer, in characters, than the document says.
///
/// # Errors
/// [`Error::Malformed`].
pub(super) fn at_most(what: &str, text: &str, chars_max: usize) -> Result<(), Error> {
    if text.chars().count() > chars_max {
        let words = format!("`{what}` must be at most {chars_max} characters");
        return Err(Error::Malformed(words));
    }
    Ok(())
}

/// What a cursor says, by whatever reads it.
///
/// # Errors
/// [`Error::Malformed`] when it is not one of ours.
pub(super) fn cursor<T>(
    asked: Option<&str>,
    read: fn(&str) -> Option<T>,
) -> Result<Option<T>, Error> {
    let refused = || Error::Malformed("`cursor` is not one of ours".to_owned());
    asked.map(|it| read(it).ok_or_else(refused)).transpose()
}

fn is_json(kind: &str) -> bool {
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
}

fn malformed(what: &str, error: &dyn std::error::Error) -> Response {
    problem(&Error::Malformed(format!(
        "{what} is not as documented: {error}"
    )))
}
