//! The collect plane.

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse as _, Response};
use model::record::Plane;

use crate::{Refusal, State, log_requests};

/// The collect plane, complete with its request log. It knows no URL yet, so that everything on it
/// is dropped in silence, counted and logged.
pub fn router(state: &State) -> Router {
    Router::new()
        .fallback(drop_in_silence)
        .layer(from_fn_with_state(
            (state.clone(), Plane::Collect),
            log_requests,
        ))
}

async fn drop_in_silence() -> Response {
    Refusal::UnknownUrl.into_response()
}
