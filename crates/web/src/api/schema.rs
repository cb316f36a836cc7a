//! `GET /getSchema?type=events|userProperties`: the names in use.

use axum::extract::{Request, State as Of};
use axum::response::Response;
use collect::Call;
use serde_json::{Value, json};
use wire::rest::Refusal;

use super::{enter, policy, respond};
use crate::{Result, State};

pub(crate) const PATH: &str = "/getSchema";

/// By either verb.
pub(crate) async fn any(Of(state): Of<State>, request: Request) -> Response {
    match enter(&state, PATH, request).await {
        Ok(call) => respond(answer(&state, &call).await, call.facts),
        Err(response) => response,
    }
}

async fn answer(state: &State, call: &Call) -> Result<String> {
    let (engine, policy) = (state.engine(), policy(call));
    let mut wanted = call
        .query
        .split('&')
        .filter_map(|it| it.strip_prefix("type="));
    let answer = match (wanted.next(), wanted.next()) {
        (Some("events"), None) => {
            let discarded = &call.caller.rules.discarded_events;
            let names = engine.event_names(&policy).await?;
            let known = names.iter().map(|(name, stats)| (name, stats.count));
            let unseen = discarded.iter().filter(|it| !names.contains_key(*it));
            let events: Vec<Value> = known
                .chain(unseen.map(|name| (name, 0)))
                .map(|(name, count)| {
                    let is_discarded = discarded.contains(name);
                    let status = if is_discarded { "Discarded" } else { "Active" };
                    json!({"name": name, "eventCount": count, "status": status})
                })
                .collect();
            json!({"status": "success", "events": events})
        }
        (Some("userProperties"), None) => {
            let names = engine.profile_properties(&policy).await?;
            let properties: Vec<Value> = names.iter().map(|name| json!({"name": name})).collect();
            json!({"status": "success", "userProperties": properties})
        }
        _ => return Err(Refusal::Malformed.into()),
    };
    Ok(answer.to_string())
}
