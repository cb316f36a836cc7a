//! `POST /defineVars`: a developer's SDK says which variables an app has, and their defaults.
//!
//! There are no values to be set here, so nothing is kept and every app goes on with its defaults. The
//! sender shows the SDK token: whoever does not is dropped.

use axum::extract::{Request, State as Of};
use axum::response::Response;
use wire::mobile_sdk::{Body, Hello, decode};

use super::mobile::Claim;
use super::page::{check_if_any, shared};
use super::{Dropped, peer_key};
use crate::body;
use crate::{Facts, Head, Line, Refusal, State, reply};

/// Bytes of a body.
const BODY_BYTES_MAX: usize = 1024 * 1024;

pub(super) async fn define(Of(state): Of<State>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Some(head) = parts.extensions.get::<Head>().cloned() else {
        return Refusal::Internal.in_silence(Facts::default());
    };
    let hello = Hello::decode(parts.uri.query().unwrap_or_default());
    let claim = Claim::of(&parts.headers, &hello);
    claim.hash_peer(&state, &head);
    let read = body::read(&parts.headers, body, BODY_BYTES_MAX, state.strangers()).await;
    let body = match read {
        Ok(body) => body,
        Err(not_taken) => return not_taken.in_silence(),
    };
    let size_bytes = body.size_bytes;
    let Ok(Body::Plain(upload)) = decode(&body.bytes) else {
        return Dropped::from(Refusal::Undecodable).respond(size_bytes);
    };
    let rules = match claim.verify(&state, Some(&upload)) {
        Ok(rules) => rules,
        Err(refusal) => return Dropped::from(refusal).respond(size_bytes),
    };
    head.hash_peer(&peer_key(&rules));
    let checked = check_if_any(&rules, &parts.headers);
    if let Err(refusal) = checked {
        return Dropped::of(&rules, refusal).respond(size_bytes);
    }
    if !upload.is_variables() {
        return Dropped::of(&rules, Refusal::Undecodable).respond(size_bytes);
    }
    let facts = Facts {
        account: Some(rules.id),
        line: Line::Offered,
        size_bytes,
        ..Facts::default()
    };
    shared(reply::ok("{}", facts))
}
