//! The parameters of `GET /a`.

use model::Timestamp;
use std::borrow::Cow;

use super::lz::decompress_from_base64;
use crate::rest::url::{Plus, value};
use crate::sdk;

/// How a list of events that is not empty begins in what the browser sends back of earlier answers.
const DISCARDED: &str = "\"d_e\":[\"";
/// The longest number.
const DIGITS_MAX: usize = 15;

/// The parameters of one request; all but `d` are optional.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query<'q> {
    /// `d`: the packed message.
    pub data: Cow<'q, str>,
    /// `rn`: the request's number, to be echoed; 0 when there is none.
    pub number: u64,
    /// `i`: when the request was made, in seconds.
    pub seconds: Option<u32>,
    /// `sn`: its number within that second.
    pub sequence: u64,
    /// `gc`: the browser's id, without the mark of its opting out.
    pub device: Option<Cow<'q, str>>,
    /// The mark of the browser's opting out stands behind `gc`.
    pub is_marked_out: bool,
    /// `s`: the session, on a request that is sent again.
    pub session: Option<u32>,
    /// `optOut`: the request is about opting out, or in again.
    pub opt_out: Option<bool>,
    /// `useIP`: the peer's address may be kept.
    pub uses_ip: bool,
    /// `arp`: what the browser remembers of earlier answers, packed.
    pub remembered: Option<Cow<'q, str>>,
    /// `type`: what kind of message it is.
    pub call: Call,
}

/// What kind of message a request brings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Call {
    /// A page was opened.
    Page,
    /// An event or a profile.
    Push,
    /// The page is still open.
    Ping,
    /// A push token.
    Data,
    /// None of these, or not said.
    #[default]
    Other,
}

impl Call {
    /// The kind of that name.
    pub(super) fn of(name: Option<&str>) -> Self {
        match name {
            Some("page") => Self::Page,
            Some("push") => Self::Push,
            Some("ping") => Self::Ping,
            Some("data") => Self::Data,
            _ => Self::Other,
        }
    }

    /// Its name.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Page => "page",
            Self::Push => "push",
            Self::Ping => "ping",
            Self::Data => "data",
            Self::Other => "",
        }
    }
}

impl<'q> Query<'q> {
    /// Reads a query string; none without a `d`. A parameter that is no good counts as absent.
    #[must_use]
    pub fn decode(query: &'q str) -> Option<Self> {
        let text = |key| value(query, key, Plus::Plus);
        let number = |key| text(key).as_deref().and_then(digits);
        let truth = |key| match text(key).as_deref() {
            Some("true") => Some(true),
            Some("false") => Some(false),
            _ => None,
        };
        let small = |key| {
            number(key)
                .and_then(|it| u32::try_from(it).ok())
                .filter(|it| *it > 0)
        };
        Some(Self {
            data: text("d").filter(|it| !it.is_empty())?,
            number: number("rn").unwrap_or(0),
            seconds: small("i"),
            sequence: number("sn").unwrap_or(0),
            device: text("gc").and_then(|it| device(&it).map(|it| Cow::Owned(it.to_owned()))),
            is_marked_out: text("gc").is_some_and(|it| is_marked_out(&it)),
            session: small("s"),
            opt_out: truth("optOut"),
            uses_ip: truth("useIP") == Some(true),
            remembered: text("arp"),
            call: Call::of(text("type").as_deref()),
        })
    }

    /// Whether what the browser remembers of earlier answers names events that are not wanted. It is
    /// unpacked for that: ask where an answer depends on it.
    #[must_use]
    pub fn remembers_discarded(&self) -> bool {
        let unpacked = self.remembered.as_deref().and_then(decompress_from_base64);
        unpacked.is_some_and(|it| it.contains(DISCARDED))
    }

    /// When the request was made, as the browser's clock has it.
    #[must_use]
    pub fn at(&self) -> Option<Timestamp> {
        sdk::moment(self.seconds)
    }
}

fn digits(text: &str) -> Option<u64> {
    let is_number = text.len() <= DIGITS_MAX && text.bytes().all(|it| it.is_ascii_digit());
    if is_number { text.parse().ok() } else { None }
}

/// What stands behind the id of a browser that has opted out.
pub(super) const OUT: &str = ":OO";

/// The browser's id in a text: the mark of its having opted out is no part of it, however often it
/// stands there.
pub(super) fn device(text: &str) -> Option<&str> {
    let id = text.trim_end_matches(OUT);
    sdk::is_device_id(id).then_some(id)
}

/// Whether the mark of its having opted out stands behind a browser's id.
pub(super) fn is_marked_out(text: &str) -> bool {
    text.ends_with(OUT)
}
