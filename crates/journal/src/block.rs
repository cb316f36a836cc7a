//! Entries as one block of bytes, and back: `docs/formats/commit.md`.
//!
//! Most of a batch repeats: one account, one time of receipt, ids that count up, a few event names,
//! and properties whose keys stand in the same order. So a row says only what differs from the row
//! before it, names and the *shapes* of properties (their text without the values) are written once
//! and then numbered, values stand together, and so do person keys, which nothing can compress. What
//! comes back is the same to the letter. Pure; it must never lose or change a byte of an entry.

mod number;
mod people;
mod read;
mod shape;
mod values;

use model::record::{Entry, Event, ProfileChange, Record, Source};
use model::{AccountId, PersonKey, RecordId, Timestamp};
use serde::Serialize;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::error::{Error, Result};
use number::{put_bytes, put_number, wide, zigzag};
use people::People;
use shape::{Shape, Shapes};
use values::Values;

pub(crate) use read::{Layout, decode};

/// The row is the entry in postcard, whole.
const WHOLE: u8 = 0;
/// The row is an event.
const EVENT: u8 = 1;
/// The row is a change of a profile.
const CHANGE: u8 = 2;
/// The bits that say what a row is.
const KIND: u8 = 3;
/// Account, time of receipt and source are those of the row before.
const SAME: u8 = 4;
/// Time as sent, session and context follow.
const EXTRAS: u8 = 8;
/// The properties are a shape and its values; otherwise their text.
const SHAPED: u8 = 16;
/// The id is the one after that of the row before.
const NEXT: u8 = 32;
/// The person key was there before, and is said by number.
const KNOWN: u8 = 64;
/// The time is a whole second.
const SECONDS: u8 = 128;

/// What a row may need beyond the texts of its entry: bounds a block by the sizes of its entries.
const ROW_BYTES_MAX: usize = 448;

/// What a change of a profile counts beyond its texts: in memory it is some 40 bytes, and each of its two
/// texts is a piece of memory of its own.
const CHANGE_BYTES: usize = 64;

/// How much an entry counts where commits and what is decoded of them are bounded: at least the bytes
/// that its row takes, and those that it takes in memory.
#[must_use]
pub fn size_bytes(entry: &Entry) -> usize {
    let texts: &[usize] = match &entry.record {
        Record::Event(it) => &[
            it.name.len(),
            it.properties.as_str().len(),
            it.context.as_ref().map_or(0, |it| it.as_str().len()),
        ],
        Record::ProfileChange(it) => &[it.changes.iter().fold(0, |sum, change| {
            sum.saturating_add(change.property.len())
                .saturating_add(change.value.as_str().len())
                .saturating_add(CHANGE_BYTES)
        })],
        Record::Link(_) => &[],
        Record::Request(it) => &[
            it.tls_version.len(),
            it.method.len(),
            it.path.len(),
            it.reason.len(),
        ],
        Record::Quarantined(it) => &[it.error.len(), it.body.len()],
    };
    texts
        .iter()
        .fold(ROW_BYTES_MAX, |sum, bytes| sum.saturating_add(*bytes))
}

/// What the next row can refer to.
#[derive(Debug, Clone, Copy)]
struct Before {
    origin: (AccountId, Timestamp, Source),
    id: RecordId,
}

/// The id after `id`.
fn next(id: RecordId) -> RecordId {
    RecordId(u128::from_be_bytes(id.0).wrapping_add(1).to_be_bytes())
}

/// A block under construction.
#[derive(Debug, Default)]
pub(crate) struct Builder<'e> {
    rows: Vec<u8>,
    values: Values<'e>,
    people: People,
    entries: u32,
    /// Bytes of the texts that rows refer to by number.
    text_bytes: u64,
    before: Option<Before>,
    names: Numbers<'e>,
    shapes: Shapes<'e>,
}

/// A block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Block {
    /// Its head, its rows and their values.
    pub(crate) rows: Vec<u8>,
    /// Its person keys.
    pub(crate) keys: Vec<u8>,
}

impl Block {
    /// Its bytes.
    pub(crate) fn len(&self) -> usize {
        self.rows.len().saturating_add(self.keys.len())
    }

    /// Adds it to other blocks.
    pub(crate) fn append_to(&self, blocks: &mut Vec<u8>) {
        blocks.extend_from_slice(&self.rows);
        blocks.extend_from_slice(&self.keys);
    }
}

impl<'e> Builder<'e> {
    /// Room for so many entries.
    pub(crate) fn with_capacity(entries: usize) -> Self {
        Self {
            rows: Vec::with_capacity(entries.saturating_mul(24)),
            values: Values::with_capacity(entries),
            people: People::with_capacity(entries),
            ..Self::default()
        }
    }

    /// Entries in it.
    pub(crate) const fn entries(&self) -> u32 {
        self.entries
    }

    /// Adds an entry.
    ///
    /// # Errors
    /// [`Error::Encode`] when the library fails.
    pub(crate) fn push(&mut self, entry: &'e Entry) -> Result<()> {
        self.entries = self.entries.saturating_add(1);
        match &entry.record {
            Record::Event(event) => self.event(entry.account, event),
            Record::ProfileChange(change) => self.change(entry.account, change),
            Record::Link(_) | Record::Request(_) | Record::Quarantined(_) => {
                self.rows.push(WHOLE);
                self.postcard(entry)
            }
        }
    }

    fn event(&mut self, account: AccountId, event: &'e Event) -> Result<()> {
        let has_extras =
            event.ts_sent.is_some() || event.session.is_some() || event.context.is_some();
        let properties = event.properties.as_str().as_bytes();
        let shape = self.shapes.cut(properties, &mut self.values);
        let mut head = EVENT;
        head |= if has_extras { EXTRAS } else { 0 };
        head |= if shape.is_some() { SHAPED } else { 0 };
        let row = Before {
            origin: (account, event.received_at, event.source),
            id: event.id,
        };
        self.head(head, row, event.person, event.ts)?;
        if has_extras {
            self.postcard(&(event.ts_sent, event.session, &event.context))?;
        }
        self.names.refer(event.name.as_bytes(), &mut self.rows);
        self.text_bytes = self.text_bytes.saturating_add(wide(event.name.len()));
        match shape {
            None => {
                put_bytes(&mut self.rows, properties);
                return Ok(());
            }
            Some(Shape::Known(number)) => put_number(&mut self.rows, number),
            Some(Shape::New(shape)) => {
                self.rows.push(0);
                put_bytes(&mut self.rows, &shape);
            }
        }
        self.text_bytes = self.text_bytes.saturating_add(wide(properties.len()));
        Ok(())
    }

    fn change(&mut self, account: AccountId, change: &ProfileChange) -> Result<()> {
        let row = Before {
            origin: (account, change.received_at, change.source),
            id: change.id,
        };
        self.head(CHANGE, row, change.person, change.ts)?;
        self.postcard(&change.changes)
    }

    /// What events and changes have in common.
    fn head(&mut self, head: u8, row: Before, person: PersonKey, ts: Timestamp) -> Result<()> {
        let before = self.before.replace(row);
        let is_same = before.is_some_and(|it| it.origin == row.origin);
        let is_next = before.is_some_and(|it| next(it.id) == row.id);
        let known = self.people.refer(person);
        let (_, received_at, _) = row.origin;
        let since = seconds_since(received_at, ts);
        let mut flags = if is_same { SAME } else { 0 };
        flags |= if is_next { NEXT } else { 0 };
        flags |= if known.is_some() { KNOWN } else { 0 };
        flags |= if since.is_some() { SECONDS } else { 0 };
        self.rows.push(head | flags);
        if !is_same {
            self.postcard(&row.origin)?;
        }
        if !is_next {
            self.rows.extend_from_slice(&row.id.0);
        }
        if let Some(number) = known {
            put_number(&mut self.rows, number);
        }
        if let Some(since) = since {
            self.rows.extend_from_slice(&since.to_le_bytes());
        } else {
            let since = ts.ms().wrapping_sub(received_at.ms());
            put_number(&mut self.rows, zigzag(since));
        }
        Ok(())
    }

    fn postcard(&mut self, value: &impl Serialize) -> Result<()> {
        let rows = std::mem::take(&mut self.rows);
        self.rows = postcard::to_extend(value, rows).map_err(|source| Error::Encode {
            reason: source.to_string(),
        })?;
        Ok(())
    }

    /// The block.
    pub(crate) fn finish(self) -> Block {
        let Values { tags, texts, .. } = self.values;
        let keys = self.people.into_keys();
        let parts = [self.rows, tags, texts];
        let bytes = parts.iter().map(Vec::len).fold(64, usize::saturating_add);
        let mut rows = Vec::with_capacity(bytes);
        put_number(&mut rows, u64::from(self.entries));
        for part in parts.iter().chain([&keys]) {
            put_number(&mut rows, wide(part.len()));
        }
        put_number(&mut rows, self.text_bytes);
        for part in &parts {
            rows.extend_from_slice(part);
        }
        Block { rows, keys }
    }
}

/// The seconds from `received_at` to `ts`, when `ts` is a whole second and not far away.
fn seconds_since(received_at: Timestamp, ts: Timestamp) -> Option<i32> {
    let second = ts.seconds();
    if second.wrapping_mul(1_000) != ts.ms() {
        return None;
    }
    i32::try_from(second.wrapping_sub(received_at.seconds())).ok()
}

/// Texts that have been written, by number. A number is 1 and more; 0 says that a text follows.
#[derive(Debug, Default)]
struct Numbers<'e> {
    by_print: HashMap<u64, usize, BuildHasherDefault<Print>>,
    texts: Vec<&'e [u8]>,
}

impl<'e> Numbers<'e> {
    /// Writes the number of `text`, or 0 and the text itself.
    fn refer(&mut self, text: &'e [u8], out: &mut Vec<u8>) {
        let print = print(text);
        let known = self.by_print.get(&print).copied();
        if let Some(place) = known
            && self.texts.get(place).is_some_and(|it| *it == text)
        {
            put_number(out, wide(place.saturating_add(1)));
            return;
        }
        out.push(0);
        put_bytes(out, text);
        // Of two texts with one fingerprint the later has the number: nothing is lost but room.
        self.by_print.insert(print, self.texts.len());
        self.texts.push(text);
    }
}

/// A fingerprint of a text, good enough to tell those of one batch apart.
fn print(text: &[u8]) -> u64 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let (words, rest) = text.as_chunks::<8>();
    let mixed = words.iter().fold(wide(text.len()), |mixed, word| {
        (mixed ^ u64::from_le_bytes(*word))
            .wrapping_mul(ODD)
            .rotate_left(29)
    });
    let last = rest
        .iter()
        .fold(0, |word: u64, byte| word << 8 | u64::from(*byte));
    let mixed = (mixed ^ last).wrapping_mul(ODD);
    mixed ^ (mixed >> 32)
}

/// Takes a fingerprint for its own hash.
#[derive(Debug, Default)]
struct Print(u64);

impl Hasher for Print {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = print(bytes);
    }

    fn write_u64(&mut self, print: u64) {
        self.0 = print;
    }
}

#[cfg(test)]
mod tests;
