//! `GET /` and `POST /sign-out`: the way in, and the way out.

use axum::extract::State as Of;
use axum::response::Response;

use super::{redirect, refused};
use crate::State;
use crate::console::staff::Staff;
use crate::console::visit::{Form, Visit, clear_cookie};

/// To the first account where the user has a role; who has none sees what they are.
pub(crate) async fn get(staff: Staff) -> Response {
    match staff.places().first() {
        Some(place) => redirect(&format!("/a/{}/overview", place.account)),
        None => redirect("/me"),
    }
}

/// Ends the session.
pub(crate) async fn sign_out(visit: Visit, Of(state): Of<State>, _: Form) -> Response {
    if let Some(token) = visit.token()
        && let Err(error) = state.control().sign_out(token, visit.peer()).await
    {
        return refused::unavailable(&error);
    }
    let mut response = redirect("/sign-in?done=out");
    clear_cookie(&mut response);
    response
}
