//! What cannot be served, and how that is said: with `collect::reply` the only place that chooses
//! status codes.

pub(crate) mod problem;

use axum::response::Response;
use collect::{Facts, Line, Refusal, reply};
use http::{HeaderValue, StatusCode, header};
use model::ErrorKind;
use wire::rest::Refusal as Words;

/// Seconds after which to ask again what found no memory or no time: asked as it was, it may never end,
/// and costs as much each time.
const ASK_AGAIN_SECONDS: HeaderValue = HeaderValue::from_static("60");

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
    /// A page could not be written.
    #[error("failed to write a page")]
    Template(#[source] askama::Error),
    /// There is nothing at that address, or it is another account's: which, is not said.
    #[error("nothing is there")]
    Absent,
    /// The request is not what the document of the management API says: the words say where.
    #[error("{0}")]
    Malformed(String),
    /// The body is not JSON by its type.
    #[error("the body must be of type application/json")]
    WrongType,
    /// A file that is written while it is sent cannot be encrypted as a whole.
    #[error("this answer is a file that is sent as it is made: ask for it without encryption")]
    Whole,
    /// An answer could not be written.
    #[error("failed to write an answer")]
    Write(#[from] serde_json::Error),
    /// An operator's act failed.
    #[error(transparent)]
    Operate(#[from] crate::operate::Error),
}

impl From<Words> for Error {
    fn from(words: Words) -> Self {
        Self::Refused(words)
    }
}

model::named! {
    /// Why a call or a page is not served, where [`Refusal`] has no word for it. Its name is a stable word for the
    /// request log and the metrics; a page of `docs/` has each.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Reason {
        const ALL, fn as_str;
        /// The actor may not do it.
        Denied = "denied",
        /// A name is taken, or something else does not allow it as things are.
        Conflict = "conflict",
        /// A form of the console that cannot be carried out.
        InvalidForm = "invalid_form",
        /// Of the management API: well formed, and cannot be carried out.
        Invalid = "invalid",
        /// Of the management API: the body is of another type than JSON.
        WrongMediaType = "wrong_media_type",
        /// Of the management API: the answer is a file that cannot be encrypted as a whole.
        NotEncrypted = "not_encrypted",
        /// Events about notifications are not given out.
        ExportNotAllowed = "export_not_allowed",
        /// A date is not one, or the first is after the last.
        InvalidDates = "invalid_dates",
        /// A report that is not kept.
        UnknownRequest = "unknown_request",
        /// A group of a report that is not one.
        InvalidGroup = "invalid_group",
        /// There are no campaigns.
        NoCampaigns = "no_campaigns",
        /// A cursor that is not ours.
        UnknownCursor = "unknown_cursor",
        /// A cursor that is too old.
        ExpiredCursor = "expired_cursor",
        /// The account does not know the event.
        UnknownEvent = "unknown_event",
    }
}

/// A shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// The coarse kind: what the caller can do.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Refused(_) | Self::Malformed(_) | Self::WrongType | Self::Whole => {
                ErrorKind::Invalid
            }
            Self::Query(error) => error.kind(),
            Self::Control(error) => error.kind(),
            Self::Commit(_) => ErrorKind::Unavailable,
            Self::Render(_) | Self::Template(_) | Self::Write(_) => ErrorKind::Internal,
            Self::Absent => ErrorKind::NotFound,
            Self::Operate(error) => error.kind(),
        }
    }

    /// The kind, for an answer that says why there is no other. What is not the reader's to mend is
    /// told to the operator here, once, with its whole chain.
    pub(crate) fn told(&self) -> ErrorKind {
        let kind = self.kind();
        match kind {
            ErrorKind::Unavailable => {
                tracing::warn!(error = chain(self), "a request was not served");
            }
            ErrorKind::Corrupt | ErrorKind::Internal => {
                tracing::error!(error = chain(self), "a request failed");
            }
            ErrorKind::Invalid | ErrorKind::Denied | ErrorKind::NotFound | ErrorKind::Conflict => {}
        }
        kind
    }

    /// What a reader can mend, as a sentence.
    pub(crate) fn words(&self) -> String {
        let text = match self {
            Self::Query(error) => error.to_string(),
            Self::Control(error) => error.to_string(),
            Self::Operate(error) => error.to_string(),
            Self::Refused(_)
            | Self::Commit(_)
            | Self::Render(_)
            | Self::Template(_)
            | Self::Malformed(_)
            | Self::WrongType
            | Self::Whole
            | Self::Write(_)
            | Self::Absent => self.to_string(),
        };
        let mut letters = text.chars();
        let first = letters.next().map(|it| it.to_uppercase().to_string());
        format!("{}{}.", first.unwrap_or_default(), letters.as_str())
    }

    /// What to do about what is not available at the moment, as sentences. A change whose outcome is
    /// unknown looks no other than one that was never begun, or than a question.
    pub(crate) fn unavailable(&self) -> String {
        match self.is_beyond() {
            true => self.words(),
            false => String::from(
                "Try again in a moment; the operator has been told. If this was to change something, \
                 look whether it did before you send it again.",
            ),
        }
    }

    /// Whether a question found no memory or no time: its words say how to ask for less.
    const fn is_beyond(&self) -> bool {
        match self {
            Self::Query(error) | Self::Operate(crate::operate::Error::Query(error)) => {
                matches!(
                    error,
                    query::Error::Memory { .. } | query::Error::Time { .. }
                )
            }
            _ => false,
        }
    }

    /// Says in a response of status 503 when to ask again, where a moment is too soon.
    fn put_off(&self, response: &mut Response) {
        if self.is_beyond() {
            let headers = response.headers_mut();
            headers.insert(header::RETRY_AFTER, ASK_AGAIN_SECONDS);
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
                let mut response = Refusal::Unavailable.respond(facts);
                self.put_off(&mut response);
                response
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
        Words::ExportNotAllowed => (StatusCode::BAD_REQUEST, Reason::ExportNotAllowed),
        Words::InvalidDates => (StatusCode::BAD_REQUEST, Reason::InvalidDates),
        Words::InvalidRequestId => (StatusCode::BAD_REQUEST, Reason::UnknownRequest),
        Words::InvalidGroup => (StatusCode::BAD_REQUEST, Reason::InvalidGroup),
        Words::NoCampaigns => (StatusCode::NOT_IMPLEMENTED, Reason::NoCampaigns),
        Words::Forbidden => (StatusCode::FORBIDDEN, Reason::Denied),
        // The protocol answers these with success and says in the body that it is none.
        Words::IncorrectUsage => (StatusCode::OK, Reason::UnknownCursor),
        Words::CursorInvalidated => (StatusCode::OK, Reason::ExpiredCursor),
        Words::InvalidEvent(_) => (StatusCode::OK, Reason::UnknownEvent),
    };
    reply::json(status, words.body().into(), said(reason.as_str(), facts))
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

/// A page of the console that says what went wrong, or shows a form again.
pub(crate) fn page_of(kind: ErrorKind, mut page: Response) -> Response {
    let (status, reason) = match kind {
        ErrorKind::NotFound => return not_found(page),
        ErrorKind::Invalid => {
            let reason = Reason::InvalidForm.as_str();
            (StatusCode::UNPROCESSABLE_ENTITY, reason)
        }
        ErrorKind::Denied => (StatusCode::FORBIDDEN, Reason::Denied.as_str()),
        ErrorKind::Conflict => (StatusCode::CONFLICT, Reason::Conflict.as_str()),
        ErrorKind::Unavailable => {
            let reason = Refusal::Unavailable.reason();
            (StatusCode::SERVICE_UNAVAILABLE, reason)
        }
        ErrorKind::Corrupt | ErrorKind::Internal => (
            StatusCode::INTERNAL_SERVER_ERROR,
            Refusal::Internal.reason(),
        ),
    };
    *page.status_mut() = status;
    page.extensions_mut().insert(Facts {
        reason,
        ..Facts::default()
    });
    page
}

/// Status 303 to a path of ours; to the start when it is none.
pub(crate) fn redirect(to: &str) -> Response {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::SEE_OTHER;
    let to = HeaderValue::from_str(to).unwrap_or(HeaderValue::from_static("/"));
    response.headers_mut().insert(header::LOCATION, to);
    response
}

/// Status 403 for a form that is not ours, or is none. Without a page: nobody sends one by mistake.
pub(crate) fn on_form() -> Response {
    page_of(ErrorKind::Denied, Response::default())
}
