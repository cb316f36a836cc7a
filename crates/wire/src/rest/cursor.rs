//! Cursors: a question and a position in its answer, opaque to the client and kept by it.
//!
//! The server holds nothing for a cursor. A client cannot read meaning into it or change it: the
//! bytes are authenticated, and bound to the account and the call. Its characters are `A-Z`, `a-z`,
//! `0-9`, `-` and `_`, so that no client's encoding can break it. Asked twice, it gives the same
//! page twice.
//!
//! Layout, before base64url: version (1 byte), keyed BLAKE3 of version and payload (32), payload
//! (the cursor's fields in postcard's encoding).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::{AccountId, Day, PersonKey, RecordId, Timestamp};
use serde::{Deserialize, Serialize};
use std::time::Duration;

use super::Refusal;
use super::export::Export;

/// The format of this release.
const VERSION: u8 = 2;
/// Longer texts are no cursors of ours.
const TEXT_BYTES_MAX: usize = 64 * 1024;
/// An events cursor dies this long after its question was asked.
const EVENTS_AGE_MAX: Duration = Duration::from_secs(4 * 3_600);
/// It also dies this long after it was handed out: whoever goes on from page to page is given new ones.
const EVENTS_IDLE_MAX: Duration = Duration::from_secs(3_600);
/// A profiles cursor dies this long after its question was asked.
const PROFILES_AGE_MAX: Duration = Duration::from_secs(4 * 24 * 3_600);

/// A position in the answer to a question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// For which call.
    pub kind: CursorKind,
    /// Whose data.
    pub account: AccountId,
    /// The question.
    pub export: Export,
    /// When the question was asked; the same for all its pages.
    pub created_at: Timestamp,
    /// When this cursor was handed out.
    pub issued_at: Timestamp,
    /// Records received later are not part of the answer, so that pages neither shift nor repeat.
    pub cut_off: Timestamp,
    /// The last record of the page before; none on the first.
    pub after: Option<Position>,
}

/// Which call a cursor belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CursorKind {
    /// `/1/events.json`.
    Events,
    /// `/1/profiles.json`.
    Profiles,
}

/// A position by content: compaction moves records between parts and breaks no cursor. Positions
/// are ordered by their fields, from first to last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Position {
    /// The UTC day of the record.
    pub day: Day,
    /// Its person.
    pub person: PersonKey,
    /// Its time.
    pub ts: Timestamp,
    /// Its id.
    pub record: RecordId,
}

impl Cursor {
    /// The cursor before the first page of a new question.
    #[must_use]
    pub const fn new(kind: CursorKind, account: AccountId, export: Export, now: Timestamp) -> Self {
        let (created_at, issued_at, cut_off) = (now, now, now);
        Self {
            kind,
            account,
            export,
            created_at,
            issued_at,
            cut_off,
            after: None,
        }
    }

    /// The cursor of the page that follows the record at `position`.
    #[must_use]
    pub fn next(&self, position: Position, now: Timestamp) -> Self {
        Self {
            issued_at: now,
            after: Some(position),
            ..self.clone()
        }
    }

    /// The text that the client gets. `key` is the installation's key for cursors.
    #[must_use]
    pub fn seal(&self, key: &[u8; 32]) -> String {
        let payload = postcard::to_allocvec(self).unwrap_or_default();
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(tag(key, VERSION, &payload).as_bytes());
        bytes.extend_from_slice(&payload);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a cursor that `account` presents to the call `kind`.
    ///
    /// # Errors
    /// [`Refusal::IncorrectUsage`] when it was not made here for this account and call;
    /// [`Refusal::CursorInvalidated`] when it is too old.
    pub fn open(
        key: &[u8; 32],
        kind: CursorKind,
        account: AccountId,
        now: Timestamp,
        text: &str,
    ) -> Result<Self, Refusal> {
        let (version, payload) = authenticate(key, text).ok_or(Refusal::IncorrectUsage)?;
        if version != VERSION {
            // Of another release.
            return Err(Refusal::CursorInvalidated);
        }
        let cursor: Self = postcard::from_bytes(&payload).map_err(|_| Refusal::IncorrectUsage)?;
        if cursor.kind != kind || cursor.account != account {
            return Err(Refusal::IncorrectUsage);
        }
        let age = now.since(cursor.created_at);
        let dead = match kind {
            CursorKind::Events => {
                age > EVENTS_AGE_MAX || now.since(cursor.issued_at) > EVENTS_IDLE_MAX
            }
            CursorKind::Profiles => age > PROFILES_AGE_MAX,
        };
        if dead {
            Err(Refusal::CursorInvalidated)
        } else {
            Ok(cursor)
        }
    }
}

/// The version and the payload of a cursor that was made here. Nothing of the payload is looked at before
/// that is known.
fn authenticate(key: &[u8; 32], text: &str) -> Option<(u8, Vec<u8>)> {
    if text.len() > TEXT_BYTES_MAX {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (&version, rest) = bytes.split_first()?;
    let (presented, payload) = rest.split_first_chunk::<32>()?;
    // Comparing two `blake3::Hash` takes the same time wherever they differ.
    let is_ours = tag(key, version, payload) == blake3::Hash::from(*presented);
    is_ours.then(|| (version, payload.to_vec()))
}

fn tag(key: &[u8; 32], version: u8, payload: &[u8]) -> blake3::Hash {
    let own_key = blake3::derive_key("strongroom wire rest cursor v1", key);
    let mut hasher = blake3::Hasher::new_keyed(&own_key);
    hasher.update(&[version]).update(payload);
    hasher.finalize()
}
