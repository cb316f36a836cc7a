//! `POST /1/disassociate`: takes telephone numbers from everybody who has them.

use axum::extract::{Request, State as Of};
use axum::response::Response;
use collect::{Call, Facts};
use control::Action;
use governance::Scope;
use model::record::{ChangeOp, Record};
use std::collections::BTreeSet;
use wire::rest::{subscription, upload};

use super::{change, enter_for, own_policy, place, profile_change, quarantined, respond};
use crate::{Result, State};

pub(crate) const PATH: &str = "/1/disassociate";
/// As clients in Java write it.
pub(crate) const OLD_PATH: &str = "/1/disassociate/";

/// Numbers, each decided alone.
pub(crate) async fn post(Of(state): Of<State>, request: Request) -> Response {
    match enter_for(&state, PATH, Scope::Upload, request).await {
        Ok(mut call) => {
            let answer = answer(&state, &mut call).await;
            respond(answer, call.facts)
        }
        Err(response) => response,
    }
}

async fn answer(state: &State, call: &mut Call) -> Result<String> {
    let (numbers, rejected) = subscription::decode_disassociate(call.bytes())?;
    let accepted = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
    call.facts = Facts {
        accepted,
        rejected: u32::try_from(rejected.len()).unwrap_or(u32::MAX),
        ..call.facts
    };
    let numbers: BTreeSet<String> = numbers.into_iter().collect();
    let (people, written) = state
        .engine()
        .people_to_change(&own_policy(call), "Phone", &numbers, "Phone")
        .await?;
    let (now, ids) = (state.clock().now(), state.collect().record_ids().batch());
    let places = people
        .iter()
        .filter_map(|(_, view)| place(view, &written, now));
    let mut changes: Vec<Record> = (0_u32..)
        .zip(places)
        .map(|(n, place)| profile_change(ids(n), place, now, "Phone", ChangeOp::Delete, "1"))
        .collect();
    let about = format!("{accepted} numbers of {} people", changes.len());
    changes.extend(quarantined(state, &rejected));
    let facts = call.facts;
    change(state, call, Action::PhonesRemoved, &about, changes, &facts).await?;
    Ok(upload::answer(accepted, &rejected))
}
