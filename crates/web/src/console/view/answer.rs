//! From a page to its answer: HTML, a redirect, a table as a file, or a page that says why not.

use askama::Template;
use axum::body::Body;
use axum::response::Response;
use http::{HeaderValue, header};
use model::ErrorKind;

use super::shell::{Section, Shell};
use crate::console::{HTML, page, staff::Staff};
use crate::error::{self, Error};

/// What a handler ends with.
pub(crate) type Answer = Result<Response, Error>;

/// The answer, or the page that says why there is none. What is not the reader's to mend is told
/// to the operator, once, and to the reader without a detail.
pub(crate) fn answer(staff: &Staff, answer: Answer) -> Response {
    answer.unwrap_or_else(|error| {
        let kind = error.told();
        let shell = Shell::new(staff, Section::Own, heading(kind));
        let problem = Problem {
            text: words(kind, &error),
            shell,
        };
        let shown = problem.render().unwrap_or_default();
        error::page_of(kind, page(shown, HTML))
    })
}

/// A page.
///
/// # Errors
/// [`Error::Template`] when it cannot be written.
pub(crate) fn html(template: &impl Template) -> Answer {
    Ok(page(template.render().map_err(Error::Template)?, HTML))
}

/// A form that could not be used, shown again with what is wrong with it.
///
/// # Errors
/// As [`html`].
pub(crate) fn unusable(template: &impl Template) -> Answer {
    html(template).map(|it| error::page_of(ErrorKind::Invalid, it))
}

/// Where to look next, after a change.
pub(crate) fn see_other(to: &str) -> Answer {
    Ok(error::redirect(to))
}

/// A file that the browser keeps. `name` is one of ours.
pub(crate) fn download(name: &str, content_type: &'static str, body: impl Into<Body>) -> Response {
    let mut response = page(body, content_type);
    let attached = format!("attachment; filename=\"{name}\"");
    if let Ok(attached) = HeaderValue::from_str(&attached) {
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_DISPOSITION, attached);
    }
    response
}

/// The page of an error.
#[derive(Debug, Template)]
#[template(path = "problem.html")]
struct Problem {
    shell: Shell,
    text: String,
}

const fn heading(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::NotFound => "Not found",
        ErrorKind::Denied => "Not allowed",
        ErrorKind::Invalid => "That cannot be done",
        ErrorKind::Conflict => "That has changed meanwhile",
        ErrorKind::Unavailable => "Not available at the moment",
        ErrorKind::Corrupt | ErrorKind::Internal => "Something went wrong",
    }
}

fn words(kind: ErrorKind, error: &Error) -> String {
    match kind {
        ErrorKind::NotFound => String::from("There is no page at this address."),
        ErrorKind::Denied => String::from("Your roles in this account do not allow it."),
        ErrorKind::Invalid | ErrorKind::Conflict => error.words(),
        ErrorKind::Unavailable => error.unavailable(),
        ErrorKind::Corrupt | ErrorKind::Internal => {
            String::from("Nothing is shown that is not certain. The operator has been told.")
        }
    }
}
