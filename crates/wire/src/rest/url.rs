//! Query strings: pairs, percent-decoding, and what `+` means.

use std::borrow::Cow;

/// What a `+` in a value stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plus {
    /// A space, as forms encode it.
    Space,
    /// Itself: the vendor's client sends identities and addresses without encoding them.
    Plus,
}

/// The decoded value of the first pair with that key; none when there is no such pair or its value
/// is not UTF-8 once decoded.
pub(crate) fn value<'q>(query: &'q str, key: &str, plus: Plus) -> Option<Cow<'q, str>> {
    let query = query.strip_prefix('?').unwrap_or(query);
    query.split('&').find_map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if name == key {
            Some(decode(value, plus))
        } else {
            None
        }
    })?
}

/// The decoded values of all pairs with that key, in whatever case it is written.
pub(super) fn values<'q>(query: &'q str, key: &str) -> impl Iterator<Item = Cow<'q, str>> {
    let query = query.strip_prefix('?').unwrap_or(query);
    query.split('&').filter_map(move |pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let is_key = decode(name, Plus::Space).is_some_and(|it| it.eq_ignore_ascii_case(key));
        is_key.then(|| decode(value, Plus::Space)).flatten()
    })
}

/// How many pairs have that key.
pub(super) fn count(query: &str, key: &str) -> usize {
    let query = query.strip_prefix('?').unwrap_or(query);
    query
        .split('&')
        .filter(|pair| pair.split('=').next() == Some(key))
        .count()
}

/// Decodes `%xx`. A `%` that no two digits follow stands for itself.
fn decode(text: &str, plus: Plus) -> Option<Cow<'_, str>> {
    let as_space = plus == Plus::Space && text.contains('+');
    if !text.contains('%') && !as_space {
        return Some(Cow::Borrowed(text));
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match (first, after) {
            (b'%', [high, low, remaining @ ..]) => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => {
                    decoded.push(high << 4 | low);
                    rest = remaining;
                }
                _ => decoded.push(b'%'),
            },
            (b'+', _) if plus == Plus::Space => decoded.push(b' '),
            (byte, _) => decoded.push(*byte),
        }
    }
    String::from_utf8(decoded).ok().map(Cow::Owned)
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|it| u8::try_from(it).ok())
}
