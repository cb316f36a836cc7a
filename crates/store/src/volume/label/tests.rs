//! Labels are authentic or useless.

use super::{Label, LabelKey, LabelVolume, Reading};
use crate::Geometry;
use crate::layout::VOLUMES_MAX;
use model::{Secret, Timestamp};
use proptest::prelude::*;

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

/// Any label that a store can have.
fn labels() -> impl Strategy<Value = Label> {
    let volume = (any::<[u8; 16]>(), any::<Option<i64>>(), any::<u64>());
    let volume = volume.prop_map(|(id, out_since, seen)| LabelVolume {
        id,
        out_since: out_since.map(Timestamp::from_ms),
        seen,
    });
    let volumes = prop::collection::vec(volume, 1..=VOLUMES_MAX);
    let more = (any::<[prop::sample::Index; 2]>(), any::<[u64; 2]>());
    (volumes, more).prop_map(|(volumes, ([index, parity], [counter, version_floor]))| {
        let parity = parity.index(volumes.len());
        let data = volumes.len() - parity;
        Label {
            index: index.index(volumes.len()),
            geometry: Geometry { data, parity },
            counter,
            version_floor,
            volumes,
        }
    })
}

proptest! {
    #[test]
    fn every_label_is_read_as_it_was_written_and_under_no_other_key(
        label in labels(), key: [u8; 32], other: [u8; 32], store_id: [u8; 16],
    ) {
        let under = |key| LabelKey::new(Secret::new(key), store_id);
        let bytes = label.encode(&under(key));
        prop_assert!(bytes.len() as u64 <= super::LABEL_BYTES_MAX);
        prop_assert_eq!(Label::read(&under(key), &bytes), Reading::Ours(label));
        prop_assume!(key != other);
        prop_assert_eq!(Label::read(&under(other), &bytes), Reading::Damaged);
    }

    #[test]
    fn a_label_with_any_other_bytes_is_none(
        label in labels(),
        places in prop::collection::vec((any::<prop::sample::Index>(), 1_u8..), 1..4),
        cut in any::<prop::sample::Index>(),
        more in prop::collection::vec(any::<u8>(), 1..40),
    ) {
        let is_ours = |bytes: &[u8]| matches!(Label::read(&key(), bytes), Reading::Ours(_));
        let bytes = label.encode(&key());
        let mut changed = bytes.clone();
        for (place, by) in places {
            changed[place.index(bytes.len())] ^= by;
        }
        prop_assert!(changed == bytes || !is_ours(&changed));
        prop_assert!(!is_ours(&bytes[..cut.index(bytes.len())]));
        prop_assert!(!is_ours(&[&bytes[..], &more[..]].concat()));
    }
}
