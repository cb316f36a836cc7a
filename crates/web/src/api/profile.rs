//! `GET /1/profile.json`: one person.

use axum::extract::{Request, State as Of};
use axum::response::Response;
use collect::Call;
use control::Action;
use model::IdentityKind;
use query::Lookup;
use wire::rest::answers;
use wire::rest::export::With;
use wire::rest::lookup::{self, Lookup as Named};

use super::{audit, enter, people, policy, respond};
use crate::{Result, State};

pub(crate) const PATH: &str = "/1/profile.json";

/// By identity, email or object id.
pub(crate) async fn get(Of(state): Of<State>, request: Request) -> Response {
    match enter(&state, PATH, request).await {
        Ok(call) => respond(answer(&state, &call).await, call.facts),
        Err(response) => response,
    }
}

async fn answer(state: &State, call: &Call) -> Result<String> {
    let rules = &call.caller.rules;
    let by = |kind, name: &str| Lookup::Key(rules.person_key(kind, name));
    let (mut person, mut how) = (None, "");
    for named in lookup::decode(&call.query)? {
        let lookup = match named {
            Named::Identity(name) => {
                how = "identity";
                by(IdentityKind::Identity, &name)
            }
            Named::ObjectId(name) => {
                how = "object id";
                by(IdentityKind::ObjectId, &name)
            }
            Named::Email(address) => {
                how = "email";
                Lookup::Email(address)
            }
        };
        person = state.engine().profile(&policy(call), &lookup).await?;
        if person.is_some() {
            break;
        }
    }
    let Some(person) = person else {
        audit(
            state,
            call,
            Action::PersonShown,
            "",
            &format!("by {how}; nobody"),
        )
        .await?;
        return Ok(answers::profile(None));
    };
    let object = person.key.map(|key| key.to_string()).unwrap_or_default();
    audit(
        state,
        call,
        Action::PersonShown,
        &object,
        &format!("by {how}"),
    )
    .await?;
    let with = With {
        app: true,
        events: true,
        profile: true,
    };
    Ok(answers::profile(Some(&people::person(&person, with))))
}
