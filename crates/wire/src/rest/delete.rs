//! `POST /1/delete/profiles.json`: who is to be deleted.

use model::{IdentityKind, limit};

use super::Refusal;
use crate::json::{self, Kind, Scanner, Value};

/// Decodes the body: `{"identity": …}` or `{"guid": …}` (also spelled `objectId`), one name or a
/// list of them. Numbers count as the text that was sent; null counts as absent.
///
/// # Errors
/// [`Refusal::Malformed`] when it is anything else: both, neither, an empty list, more than
/// [`limit::DELETION_IDENTITIES_MAX`] names, an empty name.
pub fn decode(body: &[u8]) -> Result<Vec<(IdentityKind, String)>, Refusal> {
    let text = json::text(body).map_err(|_| Refusal::Malformed)?;
    let value = Scanner::whole(text).map_err(|_| Refusal::Malformed)?;
    if value.facts.key_twice {
        return Err(Refusal::Malformed);
    }
    let mut fields = Vec::new();
    value.members(|key, value| match key.decode().as_deref() {
        _ if value.kind == Kind::Null => {}
        Some("identity") => fields.push((IdentityKind::Identity, value)),
        Some("guid" | "objectId") => fields.push((IdentityKind::ObjectId, value)),
        _ => {}
    });
    let [(kind, value)] = fields.as_slice() else {
        return Err(Refusal::Malformed);
    };
    names(*kind, value).ok_or(Refusal::Malformed)
}

/// Decodes the body of `POST /1/demerge/profiles.json`: `{"identities": …}` (also spelled
/// `identity`), one name or a list of them.
///
/// # Errors
/// As [`decode`].
pub fn decode_demerge(body: &[u8]) -> Result<Vec<String>, Refusal> {
    let text = json::text(body).map_err(|_| Refusal::Malformed)?;
    let value = Scanner::whole(text).map_err(|_| Refusal::Malformed)?;
    if value.facts.key_twice {
        return Err(Refusal::Malformed);
    }
    let mut fields = Vec::new();
    value.members(|key, value| {
        let is_named = matches!(key.decode().as_deref(), Some("identities" | "identity"));
        if is_named && value.kind != Kind::Null {
            fields.push(value);
        }
    });
    let [value] = fields.as_slice() else {
        return Err(Refusal::Malformed);
    };
    let named = names(IdentityKind::Identity, value).ok_or(Refusal::Malformed)?;
    Ok(named.into_iter().map(|(_, name)| name).collect())
}

fn names(kind: IdentityKind, value: &Value<'_>) -> Option<Vec<(IdentityKind, String)>> {
    let mut names = Vec::new();
    match value.kind {
        Kind::Array => value.elements(|element| names.push(name(&element))),
        Kind::String | Kind::Number => names.push(name(value)),
        Kind::Object | Kind::Bool | Kind::Null => {}
    }
    if names.is_empty() || names.len() > limit::DELETION_IDENTITIES_MAX {
        return None;
    }
    names.into_iter().map(|name| Some((kind, name?))).collect()
}

fn name(value: &Value<'_>) -> Option<String> {
    let text = match value.kind {
        Kind::String => value.string()?.into_owned(),
        Kind::Number => value.text.to_owned(),
        Kind::Object | Kind::Array | Kind::Bool | Kind::Null => return None,
    };
    (!text.is_empty() && text.len() <= limit::IDENTITY_BYTES_MAX).then_some(text)
}
