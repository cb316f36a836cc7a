//! What was sealed opens where it was sealed, and nothing else does.

use crate::{
    Chunks, Error, Keyring, ObjectKey, TAG_BYTES, derive, hmac_sha256, open_field, same,
    seal_field, seal_object, sha256, transit,
};
use model::{ErrorKind, Secret, SeededRandom};
use proptest::prelude::*;
use std::fs;
use std::os::unix::fs::PermissionsExt;

fn key(byte: u8) -> Secret<[u8; 32]> {
    Secret::new([byte; 32])
}

#[test]
fn digests_are_those_of_the_standards() {
    assert_eq!(
        sha256(b"abc")[..8],
        [0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea]
    );
    // RFC 4231 uses other key lengths; this is HMAC's own property: parts are concatenated.
    assert_eq!(
        hmac_sha256(&key(1), &[b"ab", b"c"]),
        hmac_sha256(&key(1), &[b"abc"])
    );
    assert_ne!(
        hmac_sha256(&key(1), &[b"abc"]),
        hmac_sha256(&key(2), &[b"abc"])
    );
    assert!(same(b"abc", b"abc") && !same(b"abc", b"abd") && !same(b"abc", b"ab"));
}

#[test]
fn derived_keys_differ_by_key_purpose_and_every_part_of_the_context() {
    let base = *derive(&key(1), "p", &[b"ab", b"c"]).unwrap().expose();
    for (other, purpose, context) in [
        (key(2), "p", [b"ab".as_slice(), b"c"]),
        (key(1), "q", [b"ab".as_slice(), b"c"]),
        (key(1), "p", [b"a".as_slice(), b"bc"]),
        (key(1), "p", [b"abc".as_slice(), b""]),
    ] {
        assert_ne!(base, *derive(&other, purpose, &context).unwrap().expose());
    }
}

#[test]
fn a_keyring_is_loaded_as_it_was_saved() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keyring");
    let random = SeededRandom::new(1);
    let keyring = Keyring::create(&random).with_new_epoch(&random);
    keyring.save(&path).unwrap();
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let loaded = Keyring::load(&path).unwrap();
    assert_eq!(loaded.store_id(), keyring.store_id());
    assert_eq!(loaded.epoch(), 2);
    for epoch in 1..=2 {
        let (a, b) = (
            loaded.epoch_key(epoch).unwrap(),
            keyring.epoch_key(epoch).unwrap(),
        );
        assert_eq!(a.expose(), b.expose());
    }
    assert_eq!(
        loaded.root_derived("x").expose(),
        keyring.root_derived("x").expose()
    );
    assert_ne!(
        loaded.root_derived("x").expose(),
        keyring.root_derived("y").expose()
    );
    let newest = loaded.without_old_epochs();
    newest.save(&path).unwrap();
    let newest = Keyring::load(&path).unwrap();
    assert!(newest.epoch_key(1).is_none() && newest.epoch_key(2).is_some());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_keyring_that_others_may_read_is_refused_and_the_rule_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keyring");
    Keyring::create(&SeededRandom::new(1)).save(&path).unwrap();
    for mode in [0o644, 0o640, 0o660, 0o400, 0o700, 0o4600] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let error = Keyring::load(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied);
        assert!(
            error.to_string().contains("its mode must be 0600"),
            "{error}"
        );
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert_eq!(Keyring::load(&link).unwrap_err().kind(), ErrorKind::Denied);
}

#[test]
fn a_damaged_keyring_is_refused_at_every_byte() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keyring");
    Keyring::create(&SeededRandom::new(1)).save(&path).unwrap();
    let good = fs::read(&path).unwrap();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::write(&path, &bad).unwrap();
        assert!(
            matches!(Keyring::load(&path), Err(Error::KeyringDamaged { .. })),
            "byte {at}"
        );
        fs::write(&path, &good[..at]).unwrap();
        assert!(
            matches!(Keyring::load(&path), Err(Error::KeyringDamaged { .. })),
            "cut at {at}"
        );
    }
}

#[test]
fn keyrings_of_version_1_are_read_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keyring");
    Keyring::create(&SeededRandom::new(42)).save(&path).unwrap();
    assert_eq!(
        fs::read(&path).unwrap(),
        include_bytes!("../testdata/keyring-v1.bin")
    );
}

#[test]
fn objects_of_version_1_are_opened_for_ever() {
    let sealed = seal_object(&key(3), "lake/A/events/x", [4; 16], b"what was written").unwrap();
    assert_eq!(
        sealed.bytes(),
        include_bytes!("../testdata/object-v1.bin").as_slice()
    );
}

#[test]
fn fields_of_version_1_are_opened_for_ever() {
    let golden = include_bytes!("../testdata/field-v1.bin");
    let made = seal_field(&key(5), "table/row", b"value", &SeededRandom::new(6)).unwrap();
    assert_eq!(made, golden);
    assert_eq!(
        open_field(&key(5), "table/row", golden).unwrap().expose(),
        b"value"
    );
}

#[test]
fn a_sealed_field_opens_only_in_its_place_and_is_never_the_same_twice() {
    let random = SeededRandom::new(1);
    let a = seal_field(&key(1), "users/email/7", b"a@b.c", &random).unwrap();
    let b = seal_field(&key(1), "users/email/7", b"a@b.c", &random).unwrap();
    assert_ne!(a, b);
    assert_eq!(a.len(), 5 + 33);
    assert_eq!(
        open_field(&key(1), "users/email/7", &a).unwrap().expose(),
        b"a@b.c"
    );
    for (key, context) in [(key(2), "users/email/7"), (key(1), "users/email/8")] {
        assert_eq!(
            open_field(&key, context, &a).unwrap_err().kind(),
            ErrorKind::Corrupt
        );
    }
}

#[test]
fn chunk_sizes_can_be_computed() {
    for (length, chunk, count, sealed) in [
        (0, 64, 1, 16),
        (1, 64, 1, 17),
        (64, 64, 1, 80),
        (65, 64, 2, 97),
        (200, 100, 2, 232),
    ] {
        let chunks = Chunks::new(length, chunk).unwrap();
        assert_eq!(
            (chunks.count(), chunks.sealed_length()),
            (count, sealed),
            "{length}/{chunk}"
        );
    }
    Chunks::new(1, 0).unwrap_err();
    Chunks::new(1, 65_537).unwrap_err();
}

fn sealed(length: usize, chunk: u32) -> (ObjectKey, Chunks, Vec<u8>, Vec<u8>) {
    let plain: Vec<u8> = (0..length).map(|i| (i * 31 % 251) as u8).collect();
    let chunks = Chunks::new(length as u64, chunk).unwrap();
    let key = ObjectKey::new(&key(1), "a/b", [2; 16]).unwrap();
    let sealed = key.seal(&chunks, &plain).unwrap().bytes().to_vec();
    (key, chunks, plain, sealed)
}

proptest! {
    #[test]
    fn any_range_opens_alone(length in 1_usize..5_000, chunk in 1_u32..900, from: prop::sample::Index, to: prop::sample::Index) {
        let (key, chunks, plain, sealed) = sealed(length, chunk);
        let (a, b) = (from.index(length), to.index(length));
        let range = a.min(b) as u64..a.max(b) as u64 + 1;
        let held = chunks.holding(&range);
        let bytes = chunks.sealed_range(&held);
        let opened = key.open(&chunks, &held, &sealed[bytes.start as usize..bytes.end as usize]).unwrap();
        let skip = (range.start - held.start * chunks.chunk()) as usize;
        let wanted = &plain[range.start as usize..range.end as usize];
        prop_assert_eq!(&opened[skip..skip + wanted.len()], wanted);
    }

    #[test]
    fn any_flipped_bit_is_refused(length in 0_usize..3_000, chunk in 1_u32..900, at: prop::sample::Index, bit in 0_u8..8) {
        let (key, chunks, _, mut sealed) = sealed(length, chunk);
        let at = at.index(sealed.len());
        sealed[at] ^= 1 << bit;
        prop_assert!(key.open(&chunks, &(0..chunks.count()), &sealed).is_err());
    }

    #[test]
    fn any_truncation_is_refused(length in 0_usize..3_000, chunk in 1_u32..900, at: prop::sample::Index) {
        let (key, chunks, _, sealed) = sealed(length, chunk);
        let cut = at.index(sealed.len());
        prop_assert!(key.open(&chunks, &(0..chunks.count()), &sealed[..cut]).is_err());
        // Cut at a chunk's end, with the length changed to fit: the last one is not marked as last.
        if chunks.count() > 1 {
            let whole = cut as u64 / chunks.sealed_chunk();
            let shorter = Chunks::new(whole * chunks.chunk(), chunk).unwrap();
            let bytes = &sealed[..(whole * chunks.sealed_chunk()) as usize];
            prop_assert!(key.open(&shorter, &(0..shorter.count()), bytes).is_err());
        }
    }

    #[test]
    fn exchanged_chunks_are_refused(chunk in 1_u32..300, a in 0_u64..8, b in 0_u64..8) {
        prop_assume!(a != b);
        let (key, chunks, _, sealed) = sealed(chunk as usize * 8, chunk);
        let each = chunk as usize + TAG_BYTES;
        let at = |n: u64| n as usize * each..(n as usize + 1) * each;
        let mut out = Vec::new();
        prop_assert!(key.open_chunk(&chunks, a, &sealed[at(b)], &mut out).is_err());
        prop_assert!(out.is_empty());
    }

    #[test]
    fn another_path_write_or_key_is_refused(path in "[a-z/]{1,20}", write_id: [u8; 16], byte: u8) {
        let (_, chunks, _, sealed) = sealed(100, 64);
        prop_assume!(path != "a/b" || write_id != [2; 16] || byte != 1);
        let other = ObjectKey::new(&key(byte), &path, write_id).unwrap();
        prop_assert!(other.open(&chunks, &(0..chunks.count()), &sealed).is_err());
    }

    #[test]
    fn hostile_fields_are_refused_without_panic(bytes: Vec<u8>) {
        prop_assert!(open_field(&key(1), "c", &bytes).is_err());
    }

    #[test]
    fn what_was_sealed_in_transit_opens_and_nothing_else(
        bytes: Vec<u8>, nonce: [u8; 12], at: prop::sample::Index, bit in 0_u8..8,
    ) {
        let mut sealed = transit::seal(&key(1), nonce, &bytes).unwrap();
        prop_assert_eq!(sealed.len(), bytes.len() + 16);
        prop_assert_eq!(&transit::open(&key(1), nonce, &sealed).unwrap(), &bytes);
        prop_assert!(transit::open(&key(2), nonce, &sealed).is_err());
        prop_assert!(transit::open(&key(1), nonce, &bytes).is_err());
        let at = at.index(sealed.len());
        sealed[at] ^= 1 << bit;
        prop_assert!(transit::open(&key(1), nonce, &sealed).is_err());
    }
}
