//! `POST /1/now.json`: how many people are active.

use axum::extract::{Request, State as Of};
use axum::response::Response;
use collect::Call;
use std::time::Duration;
use wire::rest::answers;

use super::{check_form, enter, policy, respond};
use crate::{Result, State};

pub(crate) const PATH: &str = "/1/now.json";

/// How long ago somebody may have done something to be active (protocol).
const ACTIVE: Duration = Duration::from_secs(5 * 60);

/// By either verb.
pub(crate) async fn any(Of(state): Of<State>, request: Request) -> Response {
    match enter(&state, PATH, request).await {
        Ok(call) => respond(answer(&state, &call).await, call.facts),
        Err(response) => response,
    }
}

async fn answer(state: &State, call: &Call) -> Result<String> {
    check_form(call)?;
    let since = state.clock().now().minus(ACTIVE);
    let count = state.engine().active_people(&policy(call), since).await?;
    Ok(answers::count(count))
}
