//! Blocks read back, of the version that is written and of the one before it.
//!
//! What is read may come from anywhere: every length is checked against what is there, and texts that
//! are referred to by number may not outgrow what the block says.

use model::record::{Change, Entry, Event, ProfileChange, Record};
use model::{PersonKey, RawJson, RecordId, Timestamp};
use serde::de::DeserializeOwned;
use std::collections::HashMap;

use super::number::{take, take_array, take_bytes, take_number, unzigzag, wide};
use super::shape::{CUTS_MAX, NUL};
use super::values::{NUMBERED_MAX, PLACES_MAX, SHARED_IN_TAG};
use super::{Before, CHANGE, EVENT, EXTRAS, KIND, KNOWN, NEXT, SAME, SECONDS, SHAPED, WHOLE, next};
use crate::codec::{ENTRY_BYTES_MAX, Malformed};

/// How blocks are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// The second version of commits: values stand in the rows, and each row has its person key.
    Inline,
    /// The third: values stand apart and may be said by number, and so may person keys.
    Apart,
}

impl Layout {
    /// What a row of events and changes may say in its first byte.
    const fn flags(self) -> u8 {
        match self {
            Self::Inline => KIND | SAME | NEXT,
            Self::Apart => KIND | SAME | NEXT | KNOWN | SECONDS,
        }
    }
}

/// The entries of the blocks in `plain`, which must be `count` in all.
///
/// # Errors
/// [`Malformed`] when they are not exactly that: nothing of it is given then.
pub(crate) fn decode(plain: &[u8], count: u32, layout: Layout) -> Result<Vec<Entry>, Malformed> {
    // A row and its key have some 20 bytes; a count that lies must not make us allocate.
    let likely = usize::try_from(count).unwrap_or(0).min(plain.len() / 20);
    let mut entries = Vec::with_capacity(likely);
    let mut text_bytes = 0_u64;
    let mut rest = plain;
    while !rest.is_empty() {
        let block = Rows::of(&mut rest, layout).ok_or(Malformed::Length)?;
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
    layout: Layout,
    entries: u64,
    rows: &'a [u8],
    /// Person keys that rows have not come to yet, and all of them.
    keys: &'a [u8],
    all_keys: &'a [[u8; 16]],
    /// Bytes of texts that rows may still refer to by number.
    text_bytes: u64,
    before: Option<Before>,
    names: Vec<&'a str>,
    shapes: Vec<Shape<'a>>,
    values: Values<'a>,
}

/// Values that stand apart.
#[derive(Default)]
struct Values<'a> {
    tags: &'a [u8],
    texts: &'a [u8],
    places: Vec<Place>,
    by_gap: HashMap<&'a [u8], usize>,
}

/// What is remembered of the values of one place.
#[derive(Default)]
struct Place {
    /// The last value that was not said by number.
    last: Vec<u8>,
    numbered: Vec<Box<[u8]>>,
}

/// What stands between the values of a text.
struct Shape<'a> {
    /// What stands before each value, and where the value is numbered.
    gaps: Vec<(&'a [u8], Option<usize>)>,
    end: &'a [u8],
    /// Bytes of all that.
    bytes: usize,
}

impl<'a> Rows<'a> {
    fn of(rest: &mut &'a [u8], layout: Layout) -> Option<Self> {
        let mut length = || usize::try_from(take_number(rest)?).ok();
        let entries = wide(length()?);
        let rows = length()?;
        let (tags, texts) = match layout {
            Layout::Inline => (0, 0),
            Layout::Apart => (length()?, length()?),
        };
        let keys = length()?;
        let text_bytes = take_number(rest)?;
        let rows = take(rest, rows)?;
        let values = Values {
            tags: take(rest, tags)?,
            texts: take(rest, texts)?,
            ..Values::default()
        };
        let keys = take(rest, keys)?;
        let (all_keys, _) = keys.as_chunks();
        Some(Self {
            layout,
            entries,
            rows,
            keys,
            all_keys,
            text_bytes,
            before: None,
            names: Vec::new(),
            shapes: Vec::new(),
            values,
        })
    }

    fn read(mut self, out: &mut Vec<Entry>, count: u32) -> Result<(), Malformed> {
        for _ in 0..self.entries {
            let index = u32::try_from(out.len()).unwrap_or(u32::MAX);
            if index >= count {
                return Err(Malformed::Length);
            }
            out.push(self.row().ok_or(Malformed::Entry(index))?);
        }
        let left = [self.rows, self.keys, self.values.tags, self.values.texts];
        if left.iter().all(|it| it.is_empty()) && self.text_bytes == 0 {
            Ok(())
        } else {
            Err(Malformed::Length)
        }
    }

    fn row(&mut self) -> Option<Entry> {
        let [head] = take_array(&mut self.rows)?;
        let flags = self.layout.flags();
        match head & KIND {
            WHOLE if head == WHOLE => self.postcard(),
            EVENT if head & !(flags | EXTRAS | SHAPED) == 0 => self.event(head),
            CHANGE if head & !flags == 0 => self.change(head),
            _ => None,
        }
    }

    fn change(&mut self, head: u8) -> Option<Entry> {
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

    /// What events and changes have in common.
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
        let person = PersonKey(if head & KNOWN != 0 {
            self.known_key()?
        } else {
            take_array(&mut self.keys)?
        });
        let (_, received_at, _) = origin;
        let ts = if head & SECONDS != 0 {
            let since = i32::from_le_bytes(take_array(&mut self.rows)?);
            let second = received_at.seconds().checked_add(i64::from(since))?;
            Timestamp::from_ms(second.checked_mul(1_000)?)
        } else {
            let since = unzigzag(take_number(&mut self.rows)?);
            Timestamp::from_ms(received_at.ms().wrapping_add(since))
        };
        Some((row, person, ts))
    }

    /// A person key that was there before.
    fn known_key(&mut self) -> Option<[u8; 16]> {
        let number = usize::try_from(take_number(&mut self.rows)?).ok()?;
        let taken = self.all_keys.len().checked_sub(self.keys.len() / 16)?;
        if number >= taken {
            return None;
        }
        self.all_keys.get(number).copied()
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
            let shape = Shape::of(take_bytes(&mut self.rows)?, &mut self.values)?;
            self.shapes.push(shape);
        }
        let shape = match number.checked_sub(1) {
            None => self.shapes.last()?,
            Some(place) => self.shapes.get(usize::try_from(place).ok()?)?,
        };
        let most = usize::try_from(self.text_bytes).unwrap_or(usize::MAX);
        let text = match self.layout {
            Layout::Inline => shape.fill(most, |_, text, left| {
                take_inline(&mut self.rows, text, left)
            }),
            Layout::Apart => shape.fill(most, |place, text, left| {
                self.values.next(place, text, left)
            }),
        }?;
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

/// Adds a value that ends with a NUL and has at most `left` bytes to `text`.
fn take_inline(rows: &mut &[u8], text: &mut Vec<u8>, left: usize) -> Option<()> {
    let end = rows.iter().position(|byte| *byte == NUL)?;
    let (value, rest) = rows.split_at_checked(end)?;
    *rows = rest.get(1..)?;
    text.extend_from_slice(value);
    (end <= left).then_some(())
}

impl<'a> Values<'a> {
    /// The place of the values that stand behind `gap`.
    fn place(&mut self, gap: &'a [u8]) -> Option<usize> {
        if let Some(place) = self.by_gap.get(gap) {
            return Some(*place);
        }
        let place = self.places.len();
        if place >= PLACES_MAX {
            return None;
        }
        self.places.push(Place::default());
        self.by_gap.insert(gap, place);
        Some(place)
    }

    /// Adds the next value of a place, which has at most `left` bytes, to `text`.
    fn next(&mut self, place: Option<usize>, text: &mut Vec<u8>, left: usize) -> Option<()> {
        let tag = take_number(&mut self.tags)?;
        let place = place.and_then(|it| self.places.get_mut(it));
        if tag & 1 == 1 {
            let number = usize::try_from(tag >> 1).ok()?;
            let value = place?.numbered.get(number)?;
            text.extend_from_slice(value);
            return (value.len() <= left).then_some(());
        }
        let mut shared = tag >> 1 & SHARED_IN_TAG;
        if shared == SHARED_IN_TAG {
            shared = shared.checked_add(take_number(&mut self.tags)?)?;
        }
        let shared = usize::try_from(shared).ok()?;
        let rest = take(&mut self.texts, usize::try_from(tag >> 4).ok()?)?;
        // Checked before anything is kept: what is remembered is never more than what is given.
        if shared.checked_add(rest.len())? > left {
            return None;
        }
        let Some(Place { last, numbered }) = place else {
            text.extend_from_slice(rest);
            return (shared == 0).then_some(());
        };
        text.extend_from_slice(last.get(..shared)?);
        text.extend_from_slice(rest);
        last.truncate(shared);
        last.extend_from_slice(rest);
        if numbered.len() < NUMBERED_MAX {
            numbered.push(Box::from(last.as_slice()));
        }
        Some(())
    }
}

impl<'a> Shape<'a> {
    /// None when it has more cuts than are ever made.
    fn of(shape: &'a [u8], values: &mut Values<'a>) -> Option<Self> {
        let cuts = shape.iter().filter(|byte| **byte == NUL).count();
        if cuts > CUTS_MAX {
            return None;
        }
        let mut pieces = shape.split(|byte| *byte == NUL);
        let gaps = pieces.by_ref().take(cuts);
        let gaps = gaps.map(|gap| (gap, values.place(gap))).collect();
        Some(Self {
            gaps,
            end: pieces.next()?,
            bytes: shape.len().saturating_sub(cuts),
        })
    }

    /// The text with values in it, at most `most` bytes; none when one is missing. `value` adds the
    /// next one of a place to the text.
    fn fill(
        &self,
        most: usize,
        mut value: impl FnMut(Option<usize>, &mut Vec<u8>, usize) -> Option<()>,
    ) -> Option<Vec<u8>> {
        let mut left = most.checked_sub(self.bytes)?;
        let likely = self.gaps.len().saturating_mul(12).min(left);
        let mut text = Vec::with_capacity(self.bytes.saturating_add(likely));
        for (gap, place) in &self.gaps {
            text.extend_from_slice(gap);
            let before = text.len();
            value(*place, &mut text, left)?;
            left = left.checked_sub(text.len().saturating_sub(before))?;
        }
        text.extend_from_slice(self.end);
        Some(text)
    }
}
