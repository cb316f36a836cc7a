//! Counts of events, and of people by what they did.

use collect::Call;
use control::Action;
use model::submission::is_system_event;
use query::EventsQuery;
use std::sync::Arc;
use wire::rest::{Refusal, answers, export};

use super::{audit, cursors, own_policy};
use crate::{Result, State};

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counted {
    Events,
    People,
}

/// The count, or that the account does not know the event.
pub(super) async fn answer(state: &State, call: &Call, counted: Counted) -> Result<String> {
    no_request_id(call)?;
    let wanted = export::decode(&call.query, call.bytes())?;
    let (policy, query) = cursors::read_as(call, &wanted, None)?;
    let engine = state.engine();
    let count = match counted {
        Counted::Events => engine.count_events(&policy, &query).await?,
        Counted::People => engine.count_people(&policy, &query).await?,
    };
    if count == 0 && !is_known(state, call, &wanted.event_name).await? {
        return Err(Refusal::InvalidEvent(wanted.event_name).into());
    }
    let what = match counted {
        Counted::Events => "events",
        Counted::People => "people",
    };
    // Under conditions a number can tell of one person.
    let about = cursors::about(&wanted, format_args!("{count} {what}"));
    audit(state, call, Action::CountRead, what, &about).await?;
    Ok(answers::count(count))
}

/// Counts are answered at once: there is never a result to ask for later.
fn no_request_id(call: &Call) -> Result<()> {
    let mut pairs = call.query.split('&');
    if pairs.any(|pair| pair.starts_with("req_id=")) {
        return Err(Refusal::InvalidRequestId.into());
    }
    Ok(())
}

/// Whether the account knows an event of this name: it is the system's, the account has said something of
/// it, or ever had one, deleted people's included.
pub(super) async fn is_known(state: &State, call: &Call, name: &str) -> Result<bool> {
    let rules = &call.caller.rules;
    let is_said =
        rules.dictionary.events.contains_key(name) || rules.discarded_events.contains(name);
    if is_said || is_system_event(name) {
        return Ok(true);
    }
    // Who is hidden from the caller has taught the account the name all the same.
    let mut policy = own_policy(call);
    policy.suppressed = Arc::default();
    let query = EventsQuery {
        event: Some(name.to_owned()),
        ..EventsQuery::default()
    };
    Ok(state.engine().count_events(&policy, &query).await? > 0)
}
