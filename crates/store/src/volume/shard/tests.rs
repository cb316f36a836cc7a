//! A shard is what was written, or it is refused.

use super::{Header, Shard, ShardKey, check_whole, header_bytes};
use crate::Geometry;
use crate::layout::{Layout, narrow};
use crate::volume::Code;
use crate::volume::name::ShardName;
use model::{KeyId, Secret};
use proptest::prelude::*;
use seal::{KeyRef, ObjectKey};

fn keys() -> ShardKey {
    ShardKey::new(Secret::new([7; 32]), [9; 16])
}

fn header(length: usize, geometry: Geometry) -> Header {
    let layout = Layout::new(length as u64, geometry.data).unwrap();
    Header {
        path: "lake/A/events/2026-01-01/x.parquet".into(),
        version: 3,
        write_id: [5; 16],
        geometry,
        key: KeyRef::Data(KeyId([4; 16])),
        length: length as u64,
        chunk: layout.chunks.chunk() as u32,
        created_ms: 1_700_000_000_000,
    }
}

fn shards(plaintext: &[u8], geometry: Geometry) -> (Header, Vec<Vec<u8>>) {
    let header = header(plaintext.len(), geometry);
    let layout = header.layout().unwrap();
    let sealed = ObjectKey::new(&Secret::new([1; 32]), &header.path, header.write_id)
        .unwrap()
        .seal(&layout.chunks, plaintext)
        .unwrap();
    let shards = Shard::encode(&keys(), &Code::new(geometry), &header, &sealed).unwrap();
    (
        header,
        shards.iter().map(|shard| shard.parts().concat()).collect(),
    )
}

fn name(header: &Header, index: usize) -> ShardName {
    ShardName {
        path: header.path.clone(),
        version: header.version,
        write_id: header.write_id,
        length: header.length,
        created_ms: header.created_ms,
        index,
    }
}

#[test]
fn shards_of_one_to_many_stripes_check() {
    let geometry = Geometry { data: 2, parity: 1 };
    for length in [0, 1, 5_000, 200_000, 2 * 1024 * 1024, 5_000_000] {
        let (header, shards) = shards(&vec![3; length], geometry);
        for (index, bytes) in shards.iter().enumerate() {
            assert_eq!(
                check_whole(&keys(), &name(&header, index), bytes),
                Ok(header.clone())
            );
            check_whole(&keys(), &name(&header, index + 1), bytes).unwrap_err();
            check_whole(&keys(), &name(&header, index), &bytes[..bytes.len() - 1]).unwrap_err();
        }
    }
}

#[test]
fn a_shard_of_another_store_is_refused() {
    let (header, shards) = shards(b"abc", Geometry { data: 1, parity: 0 });
    let other = ShardKey::new(Secret::new([7; 32]), [8; 16]);
    check_whole(&other, &name(&header, 0), &shards[0]).unwrap_err();
    let other = ShardKey::new(Secret::new([6; 32]), [9; 16]);
    check_whole(&other, &name(&header, 0), &shards[0]).unwrap_err();
}

#[test]
fn shards_of_version_1_are_read_for_ever() {
    let (_, made) = shards(
        b"what was written long ago",
        Geometry { data: 2, parity: 1 },
    );
    let golden = include_bytes!("../../../testdata/shard-v1.bin");
    assert_eq!(made.concat(), golden);
}

proptest! {
    #[test]
    fn any_flipped_bit_is_refused(length in 0_usize..20_000, at: prop::sample::Index, bit in 0_u8..8) {
        let (header, mut shards) = shards(&vec![1; length], Geometry { data: 2, parity: 1 });
        for (index, bytes) in shards.iter_mut().enumerate() {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert!(check_whole(&keys(), &name(&header, index), bytes).is_err());
        }
    }

    #[test]
    fn hostile_headers_are_refused_without_panic(bytes: Vec<u8>) {
        prop_assert!(Header::decode(&keys(), &bytes).is_none());
        let (header, _) = shards(b"", Geometry { data: 1, parity: 0 });
        prop_assert!(check_whole(&keys(), &name(&header, 0), &bytes).is_err());
    }
}

#[test]
fn the_header_is_as_long_as_its_path_says() {
    let header = header(10, Geometry { data: 1, parity: 0 });
    assert_eq!(
        header.encode(&keys(), 0).0.len(),
        narrow(header_bytes(&header.path))
    );
}
