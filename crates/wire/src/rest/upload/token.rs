//! `type: token`: the push token of a device.

use model::RawJson;
use model::record::{Change, ChangeOp};
use model::submission::{Content, RejectReason};

use super::{audit, present};
use crate::json::{Kind, Value};

/// The push services.
const SERVICES: [&str; 6] = ["fcm", "gcm", "apns", "wns", "mpns", BROWSER];
/// The one of browsers, whose tokens have keys; those of others are not looked at.
const BROWSER: &str = "chrome";
/// The longest token.
const TOKEN_BYTES_MAX: usize = 4_096;
/// Levels of a browser's `tokenData`: its own, and that of `keys`.
const LEVELS_MAX: u32 = 2;

pub(super) fn decode(data: Option<Value<'_>>) -> Result<Content<'_>, RejectReason> {
    let data = present(data)
        .filter(|it| it.kind == Kind::Object)
        .ok_or(RejectReason::TokenDataInvalid)?;
    if data.facts.key_twice {
        return Err(RejectReason::KeyTwice);
    }
    let (mut id, mut service, mut keys) = (None, None, None);
    data.members(|key, value| match key.decode().as_deref() {
        Some("id") => id = Some(value),
        Some("type") => service = Some(value),
        Some("keys") => keys = Some(value),
        _ => {}
    });
    let id = present(id).ok_or(RejectReason::TokenIdMissing)?;
    let id = id.string().ok_or(RejectReason::TokenKeysInvalid)?;
    if id.is_empty() {
        return Err(RejectReason::TokenIdMissing);
    }
    if id.len() > TOKEN_BYTES_MAX {
        return Err(RejectReason::TokenKeysInvalid);
    }
    let service = present(service).ok_or(RejectReason::TokenTypeMissing)?;
    let service = service.string().unwrap_or_default().to_ascii_lowercase();
    if !SERVICES.contains(&service.as_str()) {
        return Err(RejectReason::TokenTypeInvalid);
    }
    if service == BROWSER {
        audit(&data, LEVELS_MAX).map_err(|_| RejectReason::TokenDataInvalid)?;
        check_keys(present(keys))?;
    }
    let change = Change {
        property: service.into_boxed_str(),
        op: ChangeOp::Token,
        value: RawJson::from_checked(data.text),
    };
    Ok(Content::Profile {
        changes: vec![change],
        alias: None,
    })
}

/// A browser's subscription comes with its two keys.
fn check_keys(keys: Option<Value<'_>>) -> Result<(), RejectReason> {
    let keys = keys.ok_or(RejectReason::TokenKeysInvalid)?;
    let (mut p256dh, mut auth) = (false, false);
    keys.members(|key, value| match key.decode().as_deref() {
        Some("p256dh") => p256dh = value.kind == Kind::String,
        Some("auth") => auth = value.kind == Kind::String,
        _ => {}
    });
    if p256dh && auth {
        Ok(())
    } else {
        Err(RejectReason::TokenKeysInvalid)
    }
}
