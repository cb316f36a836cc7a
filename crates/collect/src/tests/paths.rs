//! What is kept of a path that is none of ours. What is kept of none, `fuzz` asserts of any bytes.

use proptest::prelude::*;

use crate::cleaned_path;

/// Text of which each character stands behind so many layers of percent-escapes.
fn escaped(text: &str, layers: &[usize]) -> String {
    let characters = text.bytes().zip(layers.iter().cycle());
    characters
        .map(|(byte, layers)| match layers {
            0 => char::from(byte).to_string(),
            more => format!("%{}{byte:02x}", "25".repeat(more - 1)),
        })
        .collect()
}

fn layers() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(0_usize..4, 1..5)
}

proptest! {
    #[test]
    fn a_path_without_secrets_is_kept_as_it_is(
        segments in prop::collection::vec("[a-zA-Z0-9._~!$&'()*+,;:-]{0,12}", 0..9),
    ) {
        let words = |it: &str| {
            let words = it.split(|it: char| !it.is_ascii_alphanumeric() && it != '-');
            words.map(str::to_ascii_lowercase).collect::<Vec<_>>()
        };
        let is_link = |it: &String| words(it).iter().any(|word| word == "link");
        prop_assume!(!segments.iter().any(is_link));
        let path = format!("/{}", segments.join("/"));
        let cleaned = cleaned_path(&path);
        prop_assert_eq!(&*cleaned, path);
    }

    #[test]
    fn a_token_a_value_and_an_address_are_left_out_however_they_are_escaped(
        before in "[a-k]{1,5}",
        link in "[lL][iI][nN][kK]",
        secret in "[A-Za-z0-9]{12,20}",
        layers in layers(),
    ) {
        let (link, equals) = (escaped(&link, &layers), escaped("=", &layers));
        let question = escaped("?", &[layers[0] + 1]);
        let (at, slash) = (escaped("@", &layers), escaped("/", &layers));
        let hidden = escaped(&secret, &layers);
        for (path, kept) in [
            (format!("/{before}/{link}/{hidden}/x"), format!("/{before}/{link}/(token)/(token)")),
            (format!("/{before}/{link}/{before}/{hidden}"), format!("/{before}/{link}/(token)/(token)")),
            (format!("/{before}/{link}//{hidden}"), format!("/{before}/{link}//(token)")),
            (format!("/{before}{equals}{hidden}/x"), format!("/{before}")),
            (format!("/{before}{question}{hidden}/x"), format!("/{before}")),
            (format!("/{hidden}{at}{before}/x"), "/(address)/x".to_owned()),
        ] {
            let cleaned = cleaned_path(&path);
            prop_assert_eq!(&*cleaned, kept, "{}", path);
        }
        // A slash that is escaped may have been meant as one.
        let within = cleaned_path(&format!("/{before}/{link}{slash}{hidden}"));
        prop_assert!(!within.contains(&hidden), "{}", within);
    }
}
