//! Letting a request of the api plane in, or not.
//!
//! In this order: credentials, encryption, the ceiling of calls in progress, the body. What comes without
//! credentials is answered only if it could have been a call: a known URL, a method that it takes,
//! and a body that is JSON.

use axum::body::Body;
use axum::extract::{Request, State as Of};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use governance::Scope;
use http::request::Parts;
use model::limit;
use serde::de::IgnoredAny;

use crate::body::{self, NotTaken, Received};
use crate::credentials::Stranger;
use crate::encryption::{self, Form};
use crate::idempotency::UploadKey;
use crate::upload::{Sent, undecodable};
use crate::{Caller, Facts, Head, Refusal, State, Voice};

/// Bytes of a stranger's body that are looked at.
const STRANGER_BODY_BYTES_MAX: usize = 64 * 1024;

/// Which of an account's ceilings a call counts against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ceiling {
    /// The one of uploads.
    Uploads,
    /// The one of other calls; each path, given as its pattern, has its own count. The passcode must
    /// be good for the scope.
    Calls(&'static str, Scope),
    /// The same, with any passcode: whether it is good for the act is asked of the one place that decides
    /// on acts, or nothing is done.
    Acts(&'static str),
}

impl Ceiling {
    /// What a passcode must be good for.
    const fn scope(self) -> Option<Scope> {
        match self {
            Self::Uploads => Some(Scope::Upload),
            Self::Calls(_, scope) => Some(scope),
            Self::Acts(_) => None,
        }
    }
}

/// A request that was let in: who calls, and what was sent.
#[derive(Debug)]
pub struct Call {
    /// Who calls.
    pub caller: Caller,
    /// What the head said.
    pub head: Head,
    /// The query string, as it came; empty when there is none.
    pub query: String,
    /// The body.
    pub body: Received,
    /// What is known for the log so far: account and size.
    pub facts: Facts,
}

impl Call {
    /// The body's bytes.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.body.bytes
    }
}

/// Lets a request in.
///
/// # Errors
/// The response that says why not.
pub async fn enter(state: &State, ceiling: Ceiling, request: Request) -> Result<Call, Response> {
    let (parts, mut body) = request.into_parts();
    let caller = match Caller::of(state, &parts.headers, parts.extensions.get()) {
        Ok(caller) => caller,
        Err(stranger) => return Err(turn_away(state, stranger, &parts, body).await),
    };
    if let Some(voice) = parts.extensions.get::<Voice>() {
        voice.allow();
    }
    let facts = Facts {
        account: Some(caller.account()),
        ..Facts::default()
    };
    let Some(head) = parts.extensions.get::<Head>().cloned() else {
        // The log layer stands before every route.
        return Err(Refusal::Internal.respond(facts));
    };
    let form = encryption::agree(&caller.rules.api_encryption, &parts.headers, &body, &head);
    let form = form.map_err(|refusal| refusal.respond(facts))?;
    let scope = ceiling.scope();
    if scope.is_some_and(|it| !caller.terms.scopes.hold(it)) {
        let mut refused = Refusal::OutOfScope.respond(facts);
        // Who it was, for the audit log.
        refused.extensions_mut().insert(caller);
        return Err(refused);
    }
    let limits = caller.rules.limits;
    let (path, most) = match ceiling {
        Ceiling::Uploads => ("/1/upload", limits.uploads),
        Ceiling::Calls(path, _) | Ceiling::Acts(path) => (path, limits.calls),
    };
    let Some(permit) = state.ceilings().enter(caller.account(), path, most) else {
        return Err(Refusal::TooManyCalls.respond(facts));
    };
    head.hold(permit);
    let query = parts.uri.query().unwrap_or_default();
    let key = UploadKey::text(&parts.headers).ok().flatten();
    let sent = |facts| Sent {
        rules: &caller.rules,
        head: &head,
        facts,
        query,
        key: key.as_deref(),
    };
    let charge = state.api_bodies().for_account(caller.account());
    let bytes_max = limit::BODY_BYTES_MAX;
    let read = body::read(&parts.headers, &mut body, bytes_max, charge).await;
    let body = match read {
        Ok(body) => body,
        Err(not_taken) => {
            let facts = Facts {
                size_bytes: not_taken.size_bytes,
                ..facts
            };
            return Err(not_read(state, ceiling, &sent(facts), not_taken).await);
        }
    };
    let facts = Facts {
        size_bytes: body.size_bytes,
        ..facts
    };
    let body = match form {
        Form::Plain => body,
        Form::Encrypted => {
            let keys = &caller.rules.api_encryption;
            encryption::decrypt(state, keys, body, ceiling, &sent(facts)).await?
        }
    };
    let query = query.to_owned();
    Ok(Call {
        caller,
        head,
        query,
        body,
        facts,
    })
}

/// Refuses a body that was not taken. An upload that does not unpack is kept for review.
async fn not_read(
    state: &State,
    ceiling: Ceiling,
    sent: &Sent<'_>,
    NotTaken { refusal, kept, .. }: NotTaken,
) -> Response {
    if refusal != Refusal::Malformed || ceiling != Ceiling::Uploads {
        return refusal.respond(sent.facts);
    }
    undecodable(state, sent, state.clock().now(), &kept, refusal).await
}

/// A URL that is not one of ours: said to callers who are known, dropped otherwise.
pub async fn unknown_url(Of(state): Of<State>, request: Request) -> Response {
    match known(&state, &request) {
        Some(facts) => Refusal::NotFound.respond(facts),
        None => Refusal::UnknownUrl.into_response(),
    }
}

/// A method that the URL does not take: said to callers who are known, dropped otherwise.
pub async fn wrong_method(Of(state): Of<State>, request: Request) -> Response {
    match known(&state, &request) {
        Some(facts) => Refusal::WrongMethod.respond(facts),
        None => Refusal::UnknownMethod.into_response(),
    }
}

fn known(state: &State, request: &Request) -> Option<Facts> {
    let caller = Caller::of(state, request.headers(), request.extensions().get()).ok()?;
    Some(Facts {
        account: Some(caller.account()),
        ..Facts::default()
    })
}

/// Answers a stranger whose request could have been a call; drops anything else in silence.
async fn turn_away(state: &State, stranger: Stranger, parts: &Parts, mut body: Body) -> Response {
    let charge = state.strangers().for_stranger();
    let bytes_max = STRANGER_BODY_BYTES_MAX;
    let read = body::read(&parts.headers, &mut body, bytes_max, charge).await;
    let (refusal, size_bytes) = match read {
        Ok(it) if is_json(&it.bytes) || is_encrypted_for_us(stranger, parts) => {
            (stranger.refusal, it.size_bytes)
        }
        Ok(it) => (Refusal::Undecodable, it.size_bytes),
        Err(NotTaken {
            refusal: refusal @ (Refusal::Broken | Refusal::TooSlow),
            size_bytes,
            ..
        }) => (refusal, size_bytes),
        // Too much to be looked at, or no memory for that. It is read all the same, or the answer
        // would be lost.
        Err(NotTaken {
            refusal: Refusal::TooLarge | Refusal::Busy,
            size_bytes,
            is_malformed: false,
            ..
        }) => (
            stranger.refusal,
            body::drain(body, size_bytes, |_| {}).await,
        ),
        Err(NotTaken { size_bytes, .. }) => (Refusal::Undecodable, size_bytes),
    };
    refusal.respond(Facts {
        account: stranger.account,
        size_bytes,
        ..Facts::default()
    })
}

/// Whether a body may be an encrypted one for an account that exists: whoever sends one knows both.
fn is_encrypted_for_us(stranger: Stranger, parts: &Parts) -> bool {
    stranger.account.is_some() && encryption::is_encrypted(&parts.headers)
}

/// Whether a body is JSON, or absent.
fn is_json(body: &[u8]) -> bool {
    let text = wire::without_byte_order_mark(body);
    body.is_empty() || serde_json::from_slice::<IgnoredAny>(text).is_ok()
}
