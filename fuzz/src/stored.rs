//! Formats on the volumes. Their bytes are authenticated before they are decoded; the decoders must hold
//! all the same.

use governance::{AccountRules, PasscodeHash};
use jiff::tz::TimeZone;
use model::{AccountId, Secret};
use seal::{Chunks, ObjectKey};

/// Where in a commit stands how many entries it has.
const ENTRIES_AT: usize = 44;

/// The rules of an account without wishes.
pub(crate) fn rules() -> AccountRules {
    let Ok(id) = "TEST-ACC-123Z".parse::<AccountId>() else {
        unreachable!("the id is well formed")
    };
    let (secret, token) = (Secret::new([1; 32]), PasscodeHash::of("token"));
    AccountRules::new(id, "test", TimeZone::UTC, secret, token)
}

/// A commit whose digest is right decodes to as many entries as it says, or not at all.
pub(crate) fn commit(input: &[u8]) {
    assert!(input.len() > 100_000 || journal::decode(input).is_err() || is_whole(input));
    let mut bytes = input.to_vec();
    bytes.extend_from_slice(blake3::hash(input).as_bytes());
    if let Ok(commit) = journal::decode(&bytes) {
        let said = input[ENTRIES_AT..].first_chunk::<4>();
        let said = said.map(|it| u32::from_le_bytes(*it));
        assert_eq!(said, u32::try_from(commit.entries.len()).ok());
        assert!(commit.previous < commit.id.number);
    }
}

fn is_whole(bytes: &[u8]) -> bool {
    bytes
        .split_last_chunk::<32>()
        .is_some_and(|(signed, digest)| blake3::hash(signed).as_bytes() == digest)
}

/// A sealed object opens only as it was sealed.
pub(crate) fn sealed(input: &[u8]) {
    let Ok(key) = ObjectKey::new(&Secret::new([3; 32]), "a/path", [5; 16]) else {
        return;
    };
    let Ok(chunks) = Chunks::new(input.len() as u64, 64) else {
        return;
    };
    let Ok(good) = key.seal(&chunks, input) else {
        return;
    };
    let all = 0..chunks.count();
    let opened = key.open(&chunks, &all, good.bytes());
    assert_eq!(
        opened.ok().as_deref(),
        Some(input),
        "what was sealed does not open"
    );
    let plain = key.open(&chunks, &all, input);
    assert!(plain.is_err(), "what was never sealed opens");
    if let Some(place) = input
        .first()
        .map(|byte| usize::from(*byte) % good.bytes().len())
    {
        let mut bad = good.bytes().to_vec();
        bad[place] ^= 1;
        assert!(
            key.open(&chunks, &all, &bad).is_err(),
            "a flipped bit was not seen"
        );
    }
}
