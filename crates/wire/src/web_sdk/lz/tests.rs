//! What lz-string packs, and what nobody packs.

use proptest::prelude::*;

use super::{UNITS_MAX, decompress_from_base64};

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
    // Half of a surrogate pair is no text.
    assert_eq!(
        decompress_from_base64(&lz_str::compress_to_base64(&[0xd800_u16][..])),
        None
    );
    assert_eq!(decompress_from_base64("Q==="), Some(String::new()));
}

proptest! {
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
