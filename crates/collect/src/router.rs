//! The collect plane.

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use http::{Method, Version};
use model::record::Plane;

use crate::{Refusal, State, log_requests, sdk};

/// The collect plane, complete with its request log. What is not one of the SDKs' URLs is dropped in
/// silence, counted and logged.
pub fn router(state: &State) -> Router {
    sdk::routes()
        .fallback(drop_in_silence)
        .with_state(state.clone())
        .layer(from_fn(no_proxy))
        .layer(from_fn_with_state(
            (state.clone(), Plane::Collect),
            log_requests,
        ))
}

/// Drops what asks for a proxy (a whole URL, or an authority, as the target), on every plane: nothing
/// is fetched for anybody here.
pub async fn no_proxy(request: Request, next: Next) -> Response {
    let is_http1 = request.version() < Version::HTTP_2;
    let is_proxying = is_http1 && request.uri().authority().is_some();
    if is_proxying || request.method() == Method::CONNECT {
        return Refusal::UnknownUrl.into_response();
    }
    next.run(request).await
}

async fn drop_in_silence() -> Response {
    Refusal::UnknownUrl.into_response()
}
