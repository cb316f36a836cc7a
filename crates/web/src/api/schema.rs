//! `GET /getSchema?type=events|userProperties`: the names in use.

use axum::extract::{Request, State as Of};
use axum::response::Response;
use collect::Call;
use control::NameView;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use wire::rest::Refusal;

use super::{actor, enter, policy, respond};
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
            let learned = names_in_use(state, call).await?;
            let events: Vec<Value> = known
                .chain(unseen.map(|name| (name, 0)))
                .map(|(name, count)| {
                    let is_discarded = discarded.contains(name);
                    let status = if is_discarded { "Discarded" } else { "Active" };
                    let properties = learned
                        .iter()
                        .filter(|it| it.event.as_deref() == Some(name));
                    let properties: Vec<Value> = properties.filter_map(property).collect();
                    json!({
                        "name": name,
                        "eventCount": count,
                        "status": status,
                        "properties": properties,
                    })
                })
                .collect();
            json!({"status": "success", "events": events})
        }
        (Some("userProperties"), None) => {
            let names = engine.profile_properties(&policy).await?;
            let learned = names_in_use(state, call).await?;
            let known: BTreeMap<&str, Value> = learned
                .iter()
                .filter(|it| it.event.is_none())
                .filter_map(|it| Some((it.property.as_deref()?, property(it)?)))
                .collect();
            let shown = |name: &str| known.get(name).cloned();
            let properties: Vec<Value> = names
                .iter()
                .map(|name| shown(name).unwrap_or_else(|| json!({"name": name})))
                .collect();
            json!({"status": "success", "userProperties": properties})
        }
        _ => return Err(Refusal::Malformed.into()),
    };
    Ok(answer.to_string())
}

/// The names that were counted until the last flush.
async fn names_in_use(state: &State, call: &Call) -> Result<Vec<NameView>> {
    let account = call.caller.account();
    let names = state
        .control()
        .names_in_use(&actor(call), account, &[])
        .await;
    Ok(names?)
}

/// A property, by its name; none for an event.
fn property(it: &NameView) -> Option<Value> {
    let name = it.property.as_deref()?;
    Some(json!({"name": name, "type": it.kind.unwrap_or("null"), "count": it.count}))
}
