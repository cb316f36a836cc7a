//! What cannot be served, and how that is said: with `collect::reply` the only place that chooses
//! status codes.

use axum::response::Response;
use collect::{Facts, Line, Refusal, reply};
use http::{HeaderValue, StatusCode, header};
use model::ErrorKind;
use wire::rest::Refusal as Words;

/// Why a call of the API is not served.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request is not one that can be served, in the protocol's words.
    #[error("refused a call")]
    Refused(Words),
    /// The reading side failed.
    #[error("failed to read what was asked for")]
    Query(#[from] query::Error),
    /// The control database failed.
    #[error("failed to record a call in the control database")]
    Control(#[from] control::Error),
    /// What was to be kept was not.
    #[error("failed to commit a change")]
    Commit(Refusal),
    /// An answer could not be put into words.
    #[error("failed to write an answer")]
    Render(#[from] tokio::task::JoinError),
}

impl From<Words> for Error {
    fn from(words: Words) -> Self {
        Self::Refused(words)
    }
}

/// A shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// The coarse kind: what the caller can do.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Refused(_) => ErrorKind::Invalid,
            Self::Query(error) => error.kind(),
            Self::Control(error) => error.kind(),
            Self::Commit(_) => ErrorKind::Unavailable,
            Self::Render(_) => ErrorKind::Internal,
        }
    }

    /// The response. What is not the caller's to mend is told to the operator here, once, with
    /// its whole chain, and to the caller without a detail.
    #[must_use]
    pub fn respond(self, facts: Facts) -> Response {
        if let Self::Refused(words) = &self {
            return refuse(words, facts);
        }
        if let Self::Commit(refusal) = &self {
            return refusal.respond(facts);
        }
        match self.kind() {
            ErrorKind::Invalid => Refusal::Malformed.respond(facts),
            ErrorKind::NotFound => Refusal::NotFound.respond(facts),
            ErrorKind::Denied => refuse(&Words::Forbidden, facts),
            ErrorKind::Conflict | ErrorKind::Unavailable => {
                tracing::warn!(error = chain(&self), "a call was not served");
                Refusal::Unavailable.respond(facts)
            }
            ErrorKind::Corrupt | ErrorKind::Internal => {
                tracing::error!(error = chain(&self), "a call failed");
                Refusal::Internal.respond(facts)
            }
        }
    }
}

/// The protocol's words, with the status that goes with them.
fn refuse(words: &Words, facts: Facts) -> Response {
    let (status, reason) = match words {
        Words::Malformed => return Refusal::Malformed.respond(facts),
        Words::AccountUnknown => return Refusal::UnknownAccount.respond(facts),
        Words::CredentialsInvalid => return Refusal::InvalidCredentials.respond(facts),
        Words::NotFound => return Refusal::NotFound.respond(facts),
        Words::MethodNotAllowed => return Refusal::WrongMethod.respond(facts),
        Words::TooLarge => return Refusal::TooLarge.respond(facts),
        Words::TooManyRequests => return Refusal::TooManyCalls.respond(facts),
        Words::Internal => return Refusal::Internal.respond(facts),
        Words::Unavailable => return Refusal::Unavailable.respond(facts),
        Words::ExportNotAllowed => (StatusCode::BAD_REQUEST, "export_not_allowed"),
        Words::InvalidDates => (StatusCode::BAD_REQUEST, "invalid_dates"),
        Words::InvalidRequestId => (StatusCode::BAD_REQUEST, "unknown_request"),
        Words::InvalidGroup => (StatusCode::BAD_REQUEST, "invalid_group"),
        Words::NoCampaigns => (StatusCode::NOT_IMPLEMENTED, "no_campaigns"),
        Words::Forbidden => (StatusCode::FORBIDDEN, "denied"),
        // The protocol answers these with success and says in the body that it is none.
        Words::IncorrectUsage => (StatusCode::OK, "unknown_cursor"),
        Words::CursorInvalidated => (StatusCode::OK, "expired_cursor"),
        Words::InvalidEvent(_) => (StatusCode::OK, "unknown_event"),
    };
    reply::json(status, words.body().into(), said(reason, facts))
}

/// The facts of an answer that says no; its line is in the log before it goes out.
fn said(reason: &'static str, facts: Facts) -> Facts {
    Facts {
        reason,
        line: Line::Awaited,
        ..facts
    }
}

/// An error and all its causes, on one line.
fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// A page of the console with status 404.
pub(crate) fn not_found(mut page: Response) -> Response {
    *page.status_mut() = StatusCode::NOT_FOUND;
    let reason = Refusal::NotFound.reason();
    page.extensions_mut().insert(Facts {
        reason,
        ..Facts::default()
    });
    page
}

/// Status 405 on the console, without a page.
pub(crate) fn method_not_allowed(facts: Facts) -> Response {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    response
        .headers_mut()
        .insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
    response.extensions_mut().insert(Facts {
        reason: Refusal::WrongMethod.reason(),
        ..facts
    });
    response
}
