//! `/a/{account}/people/{key}/delete`: what a deletion would take, and the order for it.

use askama::Template;
use axum::extract::{Path, State as Of};
use axum::response::Response;

use super::Known;
use crate::console::staff::Staff;
use crate::console::view::{
    Answer, Fields, Posted, Shell, answer, count, html, see_other, unusable,
};
use crate::operate::people::Extent;
use crate::{Result, State};

/// The dry run.
pub(crate) async fn get(
    staff: Staff,
    Of(state): Of<State>,
    Path((_, key)): Path<(String, String)>,
) -> Response {
    let shown = async {
        let page = Box::pin(Delete::new(&staff, &state, &key)).await?;
        html(&page)
    };
    answer(&staff, Box::pin(shown).await)
}

/// The order.
pub(crate) async fn post(
    staff: Staff,
    Of(state): Of<State>,
    Path((_, key)): Path<(String, String)>,
    Posted(fields): Posted,
) -> Response {
    answer(
        &staff,
        Box::pin(delete(&staff, &state, &key, &fields)).await,
    )
}

#[derive(Debug, Template)]
#[template(path = "person_delete.html")]
struct Delete {
    shell: Shell,
    path: String,
    /// What there is, and how much of it.
    counts: Vec<(&'static str, String)>,
    reason: String,
    error: Option<&'static str>,
}

impl Delete {
    async fn new(staff: &Staff, state: &State, key: &str) -> Result<Self> {
        let known = Known::find(staff, state, key).await?;
        let reader = known.reader(staff, state);
        let extent = Box::pin(reader.extent(known.person, &known.view)).await?;
        Ok(Self {
            shell: known.frame(staff, String::from("Delete")),
            path: known.path(staff),
            counts: counts(&extent),
            reason: String::new(),
            error: None,
        })
    }
}

fn counts(extent: &Extent) -> Vec<(&'static str, String)> {
    vec![
        ("Events", count(extent.events)),
        ("Properties", count(extent.properties)),
        ("Changes of the profile", count(extent.changes)),
        ("Devices", count(extent.devices)),
        ("Identities and devices that are hidden", count(extent.keys)),
        ("Records in quarantine", count(extent.quarantined)),
    ]
}

async fn delete(staff: &Staff, state: &State, key: &str, fields: &Fields) -> Answer {
    if !fields.ticked("consent") {
        let page = Box::pin(Delete::new(staff, state, key)).await?;
        return unusable(&Delete {
            error: Some("Tick the box: once a deletion has begun, it cannot be undone."),
            reason: fields.text("reason").to_owned(),
            ..page
        });
    }
    let known = Known::find(staff, state, key).await?;
    let reason = match fields.text("reason") {
        "" => "asked for in the console",
        reason => reason,
    };
    let reader = known.reader(staff, state);
    let deletion = reader.delete(known.person, reason).await?;
    let account = staff.account();
    see_other(&format!(
        "/a/{account}/people/deletions?id={deletion}&done=requested"
    ))
}
