//! Whom a record is about: `identity`, `objectId`, `FBID`, `GPID`.
//!
//! A number counts as the text that was sent. A text is taken exactly as it is, the character NUL
//! included; only text that is not Unicode (half of a surrogate pair) is refused.

use model::limit;
use model::submission::{Names, RejectReason, Subject};
use std::borrow::Cow;

use super::present;
use crate::json::{Kind, Value};

/// The longest object id: a prefix and a custom id of 64 characters, and room.
const OBJECT_ID_BYTES_MAX: usize = 128;

/// The names as they stand in the record.
#[derive(Debug, Default)]
pub(super) struct NameFields<'a> {
    identity: Option<Value<'a>>,
    object_id: Option<Value<'a>>,
    fbid: Option<Value<'a>>,
    gpid: Option<Value<'a>>,
    /// One of them stands twice.
    pub(super) key_twice: bool,
}

/// A field that names a person.
#[derive(Debug, Clone, Copy)]
pub(super) enum NameField {
    Identity,
    ObjectId,
    Fbid,
    Gpid,
}

impl NameField {
    pub(super) fn of(key: &str) -> Option<Self> {
        match key {
            "identity" => Some(Self::Identity),
            "objectId" => Some(Self::ObjectId),
            "FBID" => Some(Self::Fbid),
            "GPID" => Some(Self::Gpid),
            _ => None,
        }
    }
}

impl<'a> NameFields<'a> {
    pub(super) fn take(&mut self, field: NameField, value: Value<'a>) {
        let place = match field {
            NameField::Identity => &mut self.identity,
            NameField::ObjectId => &mut self.object_id,
            NameField::Fbid => &mut self.fbid,
            NameField::Gpid => &mut self.gpid,
        };
        self.key_twice |= place.replace(value).is_some();
    }

    /// The names of an event or a profile: at least one.
    pub(super) fn decode(&self) -> Result<Names<'a>, RejectReason> {
        let object_id = self.object_id.map(name).transpose();
        let names = Names {
            identity: self
                .identity
                .and_then(|it| name(it).transpose())
                .transpose()?,
            fbid: self.fbid.and_then(|it| name(it).transpose()).transpose()?,
            gpid: self.gpid.and_then(|it| name(it).transpose()).transpose()?,
            object_id: object_id
                .map_err(|_| RejectReason::ObjectIdInvalid)?
                .flatten(),
        };
        if names.primary().is_none() {
            return Err(RejectReason::IdentityMissing);
        }
        if names
            .object_id
            .as_deref()
            .is_some_and(|it| !is_object_id(it))
        {
            return Err(RejectReason::ObjectIdInvalid);
        }
        Ok(names)
    }

    /// The name of a token's device.
    pub(super) fn decode_device(&self) -> Result<Names<'a>, RejectReason> {
        let object_id = self
            .object_id
            .and_then(|it| it.string())
            .filter(|it| is_object_id(it));
        if object_id.is_none() {
            return Err(RejectReason::TokenObjectIdInvalid);
        }
        Ok(Names {
            object_id,
            ..Names::default()
        })
    }

    /// Whom the record is about, when it is refused; `aliases` stand elsewhere in it.
    pub(super) fn subject(&self, aliases: Vec<Cow<'a, str>>) -> Subject {
        if self.key_twice {
            return Subject::Ambiguous;
        }
        let read = |field: Option<Value<'a>>| field.and_then(|it| name(it).ok().flatten());
        let names = Names {
            identity: read(self.identity),
            fbid: read(self.fbid),
            gpid: read(self.gpid),
            object_id: read(self.object_id),
        };
        Subject::of(&names, aliases.iter().map(Cow::as_ref))
    }
}

/// One name; an empty text and null are none.
pub(crate) fn name(value: Value<'_>) -> Result<Option<Cow<'_, str>>, RejectReason> {
    let Some(value) = present(Some(value)) else {
        return Ok(None);
    };
    let text = match value.kind {
        Kind::String => value.string().ok_or(RejectReason::IdentityInvalid)?,
        Kind::Number => Cow::Borrowed(value.text),
        Kind::Object | Kind::Array | Kind::Bool | Kind::Null => {
            return Err(RejectReason::IdentityInvalid);
        }
    };
    if text.len() > limit::IDENTITY_BYTES_MAX {
        return Err(RejectReason::IdentityInvalid);
    }
    Ok(Some(text).filter(|it| !it.is_empty()))
}

/// Whether `text` can be a device's id: what the SDKs make, and custom ids of every character that phones
/// take in them. The first character tells systems apart: `^` macOS, `~` Windows, `#` Linux. No character may
/// end a text in the script that browsers are answered with.
pub(crate) fn is_object_id(text: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"-_:.!@$()=|<>;+^~#".contains(&b);
    !text.is_empty() && text.len() <= OBJECT_ID_BYTES_MAX && text.bytes().all(legal)
}
