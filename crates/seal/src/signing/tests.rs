//! Notes are signed and opened as the format says.

use super::{SigningKey, VerifyingKey, split_note};
use model::Secret;

fn key(byte: u8) -> SigningKey {
    SigningKey::from_seed("example.org/log", &Secret::new([byte; 32])).unwrap()
}

#[test]
fn signatures_are_those_of_the_standard() {
    // RFC 8032, section 7.1, test 1: its key signs nothing at all; the public key is what counts.
    let seed = [
        0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c,
        0xc4, 0x44, 0x49, 0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae,
        0x7f, 0x60,
    ];
    let key = SigningKey::from_seed("a", &Secret::new(seed)).unwrap();
    let public = key.verifying().public;
    assert_eq!(public[..4], [0xd7, 0x5a, 0x98, 0x01]);
    assert_eq!(public[28..], [0xf7, 0x07, 0x51, 0x1a]);
}

#[test]
fn keys_and_notes_of_the_published_example_are_read() {
    // The example of golang.org/x/mod/sumdb/note, which the format comes from.
    let key =
        VerifyingKey::parse("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW");
    let note = "If you think cryptography is the answer to your problem,\n\
                then you don't know what your problem is.\n\
                \n\
                \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
    let text = key.unwrap().open_note(note).unwrap();
    assert!(text.starts_with("If you think") && text.ends_with("problem is.\n"));
}

#[test]
fn a_note_opens_with_its_key_alone() {
    let note = key(1).sign_note("one\ntwo\n");
    assert_eq!(key(1).verifying().open_note(&note), Some("one\ntwo\n"));
    assert_eq!(key(2).verifying().open_note(&note), None);
    let both = format!(
        "{note}{}",
        split_note(&key(2).sign_note("one\ntwo\n")).unwrap().1
    );
    for byte in [1, 2] {
        assert_eq!(key(byte).verifying().open_note(&both), Some("one\ntwo\n"));
    }
}

#[test]
fn no_changed_note_opens() {
    let note = key(1).sign_note("one\ntwo\n");
    for at in 0..note.len() {
        let mut bytes = note.clone().into_bytes();
        bytes[at] ^= 1;
        if let Ok(changed) = String::from_utf8(bytes) {
            assert_eq!(key(1).verifying().open_note(&changed), None, "byte {at}");
        }
        if let Some(cut) = note.get(..at) {
            assert_eq!(key(1).verifying().open_note(cut), None, "cut at {at}");
        }
    }
}

#[test]
fn a_key_is_read_as_it_is_shown() {
    let key = key(3).verifying().clone();
    let shown = key.to_string();
    assert_eq!(VerifyingKey::parse(&shown), Some(key));
    for wrong in [
        "",
        "a",
        "a+b+c",
        shown.trim_end_matches(|it: char| it != '+'),
        &shown.replace("example", "exemple"),
        &shown.replace("example.org/log", "a b"),
    ] {
        assert_eq!(VerifyingKey::parse(wrong), None, "{wrong}");
    }
    assert!(SigningKey::from_seed("with space", &Secret::new([1; 32])).is_err());
}
