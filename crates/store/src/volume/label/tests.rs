//! Labels are authentic or useless.

use super::{Label, LabelKey, LabelVolume, Reading};
use crate::Geometry;
use model::{Secret, Timestamp};

fn key() -> LabelKey {
    LabelKey::new(Secret::new([1; 32]), [2; 16])
}

fn label() -> Label {
    let volume = |id, out: bool, seen| LabelVolume {
        id: [id; 16],
        out_since: out.then(|| Timestamp::from_ms(1_700_000_000_000)),
        seen,
    };
    Label {
        index: 1,
        geometry: Geometry { data: 2, parity: 1 },
        counter: 77,
        version_floor: 1_000,
        volumes: vec![
            volume(3, false, 76),
            volume(4, true, 12),
            volume(5, false, 76),
        ],
    }
}

#[test]
fn labels_are_read_as_they_are_written() {
    assert_eq!(
        Label::read(&key(), &label().encode(&key())),
        Reading::Ours(label())
    );
}

#[test]
fn labels_of_version_1_are_read_for_ever() {
    let golden = include_bytes!("../../../testdata/label-v1.bin");
    assert_eq!(label().encode(&key()), golden);
    assert_eq!(Label::read(&key(), golden), Reading::Ours(label()));
}

#[test]
fn every_flipped_bit_makes_a_label_damaged_and_never_foreign_or_another() {
    let bytes = label().encode(&key());
    for at in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[at / 8] ^= 1 << (at % 8);
        assert_eq!(Label::read(&key(), &flipped), Reading::Damaged, "bit {at}");
    }
    for cut in 0..bytes.len() {
        let expected = if cut < 26 {
            Reading::Unknown
        } else {
            Reading::Damaged
        };
        assert_eq!(Label::read(&key(), &bytes[..cut]), expected, "cut at {cut}");
    }
}

#[test]
fn the_label_of_another_store_is_foreign() {
    let other = LabelKey::new(Secret::new([9; 32]), [0xf0; 16]);
    assert_eq!(
        Label::read(&key(), &label().encode(&other)),
        Reading::Foreign
    );
}

#[test]
fn the_damaged_label_of_another_store_is_never_one_of_ours() {
    let bytes = label().encode(&LabelKey::new(Secret::new([9; 32]), [0xf0; 16]));
    for at in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[at / 8] ^= 1 << (at % 8);
        let expected = if at < 64 {
            Reading::Unknown
        } else {
            Reading::Foreign
        };
        assert_eq!(Label::read(&key(), &flipped), expected, "bit {at}");
    }
}
