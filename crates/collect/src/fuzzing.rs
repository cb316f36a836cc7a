//! What this crate makes of the fields of requests that are in no type of its front page: for `fuzz`,
//! which states the laws and cannot see them. Nothing here does more than the handlers do.

use bytes::Bytes;
use governance::AccountRules;
use http::HeaderMap;

use crate::idempotency::UploadKey;
use crate::sdk::page;
use crate::{Refusal, body, credentials};

/// Whether an account takes what comes from the page that these headers name.
#[must_use]
pub fn takes_page(rules: &AccountRules, headers: &HeaderMap) -> bool {
    page::check(rules, headers).is_ok()
}

/// The one value of a header, however often it is there; none when it is no text, or there are others.
#[must_use]
pub fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    credentials::only(headers, name)
}

/// The `Idempotency-Key`; none when there is none.
///
/// # Errors
/// [`Refusal::Malformed`] when there are two that differ, or it is empty, too long or not printable ASCII.
pub fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    UploadKey::text(headers)
}

/// What a body of these headers unpacks to that comes in pieces of `piece` bytes, to `bytes_max` at most.
///
/// # Errors
/// [`Refusal::UnsupportedEncoding`]; [`Refusal::Malformed`] when it does not unpack;
/// [`Refusal::TooLarge`] when it unpacks to more, or out of proportion.
pub fn unpacked(
    headers: &HeaderMap,
    body: &[u8],
    piece: usize,
    bytes_max: usize,
) -> Result<Bytes, Refusal> {
    body::unpacked(headers, body, piece, bytes_max)
}
