//! Unpacking what lz-string's `compressToBase64` packs.
//!
//! Written here because the crates that do it grow without bound: a few kilobytes can unpack to
//! gigabytes. This one stops at [`UNITS_MAX`]. A dictionary entry is always a stretch of what was
//! unpacked before, so the dictionary is a list of places. Tests compare it with the crate `lz-str`.

#[cfg(test)]
mod tests;

/// UTF-16 units that a message may unpack to.
pub const UNITS_MAX: usize = 1 << 20;

/// Codes that are not entries of the dictionary: a literal of 8 bits, one of 16, the end.
const LITERAL_8: u32 = 0;
const LITERAL_16: u32 = 1;
const END: u32 = 2;
/// The code of the dictionary's first entry.
const FIRST: u32 = 3;
/// Bits of a code: more would need more input than a request can have.
const CODE_BITS_MAX: u32 = 24;

/// UTF-16 units of an escape, `\ud83d`.
const ESCAPE_UNITS: usize = 6;

/// The text that `packed` unpacks to; half of a surrogate pair as its escape.
///
/// None when it is not base64 of lz-string, ends early, unpacks to more than [`UNITS_MAX`] units, or has
/// half of a pair behind a backslash. A space counts as `+`, which it was before a form decoded it.
#[must_use]
pub fn decompress_from_base64(packed: &str) -> Option<String> {
    let mut bits = Bits {
        symbols: packed.as_bytes().iter(),
        value: 0,
        left: 0,
    };
    let mut out = Unpacked::default();
    let mut code_bits = 3_u32;
    let mut until_wider = 4_u32;
    let mut before = match bits.read(2)? {
        LITERAL_8 => out.literal(bits.read(8)?)?,
        LITERAL_16 => out.literal(bits.read(16)?)?,
        END => return Some(String::new()),
        _ => return None,
    };
    out.entries.push(before);
    loop {
        let code = bits.read(code_bits)?;
        let width = match code {
            LITERAL_8 => Some(8),
            LITERAL_16 => Some(16),
            END => return out.into_text(),
            _ => None,
        };
        let literal = match width {
            Some(width) => {
                let unit = bits.read(width)?;
                widen(&mut until_wider, &mut code_bits)?;
                Some(unit)
            }
            None => None,
        };
        let entry = match literal {
            Some(unit) => {
                let entry = out.literal(unit)?;
                out.entries.push(entry);
                entry
            }
            None => out.entry(code, before)?,
        };
        // The entry before and the first unit of this one, which now stands right behind it.
        out.entries.push((before.0, before.1.checked_add(1)?));
        before = entry;
        widen(&mut until_wider, &mut code_bits)?;
    }
}

/// The text, in which each half of a surrogate pair that has no other is what newer browsers make of it
/// in JSON. Older ones leave it as it is where the SDK cuts a text in the middle of a character.
fn with_escapes(units: &[u16]) -> Option<String> {
    let mut left = UNITS_MAX.checked_sub(units.len())?;
    let mut text = String::with_capacity(units.len());
    for character in char::decode_utf16(units.iter().copied()) {
        let half = match character {
            Ok(character) => {
                text.push(character);
                continue;
            }
            Err(error) => error.unpaired_surrogate(),
        };
        left = left.checked_sub(ESCAPE_UNITS.saturating_sub(1))?;
        // Behind half an escape it is no JSON, and must not become some.
        let backslashes = text.bytes().rev().take_while(|it| *it == b'\\');
        if backslashes.count() & 1 == 1 {
            return None;
        }
        text.push_str(&format!("\\u{half:04x}"));
    }
    Some(text)
}

/// Counts one more entry; codes grow by a bit whenever they have been used up.
fn widen(until_wider: &mut u32, code_bits: &mut u32) -> Option<()> {
    *until_wider = until_wider.checked_sub(1)?;
    if *until_wider == 0 {
        if *code_bits >= CODE_BITS_MAX {
            return None;
        }
        *until_wider = 1_u32.checked_shl(*code_bits)?;
        *code_bits = code_bits.checked_add(1)?;
    }
    Some(())
}

/// A stretch of what was unpacked: where it begins, and how long it is.
type Stretch = (usize, usize);

#[derive(Debug, Default)]
struct Unpacked {
    units: Vec<u16>,
    /// The entries from [`FIRST`] on.
    entries: Vec<Stretch>,
}

impl Unpacked {
    fn into_text(self) -> Option<String> {
        let text = String::from_utf16(&self.units).ok();
        text.or_else(|| with_escapes(&self.units))
    }

    fn literal(&mut self, unit: u32) -> Option<Stretch> {
        self.make_room(1)?;
        let start = self.units.len();
        self.units.push(u16::try_from(unit).ok()?);
        Some((start, 1))
    }

    /// Appends the entry of a code; the first code that is not there yet is the entry before and its
    /// first unit once more.
    fn entry(&mut self, code: u32, before: Stretch) -> Option<Stretch> {
        let index = usize::try_from(code.checked_sub(FIRST)?).ok()?;
        let start = self.units.len();
        match self.entries.get(index).copied() {
            Some(stretch) => {
                self.append(stretch)?;
                Some((start, stretch.1))
            }
            None if index == self.entries.len() => {
                self.append(before)?;
                self.append((before.0, 1))?;
                Some((start, before.1.checked_add(1)?))
            }
            None => None,
        }
    }

    fn append(&mut self, (start, len): Stretch) -> Option<()> {
        self.make_room(len)?;
        self.units
            .extend_from_within(start..start.checked_add(len)?);
        Some(())
    }

    fn make_room(&self, more: usize) -> Option<()> {
        (self.units.len().checked_add(more)? <= UNITS_MAX).then_some(())
    }
}

/// The bits of a base64 text, six a symbol; a code's first bit is its lowest.
struct Bits<'a> {
    symbols: std::slice::Iter<'a, u8>,
    value: u32,
    left: u32,
}

impl Bits<'_> {
    fn read(&mut self, count: u32) -> Option<u32> {
        let mut read = 0;
        for place in 0..count {
            if self.left == 0 {
                self.value = symbol(*self.symbols.next()?)?;
                self.left = 6;
            }
            self.left = self.left.saturating_sub(1);
            let bit = self.value.checked_shr(self.left)? & 1;
            read |= bit.checked_shl(place)?;
        }
        Some(read)
    }
}

fn symbol(byte: u8) -> Option<u32> {
    let (first, base) = match byte {
        b'A'..=b'Z' => (b'A', 0),
        b'a'..=b'z' => (b'a', 26),
        b'0'..=b'9' => (b'0', 52),
        b'+' | b' ' => return Some(62),
        b'/' => return Some(63),
        // Padding: the last bits of the last code are zeros.
        b'=' => return Some(0),
        _ => return None,
    };
    Some(u32::from(byte.saturating_sub(first)).saturating_add(base))
}
