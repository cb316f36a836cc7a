//! What lz-string packs, and what nobody packs.

use model::submission::Content;
use proptest::prelude::*;

use super::{UNITS_MAX, decompress_from_base64};
use crate::web_sdk::{Message, Query};

fn packed(text: &str) -> String {
    lz_str::compress_to_base64(text)
}

#[test]
fn a_bomb_is_refused_before_it_unpacks() {
    let bomb = packed(&"a".repeat(UNITS_MAX + 1));
    assert!(bomb.len() < 8_192, "{}", bomb.len());
    assert_eq!(decompress_from_base64(&bomb), None);
    let most = packed(&"a".repeat(UNITS_MAX));
    assert_eq!(
        decompress_from_base64(&most).map(|it| it.len()),
        Some(UNITS_MAX)
    );
}

#[test]
fn packed_texts_that_are_cut_or_spoiled_are_refused() {
    let whole = packed(r#"{"id":"A","type":"event","evtName":"Viewed"}"#);
    for end in 0..whole.trim_end_matches('=').len() - 2 {
        assert_eq!(decompress_from_base64(&whole[..end]), None, "{end}");
    }
    for text in ["!", "N4\u{e9}", "NoX", "\0"] {
        assert_eq!(decompress_from_base64(text), None, "{text}");
    }
    assert_eq!(decompress_from_base64("Q==="), Some(String::new()));
}

/// What a text unpacks to in which `~` stands for the first half of a pair and `^` for the second.
fn unpacked(text: &str) -> Option<String> {
    let units: Vec<u16> = text
        .encode_utf16()
        .map(|unit| match char::from_u32(unit.into()) {
            Some('~') => 0xd83d,
            Some('^') => 0xde00,
            _ => unit,
        })
        .collect();
    decompress_from_base64(&lz_str::compress_to_base64(&units[..]))
}

#[test]
fn half_of_a_character_is_the_escape_that_newer_browsers_send() {
    let check = |text: &str, expect: Option<&str>| {
        assert_eq!(unpacked(text).as_deref(), expect, "{text}");
    };
    check("~", Some(r"\ud83d"));
    check("^", Some(r"\ude00"));
    check("^~", Some(r"\ude00\ud83d"));
    check("a~^b", Some("a\u{1f600}b"));
    check("~~^", Some("\\ud83d\u{1f600}"));
    check(r#"{"a":"x~"}"#, Some(r#"{"a":"x\ud83d"}"#));
    // A backslash that is a text's own, and one that begins an escape.
    check(r#"{"a":"\\~"}"#, Some(r#"{"a":"\\\ud83d"}"#));
    check(r#"{"a":"\~"}"#, None);
    check(r#"{"a":"\\\~"}"#, None);
}

#[test]
fn escapes_count_as_what_they_are() {
    let longest = |halves: usize| "~ ".repeat(halves) + &"a".repeat(UNITS_MAX - 7 * halves);
    for halves in [UNITS_MAX / 7 - 1_000, UNITS_MAX / 7] {
        let text = longest(halves);
        let unpacked_len = unpacked(&text).map(|it| it.encode_utf16().count());
        assert_eq!(unpacked_len, Some(UNITS_MAX), "{halves}");
        assert_eq!(unpacked(&(text + "a")), None, "{halves}");
    }
}

#[test]
fn an_event_with_half_a_character_is_kept() {
    let message = r#"{"type":"event","evtName":"E","evtData":{"a":"x~","b":1},"id":"A"}"#;
    let text = unpacked(message).unwrap();
    let query = Query::decode("d=x&type=push").unwrap();
    let batch = Message::decode(&text).unwrap().batch(&query, "d");
    assert_eq!(batch.rejections, []);
    let Content::Event { properties, .. } = &batch.records[0].content else {
        panic!("an event")
    };
    assert_eq!(properties.as_str(), r#"{"a":"x\ud83d","b":1}"#);
    // Outside a text it is no JSON, as before.
    assert!(Message::decode(&unpacked(r#"{"a":~}"#).unwrap()).is_err());
}

proptest! {
    /// Any units come out as they went in: read as JSON, for halves of pairs.
    #[test]
    fn any_units_come_out_as_they_went_in(
        units in prop::collection::vec(
            prop_oneof![0xd800_u16..0xe000, 0x20_u16..0x7f, any::<u16>()], 0..40,
        ),
    ) {
        // What JSON escapes is another matter.
        let is_plain = |it: &u16| *it >= 0x20 && *it != 0x22 && *it != 0x5c;
        let units: Vec<u16> = units.into_iter().filter(is_plain).collect();
        let text = decompress_from_base64(&lz_str::compress_to_base64(&units[..])).unwrap();
        let mut again = Vec::new();
        let mut rest = text.as_str();
        while let Some(first) = rest.chars().next() {
            if let Some(digits) = rest.strip_prefix("\\u") {
                again.push(u16::from_str_radix(&digits[..4], 16).unwrap());
                rest = &digits[4..];
            } else {
                again.extend_from_slice(first.encode_utf16(&mut [0; 2]));
                rest = &rest[first.len_utf8()..];
            }
        }
        prop_assert_eq!(again, units);
    }

    #[test]
    fn what_lz_string_packs_unpacks(text in any::<String>(), repeats in 1_usize..20) {
        let text = text.repeat(repeats);
        let packed = packed(&text);
        // A form's decoder makes spaces of plus signs.
        let spaced = decompress_from_base64(&packed.replace('+', " "));
        prop_assert_eq!(spaced, Some(text.clone()));
        prop_assert_eq!(decompress_from_base64(&packed), Some(text));
    }

    #[test]
    fn like_json_too(text in "[a-z{}\":,0-9 ]{0,2000}") {
        prop_assert_eq!(decompress_from_base64(&packed(&text)), Some(text));
    }

    #[test]
    fn hostile_packed_texts_never_panic(text in "[A-Za-z0-9+/= ]{0,400}") {
        prop_assert!(decompress_from_base64(&text).is_none_or(|it| it.len() <= 3 * UNITS_MAX));
    }

    #[test]
    fn spoiled_packed_texts_never_panic_and_stay_small(
        text in "[a-c]{0,3000}", place: prop::sample::Index, symbol in "[A-Za-z0-9+/= ]{1,3}",
    ) {
        let mut packed = packed(&text);
        let place = place.index(packed.len());
        packed.replace_range(place..=place, &symbol);
        prop_assert!(decompress_from_base64(&packed).is_none_or(|it| it.len() <= 3 * UNITS_MAX));
    }
}
