//! `type: profile`: what is known of a person, as changes.
//!
//! Plain values are kept as sent. Of the protocol's own properties those with a rule are checked;
//! `Phone` and `Gender` are brought to one form, since their forms mean the same.

pub(in crate::rest) mod checks;

use model::record::{Change, ChangeOp};
use model::submission::{Content, PREDEFINED_PROPERTIES, RejectReason, is_predefined_property};
use model::{RawJson, limit};
use std::borrow::Cow;
use std::hash::{BuildHasher as _, RandomState};

use super::names::name;
use super::{audit, audit_member};
use crate::json::{Kind, Value};

/// Levels of `profileData`: its own, and three of nesting.
const LEVELS_MAX: u32 = 4;

pub(super) fn decode<'a>(
    data: Option<Value<'a>>,
    identity: Option<&str>,
) -> Result<Content<'a>, RejectReason> {
    read(data, identity, limit::PROFILE_KEY_BYTES_MAX)
}

/// What an SDK says of a person: nobody who could mend it is told what is wrong, so properties that break
/// a rule are left out, and the rest is taken. Beside it stands why. SDKs count a key's characters.
pub(crate) fn decode_sdk(
    data: Option<Value<'_>>,
) -> Result<(Content<'_>, Option<RejectReason>), RejectReason> {
    let reason = match read(data, None, usize::MAX) {
        Ok(content) => return Ok((content, None)),
        // Which of two is meant cannot be told.
        Err(RejectReason::KeyTwice) => return Err(RejectReason::KeyTwice),
        Err(reason) => reason,
    };
    let data = data.filter(|it| it.kind == Kind::Object).ok_or(reason)?;
    Ok((sound_properties(&data)?, Some(reason)))
}

/// The identities in it, as far as they can be read.
pub(crate) fn identities(data: Value<'_>) -> Vec<Cow<'_, str>> {
    let mut identities = Vec::new();
    if data.kind != Kind::Object {
        return identities;
    }
    data.members(|key, value| {
        if key.decode().is_some_and(|key| is_alias(&key)) {
            identities.extend(name(value).ok().flatten());
        }
    });
    identities
}

fn is_alias(key: &str) -> bool {
    matches!(key, "identity" | "Identity")
}

/// All of it; as an error, the first of its faults.
fn read<'a>(
    data: Option<Value<'a>>,
    identity: Option<&str>,
    key_bytes_max: usize,
) -> Result<Content<'a>, RejectReason> {
    let mut reader = Reader::default();
    let Some(data) = super::data(data) else {
        return Ok(reader.into_content());
    };
    if data.kind != Kind::Object {
        return Err(RejectReason::ProfileDataInvalid);
    }
    if data.facts.members
        > limit::PROFILE_PROPERTIES_MAX.saturating_add(PREDEFINED_PROPERTIES.len())
        || data.facts.too_many
    {
        return Err(RejectReason::ProfilePropertiesTooMany);
    }
    audit(&data, LEVELS_MAX)?;
    data.members(|key, value| match key.decode() {
        Some(key) if key.len() > key_bytes_max => reader.faults.push(RejectReason::KeyInvalid),
        Some(key) => reader.member(&key, value),
        None => {}
    });
    let faults = reader.faults.iter().copied();
    if let Some(fault) = faults.min_by_key(|it| checks::rank(*it)) {
        return Err(fault);
    }
    if reader.own_properties > limit::PROFILE_PROPERTIES_MAX {
        return Err(RejectReason::ProfilePropertiesTooMany);
    }
    reader.alias = reader
        .alias
        .filter(|alias| identity != Some(alias.as_ref()));
    Ok(reader.into_content())
}

/// The properties that break no rule, as many as a person may have; as an error, that a key stands twice.
fn sound_properties<'a>(data: &Value<'a>) -> Result<Content<'a>, RejectReason> {
    if data.facts.key_twice && has_key_twice(data) {
        return Err(RejectReason::KeyTwice);
    }
    let mut reader = Reader::default();
    data.members(|key, value| {
        // One that is no text is as bad as an empty one.
        let key = key.decode().unwrap_or_default();
        let is_full = reader.own_properties >= limit::PROFILE_PROPERTIES_MAX;
        match audit_member(&key, &value, LEVELS_MAX) {
            Ok(()) if is_full && !is_predefined_property(&key) => {}
            Ok(()) => reader.member(&key, value),
            Err(RejectReason::KeyTwice) => reader.faults.push(RejectReason::KeyTwice),
            Err(_) => {}
        }
    });
    if reader.faults.contains(&RejectReason::KeyTwice) {
        Err(RejectReason::KeyTwice)
    } else {
        Ok(reader.into_content())
    }
}

/// Whether a key of the object itself stands twice. The scanner compares so many and no more; here all
/// are, by hashes that nobody can foresee.
fn has_key_twice(data: &Value<'_>) -> bool {
    let hasher = RandomState::new();
    let mut hashes: Vec<u64> = Vec::new();
    data.members(|key, _| hashes.extend(key.decode().map(|it| hasher.hash_one(it))));
    hashes.sort_unstable();
    !hashes.is_sorted_by(|one, next| one != next)
}

#[derive(Debug, Default)]
struct Reader<'a> {
    changes: Vec<Change>,
    alias: Option<Cow<'a, str>>,
    faults: Vec<RejectReason>,
    /// Changes of properties that are the account's own.
    own_properties: usize,
}

impl<'a> Reader<'a> {
    fn into_content(self) -> Content<'a> {
        Content::Profile {
            changes: self.changes,
            alias: self.alias,
        }
    }

    fn member(&mut self, key: &str, value: Value<'a>) {
        if is_alias(key) {
            self.take_alias(value);
            return;
        }
        match change(key, value) {
            Ok((op, value)) => {
                let is_own = !is_predefined_property(key);
                self.own_properties = self.own_properties.saturating_add(usize::from(is_own));
                self.changes.push(Change {
                    property: Box::from(key),
                    op,
                    value,
                });
            }
            Err(reason) => self.faults.push(reason),
        }
    }

    fn take_alias(&mut self, value: Value<'a>) {
        match name(value) {
            Ok(Some(alias)) => {
                if self.alias.as_ref().is_some_and(|it| *it != alias) {
                    self.faults.push(RejectReason::KeyTwice);
                }
                self.alias = Some(alias);
            }
            Ok(None) => {}
            Err(reason) => self.faults.push(reason),
        }
    }
}

/// What one member of `profileData` does.
fn change(key: &str, value: Value<'_>) -> Result<(ChangeOp, RawJson), RejectReason> {
    let operator = operator(&value)?;
    match (checks::of(key), operator) {
        (None, None) => Ok((ChangeOp::Put, RawJson::from_checked(value.text))),
        (None | Some(_), Some((ChangeOp::Delete, operand))) => {
            Ok((ChangeOp::Delete, RawJson::from_checked(operand.text)))
        }
        (None, Some((op, operand))) => Ok((op, RawJson::from_checked(operand.text))),
        // A checked property is one plain value; no other operator makes sense of it.
        (Some(check), Some(_)) => Err(check.reason()),
        (Some(_), None) if value.kind == Kind::Null => {
            Ok((ChangeOp::Put, RawJson::from_checked(value.text)))
        }
        (Some(check), None) => Ok((
            ChangeOp::Put,
            check.apply(value).ok_or_else(|| check.reason())?,
        )),
    }
}

/// The operator that an object is: one key that begins with `$`.
fn operator<'a>(value: &Value<'a>) -> Result<Option<(ChangeOp, Value<'a>)>, RejectReason> {
    if value.kind != Kind::Object || value.facts.members == 0 {
        return Ok(None);
    }
    let mut found = None;
    let mut operators = 0_usize;
    value.members(|key, operand| {
        let key = key.decode().unwrap_or_default();
        if key.starts_with('$') {
            operators = operators.saturating_add(1);
            found = op(&key).map(|op| (op, operand));
        }
    });
    match (operators, found) {
        (0, _) => Ok(None),
        (1, Some((op, operand))) if value.facts.members == 1 && fits(op, &operand) => {
            Ok(Some((op, operand)))
        }
        _ => Err(RejectReason::OperatorInvalid),
    }
}

fn op(key: &str) -> Option<ChangeOp> {
    match key {
        "$set" => Some(ChangeOp::Set),
        "$add" => Some(ChangeOp::Add),
        "$remove" => Some(ChangeOp::Remove),
        "$incr" => Some(ChangeOp::Incr),
        "$decr" => Some(ChangeOp::Decr),
        "$delete" => Some(ChangeOp::Delete),
        _ => None,
    }
}

/// Whether an operand is of the kind that its operator takes.
fn fits(op: ChangeOp, operand: &Value<'_>) -> bool {
    let scalar = |it: &Value<'_>| matches!(it.kind, Kind::String | Kind::Number | Kind::Bool);
    match op {
        ChangeOp::Set | ChangeOp::Add | ChangeOp::Remove => {
            let mut all = true;
            operand.elements(|element| all &= scalar(&element));
            scalar(operand) || (operand.kind == Kind::Array && all)
        }
        ChangeOp::Incr | ChangeOp::Decr => {
            operand.kind == Kind::Number && !operand.text.starts_with('-')
        }
        ChangeOp::Delete => matches!(operand.text, "1" | "true"),
        ChangeOp::Put | ChangeOp::Identify | ChangeOp::Token | ChangeOp::Device => false,
    }
}
