//! The REST API: one file a URL, and what they share.

pub(crate) mod campaigns;
pub(crate) mod connect;
pub(crate) mod count_events;
pub(crate) mod count_profiles;
pub(crate) mod delete_profiles;
pub(crate) mod demerge;
pub(crate) mod disassociate;
pub(crate) mod events;
pub(crate) mod now;
pub(crate) mod profile;
pub(crate) mod profiles;
pub(crate) mod schema;
pub(crate) mod subscribe;
pub(crate) mod top;
pub(crate) mod trends;

mod asked;
mod counts;
mod cursors;
mod people;
mod strangers;

pub(crate) use asked::Asked;
pub(crate) use strangers::{Strangers, note_refusals};

use axum::extract::Request;
use axum::response::Response;
use collect::{Call, Ceiling, Facts, Line, reply};
use control::{Action, Actor, AuditOutcome};
use governance::{Scope, Stretch};
use http::StatusCode;
use model::record::{Change, ChangeOp, Entry, ProfileChange, Quarantined, Record, Source};
use model::submission::Rejection;
use model::{PersonKey, PersonMap, RawJson, RecordId, Timestamp};
use query::{PersonView, ReadPolicy};
use serde::de::IgnoredAny;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use wire::rest::Refusal;

use crate::{Error, Result, State, reading};

/// Lets a call in that reads. Whatever it is answered, its line is in the log first.
async fn enter(
    state: &State,
    path: &'static str,
    request: Request,
) -> std::result::Result<Call, Response> {
    enter_for(state, path, Scope::Read, request).await
}

/// Lets a call in whose passcode is good for `scope`. Whatever it is answered, its line is in the log
/// first.
async fn enter_for(
    state: &State,
    path: &'static str,
    scope: Scope,
    request: Request,
) -> std::result::Result<Call, Response> {
    enter_within(state, Ceiling::Calls(path, scope), request).await
}

/// Lets a call in that asks for nothing but to be let in: with any passcode.
async fn enter_with_any(
    state: &State,
    path: &'static str,
    request: Request,
) -> std::result::Result<Call, Response> {
    enter_within(state, Ceiling::Acts(path), request).await
}

async fn enter_within(
    state: &State,
    ceiling: Ceiling,
    request: Request,
) -> std::result::Result<Call, Response> {
    let mut call = collect::enter(state.collect(), ceiling, request).await?;
    call.facts.line = Line::Awaited;
    Ok(call)
}

/// The response: the answer, or why there is none.
fn respond(answer: Result<String>, facts: Facts) -> Response {
    match answer {
        Ok(body) => reply::ok(body, facts),
        Err(error) => error.respond(facts),
    }
}

/// Refuses a body that nothing is read of, unless it is a JSON object or nothing.
fn check_form(call: &Call) -> Result<()> {
    let body = call.bytes();
    let text = wire::without_byte_order_mark(body);
    let is_object = || serde_json::from_slice::<BTreeMap<String, IgnoredAny>>(text).is_ok();
    if body.is_empty() || is_object() {
        return Ok(());
    }
    Err(Refusal::Malformed.into())
}

/// What a caller may see.
fn policy(call: &Call) -> ReadPolicy {
    reading::policy(&actor(call), &call.caller.rules)
}

/// As [`policy`], for what a call looks up and does not give out: whose address it is that a caller
/// names.
fn own_policy(call: &Call) -> ReadPolicy {
    let rules = &call.caller.rules;
    ReadPolicy::new(rules.id, Arc::clone(&rules.suppressed))
}

/// The caller, as the control database knows it.
fn actor(call: &Call) -> Actor {
    let caller = &call.caller;
    let scopes = caller.terms.scopes.clone();
    let actor = Actor::program(caller.account(), &caller.passcode_name, scopes);
    match call.head.peer_address() {
        Some(address) => actor.with_peer(address),
        None => actor,
    }
}

/// Writes down that people's data is about to be given out. No entry, no data.
async fn audit(
    state: &State,
    call: &Call,
    action: Action,
    object: &str,
    description: &str,
) -> Result<()> {
    let outcome = AuditOutcome::Done;
    note(state, call, action, object, description, outcome).await
}

async fn note(
    state: &State,
    call: &Call,
    action: Action,
    object: &str,
    description: &str,
    outcome: AuditOutcome,
) -> Result<()> {
    let account = call.caller.account();
    state
        .control()
        .audit(&actor(call), account, action, object, description, outcome)
        .await?;
    Ok(())
}

/// Changes what is known of people: written down first, then made durable with the request's line, then
/// written down how it ended.
async fn change(
    state: &State,
    call: &Call,
    action: Action,
    description: &str,
    records: Vec<Record>,
    facts: &Facts,
) -> Result<()> {
    note(
        state,
        call,
        action,
        "people",
        description,
        AuditOutcome::Begun,
    )
    .await?;
    let account = call.caller.account();
    let entries = records
        .into_iter()
        .map(|record| Entry { account, record })
        .collect();
    let kept = collect::commit(state.collect(), &call.head, StatusCode::OK, facts, entries).await;
    let outcome = match &kept {
        Ok(()) => AuditOutcome::Done,
        Err(_) => AuditOutcome::Failed,
    };
    // What is kept stays, whether its end can be written down or not.
    if let Err(error) = note(state, call, action, "people", description, outcome).await {
        let error = &error as &dyn std::error::Error;
        tracing::error!(
            error,
            "the end of a change was not written to the audit log"
        );
    }
    kept.map_err(Error::Commit)
}

/// What is kept for review of records that were refused. An address is nobody's before it is looked up.
fn quarantined(state: &State, rejected: &[Rejection]) -> Vec<Record> {
    let (now, ids) = (state.clock().now(), state.collect().record_ids().batch());
    let kept = |(number, rejection): (u32, &Rejection)| Quarantined {
        id: ids(number),
        received_at: now,
        source: Source::Rest,
        person: None,
        code: rejection.reason.code(),
        error: Box::from(rejection.reason.as_str()),
        body: rejection.record.as_str().as_bytes().to_vec(),
    };
    let kept = (0..).zip(rejected).map(kept);
    kept.map(|it| Record::Quarantined(Box::new(it))).collect()
}

/// Under which key and when a change of a person is written: now, behind what was `written` of the same
/// property by a clock that is ahead, or the last moment that the key was theirs. A device that is
/// somebody else's by now would carry it to that one.
fn place(
    view: &PersonView,
    written: &PersonMap<Timestamp>,
    now: Timestamp,
) -> Option<(PersonKey, Timestamp)> {
    let key = view.key?;
    let stretches: Vec<Stretch> = view.stretches(key).collect();
    let is_theirs = |at| stretches.is_empty() || stretches.iter().any(|it| it.contains(at));
    let behind = written
        .get(&key)
        .map(|it| it.plus(Duration::from_millis(1)));
    let behind = behind.filter(|it| *it > now);
    if let Some(at) = behind.into_iter().chain([now]).find(|it| is_theirs(*it)) {
        return Some((key, at));
    }
    let ends = stretches.iter().filter_map(|it| it.to);
    let last = ends.max()?.minus(Duration::from_millis(1));
    Some((key, last))
}

/// A change of one property of one person, made by this call.
fn profile_change(
    id: RecordId,
    (person, ts): (PersonKey, Timestamp),
    now: Timestamp,
    property: &str,
    op: ChangeOp,
    value: &str,
) -> Record {
    let change = Change {
        property: Box::from(property),
        op,
        value: RawJson::from_checked(value),
    };
    Record::ProfileChange(ProfileChange {
        id,
        person,
        ts,
        received_at: now,
        source: Source::Rest,
        changes: vec![change],
    })
}
