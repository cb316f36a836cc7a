//! `POST /1/upload`: bytes, records, entries, a durable commit, and only then the answer.
//!
//! Whatever was rejected and the request's own line ride in the same commit as the records. With
//! `dryRun=1` nothing but the line is kept. No record is lost for being beside a bad one. An upload
//! with an `Idempotency-Key` is stored once, however often it is sent.

use axum::extract::{FromRef, Request, State as Of};
use axum::response::Response;
use axum::routing::{MethodRouter, post};
use bytes::Bytes;
use governance::{AccountRules, Admitted, Arrival};
use http::StatusCode;
use model::record::{Entry, Quarantined, Record, Source};
use model::submission::Batch;
use model::{ErrorKind, Timestamp};
use std::collections::HashMap;
use wire::rest::upload;

use crate::idempotency::{Answered, Begun, Claim, UploadKey};
use crate::sdk::derive_for_upload;
use crate::stored::identify;
use crate::{Call, Ceiling, Facts, Head, Refusal, State, enter, reply};

/// Bytes of an undecodable body that are kept.
pub(crate) const UNDECODABLE_BYTES_KEPT_MAX: usize = 256 * 1024;

/// What `/1/upload` takes. The router that mounts it says what happens to other methods.
pub fn upload_route<S>() -> MethodRouter<S>
where
    State: FromRef<S>,
    S: Clone + Send + Sync + 'static,
{
    post(answer)
}

async fn answer(Of(state): Of<State>, request: Request) -> Response {
    let key = UploadKey::text(request.headers());
    let call = match enter(&state, Ceiling::Uploads, request).await {
        Ok(call) => call,
        Err(response) => return response,
    };
    let now = state.clock().now();
    let key = if upload::is_dry_run(&call.query) {
        Ok(None)
    } else {
        key
    };
    let text = match key {
        Ok(Some(text)) => text,
        Ok(None) => return take(&state, &call, now, None).await,
        Err(refusal) => return refusal.respond(call.facts),
    };
    let rules = &call.caller.rules;
    let key = UploadKey::of(
        rules.id,
        &rules.person_key_secret,
        &text,
        &call.query,
        call.bytes(),
    );
    match state.answers().begin(key, now).await {
        Begun::New(claim) => take(&state, &call, now, Some((text.as_str(), claim))).await,
        Begun::Before(answered, at) => repeat(&state, &call, answered, at).await,
        Begun::OtherBody => Refusal::KeyReused.respond(call.facts),
    }
}

/// Answers an upload as when it came at `received_at`. Nothing is kept of it now but the line.
async fn repeat(state: &State, call: &Call, before: Answered, received_at: Timestamp) -> Response {
    let facts = Facts {
        accepted: before.accepted,
        rejected: before.rejected,
        reason: "repeated",
        ..call.facts
    };
    let again = || answer_again(state, call, received_at);
    let body = before.body.map_or_else(again, Ok);
    let committed = commit(state, &call.head, StatusCode::OK, &facts, Vec::new()).await;
    match committed.and(body) {
        Ok(body) => reply::ok(body, facts),
        Err(refusal) => refusal.respond(call.facts),
    }
}

/// What the account's rules make of an upload that came at `received_at`: its answer.
fn answer_again(state: &State, call: &Call, received_at: Timestamp) -> Result<Bytes, Refusal> {
    let batch = upload::decode(call.bytes()).map_err(|_| Refusal::Malformed)?;
    let admitted = admit(state, call, batch, received_at);
    let answer = upload::answer(admitted.processed(), admitted.rejections());
    Ok(Bytes::from(answer))
}

/// Takes an upload that is new, as far as anybody knows; `claimed` is its key and the claim to that.
async fn take(
    state: &State,
    call: &Call,
    received_at: Timestamp,
    claimed: Option<(&str, Claim<'_>)>,
) -> Response {
    let (key, mut claim) = claimed.unzip();
    let Ok(batch) = upload::decode(call.bytes()) else {
        let sent = Sent {
            rules: &call.caller.rules,
            head: &call.head,
            facts: call.facts,
            query: &call.query,
            key,
        };
        let refusal = Refusal::Malformed;
        return undecodable(state, &sent, received_at, call.bytes(), refusal).await;
    };
    let mut admitted = admit(state, call, batch, received_at);
    let (accepted, suppressed) = (admitted.processed(), admitted.suppressed());
    let rejected = u32::try_from(admitted.rejections().len()).unwrap_or(u32::MAX);
    let facts = Facts {
        accepted,
        rejected,
        ..call.facts
    };
    let body = Bytes::from(upload::answer(accepted, admitted.rejections()));

    let is_dry_run = upload::is_dry_run(&call.query);
    let mut entries = if is_dry_run {
        Vec::new()
    } else {
        admitted.take_entries()
    };
    if let Some(claim) = &mut claim {
        let (rules, sent) = (&call.caller.rules, admitted.as_sent());
        let identified = identify(state, rules, claim, sent, &mut entries, received_at).await;
        if let Err(refusal) = identified {
            return refusal.respond(call.facts);
        }
    }
    if let Err(refusal) = commit(state, &call.head, StatusCode::OK, &facts, entries).await {
        return refusal.respond(call.facts);
    }
    if !is_dry_run {
        state.announced().remember(admitted.take_announcements());
        state.report_reached(call.caller.account(), admitted.reached());
        let from = (Source::Rest, received_at);
        state.report_left_out(call.caller.account(), from, admitted.left_out());
        count("accepted", accepted.saturating_sub(suppressed));
        count("rejected", rejected);
        count("suppressed", suppressed);
    }
    if let Some(claim) = claim {
        claim.durable(received_at, Answered::new(accepted, rejected, &body));
    }
    reply::ok(body, facts)
}

/// What the account's rules make of the records.
fn admit(state: &State, call: &Call, batch: Batch<'_>, received_at: Timestamp) -> Admitted {
    let ids = state.record_ids().batch();
    let arrival = Arrival {
        source: Source::Rest,
        received_at,
        ids: &ids,
    };
    governance::admit(&call.caller.rules, batch, &arrival, state.announced())
}

/// What was sent by a known account.
#[derive(Debug)]
pub(crate) struct Sent<'a> {
    /// The rules of whose it is.
    pub(crate) rules: &'a AccountRules,
    /// What the head said.
    pub(crate) head: &'a Head,
    /// What is known for the log.
    pub(crate) facts: Facts,
    /// The query string.
    pub(crate) query: &'a str,
    /// The `Idempotency-Key`, where there is a sound one.
    pub(crate) key: Option<&'a str>,
}

/// A body of a known account that is no upload: kept for review unless it is a dry run, and refused.
pub(crate) async fn undecodable(
    state: &State,
    sent: &Sent<'_>,
    received_at: Timestamp,
    bytes: &Bytes,
    refusal: Refusal,
) -> Response {
    let kept = bytes.get(..UNDECODABLE_BYTES_KEPT_MAX).unwrap_or(bytes);
    let what = match refusal {
        Refusal::NotDecrypted => "the body is not encrypted to a key of the account",
        _ => "the body is not an upload",
    };
    let error = if kept.len() < bytes.len() {
        format!("{what}; the first {} of {} bytes", kept.len(), bytes.len())
    } else {
        String::from(what)
    };
    let quarantined = Quarantined {
        id: state.record_ids().batch()(0),
        received_at,
        source: Source::Rest,
        person: None,
        code: 0,
        error: error.into_boxed_str(),
        body: kept.to_vec(),
    };
    let mut entries = vec![Entry {
        account: sent.rules.id,
        record: Record::Quarantined(Box::new(quarantined)),
    }];
    if upload::is_dry_run(sent.query) {
        entries.clear();
    } else if let Some(key) = sent.key {
        let secret = &sent.rules.person_key_secret;
        let upload = UploadKey::of(sent.rules.id, secret, key, sent.query, bytes);
        let salt = state.answers().salt(&upload, received_at);
        derive_for_upload(secret, &salt, &HashMap::new(), &mut entries);
    }
    let facts = Facts {
        reason: refusal.reason(),
        ..sent.facts
    };
    let status = refusal.status().unwrap_or(StatusCode::BAD_REQUEST);
    match commit(state, sent.head, status, &facts, entries).await {
        Ok(()) => refusal.respond(facts),
        Err(refusal) => refusal.respond(sent.facts),
    }
}

/// Makes the entries and the request's line durable, in one commit.
///
/// # Errors
/// What is to be said when it was not possible: too large, or the outcome is unknown.
pub async fn commit(
    state: &State,
    head: &Head,
    status: StatusCode,
    facts: &Facts,
    entries: Vec<Entry>,
) -> Result<(), Refusal> {
    let line = head.line(state, Some(status), facts);
    let appended = head.append_line(state, entries, line).await;
    appended.map_err(|error| {
        tracing::warn!(
            account.id = facts.account.map(tracing::field::display),
            error = &error as &dyn std::error::Error,
            "failed to commit an upload"
        );
        match error.kind() {
            ErrorKind::Invalid => Refusal::TooLarge,
            ErrorKind::Internal => Refusal::Internal,
            ErrorKind::Denied
            | ErrorKind::NotFound
            | ErrorKind::Conflict
            | ErrorKind::Unavailable
            | ErrorKind::Corrupt => Refusal::Unavailable,
        }
    })
}

pub(crate) fn count(result: &'static str, records: u32) {
    if records > 0 {
        let records = u64::from(records);
        metrics::counter!("strongroom_records_total", "result" => result).increment(records);
    }
}
