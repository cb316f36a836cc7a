//! Names of things, each with its own type.

use arrayvec::{ArrayString, ArrayVec};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::Secret;

/// An account: one tenant, as clients name it. 1 to 16 characters of `A-Z`, `0-9` and `-`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "ArrayString<16>", into = "ArrayString<16>")]
pub struct AccountId(ArrayString<16>);

impl AccountId {
    /// The account of what belongs to no account: its id is `0`.
    ///
    /// # Panics
    /// Never: the literal fits.
    #[must_use]
    pub fn installation() -> Self {
        Self(ArrayString::from("0").expect("one character fits"))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<ArrayString<16>> for AccountId {
    type Error = InvalidId;

    fn try_from(text: ArrayString<16>) -> Result<Self, InvalidId> {
        let legal = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'-';
        if text.is_empty() || !text.bytes().all(legal) {
            return Err(InvalidId("account id"));
        }
        Ok(Self(text))
    }
}

impl From<AccountId> for ArrayString<16> {
    fn from(id: AccountId) -> Self {
        id.0
    }
}

impl FromStr for AccountId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        ArrayString::from(text)
            .map_err(|_| InvalidId("account id"))?
            .try_into()
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccountId({})", self.0)
    }
}

/// Text that is not an id of the kind named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a well-formed {0}")]
pub struct InvalidId(pub(crate) &'static str);

macro_rules! bytes16 {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub [u8; 16]);

        impl fmt::Display for $name {
            /// 32 lower-case hexadecimal digits.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let mut bytes = [0; 16];
                hex::decode_to_slice(text, &mut bytes).map_err(|_| InvalidId($what))?;
                Ok(Self(bytes))
            }
        }
    };
}

bytes16!(
    /// What tables hold instead of an identity: see [`PersonKey::of`].
    PersonKey,
    "person key"
);
bytes16!(
    /// One accepted or rejected record; unique in the installation.
    ///
    /// Layout: writer (8 bytes), batch (5), ordinal in the batch (3), all big-endian, so that the ids
    /// of one batch differ in their last bytes only and compress well. Ids derived from content fill
    /// all 16 bytes.
    RecordId,
    "record id"
);
bytes16!(
    /// A data key of the key table.
    KeyId,
    "key id"
);
bytes16!(
    /// A part of the lake.
    PartId,
    "part id"
);

/// How a person is named by a sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum IdentityKind {
    /// `identity`: the company's own id of the person.
    Identity = 0,
    /// `objectId` (also called guid): the id of one device or browser.
    ObjectId = 1,
    /// `FBID`: an id of Facebook's.
    Fbid = 2,
    /// `GPID`: an id of Google's.
    Gpid = 3,
}

impl IdentityKind {
    /// The protocol's spelling.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::ObjectId => "objectId",
            Self::Fbid => "FBID",
            Self::Gpid => "GPID",
        }
    }
}

/// The secret under which an account's person keys are made: random, and never rotated.
pub type PersonKeySecret = Secret<[u8; 32]>;

/// Bytes of what a person key is made from that are hashed without copying in pieces.
const SHORT_BYTES_MAX: usize = 128;

impl PersonKey {
    /// The key of the person that `account` knows as `identity` of `kind`: the first 16 bytes of a
    /// keyed BLAKE3 over account, kind and identity, each length-prefixed.
    #[must_use]
    pub fn of(
        secret: &PersonKeySecret,
        account: AccountId,
        kind: IdentityKind,
        identity: &str,
    ) -> Self {
        let account = account.as_str().as_bytes();
        let head = [kind as u8, u8::try_from(account.len()).unwrap_or(u8::MAX)];
        // Nearly every identity fits one buffer, and is hashed at once.
        let mut input = ArrayVec::<u8, SHORT_BYTES_MAX>::new();
        let is_short = [&head, account, identity.as_bytes()]
            .into_iter()
            .all(|part| input.try_extend_from_slice(part).is_ok());
        let hash = if is_short {
            blake3::keyed_hash(secret.expose(), &input)
        } else {
            let mut hasher = blake3::Hasher::new_keyed(secret.expose());
            hasher.update(&head);
            hasher.update(account);
            hasher.update(identity.as_bytes());
            hasher.finalize()
        };
        let mut key = [0; 16];
        for (to, from) in key.iter_mut().zip(hash.as_bytes()) {
            *to = *from;
        }
        Self(key)
    }
}

/// One run of one node: the numbering of its commits is its own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WriterId {
    /// The node.
    pub node: u32,
    /// How many times the node had started before, plus one.
    pub start: u32,
}

impl WriterId {
    /// Whether the id is one that [`RecordIds`] of this writer gave out: counted, not made from content.
    #[must_use]
    pub fn has_counted(self, id: RecordId) -> bool {
        let own = (u128::from(self.node) << 32) | u128::from(self.start);
        u128::from_be_bytes(id.0) >> 64 == own
    }
}

impl fmt::Display for WriterId {
    /// `nnnnnnnn-ssssssss`, hexadecimal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}-{:08x}", self.node, self.start)
    }
}

impl fmt::Debug for WriterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WriterId({self})")
    }
}

impl FromStr for WriterId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let invalid = || InvalidId("writer id");
        let (node, start) = text.split_once('-').ok_or_else(invalid)?;
        if node.len() != 8 || start.len() != 8 {
            return Err(invalid());
        }
        let number = |digits| u32::from_str_radix(digits, 16).map_err(|_| invalid());
        Ok(Self {
            node: number(node)?,
            start: number(start)?,
        })
    }
}

/// One commit of the journal. A writer numbers its commits from 1, without gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CommitId {
    /// Who wrote it.
    pub writer: WriterId,
    /// Its number among the writer's commits.
    pub number: u64,
}

/// A position in an account-independent deletion ledger: how many entries precede it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct LedgerPosition(pub u64);

/// Gives out the record ids of one writer.
#[derive(Debug)]
pub struct RecordIds {
    writer: WriterId,
    next_batch: AtomicU64,
}

impl RecordIds {
    /// The ids of `writer`; two sources of the same writer must not exist.
    #[must_use]
    pub const fn new(writer: WriterId) -> Self {
        Self {
            writer,
            next_batch: AtomicU64::new(0),
        }
    }

    /// A fresh batch: the ids for the ordinals of one request.
    pub fn batch(&self) -> impl Fn(u32) -> RecordId + use<> {
        let writer = self.writer;
        let batch = self.next_batch.fetch_add(1, Ordering::Relaxed);
        move |ordinal| {
            let mut id = [0; 16];
            let low = (u128::from(batch & 0xff_ffff_ffff) << 24) | u128::from(ordinal & 0xff_ffff);
            let high = (u128::from(writer.node) << 96) | (u128::from(writer.start) << 64);
            id.copy_from_slice(&(high | low).to_be_bytes());
            RecordId(id)
        }
    }
}
