//! `GET` and `POST /1/profiles.json`: the people who did something, page by page.
//!
//! The first call says what is wanted and gets a cursor, at once; each later one brings a cursor and
//! gets a page. Both verbs do both.

use axum::extract::{Request, State as Of};
use axum::response::Response;
use wire::rest::cursor::CursorKind;

use super::{cursors, enter, respond};
use crate::State;

pub(crate) const PATH: &str = "/1/profiles.json";

/// What is wanted, or a cursor, in the body or the query string.
pub(crate) async fn post(of: Of<State>, request: Request) -> Response {
    get(of, request).await
}

/// The same: what is wanted may also stand in the query string, as `query`.
pub(crate) async fn get(Of(state): Of<State>, request: Request) -> Response {
    match enter(&state, PATH, request).await {
        Ok(call) => respond(
            cursors::answer(&state, &call, CursorKind::Profiles).await,
            call.facts,
        ),
        Err(response) => response,
    }
}
