//! `/v2/people/{key}/restrictions`: the processing of a person is restricted, and that is lifted again.

use axum::extract::State as Of;
use control::Restriction;
use governance::Stretch;
use model::PersonKey;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::answer::{Answer, Page, json};
use super::ask::Sent;
use super::known::Known;
use super::program::Program;
use super::values::Moment;
use crate::State;
use crate::error::problem::created;
use crate::operate::people::own_keys;

/// Why a restriction is set or lifted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RestrictionReason {
    /// For the record.
    #[schema(min_length = 1, max_length = 200)]
    reason: String,
}

/// A restriction of a person's processing.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PersonRestriction {
    /// Since when.
    set_at: Moment,
    /// Who set it.
    set_by: String,
    /// Why.
    reason: String,
    /// Since when it holds no more; null while it is in force.
    lifted_at: Option<Moment>,
    /// Who lifted it.
    lifted_by: Option<String>,
    /// Why.
    lift_reason: Option<String>,
}

/// Lists the restrictions of a person's processing
///
/// The newest first; those that were lifted are the history.
#[utoipa::path(
    get,
    path = "/v2/people/{key}/restrictions",
    operation_id = "listRestrictions",
    tag = "People",
    params(("key" = String, Path, description = "The person's key.", pattern = "^[0-9a-f]{32}$")),
    responses((status = 200, description = "Every restriction.", body = Page<PersonRestriction>))
)]
pub(crate) async fn list(program: Program, Of(state): Of<State>, known: Known) -> Answer {
    shown(&program, &state, &keys(&known)).await
}

/// Restricts the processing of a person
///
/// What is held is kept, and is in no query, count, list or export until that is lifted.
#[utoipa::path(
    post,
    path = "/v2/people/{key}/restrictions",
    operation_id = "restrictPerson",
    tag = "People",
    params(("key" = String, Path, description = "The person's key.", pattern = "^[0-9a-f]{32}$")),
    request_body = RestrictionReason,
    responses((status = 201, description = "Every restriction, the newest first.", body = Page<PersonRestriction>))
)]
pub(crate) async fn set(
    program: Program,
    Of(state): Of<State>,
    Sent(sent): Sent<RestrictionReason>,
    known: Known,
) -> Answer {
    let keys = keys(&known);
    let (control, actor, account) = (state.control(), program.actor(), program.account());
    control
        .restrict(actor, account, &keys, &sent.reason)
        .await?;
    shown(&program, &state, &keys).await.map(created)
}

/// Lifts the restriction of a person's processing
#[utoipa::path(
    post,
    path = "/v2/people/{key}/restrictions/lift",
    operation_id = "liftRestriction",
    tag = "People",
    params(("key" = String, Path, description = "The person's key.", pattern = "^[0-9a-f]{32}$")),
    request_body = RestrictionReason,
    responses((status = 200, description = "Every restriction, the newest first.", body = Page<PersonRestriction>))
)]
pub(crate) async fn lift(
    program: Program,
    Of(state): Of<State>,
    Sent(sent): Sent<RestrictionReason>,
    known: Known,
) -> Answer {
    let keys = keys(&known);
    let (control, actor, account) = (state.control(), program.actor(), program.account());
    let lifted = control.lift_restriction(actor, account, &keys, &sent.reason);
    lifted.await?;
    shown(&program, &state, &keys).await
}

/// All keys that name the person.
fn keys(known: &Known) -> Vec<(PersonKey, Stretch)> {
    own_keys(known.person, &known.view)
}

async fn shown(program: &Program, state: &State, keys: &[(PersonKey, Stretch)]) -> Answer {
    let control = state.control();
    let all = control.restrictions(program.actor(), program.account(), keys);
    let items = all.await?.into_iter().map(restriction).collect();
    json(&Page::whole(items))
}

fn restriction(it: Restriction) -> PersonRestriction {
    PersonRestriction {
        set_at: Moment(it.set_at),
        set_by: it.set_by,
        reason: it.reason,
        lifted_at: it.lifted_at.map(Moment),
        lifted_by: it.lifted_by,
        lift_reason: it.lift_reason,
    }
}
