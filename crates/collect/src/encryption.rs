//! Encrypted calls: what an account wants, what a call says, the body opened, the answer encrypted.
//!
//! What is said by `Content-Type` holds for the body, what is said by `Accept` for the answer, each by
//! itself. An answer that was asked for encrypted never goes out plain once the caller is known.

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use governance::{AnswerKey, ApiEncryption, ApiEncryptionPolicy};
use http::{HeaderMap, header};
use http_body_util::BodyExt as _;
use wire::rest::hpke;

use crate::body::Received;
use crate::upload::{Sent, undecodable};
use crate::{Ceiling, Facts, Head, Refusal, Silence, State, reply};

/// How a body comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// As it is.
    Plain,
    /// Encrypted to a key of the account.
    Encrypted,
}

/// Whether the headers say that the body is encrypted.
pub(crate) fn is_encrypted(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE);
    value.is_some_and(|it| it.to_str().is_ok_and(hpke::is_encrypted))
}

fn wants_encrypted(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(header::ACCEPT).iter();
    values.any(|it| it.to_str().is_ok_and(hpke::wants_encrypted))
}

/// What the account's wishes make of a call's headers; from here on the answer is encrypted where
/// that was asked for.
///
/// # Errors
/// Why the call is not taken in this form.
pub(crate) fn agree(
    wishes: &ApiEncryption,
    headers: &HeaderMap,
    body: &Body,
    head: &Head,
) -> Result<Form, Refusal> {
    let is_off = wishes.policy == ApiEncryptionPolicy::Off;
    let wants_encrypted = wants_encrypted(headers);
    if wants_encrypted {
        match wishes.answer_key {
            Some(key) if !is_off => head.encrypt_answer(key),
            Some(_) | None => return Err(Refusal::NoAnswerKey),
        }
    }
    // A call without a body has nothing to encrypt but its answer.
    let is_bare = http_body::Body::is_end_stream(body);
    if is_encrypted(headers) && !is_bare {
        if is_off || wishes.keys.is_empty() {
            return Err(Refusal::EncryptionNotEnabled);
        }
        return Ok(Form::Encrypted);
    }
    if wishes.policy == ApiEncryptionPolicy::Required && !(is_bare && wants_encrypted) {
        return Err(Refusal::EncryptionRequired);
    }
    Ok(Form::Plain)
}

/// Opens a body with the keys that are accepted now. What does not open is refused; of an upload it
/// is kept for review.
///
/// # Errors
/// The response that says so.
pub(crate) async fn decrypt(
    state: &State,
    wishes: &ApiEncryption,
    body: Received,
    ceiling: Ceiling,
    sent: &Sent<'_>,
) -> Result<Received, Response> {
    let now = state.clock().now();
    let opened = body.unwrapped(|message| {
        for (number, message) in hpke::readings(message) {
            let is_meant = |id: u32| number.is_none_or(|number| number == id);
            for key in wishes.keys_at(now).filter(|key| is_meant(key.id)) {
                if let Ok(plain) = seal::hpke::open(&key.private_key, message) {
                    return Ok(plain);
                }
            }
        }
        Err(Refusal::NotDecrypted)
    });
    match opened {
        Ok(body) => Ok(body),
        Err((body, refusal @ Refusal::NotDecrypted)) if ceiling == Ceiling::Uploads => {
            Err(undecodable(state, sent, now, &body.bytes, refusal).await)
        }
        Err((_, refusal)) => Err(refusal.respond(sent.facts)),
    }
}

/// The layer that encrypts answers to callers who have asked for that. It stands inside the request
/// log's.
pub async fn encrypt_answers(request: Request, next: Next) -> Response {
    let head = request.extensions().get::<Head>().cloned();
    let response = next.run(request).await;
    let Some(key) = head.as_ref().and_then(Head::answer_key) else {
        return response;
    };
    if response.extensions().get::<Silence>().is_some() {
        return response;
    }
    encrypt(response, key).await
}

async fn encrypt(mut response: Response, key: &AnswerKey) -> Response {
    let plain = std::mem::take(response.body_mut()).collect().await;
    let plain = plain.ok().map(http_body_util::Collected::to_bytes);
    let sealed = plain.and_then(|plain| seal::hpke::seal(&key.public_key, &plain).ok());
    let Some(sealed) = sealed else {
        // The key was tried when it was set: this is a bug, and nothing of the answer goes out.
        tracing::error!("failed to encrypt an answer");
        let facts = response.extensions().get::<Facts>().copied();
        return Refusal::Internal.respond(facts.unwrap_or_default());
    };
    let mut body = key
        .prefix
        .map_or_else(Vec::new, |it| hpke::prefix(it).to_vec());
    body.extend_from_slice(&sealed);
    reply::encrypted(&mut response, body);
    response
}
