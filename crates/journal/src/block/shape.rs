//! The shape of a JSON object's text: the text with its members' values cut out.
//!
//! A NUL stands where a value was, and ends each value; a text that holds one itself is not cut, and
//! no JSON does. Where the cuts are made decides how much is saved, never what comes back: any text
//! that was cut anywhere is put together again to the letter.

use super::{put_bytes, put_number};

/// Members whose values are cut out; an object with more stays whole.
const CUTS_MAX: usize = 64;
/// Ways on from one place that are known; a text that would need another stays whole.
const WAYS_MAX: usize = 16;
const NUL: u8 = 0;
/// Bytes of a gap that are compared at once.
const HEAD_BYTES: usize = 16;

/// The shapes of a block that is being written: a tree, from the brace to the last member. A text
/// that goes a known way is cut on the way, and nothing of its shape is copied or hashed.
#[derive(Debug)]
pub(super) struct Shapes {
    /// The first is the root.
    nodes: Vec<Node>,
    count: u64,
    /// The way of the text at hand, and its values.
    path: Vec<usize>,
    values: Vec<u8>,
}

/// A place behind a value.
#[derive(Debug, Default)]
struct Node {
    /// What stands before the value.
    gap: Box<[u8]>,
    /// The gap's first bytes as a number, to compare them at once, and which of its bits count.
    head: u128,
    mask: u128,
    next: Vec<usize>,
    /// What may stand behind the last value, and the number of the shape.
    ends: Vec<(Box<[u8]>, u64)>,
}

impl Node {
    fn behind(gap: &[u8]) -> Self {
        let mut head = [0; HEAD_BYTES];
        let mut mask = [0; HEAD_BYTES];
        for ((to, bits), from) in head.iter_mut().zip(&mut mask).zip(gap) {
            (*to, *bits) = (*from, 0xff);
        }
        Self {
            gap: Box::from(gap),
            head: u128::from_le_bytes(head),
            mask: u128::from_le_bytes(mask),
            ..Self::default()
        }
    }

    /// What follows the gap that `text` begins with; none when it does not.
    fn strip<'t>(&self, text: &'t [u8]) -> Option<&'t [u8]> {
        match text.first_chunk() {
            Some(first) if (u128::from_le_bytes(*first) ^ self.head) & self.mask != 0 => None,
            Some(_) if self.gap.len() <= HEAD_BYTES => text.get(self.gap.len()..),
            Some(_) | None => text.strip_prefix(&*self.gap),
        }
    }
}

/// A text that stays whole.
struct Whole;

impl Default for Shapes {
    fn default() -> Self {
        Self {
            nodes: vec![Node::default()],
            count: 0,
            path: Vec::new(),
            values: Vec::new(),
        }
    }
}

impl Shapes {
    /// Writes the number of the text's shape, or 0 and the shape, and then the values. False when it
    /// stays whole; nothing was written then.
    pub(super) fn cut(&mut self, text: &[u8], out: &mut Vec<u8>) -> bool {
        self.path.clear();
        self.values.clear();
        if text.contains(&NUL) {
            return false;
        }
        let mut rest = text;
        let mut at = 0_usize;
        loop {
            match self.member(at, rest) {
                Ok(Some((next, after))) => {
                    self.path.push(next);
                    (at, rest) = (next, after);
                }
                Ok(None) => break,
                Err(Whole) => return false,
            }
        }
        if self.end(at, rest, out).is_err() {
            return false;
        }
        out.extend_from_slice(&self.values);
        true
    }

    /// The next member: its place in the tree, which is made if need be, and what follows it.
    fn member<'t>(
        &mut self,
        at: usize,
        rest: &'t [u8],
    ) -> Result<Option<(usize, &'t [u8])>, Whole> {
        let ways = self.nodes.get(at).map_or(&[][..], |it| it.next.as_slice());
        let known = ways.iter().find_map(|next| {
            let node = self.nodes.get(*next)?;
            let value = node.strip(rest)?;
            let is_string = node.gap.last() == Some(&b'"');
            // What stands before a number may stand before a string's quote, too.
            if !is_string && value.first() == Some(&b'"') {
                return None;
            }
            let (value, after) = value.split_at_checked(value_len(value, is_string)?)?;
            Some((*next, value, after))
        });
        let (next, value, after) = if let Some(known) = known {
            known
        } else {
            let Some((gap, value, after)) = next_value(rest) else {
                return Ok(None);
            };
            let next = self.nodes.len();
            let ways = self.nodes.get_mut(at).map(|it| &mut it.next);
            match ways {
                Some(ways) if ways.len() < WAYS_MAX => ways.push(next),
                Some(_) | None => return Err(Whole),
            }
            self.nodes.push(Node::behind(gap));
            (next, value, after)
        };
        if self.path.len() >= CUTS_MAX {
            return Err(Whole);
        }
        self.values.extend_from_slice(value);
        self.values.push(NUL);
        Ok(Some((next, after)))
    }

    /// Writes the number of the shape that ends here, or the shape itself.
    fn end(&mut self, at: usize, rest: &[u8], out: &mut Vec<u8>) -> Result<(), Whole> {
        let node = self.nodes.get_mut(at).ok_or(Whole)?;
        if let Some((_, number)) = node.ends.iter().find(|(end, _)| **end == *rest) {
            put_number(out, *number);
            return Ok(());
        }
        if node.ends.len() >= WAYS_MAX {
            return Err(Whole);
        }
        self.count = self.count.saturating_add(1);
        node.ends.push((Box::from(rest), self.count));
        let mut shape = Vec::new();
        for place in &self.path {
            let node = self.nodes.get(*place).ok_or(Whole)?;
            shape.extend_from_slice(&node.gap);
            shape.push(NUL);
        }
        shape.extend_from_slice(rest);
        put_number(out, 0);
        put_bytes(out, &shape);
        Ok(())
    }
}

/// What stands before the value of the next member, the value, and what follows it. The quotes of a
/// string are not part of it. `text` begins with the object's brace or behind a member's value.
fn next_value(text: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    // After a string stands the quote that ends it.
    let mut at = usize::from(text.first() == Some(&b'"'));
    while matches!(text.get(at)?, b'{' | b',' | b' ' | b'\n' | b'\r' | b'\t') {
        at = at.wrapping_add(1);
    }
    let key = text.get(at..)?.strip_prefix(b"\"")?;
    at = at.wrapping_add(string_len(key)?).wrapping_add(2);
    while matches!(text.get(at)?, b':' | b' ' | b'\n' | b'\r' | b'\t') {
        at = at.wrapping_add(1);
    }
    let is_string = text.get(at) == Some(&b'"');
    let (before, rest) = text.split_at_checked(at.wrapping_add(usize::from(is_string)))?;
    let (value, after) = rest.split_at_checked(value_len(rest, is_string)?)?;
    Some((before, value, after))
}

/// Bytes of the value that `text` begins with: behind the opening quote, for a string.
fn value_len(text: &[u8], is_string: bool) -> Option<usize> {
    match text.first()? {
        _ if is_string => string_len(text),
        b'{' | b'[' => nested_len(text),
        _ => text
            .iter()
            .position(|byte| matches!(byte, b',' | b'}' | b' ' | b'\n' | b'\r' | b'\t')),
    }
}

/// Bytes of the object or array that `text` begins with.
fn nested_len(text: &[u8]) -> Option<usize> {
    let (mut at, mut depth) = (0_usize, 0_u32);
    loop {
        match *text.get(at)? {
            b'{' | b'[' => depth = depth.checked_add(1)?,
            b'}' | b']' => depth = depth.checked_sub(1)?,
            b'"' => {
                let inner = text.get(at.wrapping_add(1)..)?;
                at = at.wrapping_add(string_len(inner)?).wrapping_add(1);
            }
            _ => {}
        }
        at = at.wrapping_add(1);
        if depth == 0 {
            return Some(at);
        }
    }
}

/// Bytes before the quote that ends a string.
fn string_len(text: &[u8]) -> Option<usize> {
    let mut at = 0_usize;
    loop {
        while let Some(eight) = text.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
            let special = special_bytes(u64::from_le_bytes(*eight));
            if special != 0 {
                let ahead = special.trailing_zeros() >> 3;
                at = at.wrapping_add(usize::try_from(ahead).unwrap_or(0));
                break;
            }
            at = at.wrapping_add(8);
        }
        match *text.get(at)? {
            b'"' => return Some(at),
            b'\\' => at = at.wrapping_add(2),
            _ => at = at.wrapping_add(1),
        }
    }
}

/// The lowest set bit tells the first byte that is a quote or a backslash.
const fn special_bytes(word: u64) -> u64 {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let quote = word ^ LOW.wrapping_mul(0x22);
    let backslash = word ^ LOW.wrapping_mul(0x5c);
    let is_quote = quote.wrapping_sub(LOW) & !quote;
    let is_backslash = backslash.wrapping_sub(LOW) & !backslash;
    (is_quote | is_backslash) & HIGH
}

/// A shape that is read back: what stands between the values.
#[derive(Debug)]
pub(super) struct Shape<'a>(Vec<&'a [u8]>);

impl<'a> Shape<'a> {
    /// None when it has more cuts than are ever made.
    pub(super) fn of(shape: &'a [u8]) -> Option<Self> {
        let mut pieces = shape.split(|byte| *byte == NUL);
        let shape = Self(pieces.by_ref().take(CUTS_MAX.saturating_add(1)).collect());
        pieces.next().is_none().then_some(shape)
    }

    /// The text with the next of `values` in it, at most `most` bytes; none when they are too few.
    pub(super) fn fill(&self, values: &mut &[u8], most: usize) -> Option<Vec<u8>> {
        let (first, pieces) = self.0.split_first()?;
        let fixed = self
            .0
            .iter()
            .map(|it| it.len())
            .fold(0, usize::saturating_add);
        if fixed > most {
            return None;
        }
        let mut text = Vec::with_capacity(fixed.saturating_add(pieces.len().saturating_mul(12)));
        text.extend_from_slice(first);
        for piece in pieces {
            let end = values.iter().position(|byte| *byte == NUL)?;
            let (value, rest) = values.split_at_checked(end)?;
            *values = rest.get(1..)?;
            text.extend_from_slice(value);
            text.extend_from_slice(piece);
        }
        (text.len() <= most).then_some(text)
    }
}
