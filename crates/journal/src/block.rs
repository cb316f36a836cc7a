//! Entries as one block of bytes, and back: `docs/formats/commit.md`.
//!
//! Most of a batch repeats: one account, one time of receipt, ids that count up, a few event names,
//! and properties whose keys stand in the same order. So a row says only what differs from the row
//! before it, names and the *shapes* of properties (their text without the values) are written once
//! and then numbered, and person keys, which nothing can compress, stand together at the end. What
//! comes back is the same to the letter. Pure; it must never lose or change a byte of an entry.

mod shape;

use model::record::{Change, Entry, Event, ProfileChange, Record, Source};
use model::{AccountId, PersonKey, RawJson, RecordId, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::codec::{ENTRY_BYTES_MAX, Malformed};
use crate::error::{Error, Result};
use shape::{Shape, Shapes};

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

/// What a row may need beyond the texts of its entry: bounds a block by the sizes of its entries.
const ROW_BYTES_MAX: usize = 256;

/// How much an entry counts: at least the bytes that its row takes, and those of its texts.
pub(crate) fn size_bytes(entry: &Entry) -> usize {
    let texts: &[usize] = match &entry.record {
        Record::Event(it) => &[
            it.name.len(),
            it.properties.as_str().len(),
            it.context.as_ref().map_or(0, |it| it.as_str().len()),
        ],
        Record::ProfileChange(it) => &[it.changes.iter().fold(0, |sum, change| {
            sum.saturating_add(change.property.len())
                .saturating_add(change.value.as_str().len())
                .saturating_add(16)
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
pub(crate) struct Builder {
    rows: Vec<u8>,
    keys: Vec<u8>,
    entries: u32,
    /// Bytes of the texts that rows refer to by number.
    text_bytes: u64,
    before: Option<Before>,
    names: Numbers,
    shapes: Shapes,
    /// Room for one row's properties.
    properties: Vec<u8>,
}

/// A block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Block {
    /// Its head and its rows.
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

impl Builder {
    /// Room for so many entries.
    pub(crate) fn with_capacity(entries: usize) -> Self {
        Self {
            rows: Vec::with_capacity(entries.saturating_mul(128)),
            keys: Vec::with_capacity(entries.saturating_mul(16)),
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
    pub(crate) fn push(&mut self, entry: &Entry) -> Result<()> {
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

    fn event(&mut self, account: AccountId, event: &Event) -> Result<()> {
        let has_extras =
            event.ts_sent.is_some() || event.session.is_some() || event.context.is_some();
        let properties = event.properties.as_str().as_bytes();
        self.properties.clear();
        let is_shaped = self.shapes.cut(properties, &mut self.properties);
        let mut head = EVENT;
        head |= if has_extras { EXTRAS } else { 0 };
        head |= if is_shaped { SHAPED } else { 0 };
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
        if is_shaped {
            self.rows.extend_from_slice(&self.properties);
            self.text_bytes = self.text_bytes.saturating_add(wide(properties.len()));
        } else {
            put_bytes(&mut self.rows, properties);
        }
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
        let mut flags = if is_same { SAME } else { 0 };
        flags |= if is_next { NEXT } else { 0 };
        self.rows.push(head | flags);
        if !is_same {
            self.postcard(&row.origin)?;
        }
        if !is_next {
            self.rows.extend_from_slice(&row.id.0);
        }
        self.keys.extend_from_slice(&person.0);
        let (_, received_at, _) = row.origin;
        let since = ts.ms().wrapping_sub(received_at.ms());
        put_number(&mut self.rows, zigzag(since));
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
        let mut rows = Vec::with_capacity(self.rows.len().saturating_add(32));
        put_number(&mut rows, u64::from(self.entries));
        put_number(&mut rows, wide(self.rows.len()));
        put_number(&mut rows, wide(self.keys.len()));
        put_number(&mut rows, self.text_bytes);
        rows.extend_from_slice(&self.rows);
        Block {
            rows,
            keys: self.keys,
        }
    }
}

/// Texts that have been written, by number. A number is 1 and more; 0 says that a text follows.
#[derive(Debug, Default)]
struct Numbers {
    by_print: HashMap<u64, usize, BuildHasherDefault<Print>>,
    texts: Vec<Box<[u8]>>,
}

impl Numbers {
    /// Writes the number of `text`, or 0 and the text itself.
    fn refer(&mut self, text: &[u8], out: &mut Vec<u8>) {
        let print = print(text);
        let known = self.by_print.get(&print).copied();
        if let Some(place) = known
            && self.texts.get(place).is_some_and(|it| **it == *text)
        {
            put_number(out, wide(place.saturating_add(1)));
            return;
        }
        out.push(0);
        put_bytes(out, text);
        // Of two texts with one fingerprint the later has the number: nothing is lost but room.
        self.by_print.insert(print, self.texts.len());
        self.texts.push(Box::from(text));
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

/// The entries of the blocks in `plain`, which must be `count` in all.
///
/// # Errors
/// [`Malformed`] when they are not exactly that: nothing of it is given then.
pub(crate) fn decode(plain: &[u8], count: u32) -> std::result::Result<Vec<Entry>, Malformed> {
    // A row and its key have some 20 bytes; a count that lies must not make us allocate.
    let likely = usize::try_from(count).unwrap_or(0).min(plain.len() / 20);
    let mut entries = Vec::with_capacity(likely);
    let mut text_bytes = 0_u64;
    let mut rest = plain;
    while !rest.is_empty() {
        let block = Rows::of(&mut rest).ok_or(Malformed::Length)?;
        text_bytes = text_bytes.saturating_add(block.text_bytes);
        if text_bytes > wide(ENTRY_BYTES_MAX) {
            return Err(Malformed::Length);
        }
        block.read(&mut entries, count)?;
    }
    if u32::try_from(entries.len()) == Ok(count) {
        Ok(entries)
    } else {
        Err(Malformed::Length)
    }
}

/// A block that is being read.
struct Rows<'a> {
    entries: u64,
    rows: &'a [u8],
    keys: &'a [u8],
    /// Bytes of texts that rows may still refer to by number.
    text_bytes: u64,
    before: Option<Before>,
    names: Vec<&'a str>,
    shapes: Vec<Shape<'a>>,
}

impl<'a> Rows<'a> {
    fn of(rest: &mut &'a [u8]) -> Option<Self> {
        let entries = take_number(rest)?;
        let rows = usize::try_from(take_number(rest)?).ok()?;
        let keys = usize::try_from(take_number(rest)?).ok()?;
        let text_bytes = take_number(rest)?;
        Some(Self {
            entries,
            rows: take(rest, rows)?,
            keys: take(rest, keys)?,
            text_bytes,
            before: None,
            names: Vec::new(),
            shapes: Vec::new(),
        })
    }

    fn read(mut self, out: &mut Vec<Entry>, count: u32) -> std::result::Result<(), Malformed> {
        for _ in 0..self.entries {
            let index = u32::try_from(out.len()).unwrap_or(u32::MAX);
            if index >= count {
                return Err(Malformed::Length);
            }
            out.push(self.row().ok_or(Malformed::Entry(index))?);
        }
        if self.rows.is_empty() && self.keys.is_empty() && self.text_bytes == 0 {
            Ok(())
        } else {
            Err(Malformed::Length)
        }
    }

    fn row(&mut self) -> Option<Entry> {
        let [head] = take_array(&mut self.rows)?;
        match head & KIND {
            WHOLE if head == WHOLE => self.postcard(),
            EVENT if head & !(KIND | SAME | NEXT | EXTRAS | SHAPED) == 0 => self.event(head),
            CHANGE if head & !(KIND | SAME | NEXT) == 0 => {
                let (row, person, ts) = self.head(head)?;
                let changes: Vec<Change> = self.postcard()?;
                let Before {
                    origin: (account, received_at, source),
                    id,
                } = row;
                let record = Record::ProfileChange(ProfileChange {
                    id,
                    person,
                    ts,
                    received_at,
                    source,
                    changes,
                });
                Some(Entry { account, record })
            }
            _ => None,
        }
    }

    fn event(&mut self, head: u8) -> Option<Entry> {
        let (row, person, ts) = self.head(head)?;
        let (ts_sent, session, context) = if head & EXTRAS != 0 {
            self.postcard()?
        } else {
            (None, None, None)
        };
        let name = self.name()?;
        let properties = if head & SHAPED != 0 {
            self.shaped()?
        } else {
            std::str::from_utf8(take_bytes(&mut self.rows)?)
                .ok()
                .map(RawJson::from_checked)?
        };
        let Before {
            origin: (account, received_at, source),
            id,
        } = row;
        let record = Record::Event(Event {
            id,
            person,
            name,
            ts,
            received_at,
            ts_sent,
            source,
            session,
            properties,
            context,
        });
        Some(Entry { account, record })
    }

    fn head(&mut self, head: u8) -> Option<(Before, PersonKey, Timestamp)> {
        let origin = if head & SAME != 0 {
            self.before?.origin
        } else {
            self.postcard()?
        };
        let id = if head & NEXT != 0 {
            next(self.before?.id)
        } else {
            RecordId(take_array(&mut self.rows)?)
        };
        let row = Before { origin, id };
        self.before = Some(row);
        let person = PersonKey(take_array(&mut self.keys)?);
        let since = unzigzag(take_number(&mut self.rows)?);
        let (_, received_at, _) = origin;
        let ts = Timestamp::from_ms(received_at.ms().wrapping_add(since));
        Some((row, person, ts))
    }

    fn name(&mut self) -> Option<Box<str>> {
        let number = take_number(&mut self.rows)?;
        if number == 0 {
            let name = std::str::from_utf8(take_bytes(&mut self.rows)?).ok()?;
            self.names.push(name);
        }
        let name = *match number.checked_sub(1) {
            None => self.names.last()?,
            Some(place) => self.names.get(usize::try_from(place).ok()?)?,
        };
        self.charge(name.len())?;
        Some(Box::from(name))
    }

    fn shaped(&mut self) -> Option<RawJson> {
        let number = take_number(&mut self.rows)?;
        if number == 0 {
            let shape = Shape::of(take_bytes(&mut self.rows)?)?;
            self.shapes.push(shape);
        }
        let shape = match number.checked_sub(1) {
            None => self.shapes.last()?,
            Some(place) => self.shapes.get(usize::try_from(place).ok()?)?,
        };
        let most = usize::try_from(self.text_bytes).unwrap_or(usize::MAX);
        let text = shape.fill(&mut self.rows, most)?;
        self.charge(text.len())?;
        std::str::from_utf8(&text).ok().map(RawJson::from_checked)
    }

    /// Counts a text that was referred to: what numbers stand for must not outgrow what was said.
    fn charge(&mut self, bytes: usize) -> Option<()> {
        self.text_bytes = self.text_bytes.checked_sub(wide(bytes))?;
        Some(())
    }

    fn postcard<T: DeserializeOwned>(&mut self) -> Option<T> {
        let (value, rest) = postcard::take_from_bytes(self.rows).ok()?;
        self.rows = rest;
        Some(value)
    }
}

/// Seven bits a byte, the lowest first; the highest bit says that more follow.
fn put_number(out: &mut Vec<u8>, mut number: u64) {
    loop {
        let [low, ..] = number.to_le_bytes();
        number >>= 7;
        if number == 0 {
            out.push(low & 0x7f);
            return;
        }
        out.push(low | 0x80);
    }
}

fn take_number(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64_u32).step_by(7) {
        let [byte] = take_array(rest)?;
        let bits = u64::from(byte & 0x7f);
        number |= bits.wrapping_shl(shift);
        if byte & 0x80 == 0 {
            // The tenth byte has room for one bit.
            return (shift < 63 || bits <= 1).then_some(number);
        }
    }
    None
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_number(out, wide(bytes.len()));
    out.extend_from_slice(bytes);
}

fn take_bytes<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(take_number(rest)?).ok()?;
    take(rest, length)
}

fn take<'a>(rest: &mut &'a [u8], bytes: usize) -> Option<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(bytes)?;
    *rest = after;
    Some(taken)
}

fn take_array<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*taken)
}

/// Small numbers of either sign become small numbers.
const fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

const fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ (number & 1).cast_signed().wrapping_neg()
}

fn wide(size: usize) -> u64 {
    u64::try_from(size).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
