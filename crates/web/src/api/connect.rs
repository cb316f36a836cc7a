//! `GET /v1/connect`: whether the credentials are good. A partner's tool asks before it starts.

use axum::extract::{Request, State as Of};
use axum::response::Response;
use wire::rest::answers;

use super::{enter_with_any, respond};
use crate::State;

pub(crate) const PATH: &str = "/v1/connect";

/// They are, whatever they are for, or the caller was not let in.
pub(crate) async fn get(Of(state): Of<State>, request: Request) -> Response {
    match enter_with_any(&state, PATH, request).await {
        Ok(call) => respond(Ok(answers::success()), call.facts),
        Err(response) => response,
    }
}
