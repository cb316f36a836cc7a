//! What SDKs say of devices, and the envelope of encrypted messages.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::RawJson;
use proptest::prelude::*;

use super::{Facts, Sealed, sealed_answer, seconds};
use crate::json::{Scanner, Value};

fn value(text: &str) -> Value<'_> {
    Scanner::whole(text).unwrap()
}

#[test]
fn of_a_device_short_scalars_are_kept_and_no_advertising_id() {
    let check = |fields: &str, expect: Option<&str>| {
        let facts = Facts::of_app_fields(Some(value(fields))).json();
        assert_eq!(facts.as_ref().map(RawJson::as_str), expect, "{fields}");
    };
    check(
        r#"{"Build":"7","Version":"1.2","OS Version":"14","Make":"x","Model":"y","useIP":true,"wdt":2.81}"#,
        Some(
            r#"{"Build":"7","app_version":"1.2","os_version":"14","make":"x","model":"y","useIP":true,"wdt":2.81}"#,
        ),
    );
    check(
        r#"{"GoogleAdID":"abc","GoogleAdIDLimit":false,"IDFA":"z"}"#,
        None,
    );
    check(
        r#"{"a":{},"b":[1],"c":null,"d":1,"d":2}"#,
        Some(r#"{"d":1}"#),
    );
    check("[]", None);
    check("{}", None);
    check(
        &format!(r#"{{"long":"{}","short":"x"}}"#, "y".repeat(300)),
        Some(r#"{"short":"x"}"#),
    );
    let many: Vec<_> = (0..200)
        .map(|it| format!("\"k{it}\":\"{}\"", "z".repeat(200)))
        .collect();
    let facts = Facts::of_app_fields(Some(value(&format!("{{{}}}", many.join(","))))).json();
    let text = facts.unwrap();
    assert!(text.as_str().len() < 5_000, "{}", text.as_str().len());
    assert!(RawJson::parse(text.as_str()).is_ok());
}

#[test]
fn seconds_are_a_number_or_digits_without_their_fraction() {
    for (text, expect) in [
        ("1790000000", Some(1_790_000_000)),
        ("\"1790000000\"", Some(1_790_000_000)),
        ("1790000000.75", Some(1_790_000_000)),
        ("\"1790000000.0\"", Some(1_790_000_000)),
        ("0", None),
        ("0.5", None),
        ("-1", None),
        ("1.79e9", None),
        ("1790000000000", None),
        ("\"1790000000.x\"", None),
        ("\"\"", None),
        ("null", None),
        ("[1]", None),
    ] {
        assert_eq!(seconds(Some(value(text))), expect, "{text}");
    }
    assert_eq!(seconds(None), None);
}

#[test]
fn an_envelope_is_read_with_and_without_padding() {
    let key = format!("\"{}\"", "A".repeat(43));
    let (padded, nonce) = (format!("\"{}=\"", "A".repeat(43)), "\"AAAAAAAAAAAAAAAA\"");
    for key in [&key, &padded] {
        let sealed = Sealed::decode(
            Some(value("\"/+8=\"")),
            Some(value(key)),
            Some(value(nonce)),
        );
        assert_eq!(sealed.unwrap().payload, [0xff, 0xef]);
    }
    for key in ["\"AAAA\"", "7", "\"%\""] {
        let sealed = Sealed::decode(Some(value("\"\"")), Some(value(key)), Some(value(nonce)));
        assert!(sealed.is_err(), "{key}");
    }
    let answer = sealed_answer(&[0xff, 0xef], &[0; 12]);
    assert_eq!(answer, r#"{"itp":"/+8=","itv":"AAAAAAAAAAAAAAAA"}"#);
}

proptest! {
    #[test]
    fn what_is_in_an_envelope_comes_out_as_it_was(
        payload: Vec<u8>, key: [u8; 32], nonce: [u8; 12], is_padded: bool,
    ) {
        let text = |bytes: &[u8]| {
            let text = STANDARD.encode(bytes);
            let text = if is_padded { text } else { text.trim_end_matches('=').to_owned() };
            format!("\"{text}\"")
        };
        let (itp, itk, itv) = (text(&payload), text(&key), text(&nonce));
        let sealed = Sealed::decode(Some(value(&itp)), Some(value(&itk)), Some(value(&itv))).unwrap();
        prop_assert_eq!((sealed.payload, sealed.key.expose(), sealed.nonce), (payload, &key, nonce));
    }

    #[test]
    fn hostile_envelopes_never_panic(parts in prop::collection::vec("\"[A-Za-z0-9+/= \u{e9}]{0,60}\"", 3)) {
        drop(Sealed::decode(Some(value(&parts[0])), Some(value(&parts[1])), Some(value(&parts[2]))));
    }
}
