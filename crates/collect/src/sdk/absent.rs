//! What SDKs ask for or define, and that is never there: variables, templates, messages, contents.
//!
//! There are no campaigns here, so nothing of it is kept and every app goes on with what it has. An SDK
//! that got no answer would tell its app of a failure, and ask where it should send instead. The
//! sender shows the SDK token: whoever does not is dropped. What cannot be read of a known sender goes to
//! the quarantine, and the answer is the same.

use axum::extract::{Request, State as Of};
use axum::response::Response;
use wire::mobile_sdk::{Body, Hello, decode};

use super::intake::Intake;
use super::mobile::{Came, Claim, Posted};
use super::page::{check_if_any, shared};
use super::{Dropped, peer_key};
use crate::{Facts, Head, Line, Refusal, State, reply};

/// Nothing to be told.
const NOTHING: &str = "{}";
/// An inbox without a message.
const NO_MESSAGES: &str = r#"{"inbox_notifs_v2":[]}"#;

/// `POST /defineVars`: a developer's SDK says which variables an app has, and their defaults.
pub(super) async fn variables(Of(state): Of<State>, request: Request) -> Response {
    answer(&state, request, Some("varsPayload"), NOTHING).await
}

/// `POST /defineTemplates`: a developer's SDK says which templates an app draws itself.
pub(super) async fn templates(Of(state): Of<State>, request: Request) -> Response {
    answer(&state, request, Some("templatePayload"), NOTHING).await
}

/// `POST /content`: an SDK asks for what a campaign is to show.
pub(super) async fn content(Of(state): Of<State>, request: Request) -> Response {
    answer(&state, request, None, NOTHING).await
}

/// `POST /inbox/v2/getMessages`: an app looks into its inbox.
pub(super) async fn messages(Of(state): Of<State>, request: Request) -> Response {
    answer(&state, request, None, NO_MESSAGES).await
}

/// `POST /inbox/v2/deleteMessages`: an app has thrown messages away.
pub(super) async fn deleted(Of(state): Of<State>, request: Request) -> Response {
    answer(&state, request, None, NOTHING).await
}

/// Answers a sender that shows the token and whose body holds an element of the kind that it has to.
async fn answer(
    state: &State,
    request: Request,
    kind: Option<&str>,
    words: &'static str,
) -> Response {
    let (parts, body) = request.into_parts();
    let Some(head) = parts.extensions.get::<Head>().cloned() else {
        return Refusal::Internal.in_silence(Facts::default());
    };
    let hello = Hello::decode(parts.uri.query().unwrap_or_default());
    let claim = Claim::of(&parts.headers, &hello);
    let posted = Posted::read(state, &head, &parts, &claim, body).await;
    let (came, size_bytes) = match posted.came() {
        Ok(it) => it,
        Err(response) => return shared(*response),
    };
    let (bytes, is_whole) = match came {
        Came::Whole(bytes) => (bytes, true),
        Came::Part(bytes, _) => (bytes, false),
    };
    let upload = match decode(bytes) {
        Ok(Body::Plain(upload)) if is_whole => Some(*upload),
        Ok(Body::Plain(_) | Body::Sealed(_)) | Err(_) => None,
    };
    let rules = match (claim.verify(state, upload.as_ref()), &upload) {
        (Ok(rules), _) => rules,
        (Err(refusal), Some(_)) => return Dropped::from(refusal).respond(size_bytes),
        (Err(_), None) => return Dropped::from(Refusal::Undecodable).respond(size_bytes),
    };
    head.let_in();
    head.hash_peer(&peer_key(&rules));
    let checked = check_if_any(&rules, &parts.headers);
    if let Err(refusal) = checked {
        return Dropped::of(&rules, refusal).respond(size_bytes);
    }
    let Some(upload) = upload else {
        let from = (claim.source(None), state.clock().now());
        let mut intake = Intake::of_undecodable(state, rules, bytes, from);
        return shared(match intake.commit(state, &head, size_bytes).await {
            Ok(facts) => reply::ok(words, facts),
            Err((refusal, facts)) => refusal.respond(facts),
        });
    };
    if kind.is_some_and(|it| !upload.holds(it)) {
        return Dropped::of(&rules, Refusal::Undecodable).respond(size_bytes);
    }
    let facts = Facts {
        account: Some(rules.id),
        line: Line::Offered,
        size_bytes,
        ..Facts::default()
    };
    shared(reply::ok(words, facts))
}
