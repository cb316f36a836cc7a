//! `GET /1/profile.json`: whose profile.

use super::Refusal;
use super::url::{self, Plus};

/// Whose profile is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    /// By the company's own id.
    Identity(String),
    /// By address; several people may have it.
    Email(String),
    /// By device.
    ObjectId(String),
}

/// Decodes the query string; a `+` stands for itself.
///
/// # Errors
/// [`Refusal::Malformed`] unless exactly one of `identity`, `email` and `objectId` is given, once,
/// and not empty.
pub fn decode(query: &str) -> Result<Lookup, Refusal> {
    let mut found = Err(Refusal::Malformed);
    let mut given = 0_usize;
    for key in ["identity", "email", "objectId"] {
        given = given.saturating_add(url::count(query, key));
        if let Some(value) = url::value(query, key, Plus::Plus).filter(|it| !it.is_empty()) {
            let value = value.into_owned();
            found = Ok(match key {
                "identity" => Lookup::Identity(value),
                "email" => Lookup::Email(value),
                _ => Lookup::ObjectId(value),
            });
        }
    }
    if given == 1 {
        found
    } else {
        Err(Refusal::Malformed)
    }
}
