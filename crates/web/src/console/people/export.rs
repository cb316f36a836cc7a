//! `GET /a/{account}/people/{key}/export`: all that is held of one person, as a JSON file: profile,
//! devices, events. What the reader's roles mask is masked in it too.

use axum::extract::{Path, State as Of};
use axum::response::Response;

use super::read;
use crate::console::staff::Staff;
use crate::console::view::{Answer, answer, download};
use crate::operate::people::Reader;
use crate::{Error, State};

/// The file.
pub(crate) async fn get(
    staff: Staff,
    Of(state): Of<State>,
    Path((_, key)): Path<(String, String)>,
) -> Response {
    answer(&staff, Box::pin(file(&staff, &state, &key)).await)
}

async fn file(staff: &Staff, state: &State, key: &str) -> Answer {
    let policy = staff.person_policy().ok_or(Error::Absent)?;
    let found = read(state, &policy, key).await?;
    let (person, view) = found.ok_or(Error::Absent)?;
    let reader = Reader {
        state,
        actor: staff.actor(),
        account: staff.account(),
        policy: &policy,
    };
    let text = reader.file(person, &view).await?;
    Ok(download(
        &format!("person-{person}.json"),
        "application/json",
        text,
    ))
}
