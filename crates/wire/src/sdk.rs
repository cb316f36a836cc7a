//! What the web and the mobile SDKs have in common: encryption in transit, what they say of the
//! device, and the names that their records carry.
//!
//! It must never hold a key longer than the request that brought it, and never copy more of what an
//! SDK says of a device than `facts` bounds.

mod facts;
mod sealed;
#[cfg(test)]
mod tests;

pub(crate) use facts::{Facts, location, without_advertising};
pub use sealed::{Sealed, sealed_answer};

use model::submission::{Content, Names, RejectReason, Rejection, Subject};
use model::{IdentityKind, RawJson, Timestamp};
use std::borrow::Cow;

use crate::json::{Kind, Value};
use crate::rest::number;
use crate::rest::upload::{names, profile};

/// The event by which an SDK asks for a full answer: nothing that a person did.
pub(crate) const FETCH: &str = "wzrk_fetch";

/// What could not be read as a message of an SDK.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Undecodable;

/// What [`FETCH`] asks for in its `t` when it is the account's variables.
const VARIABLES: &str = "4";

/// Whether an event is an SDK's question for the account's variables.
pub(crate) fn wants_variables(name: Option<Value<'_>>, data: Option<Value<'_>>) -> bool {
    let is_question = name
        .and_then(|it| it.string())
        .is_some_and(|it| it == FETCH);
    let mut wants = false;
    if let Some(data) = data.filter(|it| is_question && it.kind == Kind::Object) {
        data.members(|key, value| {
            wants |= value.text == VARIABLES && key.decode().is_some_and(|it| it == "t");
        });
    }
    wants
}

/// Whether `text` can be a device's id.
#[must_use]
pub fn is_device_id(text: &str) -> bool {
    names::is_object_id(text)
}

/// Seconds since the epoch of a number or of digits, an exponent carried out and a fraction left out; none
/// for anything else, and for zero.
pub(crate) fn seconds(value: Option<Value<'_>>) -> Option<u32> {
    let value = value?;
    let text = match value.kind {
        Kind::Number => Cow::Borrowed(value.text),
        Kind::String => value.string()?,
        Kind::Object | Kind::Array | Kind::Bool | Kind::Null => return None,
    };
    let text = number::plain(&text)?;
    let whole = match text.split_once('.') {
        Some((whole, fraction)) if fraction.bytes().all(|it| it.is_ascii_digit()) => whole,
        Some(_) | None => &*text,
    };
    whole.parse().ok().filter(|it| *it > 0)
}

/// A moment from seconds.
pub(crate) fn moment(seconds: Option<u32>) -> Option<Timestamp> {
    seconds.map(|it| Timestamp::from_seconds(i64::from(it)))
}

/// What an SDK says of a device's person.
pub(crate) struct Profile<'a> {
    /// Its `Identity`, `FBID` and `GPID` are whom the device belongs to from now on.
    pub(crate) names: Names<'a>,
    /// What can be taken of it.
    pub(crate) content: Content<'a>,
    /// Why something of it was left out.
    pub(crate) fault: Option<RejectReason>,
}

/// A profile of a device; as an error, when nothing of it can be taken.
pub(crate) fn profile<'a>(
    data: Option<Value<'a>>,
    device: &str,
) -> Result<Profile<'a>, RejectReason> {
    let (content, fault) = profile::decode_sdk(data)?;
    let Content::Profile { changes, alias } = content else {
        return Err(RejectReason::Internal);
    };
    let names = Names {
        identity: alias,
        ..names_of(device, data)
    };
    let names_somebody = names
        .primary()
        .is_some_and(|(kind, _)| kind != IdentityKind::ObjectId);
    if let Some(reason) = fault
        && changes.is_empty()
        && !names_somebody
    {
        return Err(reason);
    }
    let content = Content::Profile {
        changes,
        alias: None,
    };
    Ok(Profile {
        names,
        content,
        fault,
    })
}

/// The names that a device's profile has in it, but for `Identity`.
fn names_of<'a>(device: &str, profile: Option<Value<'a>>) -> Names<'a> {
    let mut names = device_names(device);
    if let Some(data) = profile.filter(|it| it.kind == Kind::Object) {
        data.members(|key, value| match key.decode().as_deref() {
            Some("FBID") => names.fbid = names::name(value).ok().flatten(),
            Some("GPID") => names.gpid = names::name(value).ok().flatten(),
            _ => {}
        });
    }
    names
}

/// The names of a record that only its device names.
pub(crate) fn device_names<'a>(device: &str) -> Names<'a> {
    Names {
        object_id: Some(Cow::Owned(device.to_owned())),
        ..Names::default()
    }
}

/// A record of a device that is refused; the profile in it may name whose it is.
pub(crate) fn rejection(
    position: u32,
    reason: RejectReason,
    text: &str,
    device: &str,
    profile: Option<Value<'_>>,
) -> Rejection {
    let subject = if reason == RejectReason::KeyTwice {
        Subject::Ambiguous
    } else {
        let mut names = names_of(device, profile);
        names.object_id = names.object_id.filter(|it| !it.is_empty());
        let identities = profile.map_or_else(Vec::new, profile::identities);
        Subject::of(&names, identities.iter().map(Cow::as_ref))
    };
    Rejection {
        position,
        reason,
        record: RawJson::from_checked(text),
        subject,
    }
}
