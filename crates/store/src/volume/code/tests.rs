//! Any k of n pieces give the data back.

use super::Code;
use crate::Geometry;
use bytes::Bytes;

#[test]
fn every_choice_of_k_pieces_restores_the_data() {
    for (data, parity) in [(1, 0), (1, 1), (1, 2), (2, 1), (4, 2), (3, 3)] {
        let code = Code::new(Geometry { data, parity });
        for bytes in [2_usize, 64, 130, 1_000] {
            let original: Vec<Bytes> = (0..data)
                .map(|i| {
                    (0..bytes)
                        .map(|b| (b * 7 + i * 13) as u8)
                        .collect::<Vec<_>>()
                        .into()
                })
                .collect();
            let mut all = original.clone();
            all.extend(code.parity(&original, bytes).unwrap());
            for kept in 0_u32..1 << (data + parity) {
                if kept.count_ones() as usize != data {
                    continue;
                }
                let pieces: Vec<Option<Bytes>> = all
                    .iter()
                    .enumerate()
                    .map(|(i, p)| (kept >> i & 1 == 1).then(|| p.clone()))
                    .collect();
                assert_eq!(
                    code.data(&pieces, bytes).unwrap(),
                    original,
                    "{data}+{parity} {kept:b}"
                );
            }
        }
    }
}

#[test]
fn too_few_pieces_are_an_error() {
    let code = Code::new(Geometry { data: 2, parity: 1 });
    code.data(&[Some(Bytes::from_static(b"ab")), None, None], 2)
        .unwrap_err();
}
