//! A JSON scanner: one pass that checks the syntax and cuts the text into values.
//!
//! It builds nothing: values are slices of the input, kept as sent. On the way it notes what the
//! protocol has rules about: keys that stand twice in one object, keys that are no good as names,
//! and nesting. It accepts exactly what RFC 8259 calls JSON (a test compares it with `serde_json`),
//! nests at most [`limit::JSON_DEPTH_MAX`] deep, and must never panic.

mod canonical;
mod familiar;
mod keys;
#[cfg(test)]
mod tests;

use model::limit;
use std::borrow::Cow;

pub use canonical::canonical;
pub(crate) use familiar::{Audited, Familiar};
use keys::Keys;

/// A JSON body without the byte order mark that some writers put before it, and that a parser may ignore.
///
/// # Source
/// RFC 8259 section 8.1.
#[must_use]
pub fn without_byte_order_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)
}

/// The text of a JSON body, which is UTF-8.
pub(crate) fn text(body: &[u8]) -> Result<&str, Malformed> {
    simdutf8::basic::from_utf8(without_byte_order_mark(body)).map_err(|_| Malformed)
}

/// The input is not JSON, or nested too deeply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// What kind of value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Object,
    Array,
    String,
    Number,
    Bool,
    Null,
}

/// One value, as sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Value<'a> {
    pub(crate) kind: Kind,
    /// The text, without white space around it.
    pub(crate) text: &'a str,
    /// It is a string with escapes.
    pub(crate) escaped: bool,
    pub(crate) facts: Facts,
}

/// What was noticed inside a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Facts {
    /// A key stands twice in one object, at any depth, or an object has so many that nobody looked:
    /// more than [`KEYS_MAX`].
    pub(crate) key_twice: bool,
    /// A key is empty, too long or not Unicode text, at any depth.
    pub(crate) key_invalid: bool,
    /// An object below the outermost has more keys than an event may have properties.
    pub(crate) too_many: bool,
    /// Levels of objects and arrays, the value's own included: 0 for a scalar.
    pub(crate) levels: u32,
    /// Members of the object or elements of the array itself.
    pub(crate) members: usize,
}

/// A string as it stands in the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Text<'a> {
    /// With its quotes.
    quoted: &'a str,
    escaped: bool,
}

impl<'a> Text<'a> {
    /// The text; none when it has an escaped surrogate without its pair.
    pub(crate) fn decode(self) -> Option<Cow<'a, str>> {
        if self.escaped {
            return serde_json::from_str::<String>(self.quoted)
                .ok()
                .map(Cow::Owned);
        }
        let end = self.quoted.len().checked_sub(1)?;
        self.quoted.get(1..end).map(Cow::Borrowed)
    }
}

impl<'a> Value<'a> {
    /// The text of a string; none for other kinds and for what is not Unicode.
    pub(crate) fn string(&self) -> Option<Cow<'a, str>> {
        if self.kind != Kind::String {
            return None;
        }
        Text {
            quoted: self.text,
            escaped: self.escaped,
        }
        .decode()
    }

    /// Calls `each` for every member of an object.
    pub(crate) fn members(&self, mut each: impl FnMut(Text<'a>, Self)) {
        if self.kind != Kind::Object {
            return;
        }
        let mut scanner = Scanner::new(self.text);
        // The text has been scanned before: it cannot be malformed now.
        let _scanned = scanner.object(|scanner, key| {
            let value = scanner.value(DEPTH)?;
            each(key, value);
            Ok(())
        });
    }

    /// Calls `each` for every element of an array.
    pub(crate) fn elements(&self, mut each: impl FnMut(Self)) {
        if self.kind != Kind::Array {
            return;
        }
        let mut scanner = Scanner::new(self.text);
        let _scanned = scanner.array(|scanner| {
            each(scanner.value(DEPTH)?);
            Ok(())
        });
    }
}

/// Keys of one object that are compared with each other.
const KEYS_MAX: usize = 2 * limit::EVENT_PROPERTIES_MAX;

/// How many levels a value may have when nothing is around it.
pub(crate) const DEPTH: usize = limit::JSON_DEPTH_MAX;

/// A position in the input.
#[derive(Debug)]
pub(crate) struct Scanner<'a> {
    text: &'a str,
    at: usize,
    keys: Keys<'a>,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            keys: Keys::default(),
        }
    }

    /// The whole input as one value.
    pub(crate) fn whole(text: &'a str) -> Result<Value<'a>, Malformed> {
        let mut scanner = Self::new(text);
        let value = scanner.value(DEPTH)?;
        scanner.end()?;
        Ok(value)
    }

    /// Nothing but white space is left.
    pub(crate) fn end(&mut self) -> Result<(), Malformed> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(Malformed),
        }
    }

    /// The next byte that is not white space; it is not consumed.
    pub(crate) fn peek(&mut self) -> Option<u8> {
        loop {
            let byte = *self.text.as_bytes().get(self.at)?;
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(byte);
            }
            self.skip(1);
        }
    }

    /// Where the scanner stands: for [`Scanner::since`].
    pub(crate) const fn position(&self) -> usize {
        self.at
    }

    /// The text from `start` to here.
    pub(crate) fn since(&self, start: usize) -> Result<&'a str, Malformed> {
        self.text.get(start..self.at).ok_or(Malformed)
    }

    /// An object: `each` is called after every key's colon and consumes the value.
    pub(crate) fn object(
        &mut self,
        mut each: impl FnMut(&mut Self, Text<'a>) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        self.expect(b'{')?;
        if self.peek() == Some(b'}') {
            self.skip(1);
            return Ok(());
        }
        loop {
            self.peek();
            let key = self.string()?;
            self.expect(b':')?;
            self.peek();
            each(self, key)?;
            match self.peek() {
                Some(b',') => self.skip(1),
                Some(b'}') => {
                    self.skip(1);
                    return Ok(());
                }
                _ => return Err(Malformed),
            }
        }
    }

    /// An array: `each` is called before every element and consumes it.
    pub(crate) fn array(
        &mut self,
        mut each: impl FnMut(&mut Self) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        self.expect(b'[')?;
        if self.peek() == Some(b']') {
            self.skip(1);
            return Ok(());
        }
        loop {
            self.peek();
            each(self)?;
            match self.peek() {
                Some(b',') => self.skip(1),
                Some(b']') => {
                    self.skip(1);
                    return Ok(());
                }
                _ => return Err(Malformed),
            }
        }
    }

    /// Any value with at most `depth` levels.
    pub(crate) fn value(&mut self, depth: usize) -> Result<Value<'a>, Malformed> {
        let first = self.peek().ok_or(Malformed)?;
        let start = self.at;
        let mut escaped = false;
        let (kind, facts) = match first {
            b'"' => {
                escaped = self.string()?.escaped;
                (Kind::String, Facts::default())
            }
            b'{' => (Kind::Object, self.audited_object(depth)?),
            b'[' => (Kind::Array, self.audited_array(depth)?),
            b't' => self.literal("true", Kind::Bool)?,
            b'f' => self.literal("false", Kind::Bool)?,
            b'n' => self.literal("null", Kind::Null)?,
            _ => {
                self.number()?;
                (Kind::Number, Facts::default())
            }
        };
        Ok(Value {
            kind,
            text: self.since(start)?,
            escaped,
            facts,
        })
    }

    /// A member's or an element's value, of which no more is wanted than what is noticed in it.
    fn inner(&mut self, depth: usize, facts: &mut Facts) -> Result<(), Malformed> {
        match self.peek() {
            // Nothing is ever noticed in a scalar: its level is counted with the object's.
            Some(b'"') => self.skip_string().map(drop),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.literal("true", Kind::Bool).map(drop),
            Some(b'f') => self.literal("false", Kind::Bool).map(drop),
            Some(_) => {
                facts.merge(&self.value(depth)?);
                Ok(())
            }
            None => Err(Malformed),
        }
    }

    fn audited_object(&mut self, depth: usize) -> Result<Facts, Malformed> {
        let below = depth.checked_sub(1).ok_or(Malformed)?;
        let mut facts = Facts {
            levels: 1,
            ..Facts::default()
        };
        let base = self.keys.len();
        self.object(|scanner, key| {
            facts.members = facts.members.saturating_add(1);
            if facts.members <= KEYS_MAX {
                scanner.keys.push(key, base, &mut facts);
            } else {
                facts.key_twice = true;
            }
            scanner.inner(below, &mut facts)
        })?;
        self.keys.truncate(base);
        Ok(facts)
    }

    /// An array and the objects in it are one level, as the SDKs count.
    fn audited_array(&mut self, depth: usize) -> Result<Facts, Malformed> {
        let below = depth.checked_sub(1).ok_or(Malformed)?;
        let mut facts = Facts {
            levels: 1,
            ..Facts::default()
        };
        self.array(|scanner| {
            facts.members = facts.members.saturating_add(1);
            let is_object = scanner.peek() == Some(b'{');
            let others = std::mem::take(&mut facts.levels);
            scanner.inner(below, &mut facts)?;
            let levels = facts.levels.saturating_sub(u32::from(is_object));
            facts.levels = levels.max(others);
            Ok(())
        })?;
        Ok(facts)
    }

    /// A string, from its opening quote.
    pub(crate) fn string(&mut self) -> Result<Text<'a>, Malformed> {
        let start = self.at;
        let escaped = self.skip_string()?;
        Ok(Text {
            quoted: self.since(start)?,
            escaped,
        })
    }

    /// Moves behind a string; whether it has escapes.
    fn skip_string(&mut self) -> Result<bool, Malformed> {
        let bytes = self.text.as_bytes();
        if bytes.get(self.at) != Some(&b'"') {
            return Err(Malformed);
        }
        let mut at = self.at.wrapping_add(1);
        let mut escaped = false;
        loop {
            while let Some(eight) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
                let special = special_bytes(u64::from_le_bytes(*eight));
                if special == 0 {
                    at = at.wrapping_add(8);
                    continue;
                }
                let ahead = special.trailing_zeros() >> 3;
                at = at.wrapping_add(usize::try_from(ahead).unwrap_or(0));
                break;
            }
            match *bytes.get(at).ok_or(Malformed)? {
                b'"' => {
                    self.at = at.wrapping_add(1);
                    return Ok(escaped);
                }
                b'\\' => {
                    escaped = true;
                    at = at.wrapping_add(escape_len(bytes.get(at..).unwrap_or_default())?);
                }
                0..0x20 => return Err(Malformed),
                _ => at = at.wrapping_add(1),
            }
        }
    }

    /// A number, by the grammar of RFC 8259 section 6.
    fn number(&mut self) -> Result<(), Malformed> {
        let text = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let mut rest = match text {
            [b'-', rest @ ..] => rest,
            _ => text,
        };
        rest = match rest {
            [b'0', rest @ ..] => rest,
            _ => after_digits(rest)?,
        };
        if let [b'.', fraction @ ..] = rest {
            rest = after_digits(fraction)?;
        }
        if let [b'e' | b'E', exponent @ ..] = rest {
            rest = match exponent {
                [b'+' | b'-', digits @ ..] => after_digits(digits)?,
                _ => after_digits(exponent)?,
            };
        }
        self.skip(text.len().wrapping_sub(rest.len()));
        Ok(())
    }

    fn literal(&mut self, word: &str, kind: Kind) -> Result<(Kind, Facts), Malformed> {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        if !rest.starts_with(word.as_bytes()) {
            return Err(Malformed);
        }
        self.skip(word.len());
        Ok((kind, Facts::default()))
    }

    fn expect(&mut self, byte: u8) -> Result<(), Malformed> {
        if self.peek() != Some(byte) {
            return Err(Malformed);
        }
        self.skip(1);
        Ok(())
    }

    /// Moves on; the position never passes the end by more than one token, far from overflow.
    const fn skip(&mut self, bytes: usize) {
        self.at = self.at.wrapping_add(bytes);
    }
}

impl Facts {
    /// Takes in what was noticed in a member or element.
    fn merge(&mut self, value: &Value<'_>) {
        let inner = value.facts;
        self.key_twice |= inner.key_twice;
        self.key_invalid |= inner.key_invalid;
        self.too_many |= inner.too_many;
        self.too_many |= value.kind == Kind::Object && inner.members > limit::EVENT_PROPERTIES_MAX;
        self.levels = self.levels.max(inner.levels.saturating_add(1));
    }
}

/// What follows one digit or more.
fn after_digits(text: &[u8]) -> Result<&[u8], Malformed> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    match text.get(digits..) {
        Some(rest) if digits > 0 => Ok(rest),
        Some(_) | None => Err(Malformed),
    }
}

/// The lowest set bit tells the first byte that is a quote, a backslash or a control character.
const fn special_bytes(word: u64) -> u64 {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let quote = word ^ (LOW.wrapping_mul(0x22));
    let backslash = word ^ (LOW.wrapping_mul(0x5c));
    let is_quote = quote.wrapping_sub(LOW) & !quote;
    let is_backslash = backslash.wrapping_sub(LOW) & !backslash;
    let is_control = word.wrapping_sub(LOW.wrapping_mul(0x20)) & !word;
    (is_quote | is_backslash | is_control) & HIGH
}

/// The length of the escape that `bytes` begin with.
fn escape_len(bytes: &[u8]) -> Result<usize, Malformed> {
    match bytes.get(1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(2),
        Some(b'u') => {
            let digits = bytes.get(2..6).ok_or(Malformed)?;
            if digits.iter().all(u8::is_ascii_hexdigit) {
                Ok(6)
            } else {
                Err(Malformed)
            }
        }
        _ => Err(Malformed),
    }
}
