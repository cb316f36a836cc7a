//! The query strings of `GET /hello` and `POST /a1`, and what `/hello` can answer with.

use std::borrow::Cow;

use crate::rest::url::{Plus, value};

/// The longest name of a host with its port.
const AUTHORITY_BYTES_MAX: usize = 261;

/// What an SDK says of itself in the query string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello<'q> {
    /// `z`: the account.
    pub account: Option<Cow<'q, str>>,
    /// `os`: `Android` or `iOS`.
    pub os: Option<Cow<'q, str>>,
}

impl<'q> Hello<'q> {
    /// Reads a query string.
    #[must_use]
    pub fn decode(query: &'q str) -> Self {
        Self {
            account: value(query, "z", Plus::Plus),
            os: value(query, "os", Plus::Plus),
        }
    }
}

/// A host's name or address, with a port or without, as SDKs are told it; none when it is not one.
#[must_use]
pub fn authority(host: &str) -> Option<&str> {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"-.:[]".contains(&b);
    let is_legal = !host.is_empty() && host.len() <= AUTHORITY_BYTES_MAX && host.bytes().all(legal);
    is_legal.then_some(host)
}
