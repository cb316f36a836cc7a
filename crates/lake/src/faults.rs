//! What the protocol would not have in a value: texts that are too long or have characters that it
//! forbids, and lists and objects with too much in them.
//!
//! All of it is kept, and told in the error stream. Nothing of a value is kept here.

use model::learned::{FaultCounts, VALUE_BYTES_MAX, VALUE_CHARACTERS_FORBIDDEN, ValueFault};
use model::limit;

use crate::shred::{self, Value};

/// The faults of one value: each counts once, however often it is in it.
pub(crate) fn of(value: &Value<'_>) -> FaultCounts {
    let mut found = Found::default();
    match value {
        Value::Text(text) => found.text(text),
        Value::Json(text) => found.walk(text, 0),
        Value::Int(_) | Value::Float(_) | Value::Bool(_) => {}
    }
    ValueFault::ALL.map(|fault| {
        u64::from(match fault {
            ValueFault::TooLong => found.too_long,
            ValueFault::Characters => found.characters,
            ValueFault::TooWide => found.too_wide || found.keys > limit::NESTED_KEYS_MAX,
        })
    })
}

#[derive(Debug, Default)]
struct Found {
    too_long: bool,
    characters: bool,
    too_wide: bool,
    /// In all objects of the value.
    keys: usize,
}

impl Found {
    fn text(&mut self, text: &str) {
        self.too_long |= text.len() > VALUE_BYTES_MAX;
        self.characters |= text.contains(VALUE_CHARACTERS_FORBIDDEN);
    }

    /// Looks at a value that lies in so many lists and objects, and at what is in it. Each level is read
    /// again for the ones below, so that those that are too deep are not looked into.
    fn walk(&mut self, text: &str, levels: usize) {
        let below = levels.saturating_add(1);
        match text.as_bytes().first() {
            Some(b'[' | b'{') if levels >= limit::NESTED_LEVELS_MAX => self.too_wide = true,
            Some(b'"') => {
                if let Some(text) = shred::string_of(text) {
                    self.text(&text);
                }
            }
            Some(b'[') => {
                let mut elements = 0_usize;
                shred::elements(text, &mut |element| {
                    elements = elements.saturating_add(1);
                    self.walk(element, below);
                });
                self.too_wide |= elements > limit::NESTED_ELEMENTS_MAX;
            }
            Some(b'{') => {
                let (mut objects, mut lists) = (0_usize, 0_usize);
                shred::members(text, &mut |_, value| {
                    self.keys = self.keys.saturating_add(1);
                    match value.as_bytes().first() {
                        Some(b'{') => objects = objects.saturating_add(1),
                        Some(b'[') => lists = lists.saturating_add(1),
                        Some(_) | None => {}
                    }
                    // Text that is no object is visited as it is.
                    if value.len() < text.len() {
                        self.walk(value, below);
                    }
                });
                self.too_wide |= objects.max(lists) > limit::NESTED_MEMBERS_MAX;
            }
            Some(_) | None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::of;
    use crate::shred;

    /// Whether a text in it is too long, has a forbidden character, and whether it is too wide.
    fn check(text: &str, expect: [u64; 3]) {
        let start: String = text.chars().take(60).collect();
        assert_eq!(of(&shred::value_of(text)), expect, "{start}");
    }

    /// So many times the same, in brackets.
    fn list(of: &str, times: usize) -> String {
        format!("[{}]", vec![of; times].join(","))
    }

    fn object(values: &[&str]) -> String {
        let members = (0..).zip(values);
        let members: Vec<String> = members
            .map(|(key, value): (u32, _)| format!("\"k{key}\":{value}"))
            .collect();
        format!("{{{}}}", members.join(","))
    }

    #[test]
    fn texts_have_a_length_and_characters_wherever_they_stand() {
        for letter in ["x", "\u{e9}"] {
            let text = |bytes: usize| format!("\"{}\"", letter.repeat(bytes / letter.len()));
            check(&text(512), [0, 0, 0]);
            check(&text(514), [1, 0, 0]);
            check(&list(&text(512), 2), [0, 0, 0]);
            check(&list(&text(514), 2), [1, 0, 0]);
            check(&object(&["1", &list(&text(514), 1)]), [1, 0, 0]);
        }
        // What counts is what is meant, not how it is written.
        check(&format!("\"{}\"", "\\u0041".repeat(512)), [0, 0, 0]);
        check(&format!("\"{}\"", "\\u0041".repeat(513)), [1, 0, 0]);
        for forbidden in ["'", "\\\"", "\\\\", "\\u0027"] {
            check(&format!("\"a{forbidden}\""), [0, 1, 0]);
            check(&format!("[\"a\",[\"{forbidden}\"]]"), [0, 1, 0]);
        }
        for plain in ["\"a\\n<>&%.$:;|!\"", "\"\"", "{\"it's\":1}", "1e400"] {
            check(plain, [0, 0, 0]);
        }
        check("[\"\\ud800\",\"'\"]", [0, 1, 0]);
    }

    #[test]
    fn what_is_nested_has_a_width() {
        check(&list("1", 100), [0, 0, 0]);
        check(&list("1", 101), [0, 0, 1]);
        check(&list(&list("1", 101), 1), [0, 0, 1]);
        for inner in ["{}", "[]"] {
            check(&object(&[inner; 5]), [0, 0, 0]);
            check(&object(&[inner; 6]), [0, 0, 1]);
        }
        check(&object(&["{}", "[]", "{}", "[]", "{}", "[]"]), [0, 0, 0]);
        check(&object(&["1"; 100]), [0, 0, 0]);
        check(&object(&["1"; 101]), [0, 0, 1]);
        let half = object(&["1"; 50]);
        check(&list(&half, 2), [0, 0, 0]);
        check(&list(&half, 3), [0, 0, 1]);
    }

    #[test]
    fn what_is_nested_deeply_is_told_and_not_searched() {
        let deep = |of: &str, levels: usize| {
            let (open, close) = ("[{\"k\":".repeat(levels / 2), "}]".repeat(levels / 2));
            format!("{open}{of}{close}")
        };
        check(&deep("\"'\"", 10), [0, 1, 0]);
        check(&deep("[]", 10), [0, 0, 1]);
        check(&deep("\"'\"", 12), [0, 0, 1]);
        check(&deep(&list("\"'\"", 200), 62), [0, 0, 1]);
    }
}
