//! `GET /a/{account}/people/{key}/export`: all that is held of one person, as a JSON file: profile,
//! devices, events. What the reader's roles mask is masked in it too.

use axum::extract::{Path, State as Of};
use axum::response::Response;

use super::Known;
use crate::State;
use crate::console::staff::Staff;
use crate::console::view::{Answer, answer, download};

/// The file.
pub(crate) async fn get(
    staff: Staff,
    Of(state): Of<State>,
    Path((_, key)): Path<(String, String)>,
) -> Response {
    answer(&staff, Box::pin(file(&staff, &state, &key)).await)
}

async fn file(staff: &Staff, state: &State, key: &str) -> Answer {
    let known = Known::find(staff, state, key).await?;
    let reader = known.reader(staff, state);
    let text = reader.file(known.person, &known.view).await?;
    Ok(download(
        &format!("person-{}.json", known.person),
        "application/json",
        text,
    ))
}
