//! What the management API answers beside its data: problem details (RFC 9457) and the few statuses
//! that are not 200.

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use collect::{Facts, Refusal, Silence};
use http::{HeaderValue, StatusCode, header};
use model::ErrorKind;
use serde::Serialize;
use utoipa::ToSchema;

use super::Error;

/// The media type of problem details.
pub(crate) const PROBLEM: &str = "application/problem+json";
const PROBLEM_TYPE: HeaderValue = HeaderValue::from_static(PROBLEM);
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("2");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// Why a request was not carried out: problem details as RFC 9457 has them.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// `about:blank`: the status says what kind of problem it is.
    #[schema(example = "about:blank")]
    r#type: &'static str,
    /// The status in words.
    title: &'static str,
    /// The status.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// A stable word, the same as in the request log.
    reason: &'static str,
    /// What to do about it, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

/// The answer that says why there is no other. What is not the caller's to mend is told to the
/// operator here, once, and to the caller without a detail.
pub(crate) fn problem(error: &Error) -> Response {
    let (status, reason) = match (error, error.told()) {
        (Error::Malformed(_), _) => (StatusCode::BAD_REQUEST, Refusal::Malformed.reason()),
        (Error::WrongType, _) => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "wrong_media_type"),
        (Error::Whole, _) => (StatusCode::NOT_ACCEPTABLE, "not_encrypted"),
        (_, ErrorKind::Invalid) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid"),
        (_, ErrorKind::Denied) => (StatusCode::FORBIDDEN, "denied"),
        (_, ErrorKind::NotFound) => (StatusCode::NOT_FOUND, Refusal::NotFound.reason()),
        (_, ErrorKind::Conflict) => (StatusCode::CONFLICT, "conflict"),
        (_, ErrorKind::Unavailable) => {
            let reason = Refusal::Unavailable.reason();
            (StatusCode::SERVICE_UNAVAILABLE, reason)
        }
        (_, ErrorKind::Corrupt | ErrorKind::Internal) => {
            let reason = Refusal::Internal.reason();
            (StatusCode::INTERNAL_SERVER_ERROR, reason)
        }
    };
    let detail = match status {
        StatusCode::SERVICE_UNAVAILABLE => error.unavailable(),
        StatusCode::INTERNAL_SERVER_ERROR => String::from("The operator has been told."),
        StatusCode::NOT_FOUND => String::from("There is nothing of that name here."),
        _ => error.words(),
    };
    let mut response = Response::default();
    *response.status_mut() = status;
    let facts = Facts {
        reason,
        ..Facts::default()
    };
    response.extensions_mut().insert(facts);
    say(&mut response, Some(detail));
    error.put_off(&mut response);
    response
}

/// The layer that puts what the plane refuses by itself (strangers, ceilings, bodies that are too
/// large, other URLs) into the words of this API where the URL is one of its own.
pub(crate) async fn in_problems(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let is_ours = path == "/v2" || path.starts_with("/v2/");
    let mut response = next.run(request).await;
    let is_silent = response.extensions().get::<Silence>().is_some();
    let kind = response.headers().get(header::CONTENT_TYPE);
    let is_plain = kind.is_none_or(|it| it.as_bytes().starts_with(b"application/json"));
    let failed = response.status().is_client_error() || response.status().is_server_error();
    if is_ours && failed && is_plain && !is_silent {
        say(&mut response, None);
    }
    response
}

/// Writes the problem of a response whose status and facts are set.
fn say(response: &mut Response, detail: Option<String>) {
    let status = response.status();
    let facts = response.extensions().get::<Facts>();
    let problem = Problem {
        r#type: "about:blank",
        title: status.canonical_reason().unwrap_or("Refused"),
        status: status.as_u16(),
        reason: facts.map_or("", |it| it.reason),
        detail,
    };
    let text = serde_json::to_string(&problem).unwrap_or_default();
    *response.body_mut() = Body::from(text);
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_LENGTH);
    headers.insert(header::CONTENT_TYPE, PROBLEM_TYPE);
    headers.insert(header::CACHE_CONTROL, NO_STORE);
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(header::RETRY_AFTER, RETRY_AFTER_SECONDS);
    }
}

/// The same answer as one that made something: status 201.
pub(crate) fn created(mut response: Response) -> Response {
    *response.status_mut() = StatusCode::CREATED;
    response
}

/// An answer that has nothing to say: status 204.
pub(crate) fn no_content() -> Response {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

/// What the caller has is what there is: status 304.
pub(crate) fn not_modified() -> Response {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    response
}
