//! The name of a shard on its volume. It says everything that a listing needs.
//!
//! `objects/<path, escaped>~<version>-<write id>-<length>-<created>-<index>`, numbers in
//! hexadecimal. The name is a hint: what it says is believed only when the shard's header, which is
//! authenticated, says the same. Names derive from the object's path; no personal data is in them.

use std::fmt::Write;

use crate::{Error, Result};

/// The folder that holds all shards of a volume.
pub(crate) const NAME_ROOT: &str = "objects";
/// A file's name has at most 255 bytes; the part after `~` takes at most 103.
const LAST_BYTES_MAX: usize = 150;
const FOLDER_BYTES_MAX: usize = 250;
pub(crate) const PATH_BYTES_MAX: usize = 1_024;

/// A shard's name, taken apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ShardName {
    pub(crate) path: String,
    pub(crate) version: u64,
    pub(crate) write_id: [u8; 16],
    pub(crate) length: u64,
    pub(crate) created_ms: i64,
    pub(crate) index: usize,
}

impl ShardName {
    /// The name below the volume's root.
    pub(crate) fn encode(&self) -> String {
        let mut out = String::with_capacity(self.path.len().saturating_add(128));
        out.push_str(NAME_ROOT);
        out.push('/');
        escape(&self.path, &mut out);
        // Writing to a string cannot fail.
        let _ok = write!(
            out,
            "~{:x}-{:032x}-{:x}-{:x}-{:x}",
            self.version,
            u128::from_be_bytes(self.write_id),
            self.length,
            self.created_ms.max(0),
            self.index
        );
        out
    }

    /// Takes a name apart; none when no shard of ours has such a name.
    pub(crate) fn decode(name: &str) -> Option<Self> {
        let rest = name.strip_prefix(NAME_ROOT)?.strip_prefix('/')?;
        let (path, suffix) = rest.rsplit_once('~')?;
        let mut fields = suffix.split('-');
        let version = u64::from_str_radix(fields.next()?, 16).ok()?;
        let write_id = u128::from_str_radix(fields.next()?, 16).ok()?.to_be_bytes();
        let length = u64::from_str_radix(fields.next()?, 16).ok()?;
        let created_ms = i64::from_str_radix(fields.next()?, 16).ok()?;
        let index = usize::from_str_radix(fields.next()?, 16).ok()?;
        let found = Self {
            path: unescape(path)?,
            version,
            write_id,
            length,
            created_ms,
            index,
        };
        // One shard has one name: no second spelling is read.
        (fields.next().is_none() && found.encode() == name).then_some(found)
    }
}

/// Whether an object may have this path.
pub(crate) fn check_path(path: &str) -> Result<()> {
    let mut escaped = String::new();
    escape(path, &mut escaped);
    let (folders, last) = escaped.rsplit_once('/').unwrap_or(("", &escaped));
    if path.is_empty()
        || path.len() > PATH_BYTES_MAX
        || last.is_empty()
        || last.len() > LAST_BYTES_MAX
        || folders
            .split('/')
            .any(|folder| folder.len() > FOLDER_BYTES_MAX)
    {
        return Err(Error::Invalid(format!(
            "the path `{path}` is empty or too long"
        )));
    }
    Ok(())
}

fn escape(path: &str, out: &mut String) {
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'_' | b'-' | b'/' => {
                out.push(char::from(byte));
            }
            _ => {
                let _ok = write!(out, "%{byte:02X}");
            }
        }
    }
}

fn unescape(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let (high, low) = (bytes.next()?, bytes.next()?);
            let digits = [high, low];
            out.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests;
