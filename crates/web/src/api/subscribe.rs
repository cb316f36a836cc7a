//! `POST /1/subscribe`: everybody who has an address or a number is to be reached there, or not.

use axum::extract::{Request, State as Of};
use axum::response::Response;
use collect::{Call, Facts};
use control::Action;
use governance::Scope;
use model::record::{ChangeOp, Record};
use std::collections::{BTreeMap, BTreeSet};
use wire::rest::subscription::{self, Channel, Subscription};
use wire::rest::upload;

use super::{change, enter_for, own_policy, place, profile_change, quarantined, respond};
use crate::{Result, State};

pub(crate) const PATH: &str = "/1/subscribe";
/// As clients in Java write it.
pub(crate) const OLD_PATH: &str = "/1/subscribe/";

/// Wishes, each decided alone.
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
    let (wishes, rejected) = subscription::decode_subscribe(call.bytes())?;
    let accepted = u32::try_from(wishes.len()).unwrap_or(u32::MAX);
    call.facts = Facts {
        accepted,
        rejected: u32::try_from(rejected.len()).unwrap_or(u32::MAX),
        ..call.facts
    };
    let answer = upload::answer(accepted, &rejected);
    let mut changes = changes(state, call, wishes).await?;
    let about = format!(
        "{accepted} addresses or numbers of {} people",
        changes.len()
    );
    changes.extend(quarantined(state, &rejected));
    let facts = call.facts;
    change(
        state,
        call,
        Action::PeopleSubscribed,
        &about,
        changes,
        &facts,
    )
    .await?;
    Ok(answer)
}

/// What is to be kept. Of several wishes about one value the last one counts.
async fn changes(state: &State, call: &Call, wishes: Vec<Subscription>) -> Result<Vec<Record>> {
    let mut by_channel: BTreeMap<Channel, BTreeMap<String, bool>> = BTreeMap::new();
    for wish in wishes {
        let values = by_channel.entry(wish.channel).or_default();
        values.insert(wish.value.to_lowercase(), wish.subscribed);
    }
    let (now, ids) = (state.clock().now(), state.collect().record_ids().batch());
    let mut records: Vec<Record> = Vec::new();
    for (channel, wishes) in by_channel {
        let property = if channel == Channel::Email {
            "Email"
        } else {
            "Phone"
        };
        let values: BTreeSet<String> = wishes.keys().cloned().collect();
        let flag = match channel {
            Channel::Phone => "MSG-dndPhone",
            Channel::Email => "MSG-dndEmail",
            Channel::Whatsapp => "MSG-whatsapp",
        };
        let (people, written) = state
            .engine()
            .people_to_change(&own_policy(call), property, &values, flag)
            .await?;
        for (value, view) in people {
            let place = place(&view, &written, now);
            let (Some(place), Some(subscribed)) = (place, wishes.get(&value)) else {
                continue;
            };
            let id = ids(u32::try_from(records.len()).unwrap_or(u32::MAX));
            let on = match channel {
                Channel::Phone | Channel::Email => !subscribed,
                Channel::Whatsapp => *subscribed,
            };
            let on = if on { "true" } else { "false" };
            records.push(profile_change(id, place, now, flag, ChangeOp::Put, on));
        }
    }
    Ok(records)
}
