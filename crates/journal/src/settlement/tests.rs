//! A settlement is read as written or refused.

use super::{End, Settlement};
use model::WriterId;
use proptest::prelude::*;
use std::path::Path;

fn writer(node: u32, start: u32) -> WriterId {
    WriterId { node, start }
}

fn sample() -> Settlement {
    let end = |number, copy| End {
        number,
        digest: [u8::try_from(number).unwrap(); 32],
        copy,
    };
    Settlement {
        opener: writer(1, 9),
        generation: 4,
        ends: [
            (writer(1, 7), end(12, Some(writer(1, 8)))),
            (writer(2, 1), end(0, None)),
        ]
        .into(),
    }
}

#[test]
fn the_first_version_stays_readable() {
    let path = Path::new("testdata/settlement-v1.bin");
    if std::env::var_os("WRITE_GOLDEN").is_some() {
        std::fs::write(path, sample().encode()).unwrap();
    }
    let golden = std::fs::read(path).unwrap();
    assert_eq!(Settlement::decode(&golden), Ok(sample()));
    assert_eq!(sample().encode(), golden);
}

#[test]
fn a_settlement_that_is_cut_or_flipped_is_refused() {
    let whole = sample().encode();
    for length in 0..whole.len() {
        assert!(Settlement::decode(&whole[..length]).is_err());
    }
    for bit in 0..whole.len() * 8 {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(Settlement::decode(&flipped).is_err());
    }
}

#[test]
fn earlier_starts_of_the_node_that_are_not_named_have_no_commits() {
    let settlement = sample();
    let number = |writer| settlement.end(writer).map(|end| end.number);
    assert_eq!(number(writer(1, 7)), Some(12));
    assert_eq!(number(writer(1, 8)), Some(0));
    assert_eq!(number(writer(1, 9)), None);
    assert_eq!(number(writer(2, 1)), Some(0));
    assert_eq!(number(writer(3, 1)), None);
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut forged = sample().encode();
        forged.truncate(12);
        forged.extend(&bytes);
        let digest = *blake3::hash(&forged).as_bytes();
        forged.extend(digest);
        drop(Settlement::decode(&bytes));
        drop(Settlement::decode(&forged));
    }
}
