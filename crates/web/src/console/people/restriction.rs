//! `/a/{account}/people/{key}/restriction`: the processing of one person is restricted, and that is
//! lifted again; every time with a reason, and all of them in the history.

use askama::Template;
use axum::extract::{Path, State as Of};
use axum::response::Response;
use control::Restriction;
use model::ErrorKind;

use super::{Known, clock};
use crate::console::staff::Staff;
use crate::console::view::{
    Answer, Fields, Moment, Posted, Shell, Times, answer, html, link, see_other, unusable,
};
use crate::operate::people::own_keys;
use crate::{Error, Result, State};

/// The page.
pub(crate) async fn get(
    staff: Staff,
    Of(state): Of<State>,
    Path((_, key)): Path<(String, String)>,
) -> Response {
    let shown = async { html(&Page::new(&staff, &state, &key).await?) };
    answer(&staff, Box::pin(shown).await)
}

/// The order.
pub(crate) async fn post(
    staff: Staff,
    Of(state): Of<State>,
    Path((_, key)): Path<(String, String)>,
    Posted(fields): Posted,
) -> Response {
    let done = Box::pin(change(&staff, &state, &key, &fields));
    answer(&staff, done.await)
}

#[derive(Debug, Template)]
#[template(path = "person_restriction.html")]
struct Page {
    shell: Shell,
    path: String,
    is_restricted: bool,
    history: Vec<Line>,
    reason: String,
    error: Option<String>,
}

#[derive(Debug)]
struct Line {
    set: Moment,
    set_by: String,
    reason: String,
    lifted: Option<(Moment, String, String)>,
}

impl Page {
    async fn new(staff: &Staff, state: &State, key: &str) -> Result<Self> {
        let known = Known::find(staff, state, key).await?;
        let keys = own_keys(known.person, &known.view);
        let control = state.control();
        let history = control.restrictions(staff.actor(), staff.account(), &keys);
        let history = history.await?;
        let times = clock(staff, state);
        Ok(Self {
            shell: known.frame(staff, String::from("Restriction")),
            path: known.path(staff),
            is_restricted: history.iter().any(|it| it.lifted_at.is_none()),
            history: history.iter().map(|it| line(it, &times)).collect(),
            reason: String::new(),
            error: None,
        })
    }
}

fn line(restriction: &Restriction, times: &Times) -> Line {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    Line {
        set: times.at(restriction.set_at),
        set_by: restriction.set_by.clone(),
        reason: restriction.reason.clone(),
        lifted: restriction.lifted_at.map(|at| {
            (
                times.at(at),
                text(&restriction.lifted_by),
                text(&restriction.lift_reason),
            )
        }),
    }
}

async fn change(staff: &Staff, state: &State, key: &str, fields: &Fields) -> Answer {
    let known = Known::find(staff, state, key).await?;
    let keys = own_keys(known.person, &known.view);
    let reason = fields.text("reason");
    let (control, actor, account) = (state.control(), staff.actor(), staff.account());
    let (changed, done) = match fields.text("act") {
        "restrict" => (
            control.restrict(actor, account, &keys, reason).await,
            "restricted",
        ),
        "lift" => (
            control
                .lift_restriction(actor, account, &keys, reason)
                .await,
            "lifted",
        ),
        _ => return Err(Error::Absent),
    };
    match changed.map_err(Error::from) {
        Ok(()) => see_other(&link(&known.path(staff), &[("done", done)])),
        Err(error) if matches!(error.kind(), ErrorKind::Invalid | ErrorKind::Conflict) => {
            let page = Page::new(staff, state, key).await?;
            unusable(&Page {
                error: Some(error.words()),
                reason: reason.to_owned(),
                ..page
            })
        }
        Err(error) => Err(error),
    }
}
