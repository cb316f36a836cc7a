//! What is kept: the canonical records that the journal takes and the lake stores.

use serde::{Deserialize, Serialize};
use std::net::IpAddr;

use crate::{AccountId, IdentityKind, PersonKey, RawJson, RecordId, Timestamp};

/// One record and the account it belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Whose it is; [`AccountId::installation`] for lines that belong to no account.
    pub account: AccountId,
    /// What it says.
    pub record: Record,
}

/// What one entry says. The order of the variants is part of the commit's format.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record {
    /// Something that a person did.
    Event(Event),
    /// A change of what is known of a person.
    ProfileChange(ProfileChange),
    /// Two identities, or a device and an identity, are one person.
    Link(Link),
    /// A request that was received.
    Request(Box<RequestLine>),
    /// Something that was not accepted, kept until reviewed.
    Quarantined(Box<Quarantined>),
}

impl Record {
    /// The table of the lake that the record goes to.
    #[must_use]
    pub const fn table(&self) -> Table {
        match self {
            Self::Event(_) => Table::Events,
            Self::ProfileChange(_) => Table::ProfileChanges,
            Self::Link(_) => Table::Links,
            Self::Request(_) => Table::Requests,
            Self::Quarantined(_) => Table::Quarantine,
        }
    }

    /// The record's id.
    #[must_use]
    pub const fn id(&self) -> RecordId {
        match self {
            Self::Event(it) => it.id,
            Self::ProfileChange(it) => it.id,
            Self::Link(it) => it.id,
            Self::Request(it) => it.id,
            Self::Quarantined(it) => it.id,
        }
    }
}

/// A table of the lake; each account has each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Table {
    /// [`Event`]s.
    Events,
    /// [`ProfileChange`]s.
    ProfileChanges,
    /// [`Link`]s.
    Links,
    /// [`RequestLine`]s.
    Requests,
    /// [`Quarantined`] records.
    Quarantine,
}

impl Table {
    /// Every table.
    pub const ALL: [Self; 5] = [
        Self::Events,
        Self::ProfileChanges,
        Self::Links,
        Self::Requests,
        Self::Quarantine,
    ];

    /// The table's name in SQL and in paths.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::ProfileChanges => "profile_changes",
            Self::Links => "links",
            Self::Requests => "requests",
            Self::Quarantine => "quarantine",
        }
    }

    /// The table of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|table| table.as_str() == name)
    }
}

/// Which dialect of the protocol a record came by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Source {
    /// The server-to-server REST API.
    Rest,
    /// The web SDK.
    Web,
    /// The Android SDK.
    Android,
    /// The iOS SDK.
    Ios,
    /// The console or the command line.
    Console,
}

impl Source {
    /// Every source.
    pub const ALL: [Self; 5] = [
        Self::Rest,
        Self::Web,
        Self::Android,
        Self::Ios,
        Self::Console,
    ];

    /// The source's name in the `source` column.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rest => "rest",
            Self::Web => "web",
            Self::Android => "android",
            Self::Ios => "ios",
            Self::Console => "console",
        }
    }

    /// Whether the SDK of a device is what sends.
    #[must_use]
    pub const fn is_sdk(self) -> bool {
        match self {
            Self::Web | Self::Android | Self::Ios => true,
            Self::Rest | Self::Console => false,
        }
    }
}

/// Something that a person did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The record's id.
    pub id: RecordId,
    /// The key of the identity, or of the device, that the sender named.
    pub person: PersonKey,
    /// The event's name, as sent.
    pub name: Box<str>,
    /// When it happened.
    pub ts: Timestamp,
    /// When it was received.
    pub received_at: Timestamp,
    /// What the sender said, when `ts` is not that: a time more than 24 h ahead is kept as received.
    pub ts_sent: Option<Timestamp>,
    /// How it came.
    pub source: Source,
    /// The SDK's session: seconds since the epoch; none by REST.
    pub session: Option<u32>,
    /// The event's properties: a JSON object, as sent. `{}` when none.
    pub properties: RawJson,
    /// What the SDK said of device and session (`os_version`, `app_version`, `make`, `model`,
    /// `utm_source`, …): a JSON object; none by REST.
    pub context: Option<RawJson>,
}

/// A change of what is known of a person: one uploaded profile, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileChange {
    /// The record's id.
    pub id: RecordId,
    /// The key of the identity, or of the device, that the sender named.
    pub person: PersonKey,
    /// When the change was made.
    pub ts: Timestamp,
    /// When it was received.
    pub received_at: Timestamp,
    /// How it came.
    pub source: Source,
    /// The changes, in the order in which they are applied.
    pub changes: Vec<Change>,
}

/// One step of a profile change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The property, as sent. For [`ChangeOp::Identify`] the identity's kind as spelled by the
    /// protocol; for [`ChangeOp::Token`] the push service; for [`ChangeOp::Device`] the platform.
    pub property: Box<str>,
    /// What is done to it.
    pub op: ChangeOp,
    /// With what: one JSON value, as sent.
    pub value: RawJson,
}

/// What a step does to a property.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ChangeOp {
    /// A plain value: it becomes the property's value.
    Put,
    /// `$set`: the list becomes the property's value.
    Set,
    /// `$add`: a value or list, appended unless present.
    Add,
    /// `$remove`: a value or list, taken out; an empty list removes the property.
    Remove,
    /// `$incr`: added to the number; from 0 when absent.
    Incr,
    /// `$decr`: taken from the number; from 0 when absent.
    Decr,
    /// `$delete`: the property is removed.
    Delete,
    /// The person's own identity in plain text (a JSON string), so that it can be shown again.
    Identify,
    /// A push token: `{"id","type","keys"?}`.
    Token,
    /// What the SDK says of the device: `{"os_version","app_version","make","model",…}`.
    Device,
}

impl ChangeOp {
    /// Every operation.
    pub const ALL: [Self; 10] = [
        Self::Put,
        Self::Set,
        Self::Add,
        Self::Remove,
        Self::Incr,
        Self::Decr,
        Self::Delete,
        Self::Identify,
        Self::Token,
        Self::Device,
    ];

    /// The operation's name in the `op` column.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Set => "set",
            Self::Add => "add",
            Self::Remove => "remove",
            Self::Incr => "incr",
            Self::Decr => "decr",
            Self::Delete => "delete",
            Self::Identify => "identify",
            Self::Token => "token",
            Self::Device => "device",
        }
    }

    /// The operation of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|op| op.as_str() == name)
    }
}

/// Two keys that name one person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The record's id.
    pub id: RecordId,
    /// The device, or the older identity.
    pub from: PersonKey,
    /// The identity that it belongs to; of an [`LinkKind::Unlink`] the device itself, or, as it was written
    /// once, whose it was.
    pub to: PersonKey,
    /// Since when.
    pub ts: Timestamp,
    /// When it was received.
    pub received_at: Timestamp,
    /// What kind of thing `from` names.
    pub from_kind: IdentityKind,
    /// How the two belong together.
    pub kind: LinkKind,
}

/// How two keys belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum LinkKind {
    /// A device in use by an identity, until it is linked to another one.
    Device,
    /// Two identities of one person, for good.
    Alias,
    /// The device belongs to nobody from here on (a demerge, or an anonymous reset).
    Unlink,
}

impl LinkKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Device, Self::Alias, Self::Unlink];

    /// The kind's name in the `kind` column.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Alias => "alias",
            Self::Unlink => "unlink",
        }
    }
}

/// Which listener a request came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Plane {
    /// SDK endpoints.
    Collect,
    /// The REST API.
    Api,
    /// The console's pages.
    Console,
}

impl Plane {
    /// The plane's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Collect => "collect",
            Self::Api => "api",
            Self::Console => "console",
        }
    }
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Outcome {
    /// Served.
    Answered,
    /// Refused with an answer (an error status).
    Refused,
    /// Refused in silence.
    Dropped,
}

impl Outcome {
    /// The outcome's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Refused => "refused",
            Self::Dropped => "dropped",
        }
    }
}

/// One line of the request log. It never holds a credential, a query string or a body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestLine {
    /// The record's id.
    pub id: RecordId,
    /// When the request's head had been read; of a drop, when it was dropped.
    pub at: Timestamp,
    /// Which listener.
    pub plane: Plane,
    /// The peer, as much of it as may be kept.
    pub peer: Peer,
    /// `1.2` or `1.3`; the version that a refused client offered otherwise; empty when unknown.
    pub tls_version: Box<str>,
    /// The method, `A-Z` only, at most 16 characters; `-` when it was not one.
    pub method: Box<str>,
    /// The path, cleaned: a known route's pattern, or the printable part of an unknown path, cut.
    pub path: Box<str>,
    /// The HTTP status; 0 when nothing was answered.
    pub status: u16,
    /// How it ended.
    pub outcome: Outcome,
    /// Why it was refused or dropped; empty when it was served.
    pub reason: Box<str>,
    /// Bytes of the body that were read; of a request that was dropped at least as many as it announced.
    pub size_bytes: u64,
    /// Records accepted.
    pub accepted: u32,
    /// Records rejected. Of a request that was not served, and under the reason `gathered`: for how many
    /// more requests the line stands.
    pub rejected: u32,
    /// Time from the head to the answer's being ready, microseconds.
    pub duration_us: u64,
}

/// What is kept of a peer's address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Peer {
    /// Nothing is known of it.
    Unknown,
    /// The whole address (REST and console callers, dropped requests).
    Address(IpAddr),
    /// SDK clients that did not allow more: a keyed hash, and the /24 or /48 as text.
    Hashed {
        /// The first 8 bytes of a keyed BLAKE3 of the address.
        hash: [u8; 8],
        /// For example `203.0.113.0/24`.
        network: Box<str>,
    },
}

/// A rejected record, or a body of a known account that could not be decoded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantined {
    /// The record's id; a replay keeps it.
    pub id: RecordId,
    /// When it was received.
    pub received_at: Timestamp,
    /// How it came.
    pub source: Source,
    /// Whom it names, where that could be read: deletion looks here.
    pub person: Option<PersonKey>,
    /// The protocol's record code (509, 515, …); 0 for a body that could not be decoded.
    pub code: u16,
    /// What was wrong, in words.
    pub error: Box<str>,
    /// The bytes as received.
    pub body: Vec<u8>,
}
