//! `POST /1/upload`: the body, and its answer.
//!
//! The body is scanned once; records are cut out of it and decoded one by one. A body that is not
//! JSON is refused as a whole; a record that is wrong is refused alone.

pub(crate) mod event;
pub(crate) mod names;
pub(crate) mod profile;
mod text;
mod time;
mod token;

use model::submission::{Batch, Content, RejectReason, Rejection, Subject, Submission};
use model::{RawJson, limit};

use super::{Refusal, url};
use crate::json::{self, Audited, DEPTH, Familiar, Kind, Malformed, Scanner, Value};
use names::{NameField, NameFields};

pub use text::error;

/// Bytes of a usual record.
const RECORD_BYTES_LIKELY: usize = 256;
/// Levels that stand around a record: the body and the list.
const LEVELS_AROUND: usize = 2;

/// The type of a record about a push token.
const TOKEN: &str = "token";

/// Whether an upload's records are to be looked at only: `dryRun=1`, or `True` as Python writes it.
#[must_use]
pub fn is_dry_run(query: &str) -> bool {
    url::values(query, "dryRun").any(|it| it == "1" || it.eq_ignore_ascii_case("true"))
}

/// Decodes an upload's body.
///
/// # Errors
/// [`Refusal::Malformed`] when it is not UTF-8, not JSON (`NaN` is not; one byte order mark before it
/// counts for nothing), nested more than [`limit::JSON_DEPTH_MAX`] levels deep, has no `d` or two of
/// them, more than [`limit::RECORDS_PER_UPLOAD_MAX`] records, or more than
/// [`limit::TOKENS_PER_UPLOAD_MAX`] tokens among them: nothing of it was taken.
pub fn decode(body: &[u8]) -> Result<Batch<'_>, Refusal> {
    let text = json::text(body).map_err(|Malformed| Refusal::Malformed)?;
    let mut batch = Batch::default();
    let likely = text.len().div_ceil(RECORD_BYTES_LIKELY);
    batch
        .records
        .reserve(likely.min(limit::RECORDS_PER_UPLOAD_MAX));
    envelope(text, &mut batch).map_err(|Malformed| Refusal::Malformed)?;
    Ok(batch)
}

fn envelope<'a>(text: &'a str, batch: &mut Batch<'a>) -> Result<(), Malformed> {
    let mut scanner = Scanner::new(text);
    let mut found = false;
    scanner.object(|scanner, key| {
        if key.decode().is_none_or(|key| key != "d") {
            return scanner.value(DEPTH.saturating_sub(1)).map(drop);
        }
        if std::mem::replace(&mut found, true) {
            return Err(Malformed);
        }
        let mut position = 0_u32;
        let mut like = Like::default();
        match scanner.peek() {
            Some(b'[') => scanner.array(|scanner| {
                position = position.saturating_add(1);
                if usize::try_from(position).map_or(true, |it| it > limit::RECORDS_PER_UPLOAD_MAX) {
                    return Err(Malformed);
                }
                element(scanner, position, &mut like, batch)
            }),
            Some(b'{') => element(scanner, 1, &mut like, batch),
            _ => Err(Malformed),
        }
    })?;
    scanner.end()?;
    if found { Ok(()) } else { Err(Malformed) }
}

/// What records looked like so far.
#[derive(Debug, Default)]
struct Like<'a> {
    record: Familiar<'a, Field>,
    data: Familiar<'a, Audited<'a>>,
    /// How many of them were tokens.
    tokens: usize,
}

/// A field of a record.
#[derive(Debug, Clone, Copy)]
enum Field {
    RecordType,
    Ts,
    EventName,
    EventData,
    ProfileData,
    TokenData,
    Name(NameField),
    Ignored,
}

impl Field {
    fn of(key: &str) -> Self {
        match key {
            "type" => Self::RecordType,
            "ts" => Self::Ts,
            "evtName" => Self::EventName,
            "evtData" => Self::EventData,
            "profileData" => Self::ProfileData,
            "tokenData" => Self::TokenData,
            _ => NameField::of(key).map_or(Self::Ignored, Self::Name),
        }
    }
}

/// The fields of a record that we read; everything else is ignored.
#[derive(Debug, Default)]
struct Fields<'a> {
    record_type: Option<Value<'a>>,
    ts: Option<Value<'a>>,
    event_name: Option<Value<'a>>,
    event_data: Option<Value<'a>>,
    profile_data: Option<Value<'a>>,
    token_data: Option<Value<'a>>,
    names: NameFields<'a>,
    key_twice: bool,
}

fn element<'a>(
    scanner: &mut Scanner<'a>,
    position: u32,
    like: &mut Like<'a>,
    batch: &mut Batch<'a>,
) -> Result<(), Malformed> {
    let start = scanner.position();
    let depth = DEPTH.saturating_sub(LEVELS_AROUND);
    let mut fields = Fields::default();
    let is_object = scanner.peek() == Some(b'{');
    if is_object {
        let Like { record, data, .. } = like;
        let below = depth.saturating_sub(1);
        scanner.object_like(
            record,
            |_, _, key| Field::of(&key.decode().unwrap_or_default()),
            |scanner, field| {
                let value = match field {
                    Field::EventData => scanner.value_like(data, below),
                    _ => scanner.value(below),
                }?;
                fields.take(field, value);
                Ok(())
            },
        )?;
    } else {
        scanner.value(depth)?;
    }
    let text = scanner.since(start)?;
    let record_type = fields.record_type.and_then(|it| it.string());
    let record_type = record_type.as_deref();
    like.tokens = like
        .tokens
        .saturating_add(usize::from(record_type == Some(TOKEN)));
    if like.tokens > limit::TOKENS_PER_UPLOAD_MAX {
        return Err(Malformed);
    }
    let decided = if is_object {
        fields.decide(record_type)
    } else {
        Err(RejectReason::TypeUnknown)
    };
    match decided {
        Ok((names, ts, content)) => {
            batch.records.push(Submission {
                position,
                text,
                names,
                ts,
                content,
            });
        }
        Err(reason) => batch.rejections.push(Rejection {
            position,
            reason,
            record: RawJson::from_checked(text),
            subject: fields.subject(),
        }),
    }
    Ok(())
}

impl<'a> Fields<'a> {
    fn take(&mut self, field: Field, value: Value<'a>) {
        let place = match field {
            Field::RecordType => &mut self.record_type,
            Field::Ts => &mut self.ts,
            Field::EventName => &mut self.event_name,
            Field::EventData => &mut self.event_data,
            Field::ProfileData => &mut self.profile_data,
            Field::TokenData => &mut self.token_data,
            Field::Name(name) => return self.names.take(name, value),
            Field::Ignored => return,
        };
        self.key_twice |= place.replace(value).is_some();
    }

    /// Whom the record is about, when it is refused.
    fn subject(&self) -> Subject {
        if self.key_twice {
            return Subject::Ambiguous;
        }
        self.names
            .subject(self.profile_data.map_or_else(Vec::new, profile::identities))
    }

    /// Decides on a record, in the order in which the vendor's server complains.
    fn decide(&self, record_type: Option<&str>) -> Result<Decided<'a>, RejectReason> {
        if self.key_twice || self.names.key_twice {
            return Err(RejectReason::KeyTwice);
        }
        match record_type {
            Some("event") => {
                let names = self.names.decode()?;
                let ts = time::decode(self.ts)?;
                let content = event::decode(self.event_name, self.event_data)?;
                Ok((names, ts, content))
            }
            Some("profile") => {
                let names = self.names.decode()?;
                let ts = time::decode(self.ts)?;
                let content = profile::decode(self.profile_data, names.identity.as_deref())?;
                Ok((names, ts, content))
            }
            Some(TOKEN) => {
                let names = self.names.decode_device()?;
                let ts = time::decode(self.ts)?;
                Ok((names, ts, token::decode(self.token_data)?))
            }
            _ => Err(RejectReason::TypeUnknown),
        }
    }
}

type Decided<'a> = (
    model::submission::Names<'a>,
    Option<model::Timestamp>,
    Content<'a>,
);

/// What makes an object unfit as data of an event or a person.
fn audit(value: &Value<'_>, levels_max: u32) -> Result<(), RejectReason> {
    if value.facts.key_twice {
        Err(RejectReason::KeyTwice)
    } else if value.facts.key_invalid {
        Err(RejectReason::KeyInvalid)
    } else if value.facts.levels > levels_max {
        Err(RejectReason::NestedTooDeep)
    } else {
        Ok(())
    }
}

/// What makes one member unfit for such an object, which may have so many levels. A value with too many
/// keys was not searched for those that stand twice.
fn audit_member(key: &str, value: &Value<'_>, levels_max: u32) -> Result<(), RejectReason> {
    let is_wide = value.kind == Kind::Object && value.facts.members > limit::EVENT_PROPERTIES_MAX;
    if is_wide || value.facts.too_many {
        return Err(RejectReason::EventPropertiesTooMany);
    }
    audit(value, levels_max.saturating_sub(1))?;
    if key.is_empty() || key.chars().count() > limit::PROPERTY_KEY_CHARS_MAX {
        Err(RejectReason::KeyInvalid)
    } else {
        Ok(())
    }
}

/// A field that is absent or null.
fn present(field: Option<Value<'_>>) -> Option<Value<'_>> {
    field.filter(|it| it.kind != Kind::Null)
}

/// The data of an event or a person, where there is any: an empty list is how PHP writes an object without
/// members.
fn data(field: Option<Value<'_>>) -> Option<Value<'_>> {
    present(field).filter(|it| it.kind != Kind::Array || it.facts.members > 0)
}

/// The answer to an upload: `processed` records were taken, the others are echoed.
#[must_use]
pub fn answer(processed: u32, rejections: &[Rejection]) -> String {
    let status = match (rejections.is_empty(), processed) {
        (true, _) => "success",
        (false, 0) => "fail",
        (false, _) => "partial",
    };
    let mut body = format!("{{\"status\":\"{status}\",\"processed\":{processed},\"unprocessed\":[");
    for (place, rejection) in rejections.iter().enumerate() {
        if place > 0 {
            body.push(',');
        }
        body.push_str("{\"status\":\"fail\",\"code\":");
        body.push_str(&rejection.reason.code().to_string());
        body.push_str(",\"error\":\"");
        // The texts are ours and hold neither quotes nor backslashes.
        body.push_str(&error(rejection.reason, rejection.position));
        body.push_str("\",\"record\":");
        body.push_str(rejection.record.as_str());
        body.push('}');
    }
    body.push_str("]}");
    body
}
