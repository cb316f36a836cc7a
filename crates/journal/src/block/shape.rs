//! The shape of a JSON object's text: the text with its members' values cut out.
//!
//! A NUL stands where a value was; a text that holds one between its values is not cut, and no JSON
//! does. Where the cuts are made decides how much is saved, never what comes back: any text that was
//! cut anywhere is put together again to the letter.

use super::values::Values;

/// Members whose values are cut out; an object with more stays whole.
pub(super) const CUTS_MAX: usize = 64;
/// Ways on from one place that are known; a text that would need another stays whole.
const WAYS_MAX: usize = 16;
/// Stands where a value was.
pub(super) const NUL: u8 = 0;
/// Bytes of a gap that are compared at once.
const HEAD_BYTES: usize = 16;

/// The shapes of a block that is being written: a tree, from the brace to the last member. A text
/// that goes a known way is cut on the way, and nothing of its shape is copied or hashed.
#[derive(Debug)]
pub(super) struct Shapes<'e> {
    /// The first is the root.
    nodes: Vec<Node<'e>>,
    count: u64,
    /// The way of the text at hand.
    path: Vec<Step<'e>>,
}

/// One member on the way.
#[derive(Debug, Clone, Copy)]
struct Step<'e> {
    /// The node that stands before the value.
    node: usize,
    /// What begins with the value, and the value's bytes.
    text: &'e [u8],
    length: usize,
}

/// A place behind a value.
#[derive(Debug, Default)]
struct Node<'e> {
    /// What stands before the value.
    gap: &'e [u8],
    /// The gap's first bytes as a number, to compare them at once, and which of its bits count.
    head: u128,
    mask: u128,
    /// The value is a string: the gap ends with its quote.
    is_string: bool,
    /// The place of the value, once a shape with it was written.
    place: Option<usize>,
    next: Vec<usize>,
    /// What may stand behind the last value, and the number of the shape.
    ends: Vec<(&'e [u8], u64)>,
}

impl<'e> Node<'e> {
    fn behind(gap: &'e [u8]) -> Self {
        let mut head = [0; HEAD_BYTES];
        let mut mask = [0; HEAD_BYTES];
        for ((to, bits), from) in head.iter_mut().zip(&mut mask).zip(gap) {
            (*to, *bits) = (*from, 0xff);
        }
        Self {
            gap,
            head: u128::from_le_bytes(head),
            mask: u128::from_le_bytes(mask),
            is_string: gap.last() == Some(&b'"'),
            ..Self::default()
        }
    }

    /// What follows the gap that `text` begins with; none when it does not.
    fn strip<'t>(&self, text: &'t [u8]) -> Option<&'t [u8]> {
        match text.first_chunk() {
            Some(first) if (u128::from_le_bytes(*first) ^ self.head) & self.mask != 0 => None,
            Some(_) if self.gap.len() <= HEAD_BYTES => text.get(self.gap.len()..),
            Some(_) | None => text.strip_prefix(self.gap),
        }
    }

    /// What follows the gap that `text` begins with, which is a value, and the value's bytes.
    fn value<'t>(&self, text: &'t [u8]) -> Option<(&'t [u8], usize)> {
        let rest = self.strip(text)?;
        // What stands before a number may stand before a string's quote, too.
        if !self.is_string && rest.first() == Some(&b'"') {
            return None;
        }
        Some((rest, value_len(rest, self.is_string)?))
    }
}

/// The shape of a text that was cut.
#[derive(Debug)]
pub(super) enum Shape {
    /// One that was there before, by number.
    Known(u64),
    /// The next one.
    New(Vec<u8>),
}

/// A text that stays whole.
struct Whole;

impl Default for Shapes<'_> {
    fn default() -> Self {
        Self {
            nodes: vec![Node::default()],
            count: 0,
            path: Vec::new(),
        }
    }
}

impl<'e> Shapes<'e> {
    /// Puts the text's values to the others and gives its shape. None when it stays whole; nothing
    /// was written then.
    pub(super) fn cut(&mut self, text: &'e [u8], values: &mut Values<'e>) -> Option<Shape> {
        let shape = self.walk(text, values).ok()?;
        for step in &self.path {
            let place = self.nodes.get(step.node).and_then(|it| it.place);
            values.push(place, step.text, step.length);
        }
        Some(shape)
    }

    fn walk(&mut self, text: &'e [u8], values: &mut Values<'e>) -> Result<Shape, Whole> {
        self.path.clear();
        let (mut at, mut rest) = (0, text);
        loop {
            let Some(step) = self.step(at, rest)? else {
                return self.end(at, rest, values);
            };
            if self.path.len() >= CUTS_MAX {
                return Err(Whole);
            }
            self.path.push(step);
            (at, rest) = (step.node, step.text.get(step.length..).ok_or(Whole)?);
        }
    }

    /// The next member; none where the last one was.
    fn step(&mut self, at: usize, rest: &'e [u8]) -> Result<Option<Step<'e>>, Whole> {
        let ways = self.nodes.get(at).map_or(&[][..], |it| it.next.as_slice());
        let known = ways.iter().find_map(|next| {
            let node = self.nodes.get(*next)?;
            let (text, length) = node.value(rest)?;
            Some(Step {
                node: *next,
                text,
                length,
            })
        });
        if known.is_some() {
            return Ok(known);
        }
        let Some((gap, text, length)) = next_value(rest) else {
            return Ok(None);
        };
        let node = self.lead(at, gap)?;
        Ok(Some(Step { node, text, length }))
    }

    /// A new way on.
    fn lead(&mut self, at: usize, gap: &'e [u8]) -> Result<usize, Whole> {
        let next = self.nodes.len();
        let ways = self.nodes.get_mut(at).map(|it| &mut it.next);
        match ways {
            Some(ways) if ways.len() < WAYS_MAX && !gap.contains(&NUL) => ways.push(next),
            Some(_) | None => return Err(Whole),
        }
        self.nodes.push(Node::behind(gap));
        Ok(next)
    }

    /// The shape that ends here.
    fn end(&mut self, at: usize, rest: &'e [u8], values: &mut Values<'e>) -> Result<Shape, Whole> {
        let node = self.nodes.get_mut(at).ok_or(Whole)?;
        if let Some((_, number)) = node.ends.iter().find(|(end, _)| *end == rest) {
            return Ok(Shape::Known(*number));
        }
        if node.ends.len() >= WAYS_MAX || rest.contains(&NUL) {
            return Err(Whole);
        }
        self.count = self.count.saturating_add(1);
        node.ends.push((rest, self.count));
        let mut shape = Vec::new();
        for step in &self.path {
            let node = self.nodes.get_mut(step.node).ok_or(Whole)?;
            // In the order of the shapes, which is all that a reader knows.
            node.place = values.place(node.gap);
            shape.extend_from_slice(node.gap);
            shape.push(NUL);
        }
        shape.extend_from_slice(rest);
        Ok(Shape::New(shape))
    }
}

/// What stands before the value of the next member, what follows, and how much of that is the value.
/// The quotes of a string are not part of it. `text` begins with the object's brace or behind a
/// member's value.
fn next_value(text: &[u8]) -> Option<(&[u8], &[u8], usize)> {
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
    Some((before, rest, value_len(rest, is_string)?))
}

/// Bytes of the value that `text` begins with: behind the opening quote, for a string.
#[inline]
fn value_len(text: &[u8], is_string: bool) -> Option<usize> {
    if is_string {
        return string_len(text);
    }
    match text.first()? {
        b'{' | b'[' => nested_len(text),
        _ => first_marked(text, 0, |word| {
            // White space, and all that is below it and in no value.
            let is_space = word.wrapping_sub(LOW.wrapping_mul(0x21)) & !word;
            (is_space | equal_bytes(word, b',') | equal_bytes(word, b'}')) & HIGH
        }),
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
        at = first_marked(text, at, |word| {
            (equal_bytes(word, b'"') | equal_bytes(word, b'\\')) & HIGH
        })?;
        if text.get(at) == Some(&b'"') {
            return Some(at);
        }
        at = at.wrapping_add(2);
    }
}

const LOW: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// Where the first byte stands, from `at` on, that `mark` marks: of eight bytes at once, the lowest
/// byte with its highest bit set.
#[inline]
fn first_marked(text: &[u8], mut at: usize, mark: impl Fn(u64) -> u64) -> Option<usize> {
    while let Some(eight) = text.get(at..)?.first_chunk::<8>() {
        let marked = mark(u64::from_le_bytes(*eight));
        if marked != 0 {
            let ahead = usize::try_from(marked.trailing_zeros() >> 3).unwrap_or(0);
            return Some(at.wrapping_add(ahead));
        }
        at = at.wrapping_add(8);
    }
    let rest = text.get(at..)?;
    let ahead = rest
        .iter()
        .position(|byte| mark(u64::from(*byte)) & 0x80 != 0)?;
    Some(at.wrapping_add(ahead))
}

/// Among the highest bits of the bytes: the first that is set belongs to the first byte that is
/// `byte`.
const fn equal_bytes(word: u64, byte: u8) -> u64 {
    let differing = word ^ LOW.wrapping_mul(u64::from_le_bytes([byte, 0, 0, 0, 0, 0, 0, 0]));
    differing.wrapping_sub(LOW) & !differing
}
