//! Every byte of an object lies in exactly one piece, whatever its size.

use super::{CHUNK_BYTES_MIN, Layout, span};

#[test]
fn pieces_of_all_stripes_cover_every_chunk_once_and_in_order() {
    for data in [1, 2, 4, 10] {
        for length in [
            0, 1, 63, 64, 100, 4_095, 4_097, 65_536, 65_537, 262_144, 262_145, 300_000, 1_048_576,
            4_194_304, 4_194_305, 9_000_001, 50_000_000,
        ] {
            let layout = Layout::new(length, data).unwrap();
            let mut next = 0;
            for stripe in 0..layout.stripes() {
                assert_eq!(layout.coded_bytes(stripe) % 2, 0);
                for index in 0..data {
                    let piece = layout.piece_chunks(stripe, index);
                    if !piece.is_empty() {
                        assert_eq!(piece.start, next, "{length} bytes over {data}");
                        next = piece.end;
                    }
                    assert!(layout.piece_bytes(stripe, index) <= layout.coded_bytes(stripe));
                }
            }
            assert_eq!(next, layout.chunks.count(), "{length} bytes over {data}");
            let stored: u64 = (0..data)
                .map(|index| layout.body_bytes(index) - 32 * layout.stripes())
                .sum();
            assert_eq!(stored, layout.chunks.sealed_length());
        }
    }
}

#[test]
fn data_shards_are_filled_evenly() {
    for length in [4 * CHUNK_BYTES_MIN, 100_000, 300_000, 1_000_000, 20_000_000] {
        let layout = Layout::new(length, 4).unwrap();
        let stored = layout.body_bytes(4) * 6;
        assert!(
            stored < length * 3 / 2 + length / 10 + 4_096,
            "{length} bytes take {stored}"
        );
    }
}

#[test]
fn ranges_fall_into_the_stripes_that_hold_them() {
    let layout = Layout::new(50_000_000, 4).unwrap();
    for range in [
        0..1,
        4_000_000..4_400_000,
        49_999_999..50_000_000,
        0..50_000_000,
    ] {
        let chunks = layout.chunks.holding(&range);
        let stripes = layout.stripes_of(&chunks);
        assert!(layout.chunks_of(stripes.start).contains(&chunks.start));
        assert!(
            layout
                .chunks_of(stripes.end - 1)
                .contains(&(chunks.end - 1))
        );
        assert!(span(&chunks) * layout.chunks.chunk() >= span(&range));
    }
}

#[test]
fn a_layout_without_data_shards_is_refused() {
    assert!(Layout::new(100, 0).is_err());
    assert!(Layout::read(100, 64, 0).is_err());
    assert!(Layout::read(0, 64, 0).is_err());
}
