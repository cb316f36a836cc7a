//! `GET /1/profile.json`: whose profile.

use std::borrow::Cow;

use super::Refusal;
use super::url::{self, Plus};

/// What a person may be named by.
const KEYS: [&str; 3] = ["identity", "email", "objectId"];

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

/// Decodes the query string: what is asked for, in the one or two ways in which it can be read, the
/// likelier one first. A `+` stands for itself, as the vendor's client sends it, or for a space, as
/// forms and many HTTP libraries do.
///
/// # Errors
/// [`Refusal::Malformed`] unless exactly one of `identity`, `email` and `objectId` is given, once,
/// and not empty.
pub fn decode(query: &str) -> Result<Vec<Lookup>, Refusal> {
    let given: Vec<&str> = KEYS
        .into_iter()
        .flat_map(|key| std::iter::repeat_n(key, url::count(query, key)))
        .collect();
    let [key] = given.as_slice() else {
        return Err(Refusal::Malformed);
    };
    let mut values: Vec<String> = [Plus::Plus, Plus::Space]
        .into_iter()
        .filter_map(|plus| url::value(query, key, plus))
        .filter(|value| !value.is_empty())
        .map(Cow::into_owned)
        .collect();
    values.dedup();
    if values.is_empty() {
        return Err(Refusal::Malformed);
    }
    let named = match *key {
        "identity" => Lookup::Identity,
        "email" => Lookup::Email,
        _ => Lookup::ObjectId,
    };
    Ok(values.into_iter().map(named).collect())
}
