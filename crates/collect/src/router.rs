//! The collect plane.

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse as _, Response};
use model::record::Plane;

use crate::{Refusal, State, log_requests, sdk};

/// The collect plane, complete with its request log. What is not one of the SDKs' URLs is dropped in
/// silence, counted and logged.
pub fn router(state: &State) -> Router {
    sdk::routes()
        .fallback(drop_in_silence)
        .with_state(state.clone())
        .layer(from_fn_with_state(
            (state.clone(), Plane::Collect),
            log_requests,
        ))
}

async fn drop_in_silence() -> Response {
    Refusal::UnknownUrl.into_response()
}
