//! `POST /1/counts/events.json`: how many events. It is answered at once, so that there is never a request to ask
//! for again by `GET ?req_id=`.

use axum::extract::{Request, State as Of};
use axum::response::Response;

use super::counts::{self, Counted};
use super::{enter, respond};
use crate::State;

pub(crate) const PATH: &str = "/1/counts/events.json";

/// The count.
pub(crate) async fn post(Of(state): Of<State>, request: Request) -> Response {
    match enter(&state, PATH, request).await {
        Ok(call) => respond(
            counts::answer(&state, &call, Counted::Events).await,
            call.facts,
        ),
        Err(response) => response,
    }
}

/// The result of an earlier request, of which there is none; or the count of what `query` says.
pub(crate) async fn get(of: Of<State>, request: Request) -> Response {
    post(of, request).await
}
