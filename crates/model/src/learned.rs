//! What is learned of names while records pass: how often each was used, by whom, with which kinds of
//! values.
//!
//! Names are counted beside the records that hold them and travel with the publication that puts those
//! into parts, so each use is counted once. Values never come along.

use crate::record::Source;
use crate::{AccountId, RecordId, Timestamp};

/// Bytes of a text value that the protocol allows; longer ones are kept all the same, and counted.
pub const VALUE_BYTES_MAX: usize = 512;
/// Characters that the protocol does not allow in a text value; they are kept all the same, and counted.
pub const VALUE_CHARACTERS_FORBIDDEN: [char; 3] = ['\'', '"', '\\'];

/// A name that is used.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Name {
    /// An event.
    Event(Box<str>),
    /// A property of an event.
    EventProperty(Box<str>, Box<str>),
    /// A property of people.
    ProfileProperty(Box<str>),
}

/// What kind of value a property has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ValueKind {
    /// A string.
    Text,
    /// A number without point and exponent.
    Integer,
    /// Any other number.
    Float,
    /// True or false.
    Boolean,
    /// A string that begins with `$D_`.
    Date,
    /// A list.
    List,
    /// An object.
    Object,
    /// Null.
    Null,
}

/// How often each kind occurred, in the order of [`ValueKind::ALL`].
pub type KindCounts = [u64; ValueKind::ALL.len()];

impl ValueKind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::Text,
        Self::Integer,
        Self::Float,
        Self::Boolean,
        Self::Date,
        Self::List,
        Self::Object,
        Self::Null,
    ];

    /// The kind's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Integer => "integer",
            Self::Float => "float",
            Self::Boolean => "boolean",
            Self::Date => "date",
            Self::List => "list",
            Self::Object => "object",
            Self::Null => "null",
        }
    }

    /// The kind of a JSON value, by its text.
    #[must_use]
    pub fn of(value: &str) -> Self {
        match value.as_bytes() {
            [b'"', b'$', b'D', b'_', ..] => Self::Date,
            [b'"', ..] => Self::Text,
            [b't' | b'f', ..] => Self::Boolean,
            [b'[', ..] => Self::List,
            [b'{', ..] => Self::Object,
            [b'n', ..] => Self::Null,
            number if number.iter().any(|it| matches!(it, b'.' | b'e' | b'E')) => Self::Float,
            _ => Self::Integer,
        }
    }

    /// Whether values of both kinds can stand in one property without a mismatch: numbers among
    /// themselves, and null with all.
    #[must_use]
    pub fn agrees(self, other: Self) -> bool {
        let is_number = |it| matches!(it, Self::Integer | Self::Float);
        self == other
            || self == Self::Null
            || other == Self::Null
            || (is_number(self) && is_number(other))
    }
}

/// What the protocol would not have in a value, and that is kept all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ValueFault {
    /// A text, anywhere in it, of more than [`VALUE_BYTES_MAX`] bytes.
    TooLong,
    /// A text, anywhere in it, with one of [`VALUE_CHARACTERS_FORBIDDEN`].
    Characters,
    /// A list or an object with more in it than [`crate::limit::NESTED_ELEMENTS_MAX`],
    /// [`crate::limit::NESTED_MEMBERS_MAX`] and [`crate::limit::NESTED_KEYS_MAX`] say, or with more
    /// levels than [`crate::limit::NESTED_LEVELS_MAX`].
    TooWide,
}

impl ValueFault {
    /// Every fault.
    pub const ALL: [Self; 3] = [Self::TooLong, Self::Characters, Self::TooWide];
}

/// How many values had each fault, in the order of [`ValueFault::ALL`].
pub type FaultCounts = [u64; ValueFault::ALL.len()];

/// One name's uses by one dialect, in a stretch of records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Learned {
    /// Whose.
    pub account: AccountId,
    /// By which dialect.
    pub source: Source,
    /// The name.
    pub name: Name,
    /// How often it was used.
    pub count: u64,
    /// Of a property: with which kinds of values.
    pub kinds: KindCounts,
    /// Of a property: a record with a value of each kind.
    pub samples: [Option<RecordId>; ValueKind::ALL.len()],
    /// Of a property: how many values had which fault.
    pub faults: FaultCounts,
    /// A record that uses it.
    pub sample: RecordId,
    /// The earliest time of such a record.
    pub first_seen: Timestamp,
    /// The latest.
    pub last_seen: Timestamp,
}

impl Learned {
    /// Adds more uses of the same name, of the same account by the same dialect.
    pub fn add(&mut self, more: Self) {
        self.count = self.count.saturating_add(more.count);
        for (sum, more) in self.kinds.iter_mut().zip(more.kinds) {
            *sum = sum.saturating_add(more);
        }
        for (sample, more) in self.samples.iter_mut().zip(more.samples) {
            *sample = sample.or(more);
        }
        for (sum, more) in self.faults.iter_mut().zip(more.faults) {
            *sum = sum.saturating_add(more);
        }
        self.first_seen = self.first_seen.min(more.first_seen);
        self.last_seen = self.last_seen.max(more.last_seen);
    }
}

/// Records that were refused for one reason, in a stretch of records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Whose.
    pub account: AccountId,
    /// By which dialect.
    pub source: Source,
    /// The name of the reason; `undecodable` for a body of no form at all.
    pub reason: Box<str>,
    /// How many.
    pub count: u64,
    /// One of them, as the quarantine knows it.
    pub sample: RecordId,
    /// When the first was received.
    pub first_seen: Timestamp,
    /// When the last was.
    pub last_seen: Timestamp,
}

/// A property that was left out before what held it was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Whose.
    pub account: AccountId,
    /// By which dialect.
    pub source: Source,
    /// Which: an event's or a person's.
    pub name: Name,
    /// Why.
    pub reason: LeftOutReason,
    /// How often.
    pub count: u64,
    /// When first.
    pub first_seen: Timestamp,
    /// When last.
    pub last_seen: Timestamp,
}

/// Why a property is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LeftOutReason {
    /// The account does not know it.
    Undefined,
    /// Its value is not of the declared kind.
    Mismatch,
}

#[cfg(test)]
mod tests {
    use super::ValueKind;

    #[test]
    fn a_value_s_kind_is_seen_by_its_text() {
        let cases = [
            ("\"a\"", ValueKind::Text),
            ("\"$D_1\"", ValueKind::Date),
            ("\"\"", ValueKind::Text),
            ("-12", ValueKind::Integer),
            ("1.0", ValueKind::Float),
            ("1E3", ValueKind::Float),
            ("true", ValueKind::Boolean),
            ("false", ValueKind::Boolean),
            ("[]", ValueKind::List),
            ("{}", ValueKind::Object),
            ("null", ValueKind::Null),
        ];
        for (text, kind) in cases {
            assert_eq!(ValueKind::of(text), kind, "{text}");
        }
        assert!(ValueKind::Integer.agrees(ValueKind::Float));
        assert!(ValueKind::Null.agrees(ValueKind::List));
        assert!(!ValueKind::Text.agrees(ValueKind::Date));
    }
}
