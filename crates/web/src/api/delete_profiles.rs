//! `POST /1/delete/profiles.json`: the deletion of people.
//!
//! The ledger has every key that the links show to be the person before this is answered; from
//! that moment on nobody reads them and nothing more is kept of them. A job does the rest.

use axum::extract::{Request, State as Of};
use axum::response::Response;
use collect::Call;
use control::LedgerKey;
use governance::Scope;
use model::PersonKey;
use wire::rest::{answers, delete};

use super::{actor, enter_for, own_policy, respond};
use crate::{Result, State};

pub(crate) const PATH: &str = "/1/delete/profiles.json";

/// Identities or object ids, not both.
pub(crate) async fn post(Of(state): Of<State>, request: Request) -> Response {
    match enter_for(&state, PATH, Scope::Delete, request).await {
        Ok(call) => respond(answer(&state, &call).await, call.facts),
        Err(response) => response,
    }
}

async fn answer(state: &State, call: &Call) -> Result<String> {
    let named = delete::decode(call.bytes())?;
    let rules = &call.caller.rules;
    let named: Vec<PersonKey> = named
        .iter()
        .map(|(kind, name)| rules.person_key(*kind, name))
        .collect();
    let found = state
        .engine()
        .person_keys(&own_policy(call), &named)
        .await?;
    let mut keys: Vec<LedgerKey> = found
        .keys
        .into_iter()
        .map(|(person, stretch)| LedgerKey {
            person,
            from: stretch.from,
            to: stretch.to,
        })
        .collect();
    // Who is not known yet is deleted too: what names them may be on its way.
    let unknown = named
        .iter()
        .filter(|name| !keys.iter().any(|key| key.person == **name));
    let unknown: Vec<_> = unknown
        .map(|person| LedgerKey {
            person: *person,
            from: None,
            to: None,
        })
        .collect();
    keys.extend(unknown);
    let reason = "asked for by the API";
    state
        .control()
        .request_deletion(&actor(call), rules.id, keys, reason)
        .await?;
    Ok(answers::success())
}
