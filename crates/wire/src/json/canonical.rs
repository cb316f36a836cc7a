//! One text for all the ways in which a JSON value can be written.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::{DEPTH, Malformed, Scanner, Text};

/// The value of `text` as whoever writes it anew without changing it may write it, in one way: without
/// white space, the members of each object by their keys, strings without an escape that is not needed.
/// Members of one key stay in their order, and numbers as they are written. None when `text` is not one
/// JSON value, or nested too deeply.
#[must_use]
pub fn canonical(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut scanner = Scanner::new(text);
    write(&mut scanner, DEPTH, &mut out).ok()?;
    scanner.end().ok()?;
    Some(out)
}

/// Writes the next value.
fn write(scanner: &mut Scanner<'_>, depth: usize, out: &mut String) -> Result<(), Malformed> {
    match scanner.peek() {
        Some(b'{') => object(scanner, depth.checked_sub(1).ok_or(Malformed)?, out),
        Some(b'[') => array(scanner, depth.checked_sub(1).ok_or(Malformed)?, out),
        Some(b'"') => {
            push(scanner.string()?, out);
            Ok(())
        }
        _ => {
            let scalar = scanner.value(depth)?;
            out.push_str(scalar.text);
            Ok(())
        }
    }
}

fn object(scanner: &mut Scanner<'_>, below: usize, out: &mut String) -> Result<(), Malformed> {
    let mut members: Vec<(String, String)> = Vec::new();
    scanner.object(|scanner, key| {
        let (mut name, mut value) = (String::new(), String::new());
        push(key, &mut name);
        write(scanner, below, &mut value)?;
        members.push((name, value));
        Ok(())
    })?;
    members.sort_by(|(one, _), (other, _)| one.cmp(other));
    out.push('{');
    for (place, (name, value)) in members.iter().enumerate() {
        let comma = if place > 0 { "," } else { "" };
        // Writing to a string cannot fail.
        let _ok = write!(out, "{comma}{name}:{value}");
    }
    out.push('}');
    Ok(())
}

fn array(scanner: &mut Scanner<'_>, below: usize, out: &mut String) -> Result<(), Malformed> {
    out.push('[');
    let mut is_first = true;
    scanner.array(|scanner| {
        if !std::mem::take(&mut is_first) {
            out.push(',');
        }
        write(scanner, below, out)
    })?;
    out.push(']');
    Ok(())
}

/// Writes a string. One that is not Unicode text stays as it is.
fn push(text: Text<'_>, out: &mut String) {
    match text.decode() {
        Some(Cow::Owned(decoded)) => match serde_json::to_string(&decoded) {
            Ok(quoted) => out.push_str(&quoted),
            Err(_) => out.push_str(text.quoted),
        },
        Some(Cow::Borrowed(_)) | None => out.push_str(text.quoted),
    }
}
