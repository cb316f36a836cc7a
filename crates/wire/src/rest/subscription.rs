//! `POST /1/subscribe` and `POST /1/disassociate`: addresses and numbers, whoever has them.

use model::submission::{RejectReason, Rejection, Subject};
use model::{RawJson, limit};

use super::Refusal;
use super::upload::profile::checks;
use crate::json::{self, Kind, Scanner, Value};

/// Where a person can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Channel {
    /// A telephone number.
    Phone,
    /// An e-mail address.
    Email,
    /// A telephone number, by the messenger of that name.
    Whatsapp,
}

/// A wish: whoever has `value` is to be reached there, or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// By what.
    pub channel: Channel,
    /// The number (`+` and digits) or the address, as it is kept in profiles.
    pub value: String,
    /// Whether it is a `Resubscribe`.
    pub subscribed: bool,
}

/// What was decoded, and what was refused.
pub type Decoded<T> = (Vec<T>, Vec<Rejection>);

/// Decodes `{"d":[{"type","value","status"}]}`.
///
/// # Errors
/// [`Refusal::Malformed`] when it is not that, or more than [`limit::RECORDS_PER_UPLOAD_MAX`].
pub fn decode_subscribe(body: &[u8]) -> Result<Decoded<Subscription>, Refusal> {
    each(body, |fields| {
        let (channel, value) = fields.address()?;
        let status = fields.status.and_then(|it| it.string());
        let subscribed = match status.as_deref() {
            Some("Resubscribe") => true,
            Some("Unsubscribe") => false,
            _ => return Err(RejectReason::SubscriptionInvalid),
        };
        Ok(Subscription {
            channel,
            value,
            subscribed,
        })
    })
}

/// Decodes `{"d":[{"type":"phone","value"}]}`: the numbers.
///
/// # Errors
/// As [`decode_subscribe`].
pub fn decode_disassociate(body: &[u8]) -> Result<Decoded<String>, Refusal> {
    each(body, |fields| match fields.address()? {
        (Channel::Phone, value) => Ok(value),
        (Channel::Email | Channel::Whatsapp, _) => Err(RejectReason::SubscriptionInvalid),
    })
}

#[derive(Debug, Default)]
struct Fields<'a> {
    channel: Option<Value<'a>>,
    value: Option<Value<'a>>,
    status: Option<Value<'a>>,
}

impl Fields<'_> {
    fn address(&self) -> Result<(Channel, String), RejectReason> {
        let channel = self.channel.and_then(|it| it.string());
        let channel = match channel.as_deref() {
            Some("phone") => Channel::Phone,
            Some("email") => Channel::Email,
            Some("whatsapp") => Channel::Whatsapp,
            _ => return Err(RejectReason::SubscriptionInvalid),
        };
        let value = self.value.ok_or(RejectReason::SubscriptionInvalid)?;
        let text = match value.kind {
            Kind::String => value.string().unwrap_or_default(),
            Kind::Number => value.text.into(),
            Kind::Object | Kind::Array | Kind::Bool | Kind::Null => {
                return Err(RejectReason::SubscriptionInvalid);
            }
        };
        match channel {
            Channel::Email if checks::is_email(&text) => Ok((channel, text.into_owned())),
            Channel::Email => Err(RejectReason::EmailInvalid),
            Channel::Phone | Channel::Whatsapp => checks::phone(&text, value.kind)
                .map(|phone| (channel, phone))
                .ok_or(RejectReason::PhoneInvalid),
        }
    }
}

fn each<T>(
    body: &[u8],
    decode: impl Fn(&Fields<'_>) -> Result<T, RejectReason>,
) -> Result<Decoded<T>, Refusal> {
    let text = json::text(body).map_err(|_| Refusal::Malformed)?;
    let value = Scanner::whole(text).map_err(|_| Refusal::Malformed)?;
    let mut lists = Vec::new();
    value.members(|key, value| {
        if key.decode().is_some_and(|key| key == "d") {
            lists.push(value);
        }
    });
    let elements = match lists.as_slice() {
        [list] if list.kind == Kind::Array => {
            let mut elements = Vec::new();
            list.elements(|element| elements.push(element));
            elements
        }
        [one] if one.kind == Kind::Object => vec![*one],
        _ => return Err(Refusal::Malformed),
    };
    if elements.len() > limit::RECORDS_PER_UPLOAD_MAX {
        return Err(Refusal::Malformed);
    }
    let (mut decoded, mut rejected) = (Vec::new(), Vec::new());
    for (position, element) in (1_u32..).zip(elements) {
        let mut fields = Fields::default();
        element.members(|key, value| match key.decode().as_deref() {
            Some("type") => fields.channel = Some(value),
            Some("value") => fields.value = Some(value),
            Some("status") => fields.status = Some(value),
            _ => {}
        });
        let outcome = if element.facts.key_twice {
            Err(RejectReason::KeyTwice)
        } else {
            decode(&fields)
        };
        match outcome {
            Ok(value) => decoded.push(value),
            Err(reason) => rejected.push(Rejection {
                position,
                reason,
                record: RawJson::from_checked(element.text),
                subject: Subject::Nobody,
            }),
        }
    }
    Ok((decoded, rejected))
}
